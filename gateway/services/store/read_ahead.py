"""Events read ahead of their consumer, within a limit of bytes.

While the archive digests one instance, the next is received, taken apart and looked at, so that it can leave the
moment the archive has answered. Used by ``service.py``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from gateway.tasks import cancel_and_wait, start_task

__all__ = ["ReadAhead", "read_ahead"]

T = TypeVar("T")


@asynccontextmanager
async def read_ahead(events: AsyncIterator[T], measure: Callable[[T], int], limit: int) -> AsyncIterator[ReadAhead[T]]:
    """Read `events` in a task of its own, ahead of who iterates what is yielded here.

    An exception of `events` comes out after the events before it. Leaving the block ends the task.

    Parameters
    ----------
    measure
        Bytes that an event holds.
    limit
        No further event is read while as many bytes wait; so at most these and one event are held.
    """
    queue = ReadAhead[T](measure, limit)
    task = start_task(queue.fill(events), name="read ahead")
    try:
        yield queue
    finally:
        if not task.done():
            await cancel_and_wait(task)


class ReadAhead(Generic[T]):
    """What was read and not taken yet; one reader, one consumer."""

    def __init__(self, measure: Callable[[T], int], limit: int) -> None:
        self._measure = measure
        self._limit = limit
        self._waiting: deque[T] = deque()
        self._bytes = 0
        self._is_over = False
        self._failure: BaseException | None = None
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()

    @property
    def is_waiting(self) -> bool:
        """Whether the next event is here already."""
        return bool(self._waiting)

    async def fill(self, events: AsyncIterator[T]) -> None:
        """Read until the end, a failure, or cancellation."""
        try:
            async for event in events:
                self._waiting.append(event)
                self._bytes += self._measure(event)
                self._filled.set()
                while self._bytes >= self._limit:
                    self._emptied.clear()
                    await self._emptied.wait()
        except Exception as error:  # noqa: BLE001 - the task's boundary: raised where the consumer iterates
            self._failure = error
        finally:
            self._is_over = True
            self._filled.set()

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        while not self._waiting:
            if self._failure is not None:
                raise self._failure
            if self._is_over:
                raise StopAsyncIteration
            self._filled.clear()
            await self._filled.wait()
        event = self._waiting.popleft()
        self._bytes -= self._measure(event)
        self._emptied.set()
        return event
