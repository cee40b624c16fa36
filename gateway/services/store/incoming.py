"""The parts of a request body as instances on their way in: their heads read, their structure followed.

What knows nothing of archives: parts in, events out, nothing held but a head. ``service.py`` sends what comes out.
Each instance is `InstanceStart`, `InstanceData` ..., `InstanceEnd`; a part that is none is one `NoInstance`, and what
else it holds is skipped.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from dataclasses import dataclass

from xxhash import xxh3_64

from gateway.codecs import Buffer
from gateway.codecs.head import HeadReader, InstanceHead
from gateway.codecs.media_types import parse_media_type
from gateway.codecs.multipart import PartChunk, PartEnd, PartStart
from gateway.errors import DecodeError
from gateway.resources import is_valid_uid

__all__ = [
    "BodyEvent",
    "Fingerprint",
    "FingerprintReader",
    "InstanceData",
    "InstanceEnd",
    "InstanceEvent",
    "InstanceStart",
    "NoInstance",
    "read_instances",
]

BodyEvent = PartStart | PartChunk | PartEnd
"""What a multipart reader makes of a request body."""

_INSTANCE_TYPES = frozenset({"application/dicom", "application/octet-stream", "*/*"})
"""What parts call instances; some clients only say that they are bytes, and the head tells what they are."""


@dataclass(frozen=True, slots=True)
class InstanceStart:
    """The head of an instance; the data set, all of it, comes as `InstanceData`."""

    head: InstanceHead


@dataclass(frozen=True, slots=True)
class InstanceData:
    """Some bytes of the data set, never empty; a view of what was fed."""

    data: Buffer


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Length and XXH3 of a data set: tells instances of one UID apart, at a tenth of the cost even of a CRC."""

    size: int = 0
    checksum: int = 0


class FingerprintReader:
    """Makes the fingerprint of a data set as it passes."""

    def __init__(self) -> None:
        self._size = 0
        self._hash = xxh3_64()

    def update(self, data: Buffer) -> None:
        """Take more of the data set."""
        self._size += len(data)
        self._hash.update(data)

    def finish(self) -> Fingerprint:
        """The fingerprint of all there was."""
        return Fingerprint(self._size, self._hash.intdigest())


@dataclass(frozen=True, slots=True)
class InstanceEnd:
    """The part is over; `fault` says why the data set may not end here, "" if it may."""

    fingerprint: Fingerprint
    fault: str = ""


@dataclass(frozen=True, slots=True)
class NoInstance:
    """A part that is no instance; `reason` is for the log."""

    reason: str


InstanceEvent = InstanceStart | InstanceData | InstanceEnd | NoInstance


async def read_instances(body: AsyncIterator[BodyEvent], max_head_bytes: int) -> AsyncGenerator[InstanceEvent, None]:
    """Read `body` (PS3.10 instances, one a part) as it arrives; the caller closes both.

    Raises
    ------
    RequestError
        As `body`.
    """
    parts = _PartReader(max_head_bytes)
    async for event in body:
        for instance_event in parts.take(event):
            yield instance_event


class _PartReader:
    """The state of the current part: a head being read, an instance being followed, or neither once it is refused."""

    def __init__(self, max_head_bytes: int) -> None:
        self._max_head_bytes = max_head_bytes
        self._reader: HeadReader | None = None
        self._has_head = False
        self._fingerprint = FingerprintReader()

    def take(self, event: BodyEvent) -> Iterator[InstanceEvent]:
        """Go on with the next event of the body."""
        try:
            match event:
                case PartStart(headers=headers):
                    self._begin(headers)
                case PartChunk(data=data):
                    yield from self._read(data)
                case PartEnd():
                    yield from self._end()
        except DecodeError as error:
            self._reader = None
            yield NoInstance(error.reason)

    def _begin(self, headers: Mapping[str, str]) -> None:
        self._reader, self._has_head, self._fingerprint = None, False, FingerprintReader()
        media_type = parse_media_type(headers.get("content-type") or "*/*")
        if media_type.essence not in _INSTANCE_TYPES:
            raise DecodeError(f"a part is {media_type.essence}")
        stated = media_type.transfer_syntax or ""
        default = stated if is_valid_uid(stated) else ""
        self._reader = HeadReader(self._max_head_bytes, default_transfer_syntax_uid=default)

    def _read(self, data: Buffer) -> Iterator[InstanceEvent]:
        if self._reader is None:
            return
        if self._has_head:
            self._reader.follow(data)
            yield self._pass_on(data)
        elif (head := self._reader.feed(data)) is not None:
            self._has_head = True
            yield InstanceStart(head)
            for piece in head.data_set:
                yield self._pass_on(piece)

    def _pass_on(self, data: Buffer) -> InstanceData:
        self._fingerprint.update(data)
        return InstanceData(data)

    def _end(self) -> Iterator[InstanceEvent]:
        if self._reader is None:
            return
        if not self._has_head:
            self._reader.finish()
            return
        try:
            self._reader.check_complete()
        except DecodeError as error:
            yield InstanceEnd(self._fingerprint.finish(), error.reason)
        else:
            yield InstanceEnd(self._fingerprint.finish())
