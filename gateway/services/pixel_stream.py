"""Frames and bulk data: the wanted bytes of one instance, taken out of its data set as it streams by.

(PS3.18 §10.4.1.1.5–6, §10.4.3.3.5–6.) The instance is fetched for each request and nothing of it is kept, so every
Bulkdata URI given out stays good. Once the wanted bytes have passed, what is left of the instance is read to its
end where that is near and otherwise cut off.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from gateway.codecs import Buffer
from gateway.codecs.bulkdata import BulkdataExtractor
from gateway.codecs.frames import FrameChunk, FrameEnd, FrameExtractor, FrameStart
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE, get_transfer_syntax
from gateway.errors import DecodeError, UnknownResource
from gateway.resources import ResourcePath
from gateway.services.received_instance import ReceivedInstance
from gateway.services.retrieve import InstanceStream, RetrieveService
from gateway.services.transfer_demand import AS_STORED, TransferDemand

__all__ = ["PixelDataService", "PixelEvent", "PixelStream"]

PIXEL_DATA_PATHS = frozenset({"7FE00010", "7FE00008", "7FE00009"})

TAIL_BYTES = 4_194_304
"""What is read of an instance after the wanted bytes, so that an ordinary one ends in order."""

PixelEvent = FrameStart | FrameChunk | FrameEnd
"""A frame or bulk value, numbered from 1, in pieces."""


class _Extractor(Protocol):
    @property
    def is_complete(self) -> bool:
        """Whether everything wanted has been given."""

    def feed(self, data: Buffer) -> Iterable[PixelEvent]:
        """What the next piece of the data set holds of it."""

    def finish(self) -> Iterable[PixelEvent]:
        """The same at the end of the data set."""


class _ValueExtractor:
    """A bulk value as one numbered item, so that it is written like a frame."""

    def __init__(self, transfer_syntax_uid: str, path: str) -> None:
        self._extractor = BulkdataExtractor(transfer_syntax_uid, path)
        self._begun = False

    @property
    def is_complete(self) -> bool:
        return self._extractor.is_complete

    def feed(self, data: Buffer) -> Iterable[PixelEvent]:
        pieces = self._extractor.feed(data)
        if not self._begun and (pieces or self._extractor.is_complete):
            self._begun = True
            yield FrameStart(1)
        for piece in pieces:
            yield FrameChunk(piece)
        if self._begun and self._extractor.is_complete:
            yield FrameEnd()

    def finish(self) -> Iterable[PixelEvent]:
        self._extractor.finish()
        return ()


class PixelStream:
    """The wanted values of one instance; iterated once, the first has begun when it is handed out.

    Attributes
    ----------
    transfer_syntax_uid : str
        Of the values: Explicit VR Little Endian for every native form, else as the archive sends them.
    count : int
        Values to come; for all frames of encapsulated Pixel Data, as many as Number of Frames says.
    """

    def __init__(self, instances: InstanceStream, make: _ExtractorFactory) -> None:
        self._instances = instances
        self._make = make
        self.count = 1
        self.transfer_syntax_uid = EXPLICIT_VR_LE
        self._events = self._generate()
        self._first: PixelEvent | None = None

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

    async def __aiter__(self) -> AsyncIterator[PixelEvent]:
        """Yield frame starts, pieces and ends, in order. Raises as :meth:`begin`."""
        if self._first is not None:
            yield self._first
            self._first = None
        async for event in self._events:
            yield event

    async def close(self) -> None:
        """Stop reading."""
        await self._events.aclose()

    async def _generate(self) -> AsyncGenerator[PixelEvent, None]:
        async for instance in self._instances:
            extractor = self._make(instance)
            self.transfer_syntax_uid = instance.delivered_syntax
            try:
                surplus = 0
                async for piece in instance.iter_data_set():
                    if extractor.is_complete:
                        surplus += len(piece)
                        if surplus > TAIL_BYTES:
                            return
                        continue
                    for event in extractor.feed(piece):
                        yield event
                for event in extractor.finish():
                    yield event
            except DecodeError as error:
                raise instance.undecodable(error) from error


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
            return FrameExtractor(instance.transfer_syntax_uid, frames)

        async with self._open(path, demand, make) as stream:
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
                return FrameExtractor(instance.transfer_syntax_uid, None)
            return _ValueExtractor(instance.transfer_syntax_uid, value)

        async with self._open(path, demand, make) as stream:
            yield stream

    @asynccontextmanager
    async def _open(
        self, path: ResourcePath, demand: TransferDemand, make: _ExtractorFactory
    ) -> AsyncIterator[PixelStream]:
        async with self._retrieve.open_instances(path, demand) as instances:
            stream = PixelStream(instances, make)
            try:
                await stream.begin()
                yield stream
            finally:
                await stream.close()
