"""Instances into another transfer syntax, frame by frame, as they stream.

    transcoder = Transcoder(workers, max_frame_bytes)
    async for piece in transcoder.convert(instance.read_piece, source_uid, target_uid):
        ...                                            # the data set in the target syntax

Decoding and encoding are done in worker processes; here data sets are taken apart (``splitter``), their attributes kept
true (``attributes``) and put together again (``pixel_writers``). Held are what precedes the pixel data, the frames in
the pipeline, and of short compressed images all frames for their offset table. The first piece comes when the first
frame is converted, so that a refusal or a broken picture still becomes a status. Called by ``part10``, for what ``web``
sends.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from itertools import chain

from gateway.codecs import Buffer
from gateway.codecs.frames import FrameChunk, FrameEnd, FrameStart
from gateway.codecs.transfer_syntax import get_transfer_syntax
from gateway.imaging.conversion import is_lossy_target, plan_conversion
from gateway.imaging.description import ImageDescription
from gateway.imaging.icons import decompress_icons
from gateway.imaging.workers import ImagingWorkers
from gateway.services.transcode.attributes import Compression, describe_values, rewrite_head
from gateway.services.transcode.pipeline import FramePipeline
from gateway.services.transcode.pixel_writers import PixelWriter, make_pixel_writer
from gateway.services.transcode.splitter import Head, HeadElement, InstanceSplitter, Part, Tail

__all__ = ["ReadPiece", "Transcoder"]

ReadPiece = Callable[[], Awaitable[Buffer | None]]
"""Gives the next piece of a data set, None at its end."""

_LONG_PIECE = 65_536
_MAX_HEAD_BYTES = 32 * 1024 * 1024  # functional groups of ten thousand frames have some megabytes
_DEFLATED_OFF_LOOP = 16_384  # bytes whose compression takes about a millisecond


class Transcoder:
    """Converts data sets.

    Parameters
    ----------
    workers : ImagingWorkers
        Where frames are decoded and encoded.
    max_frame_bytes : int
        Longest frame, compressed or not.
    """

    def __init__(self, workers: ImagingWorkers, max_frame_bytes: int) -> None:
        self._workers = workers
        self._max_frame_bytes = max_frame_bytes

    async def convert(self, read_piece: ReadPiece, source_uid: str, target_uid: str) -> AsyncGenerator[Buffer, None]:
        """Yield the data set in the transfer syntax `target_uid`.

        A data set without pixel data says the same in each of these syntaxes.

        Raises
        ------
        NotAcceptable
            The image cannot be converted without harm; before the first piece.
        ImagingFailed
            A frame cannot be decoded, or is over a limit.
        DecodeError
            The data set cannot be read.
        """
        conversion = _Conversion(self._workers, self._max_frame_bytes, source_uid, target_uid)
        pieces = conversion.run(read_piece)
        if get_transfer_syntax(target_uid).deflated:
            pieces = _deflate(pieces)
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece

    def open_pipeline(self, source: ImageDescription, target: ImageDescription) -> FramePipeline:
        """A way for single frames of one image through the workers; to be closed."""
        return FramePipeline(self._workers, source, target, self._max_frame_bytes)


class _Conversion:
    """One data set being converted."""

    def __init__(self, workers: ImagingWorkers, limit: int, source_uid: str, target_uid: str) -> None:
        self._workers = workers
        self._limit = limit
        self._source_uid = source_uid
        self._target_uid = target_uid
        self._splitter = InstanceSplitter(source_uid, _MAX_HEAD_BYTES)
        self._head: Head | None = None
        self._image: _Image | None = None

    async def run(self, read_piece: ReadPiece) -> AsyncGenerator[Buffer, None]:
        try:
            async with aclosing(self._iter_runs(read_piece)) as runs:
                async for run in runs:
                    for piece in run:
                        yield piece
                        if len(piece) >= _LONG_PIECE:
                            await asyncio.sleep(0)  # all of them are there: without it nobody else had a turn
        finally:
            if self._image is not None:
                await self._image.pipeline.close()

    async def _iter_runs(self, read_piece: ReadPiece) -> AsyncGenerator[Iterable[Buffer], None]:
        """What can be written, as it comes to be."""
        async with aclosing(self._iter_steps(read_piece)) as steps:
            async for parts in steps:
                for part in parts:
                    yield await self._take(part)
        yield await self._end_pixels()

    async def _iter_steps(self, read_piece: ReadPiece) -> AsyncGenerator[list[Part], None]:
        """The parts of the data set, some at a time; others have a turn in between."""
        while (data := await read_piece()) is not None:
            for parts in self._splitter.feed(data):
                yield parts
                await asyncio.sleep(0)
        for parts in self._splitter.finish():
            yield parts
            await asyncio.sleep(0)

    async def _take(self, part: Part) -> Iterable[Buffer]:
        """What can be written once `part` is there."""
        match part:
            case Head():
                return await self._begin(part)
            case FrameStart():
                self._pipeline.start()
            case FrameChunk(data=data):
                await self._pipeline.add(data)
            case FrameEnd():
                self._pipeline.end()
                return await self._pass_frame() if self._pipeline.is_full else []
            case Tail(data=data):
                return chain(await self._end_pixels(), (data,))
        return []

    async def _begin(self, head: Head) -> Iterable[Buffer]:
        if not head.pixel_tag:
            return await self._write(head.elements)
        source = describe_values(head.values, head.pixel_tag, self._source_uid, self._limit)
        target = plan_conversion(source, self._target_uid)
        self._head = head
        pipeline = FramePipeline(self._workers, source, target, self._limit)
        self._image = _Image(source, target, pipeline, make_pixel_writer(target, head.pixel_tag))
        return []

    async def _pass_frame(self) -> Iterable[Buffer]:
        """Write the oldest frame in the pipeline, and before the first one the head."""
        assert self._image is not None
        frame = await self._image.pipeline.take()
        pieces: Iterable[Buffer] = ()
        if (head := self._head) is not None:
            self._head = None
            is_lossy = is_lossy_target(self._target_uid)
            compression = Compression(
                frame.native_bytes, frame.source_bytes, frame.length, was_lossy=frame.is_lossy, is_lossy=is_lossy
            )
            elements = rewrite_head(head, self._image.source, self._image.target, compression)
            pieces = await self._write(elements)
        return chain(pieces, self._image.writer.add(frame.length, frame.pieces))

    async def _end_pixels(self) -> Iterable[Buffer]:
        """Write the frames on their way and the end of the pixel data; nothing the second time."""
        if (image := self._image) is None:
            return []
        pieces: list[Iterable[Buffer]] = []
        while not image.pipeline.is_empty:
            pieces.append(await self._pass_frame())
        self._image = None
        return chain(*pieces, image.writer.finish())

    async def _write(self, elements: list[HeadElement]) -> Iterable[Buffer]:
        for one in elements:
            if one.holds_compressed:
                one.encoded = await self._workers.run(decompress_icons, bytes(one.encoded), self._source_uid)
        return _iter_joined(one.encoded for one in elements)

    @property
    def _pipeline(self) -> FramePipeline:
        assert self._image is not None
        return self._image.pipeline


class _Image:
    """What is needed for the frames of the data set."""

    def __init__(
        self, source: ImageDescription, target: ImageDescription, pipeline: FramePipeline, writer: PixelWriter
    ) -> None:
        self.source = source
        self.target = target
        self.pipeline = pipeline
        self.writer = writer


def _iter_joined(values: Iterable[Buffer]) -> Iterator[bytes]:
    """The values one after the other, in pieces of which none takes long to copy and none but the last is short."""
    joined = bytearray()
    for value in values:
        for start in range(0, len(value), _LONG_PIECE):
            joined += memoryview(value)[start : start + _LONG_PIECE]
            if len(joined) >= _LONG_PIECE:
                yield bytes(joined)
                joined.clear()
    if joined:
        yield bytes(joined)


async def _deflate(pieces: AsyncGenerator[Buffer, None]) -> AsyncGenerator[Buffer, None]:
    """Compress a whole data set, padded to an even length (PS3.5 §A.5); long pieces in a thread."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    length = 0
    async with aclosing(pieces):
        async for piece in pieces:
            is_long = len(piece) > _DEFLATED_OFF_LOOP
            out = await asyncio.to_thread(compressor.compress, piece) if is_long else compressor.compress(piece)
            length += len(out)
            if out:
                yield out
    rest = compressor.flush()
    yield rest + b"\0" * ((length + len(rest)) % 2)
