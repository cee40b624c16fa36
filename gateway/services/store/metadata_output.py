"""The data set of an instance whose bulk values come in parts, written as far as they are there.

Its gaps are filled in the order of the data set: native values as elements of the length they turned out to have,
compressed ones as Pixel Data with one fragment a frame (PS3.5 §A.4). Used by ``metadata_request.py``, which knows when.

A native value whose length is known beforehand passes straight on while it arrives: `open_value`, `pass_on` for each
piece, `close_value`; `find_passable` says whether one may.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from struct import pack

from gateway.codecs import Buffer
from gateway.codecs.head import InstanceHead
from gateway.codecs.media_types import MediaType
from gateway.codecs.model_writer import BulkReference
from gateway.codecs.reencode import encode_element_header
from gateway.codecs.tokens import UNDEFINED_LENGTH
from gateway.codecs.value_fields import pad_value
from gateway.errors import DecodeError
from gateway.services.store.bulkdata_parts import SENT, BulkdataParts, BulkPart, check_kept
from gateway.services.store.bulkdata_spool import BulkdataSpool
from gateway.services.store.incoming import FingerprintReader, InstanceData, InstanceEnd, InstanceEvent, InstanceStart
from gateway.services.store.metadata_instance import PlannedInstance

__all__ = ["InstanceOutput"]

_MAX_LENGTH = 0xFFFFFFFE
_SEQUENCE_END = pack("<HHI", 0xFFFE, 0xE0DD, 0)


class InstanceOutput:
    """Writes one instance.

    Parameters
    ----------
    is_shared : bool
        Whether values may be wanted by other instances too, so that they stay in the spool when they are sent.

    Attributes
    ----------
    has_started : bool
        Whether `InstanceStart` has been given.
    """

    def __init__(
        self, instance: PlannedInstance, parts: BulkdataParts, spool: BulkdataSpool, *, is_shared: bool
    ) -> None:
        self._instance = instance
        self._parts = parts
        self._spool = spool
        self._is_shared = is_shared
        self._index = 0
        self._filled = 0
        self._next_frame = 0
        self._is_encapsulating = False
        self._passing: BulkReference | None = None
        self._due = 0
        self._fingerprint = FingerprintReader()
        self.has_started = False

    # --- what is there ---

    async def advance(self) -> AsyncGenerator[InstanceEvent, None]:
        """Write up to the first value that is not there.

        Raises
        ------
        DecodeError
            A value that cannot be written; names its attribute.
        SpoolFailed
            As the spool.
        """
        if not self.has_started:
            if not self._instance.is_ready(self._parts):
                return
            head = await self._prepare()
            self.has_started = True
            yield InstanceStart(head)
        while self._index < len(self._instance.pieces):
            piece = self._instance.pieces[self._index]
            if isinstance(piece, bytes):
                yield self._write(piece)
            else:
                part = self._parts.find(self._instance.uri_of(piece))
                if part is None or piece == self._passing:
                    return
                async for data in self._fill(piece, part):
                    yield self._write(data)
                if self._is_encapsulating:
                    return
            self._index += 1

    async def _prepare(self) -> InstanceHead:
        if self._instance.is_large:
            return await asyncio.to_thread(self._instance.prepare, self._parts)
        return self._instance.prepare(self._parts)

    @property
    def is_complete(self) -> bool:
        """Whether all of the data set has been written."""
        return self.has_started and self._index == len(self._instance.pieces)

    def end(self) -> InstanceEnd:
        """Say that the instance, which is complete, may be stored."""
        return InstanceEnd(self._fingerprint.finish())

    def _write(self, data: Buffer) -> InstanceData:
        self._fingerprint.update(data)
        return InstanceData(data)

    def _fill(self, reference: BulkReference, part: BulkPart) -> AsyncGenerator[Buffer, None]:
        if self._instance.find_syntax(reference, part) is None:
            self._instance.check_length(reference, part)
            return self._fill_native(reference, part)
        return self._fill_encapsulated(reference, self._instance.count_parts(reference, part))

    async def _fill_native(self, reference: BulkReference, part: BulkPart) -> AsyncGenerator[Buffer, None]:
        yield encode_element_header(reference.tag, reference.vr, _make_even(part.length, reference))
        async for data in self._read(reference, 0, part, reference.vr):
            yield data

    async def _fill_encapsulated(self, reference: BulkReference, count: int) -> AsyncGenerator[Buffer, None]:
        """Write the frames that are there; if some are not, it is gone on with later."""
        uri = self._instance.uri_of(reference)
        if not self._is_encapsulating:
            self._is_encapsulating = True
            yield encode_element_header(reference.tag, "OB", UNDEFINED_LENGTH)
            yield self._make_offset_table(uri, count)
        while self._next_frame < count:
            frame = self._parts.find(uri, self._next_frame)
            if frame is None:
                return
            yield pack("<HHI", 0xFFFE, 0xE000, _make_even(frame.length, reference))
            async for data in self._read(reference, self._next_frame, frame, "OB"):
                yield data
            self._next_frame += 1
        self._next_frame = 0
        self._is_encapsulating = False
        yield _SEQUENCE_END

    async def _read(
        self, reference: BulkReference, index: int, part: BulkPart, vr: str
    ) -> AsyncGenerator[Buffer, None]:
        check_kept(part, reference.path)
        async for data in self._spool.read(part.start, part.length):
            yield data
        if part.length % 2:
            yield _padding_of(vr)
        uri = self._instance.uri_of(reference)
        if not self._is_shared and self._instance.uses[uri] == 1:
            self._spool.release(self._parts.mark_sent(uri, index))

    def _make_offset_table(self, uri: str, count: int) -> bytes:
        """The Basic Offset Table: filled if all frames are there, and empty otherwise, which is allowed."""
        frames = self._iter_frames(uri, count) if count > 1 else ()
        lengths = [8 + frame.length + frame.length % 2 for frame in frames]
        is_filled = len(lengths) == count and sum(lengths) <= _MAX_LENGTH
        table = b"".join(_sum_up(lengths)) if is_filled else b""
        return pack("<HHI", 0xFFFE, 0xE000, len(table)) + table

    def _iter_frames(self, uri: str, count: int) -> Iterator[BulkPart]:
        """The frames up to the first that is missing: `count` is only what the metadata states."""
        for index in range(count):
            frame = self._parts.find(uri, index)
            if frame is None:
                return
            yield frame

    # --- what is arriving ---

    def find_passable(self, location: str, media_type: MediaType, length: int | None) -> int | None:
        """The length of the value that a part brings if it may pass straight on, None if it has to wait.

        Parameters
        ----------
        length
            What the part's Content-Length says.
        """
        gap = self._find_gap()
        if gap is None or self._is_shared or self._is_encapsulating or self._instance.uri_of(gap) != location:
            return None
        part = BulkPart(media_type, SENT, 0, 0)
        if self._instance.uses[location] != 1 or self._instance.find_syntax(gap, part) is not None:
            return None
        if not self._instance.is_ready(self._parts, arriving=location):
            return None
        return self._instance.find_length(gap) or length

    async def open_value(
        self, location: str, media_type: MediaType, length: int
    ) -> AsyncGenerator[InstanceEvent, None]:
        """Write all before the value that is arriving, which was found passable, and its header."""
        passing = self._passing = self._find_gap()
        self._parts.add(location, BulkPart(media_type, SENT, length, 0))
        async for event in self.advance():
            yield event
        if passing is not None:
            self._due = length
            yield self._write(encode_element_header(passing.tag, passing.vr, _make_even(length, passing)))

    def pass_on(self, data: Buffer) -> InstanceData:
        """Write a piece of the value.

        Raises
        ------
        DecodeError
            More of it comes than should.
        """
        self._due -= len(data)
        if self._passing is not None and self._due < -1:
            raise DecodeError("more bytes than its length", path=self._passing.path)
        return self._write(data)

    def close_value(self, length: int) -> Iterator[InstanceEvent]:
        """Write what pads the value.

        Raises
        ------
        DecodeError
            It is not of the length that it should have, padding apart.
        """
        reference, self._passing = self._passing, None
        if reference is None or self._due not in ((0, -1) if length % 2 else (0,)):
            raise DecodeError("fewer or more bytes than its length", path=reference.path if reference else "")
        if length % 2 and not self._due:
            yield self._write(_padding_of(reference.vr))
        self._index += 1

    def _find_gap(self) -> BulkReference | None:
        """The first value that is not there; what has come stays, so none is looked at again."""
        references = self._instance.references
        while self._filled < len(references):
            reference = references[self._filled]
            if self._parts.find(self._instance.uri_of(reference)) is None:
                return reference
            self._filled += 1
        return None


def _make_even(length: int, reference: BulkReference) -> int:
    if length > _MAX_LENGTH:
        raise DecodeError("a value longer than 4 GiB", path=reference.path)
    return length + length % 2


def _padding_of(vr: str) -> bytes:
    return pad_value(vr, b"\0")[1:]


def _sum_up(lengths: list[int]) -> Iterator[bytes]:
    offset = 0
    for length in lengths:
        yield offset.to_bytes(4, "little")
        offset += length
