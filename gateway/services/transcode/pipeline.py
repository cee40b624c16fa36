"""Frames of one image on their way through the worker processes and back, in order.

What bounds the memory of transcoding: two frames are under way, one more is being read. Long frames travel through
shared memory, in both directions, since joining or pickling one would hold the event loop; short ones by the workers'
socket, which costs less. Called by ``transcoder`` and ``frames``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.codecs import Buffer
from gateway.errors import GatewayError, ImagingFailed
from gateway.imaging.conversion import convert_frame
from gateway.imaging.description import ImageDescription
from gateway.imaging.shared_bytes import Place, SharedBytes
from gateway.imaging.workers import ImagingWorkers
from gateway.services.transcode.worker_calls import convert_shared_frame
from gateway.tasks import cancel_and_wait, start_task

__all__ = ["SHARED_FROM", "FramePipeline", "ProducedFrame"]

SHARED_FROM = 1_048_576
"""Bytes of a decoded frame from which it travels through shared memory."""

_IN_FLIGHT = 2


@dataclass(frozen=True, slots=True)
class ProducedFrame:
    """A frame in its new form.

    Parameters
    ----------
    length : int
        In bytes.
    pieces : iterable of bytes
        Iterated once.
    is_lossy : bool
        The codestream it was made from says that it had been compressed with loss.
    native_bytes : int
        Length of the frame without compression.
    source_bytes : int
        Length of what it was made from.
    """

    length: int
    pieces: Iterable[bytes]
    is_lossy: bool
    native_bytes: int
    source_bytes: int


class FramePipeline:
    """Frames of one image on their way through the workers, in order, at most two at a time.

    Parameters
    ----------
    workers : ImagingWorkers
    source, target : ImageDescription
        Of the image, and of what it becomes.
    limit : int
        Longest frame in bytes.
    """

    def __init__(self, workers: ImagingWorkers, source: ImageDescription, target: ImageDescription, limit: int) -> None:
        self._workers = workers
        self._source = source
        self._target = target
        # no compression makes a frame longer than this, and a short one is pickled
        self._limit = min(limit, 2 * source.frame_bytes + SHARED_FROM)
        self._is_long = source.frame_bytes >= SHARED_FROM
        self._frame: SharedBytes | list[Buffer] = []
        self._length = 0
        self._tasks: deque[asyncio.Task[ProducedFrame | GatewayError]] = deque()

    def start(self) -> None:
        """A frame begins."""
        self._frame = SharedBytes() if self._is_long else []
        self._length = 0

    async def add(self, data: Buffer) -> None:
        """More of the frame; gives way to others after a copy into shared memory.

        Raises
        ------
        ImagingFailed
            The frame is longer than the limit.
        """
        self._length += len(data)
        if self._length > self._limit:
            raise ImagingFailed(f"a frame is over the limit of {self._limit} bytes")
        self._frame.append(data)
        if self._is_long:
            await asyncio.sleep(0)

    def end(self) -> None:
        """The frame is whole: on with it."""
        frame, self._frame = self._frame, []
        self._tasks.append(start_task(self._convert(frame), name="transcode"))

    @property
    def is_full(self) -> bool:
        """Whether the next frame is to be taken before another is given."""
        return len(self._tasks) >= _IN_FLIGHT

    @property
    def is_empty(self) -> bool:
        """Whether every frame has been taken."""
        return not self._tasks

    async def take(self) -> ProducedFrame:
        """Wait for the oldest frame.

        Raises
        ------
        ImagingFailed
            It cannot be converted.
        """
        outcome = await self._tasks.popleft()
        if not isinstance(outcome, GatewayError):
            return outcome
        try:
            raise outcome
        finally:
            del outcome  # else its traceback and this frame keep each other, and what the task held of the picture

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            await cancel_and_wait(task)

    async def _convert(self, frame: SharedBytes | list[Buffer]) -> ProducedFrame | GatewayError:
        """The failure of a task that nobody awaits yet is kept; it is no defect to be logged."""
        try:
            if isinstance(frame, SharedBytes):
                return await self._convert_shared(frame)
            return await self._convert_short(b"".join(frame))
        except GatewayError as error:
            return error

    async def _convert_short(self, data: bytes) -> ProducedFrame:
        frame = await self._workers.run(convert_frame, self._source, self._target, data)
        return ProducedFrame(len(frame.data), (frame.data,), frame.is_lossy, frame.native_bytes, len(data))

    async def _convert_shared(self, before: SharedBytes) -> ProducedFrame:
        after = SharedBytes()
        given = Place(before.address, 0, before.size)
        try:
            frame = await self._workers.run(convert_shared_frame, self._source, self._target, given, after.address)
        except BaseException:
            after.close()
            raise
        finally:
            before.close()
        return ProducedFrame(after.size, _drain(after), frame.is_lossy, frame.native_bytes, given.length)


def _drain(shared: SharedBytes) -> Iterator[bytes]:
    """Yield the pieces, and give the memory back."""
    try:
        yield from shared.iter_pieces()
    finally:
        shared.close()
