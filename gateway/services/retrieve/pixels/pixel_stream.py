"""Frames and bulk data: the wanted bytes of one instance, taken out of its data set as it streams by.

(PS3.18 §10.4.1.1.5–6, §10.4.3.3.5–6.) The instance is fetched for each request and nothing of it is kept, so every
Bulkdata URI given out stays good. Once the wanted bytes have passed, what is left of the instance is read to its
end where that is no dearer than a new association, and otherwise cut off at once (``association_cost.py``).
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, Self, TypeAlias

from gateway.codecs import Buffer
from gateway.codecs.bulkdata import BulkdataExtractor
from gateway.codecs.document_types import DOCUMENT_TYPES, ENCAPSULATED_DOCUMENT
from gateway.codecs.frames import FrameChunk, FrameEnd, FrameEvent, FrameExtractor, FrameStart, PixelHeader
from gateway.codecs.tokens import Token
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE, get_transfer_syntax
from gateway.dimse.association_cost import AssociationCost
from gateway.errors import DecodeError, NotAcceptable, UnknownResource
from gateway.resources import ResourcePath
from gateway.services.retrieve.instances import Instances
from gateway.services.retrieve.pixels.bulk_stream import BulkStream
from gateway.services.retrieve.received_instance import ReceivedInstance
from gateway.services.retrieve.service import RetrieveService
from gateway.services.retrieve.transfer_demand import AS_STORED, TransferDemand

__all__ = ["PIXEL_DATA_PATHS", "PixelDataService", "PixelEvent", "PixelStream"]

PIXEL_DATA_PATHS = frozenset({"7FE00010", "7FE00008", "7FE00009"})
"""Bulkdata paths of what may be compressed, so that its form is a matter of negotiation."""

PixelEvent: TypeAlias = FrameStart | FrameChunk | FrameEnd
"""A frame or bulk value, numbered from 1, in pieces."""


class _Extractor(Protocol):
    @property
    def is_complete(self) -> bool:
        """Whether everything wanted has been given."""

    @property
    def value_count(self) -> int:
        """How many values will come; known when the first one begins."""

    @property
    def is_compressed(self) -> bool:
        """Whether the values are encoded in the transfer syntax of the data set; known when the first one begins."""

    @property
    def is_document(self) -> bool:
        """Whether the value is an encapsulated document."""

    @property
    def header(self) -> PixelHeader | None:
        """Facts about the image whose frames are taken; None for other values."""

    @property
    def remaining_bytes(self) -> int | None:
        """About how much of the data set is still to come, None where that is not known."""

    def feed(self, data: Buffer) -> Iterable[PixelEvent]:
        """What the next piece of the data set holds of it."""

    def finish(self) -> Iterable[PixelEvent]:
        """The same at the end of the data set."""


class _FrameValues(FrameExtractor):
    """Some or all frames; the frames of a video are one value (PS3.18 §10.4.3.3.6)."""

    is_document = False

    def __init__(self, transfer_syntax_uid: str, wanted: Sequence[int] | None) -> None:
        super().__init__(transfer_syntax_uid, wanted)
        self._asked = None if wanted is None else len(wanted)
        self._is_video = get_transfer_syntax(transfer_syntax_uid).video

    @property
    def value_count(self) -> int:
        if self._is_video:
            return 1
        header = self.header
        return self._asked or (header.frame_count if header is not None else 1)

    @property
    def is_compressed(self) -> bool:
        return self.header is not None and not self.header.frame_bits


class _ExtractedFrames(_FrameValues):
    """All frames of an instance that was made of some frames of another, under the numbers they have there."""

    def __init__(self, transfer_syntax_uid: str, numbers: Sequence[int]) -> None:
        super().__init__(transfer_syntax_uid, range(1, len(numbers) + 1))
        self._numbers = numbers

    def take(self, tokens: Iterable[Token]) -> list[FrameEvent]:
        """As ``FrameAssembler.take``; DecodeError where it has another number of frames than was asked for."""
        events = super().take(tokens)
        if self.header is not None and self.header.frame_count != len(self._numbers):
            raise DecodeError("an extract has more or fewer frames than were asked for", path="00280008")
        return [self._rename(event) for event in events]

    def _rename(self, event: FrameEvent) -> FrameEvent:
        if not isinstance(event, FrameStart):
            return event
        return FrameStart(self._numbers[event.number - 1], event.length)


class _BulkValue:
    """A bulk value as one numbered item, so that it is written like a frame."""

    value_count = 1
    remaining_bytes = None
    header = None

    def __init__(self, transfer_syntax_uid: str, path: str) -> None:
        self._extractor = BulkdataExtractor(transfer_syntax_uid, path)
        self.is_document = path == ENCAPSULATED_DOCUMENT
        self._begun = self._ended = False

    @property
    def is_complete(self) -> bool:
        return self._extractor.is_complete

    @property
    def is_compressed(self) -> bool:
        return self._extractor.is_encapsulated

    def feed(self, data: Buffer) -> Iterable[PixelEvent]:
        return self._number(self._extractor.feed(data))

    def finish(self) -> Iterable[PixelEvent]:
        return self._number(self._extractor.finish())

    def _number(self, pieces: list[Buffer]) -> list[PixelEvent]:
        events: list[PixelEvent] = [FrameChunk(piece) for piece in pieces]
        if not self._begun and (pieces or self.is_complete):
            self._begun = True
            events.insert(0, FrameStart(1, self._extractor.value_length))
        if self._begun and self.is_complete and not self._ended:
            self._ended = True
            events.append(FrameEnd())
        return events


class PixelStream:
    """The wanted values of one instance; iterated once, the first has begun when it is handed out.

    Attributes
    ----------
    transfer_syntax_uid : str
        Of the values: Explicit VR Little Endian for all but compressed pixel data, which stays as the archive sends it.
    count : int
        Values to come; for all frames of encapsulated Pixel Data, as many as Number of Frames says.
    length : int or None
        Bytes of the first value, None where that is not known when it begins.
    document_type : str or None
        Media type of the value where it is an encapsulated document.
    header : PixelHeader or None
        Of the image, where the values are its frames.
    """

    def __init__(self, instances: Instances, make: _ExtractorFactory, cost: AssociationCost) -> None:
        self._instances = instances
        self._make = make
        self._cost = cost
        self.count = 1
        self.length: int | None = None
        self.document_type: str | None = None
        self.header: PixelHeader | None = None
        self.transfer_syntax_uid = EXPLICIT_VR_LE
        self._events = self._generate()
        self._first: PixelEvent | None = None
        self._reading: _Reading | None = None

    async def begin(self) -> None:
        """Wait for the first byte wanted.

        Raises
        ------
        UnknownResource
            The instance has no such value or frame.
        BackendError
            The archive failed.
        """
        try:
            self._first = await anext(self._events)
        except StopAsyncIteration:
            raise UnknownResource("bulk data") from None
        if isinstance(self._first, FrameStart):
            self.length = self._first.length

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PixelEvent:
        """Give the next frame start, piece or end, in order. Raises as :meth:`begin`."""
        if (event := self._first) is not None:
            self._first = None
            return event
        return await anext(self._events)

    async def close(self) -> None:
        """Stop reading; what is left of the instance is cut off if it is long."""
        await self._events.aclose()
        if self._reading is not None and not self._reading.is_over:
            self._reading.cut_if_long()

    async def _generate(self) -> AsyncGenerator[PixelEvent, None]:
        async for instance in self._instances:
            extractor = self._make(instance)
            reading = self._reading = _Reading(instance, extractor, self._cost)
            try:
                while (piece := await reading.read_piece()) is not None:
                    for event in extractor.feed(piece):
                        self._describe(instance, extractor)
                        yield event
                    if extractor.is_complete and reading.cut_if_long():
                        return
                for event in extractor.finish():
                    self._describe(instance, extractor)
                    yield event
            except DecodeError as error:
                raise instance.undecodable(error) from error

    def _describe(self, instance: ReceivedInstance, extractor: _Extractor) -> None:
        self.count = extractor.value_count
        self.transfer_syntax_uid = instance.transfer_syntax_uid if extractor.is_compressed else EXPLICIT_VR_LE
        self.header = extractor.header
        if extractor.is_document:
            self.document_type = DOCUMENT_TYPES.get(instance.sop_class_uid)


class _Reading:
    """One instance being read: how fast it comes, and whether its rest is worth reading."""

    def __init__(self, instance: ReceivedInstance, extractor: _Extractor, cost: AssociationCost) -> None:
        self._instance = instance
        self._extractor = extractor
        self._cost = cost
        self._size = 0
        self._waited_s = 0.0
        self._surplus = 0
        self.is_over = False

    async def read_piece(self) -> Buffer | None:
        began = time.perf_counter()
        piece = await self._instance.read_piece()
        self._waited_s += time.perf_counter() - began
        if piece is None:
            self._end()
            return None
        self._size += len(piece)
        if self._extractor.is_complete:
            self._surplus += len(piece)
        return piece

    def cut_if_long(self) -> bool:
        """Cut off the rest if reading it is dearer than a new association; what is not known may be short at first."""
        rest = self._extractor.remaining_bytes
        is_long = (self._surplus if rest is None else max(rest, self._surplus)) > self._cost.break_even_bytes
        if is_long:
            self._instance.cut()
            self._end()
        return is_long

    def _end(self) -> None:
        self.is_over = True
        self._cost.note_transfer(self._size, self._waited_s)


class _ExtractorFactory(Protocol):
    def __call__(self, instance: ReceivedInstance) -> _Extractor:
        """An extractor for `instance`."""


class PixelDataService:
    """Retrieves frames and bulk data from one archive."""

    def __init__(self, retrieve: RetrieveService) -> None:
        self._retrieve = retrieve

    @asynccontextmanager
    async def open_frames(
        self, path: ResourcePath, frames: Sequence[int], demand: TransferDemand
    ) -> AsyncIterator[PixelStream]:
        """Fetch `frames` (ascending, from 1) of the instance at `path`.

        Raises
        ------
        UnknownResource
            No such instance, no pixel data, or a frame beyond the last.
        NotAcceptable
            Held in a transfer syntax that the demand does not name.
        BackendError
            The archive failed.
        """

        def make(instance: ReceivedInstance) -> _Extractor:
            syntax = get_transfer_syntax(instance.transfer_syntax_uid)
            if syntax.video:
                whole = f'multipart/related; type="{syntax.media_type}" of the Bulkdata URI'
                raise NotAcceptable([whole], "single frames of a video are not available")
            return _FrameValues(instance.transfer_syntax_uid, frames)

        async with self._retrieve.partial.open_frames(path, frames, demand) as extracted:
            if extracted is None:
                async with self._open(path, demand, make) as stream:
                    yield stream
                return
            numbers = extracted.numbers
            if numbers is None:
                stream = PixelStream(extracted, make, self._retrieve.association_cost)
            else:
                stream = PixelStream(
                    extracted,
                    lambda instance: _ExtractedFrames(instance.transfer_syntax_uid, numbers),
                    self._retrieve.association_cost,
                )
            async with _begun(stream):
                yield stream

    @asynccontextmanager
    async def open_bulkdata(
        self, path: ResourcePath, value: str, demand: TransferDemand = AS_STORED
    ) -> AsyncIterator[PixelStream]:
        """Fetch the value at tag path `value` (``"7FE00010"``, ``"54000100/1/54001010"``).

        Encapsulated Pixel Data comes frame by frame, without fragment items (PS3.18 §8.7.3.3). Raises as
        :meth:`open_frames`.
        """

        def make(instance: ReceivedInstance) -> _Extractor:
            syntax = get_transfer_syntax(instance.transfer_syntax_uid)
            if syntax.encapsulated and value in PIXEL_DATA_PATHS:
                return _FrameValues(instance.transfer_syntax_uid, None)
            return _BulkValue(instance.transfer_syntax_uid, value)

        async with self._open(path, demand, make) as stream:
            yield stream

    @asynccontextmanager
    async def open_all(
        self, path: ResourcePath, demand: TransferDemand, *, pixels_only: bool
    ) -> AsyncIterator[BulkStream]:
        """Fetch every bulk value under `path`, or all pixel data; the first instance has arrived.

        Raises
        ------
        UnknownResource, NotAcceptable, BackendError
            As ``RetrieveService.open_instances``; further ones while iterating.
        """
        async with self._retrieve.open_instances(path, demand) as instances:
            yield BulkStream(instances, pixels_only=pixels_only)

    @asynccontextmanager
    async def _open(
        self, path: ResourcePath, demand: TransferDemand, make: _ExtractorFactory
    ) -> AsyncIterator[PixelStream]:
        async with self._retrieve.open_instances(path, demand) as instances:
            stream = PixelStream(instances, make, self._retrieve.association_cost)
            async with _begun(stream):
                yield stream


@asynccontextmanager
async def _begun(stream: PixelStream) -> AsyncIterator[None]:
    try:
        await stream.begin()
        yield
    finally:
        await stream.close()
