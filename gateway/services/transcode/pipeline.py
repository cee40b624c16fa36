"""Frames of one image on their way through the worker processes and back, in order.

What bounds the memory of transcoding: two frames are under way, one more is being read. Called by ``transcoder`` and
``frames``.
"""

from __future__ import annotations

import asyncio
from collections import deque

from gateway.codecs import Buffer
from gateway.errors import GatewayError, ImagingFailed
from gateway.imaging.conversion import ConvertedFrame, convert_frame
from gateway.imaging.description import ImageDescription
from gateway.imaging.workers import ImagingWorkers
from gateway.tasks import cancel_and_wait, start_task

__all__ = ["FramePipeline"]

_IN_FLIGHT = 2


class FramePipeline:
    """Frames of one image on their way through the workers, in order, at most two at a time."""

    def __init__(self, workers: ImagingWorkers, source: ImageDescription, target: ImageDescription, limit: int) -> None:
        self._workers = workers
        self._source = source
        self._target = target
        self._limit = limit
        self._frame: bytearray | None = None
        self._tasks: deque[tuple[int, asyncio.Task[ConvertedFrame | GatewayError]]] = deque()

    def start(self) -> None:
        """A frame begins."""
        self._frame = bytearray()

    def add(self, data: Buffer) -> None:
        """More of the frame.

        Raises
        ------
        ImagingFailed
            The frame is longer than the limit.
        """
        assert self._frame is not None
        if len(self._frame) + len(data) > self._limit:
            raise ImagingFailed(f"a compressed frame is over the limit of {self._limit} bytes")
        self._frame += data

    def end(self) -> None:
        """The frame is whole: on with it."""
        assert self._frame is not None
        frame, self._frame = bytes(self._frame), None
        self._tasks.append((len(frame), start_task(self._convert(frame), name="transcode")))

    @property
    def is_full(self) -> bool:
        """Whether the next frame is to be taken before another is given."""
        return len(self._tasks) >= _IN_FLIGHT

    @property
    def is_empty(self) -> bool:
        """Whether every frame has been taken."""
        return not self._tasks

    async def take(self) -> tuple[int, ConvertedFrame]:
        """Wait for the oldest frame; answer its length before, and what it became.

        Raises
        ------
        ImagingFailed
            It cannot be converted.
        """
        source_bytes, task = self._tasks.popleft()
        outcome = await task
        if isinstance(outcome, GatewayError):
            raise outcome
        return source_bytes, outcome

    async def close(self) -> None:
        """Give up what is under way."""
        for _, task in self._tasks:
            await cancel_and_wait(task)

    async def _convert(self, frame: bytes) -> ConvertedFrame | GatewayError:
        """The failure of a task that nobody awaits yet is kept; it is no defect to be logged."""
        try:
            return await self._workers.run(convert_frame, self._source, self._target, frame)
        except GatewayError as error:
            return error
