"""Asynchronous streams of a search: reading ahead of a consumer, and work done side by side in order.

Knows nothing of DICOM. Each function is an asynchronous generator whose tasks end with it: wrap it in
``contextlib.aclosing`` and leave early at will.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Generic, Self, TypeVar

from gateway.tasks import cancel_and_wait, start_task

__all__ = ["Batch", "Memo", "ReadAhead", "in_batches", "iter_items", "map_ordered", "read_ahead"]

T = TypeVar("T")
R = TypeVar("R")
K = TypeVar("K", bound=Hashable)

_CLOSE_TIMEOUT_S = 10  # longer than a C-CANCEL and its drain, which have a limit of their own


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """Items that came together, perhaps none; `is_last` where it is known already that nothing follows."""

    items: list[T]
    is_last: bool = False


async def iter_items(batches: AsyncGenerator[Batch[T], None]) -> AsyncGenerator[T, None]:
    """Yield the items of `batches` one by one."""
    async with aclosing(batches):
        async for batch in batches:
            for item in batch.items:
                yield item


async def in_batches(items: AsyncGenerator[T, None]) -> AsyncGenerator[Batch[T], None]:
    """Yield each of `items` as a batch of its own."""
    async with aclosing(items):
        async for item in items:
            yield Batch([item])


class ReadAhead(Generic[T]):
    """Reads `source` in a task of its own, as fast as it gives, into a bounded buffer.

    Parameters
    ----------
    source : asynchronous generator
        Closed when it ends or fails, or by `close`.
    size : callable
        Size of an item, in the unit of `budget`.
    budget : int or None
        The source is read no further while at least this much waits to be taken; None for no bound.
    name : str
        Of the task, which starts at once. Whoever makes a reader closes it.
    """

    def __init__(
        self, source: AsyncGenerator[T, None], *, size: Callable[[T], int], budget: int | None, name: str
    ) -> None:
        self._size = size
        self._budget = budget
        self._items: deque[T] = deque()
        self._held = 0
        self._ended = False
        self._failure: Exception | None = None
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._reader = start_task(self._fill(source), name=name)

    async def close(self) -> None:
        """Stop reading and close the source; what was read and not taken is dropped."""
        if not self._reader.done():
            await cancel_and_wait(self._reader, timeout=_CLOSE_TIMEOUT_S)

    async def _fill(self, source: AsyncGenerator[T, None]) -> None:
        try:
            async with aclosing(source):
                async for item in source:
                    self._put(item)
                    await self._room.wait()
        except Exception as error:  # noqa: BLE001 - the task's boundary: raised again where items are taken
            self._failure = error
        finally:
            self._ended = True
            self._arrived.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """The next item read; what reading raised comes after the items before it."""
        while not self._items:
            if self._ended:
                raise self._take_failure() or StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._take()

    def _take_failure(self) -> Exception | None:
        failure, self._failure = self._failure, None
        return failure

    def _put(self, item: T) -> None:
        self._items.append(item)
        self._held += self._size(item)
        self._arrived.set()
        if self._budget is not None and self._held >= self._budget:
            self._room.clear()

    def _take(self) -> T:
        item = self._items.popleft()
        self._held -= self._size(item)
        if self._budget is None or self._held < self._budget:
            self._room.set()
        return item


async def read_ahead(
    source: AsyncGenerator[T, None], *, size: Callable[[T], int], budget: int | None, name: str
) -> AsyncGenerator[T, None]:
    """Yield the items of `source` through a `ReadAhead`, which ends with this generator."""
    reader = ReadAhead(source, size=size, budget=budget, name=name)
    try:
        async for item in reader:
            yield item
    finally:
        await reader.close()


@dataclass(slots=True)
class _Outcome(Generic[R]):
    value: R | None = None
    failure: Exception | None = None


async def map_ordered(
    source: AsyncGenerator[T, None],
    function: Callable[[T], Awaitable[R]],
    *,
    window: int,
    name: str,
) -> AsyncGenerator[R, None]:
    """Apply `function` to the items of `source`, at most `window` at a time, and yield the results in order.

    The first failure, of the source or of a call, is raised when its turn comes; what still runs is cancelled
    when the generator is closed.
    """
    permits = asyncio.Semaphore(window)
    started: asyncio.Queue[asyncio.Task[_Outcome[R]] | None] = asyncio.Queue()
    running: set[asyncio.Task[_Outcome[R]]] = set()

    async def start_all() -> _Outcome[R]:
        try:
            async with aclosing(source):
                async for item in source:
                    await permits.acquire()
                    task = start_task(_outcome_of(function, item), name=name)
                    running.add(task)
                    started.put_nowait(task)
        except Exception as error:  # noqa: BLE001 - the task's boundary: raised again in its turn below
            return _Outcome(failure=error)
        finally:
            started.put_nowait(None)
        return _Outcome()

    starter = start_task(start_all(), name=f"{name}-source")
    try:
        while (task := await started.get()) is not None:
            outcome = await task
            running.discard(task)
            permits.release()
            yield _unwrap(outcome)
        _raise_failure(await starter)
    finally:
        unfinished = [task for task in (starter, *running) if not task.done()]
        for task in unfinished:
            task.cancel()
        if unfinished:
            await asyncio.wait(unfinished, timeout=_CLOSE_TIMEOUT_S)


async def _outcome_of(function: Callable[[T], Awaitable[R]], item: T) -> _Outcome[R]:
    try:
        return _Outcome(value=await function(item))
    except Exception as error:  # noqa: BLE001 - the task's boundary: raised again in order
        return _Outcome(failure=error)


def _unwrap(outcome: _Outcome[R]) -> R:
    _raise_failure(outcome)
    return outcome.value  # type: ignore[return-value]  # None only where R allows it


def _raise_failure(outcome: _Outcome[Any]) -> None:
    if outcome.failure is not None:
        raise outcome.failure


@dataclass(slots=True)
class _Entry(Generic[R]):
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    values: list[R] = field(default_factory=list)


class Memo(Generic[K, R]):
    """Results of `compute` by key: computed once however many ask at the same time; the oldest forgotten.

    A call that fails is repeated by the next that asks.
    """

    def __init__(self, compute: Callable[[K], Awaitable[R]], *, size: int) -> None:
        self._compute = compute
        self._size = size
        self._entries: OrderedDict[K, _Entry[R]] = OrderedDict()

    async def get(self, key: K) -> R:
        """The result for `key`."""
        entry = self._entries.setdefault(key, _Entry())
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)
        async with entry.lock:
            if not entry.values:
                entry.values.append(await self._compute(key))
        return entry.values[0]
