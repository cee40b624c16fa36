"""Requests for instances of one series that arrive together share one C-GET or C-MOVE.

A viewer asks for the frames of a series one by one, twenty at a time. Each on its own costs an association, an
inventory and an operation; together they cost one operation with a UID list. A :class:`Coalescer` gathers requests of
the same series and transfer demand for a few milliseconds, and while a batch is under way those for the next one.
``sharing/batch.py`` carries a batch out. ``service.py`` sends every request for an instance through here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from gateway.dimse.archive import Archive
from gateway.errors import PoolTimeout
from gateway.resources import ResourcePath
from gateway.services.retrieve.instances import Instances
from gateway.services.retrieve.inventories.inventory import Inventory
from gateway.services.retrieve.sharing.batch import ArchivePace, Batch, BatchListener, SeriesFacts
from gateway.services.retrieve.sharing.turns import SharedInstance, Subscriber
from gateway.services.retrieve.transfer_demand import TransferDemand

__all__ = ["Coalescer"]

UIDS_IN_A_BATCH = 200
"""SOP Instance UIDs in one identifier: some 13 KiB, which every archive takes."""

LONGEST_GATHERING_S = 0.05
"""After this a batch no longer waits for the one before it to be nearly done: the archive is slow, help it."""

LONG_BATCH_S = 0.1
"""What one association should at least have to do before another one shares the work with it."""

NEARLY_DONE = 3
"""A batch begins when those before it have a third as many requests left as it has: then the archive is never idle,
and a steady stream of requests comes in few, large batches."""

UNFIT_S = 10.0
"""Where sharing did not work (an archive that fails at lists), each request of the series goes alone for this long."""

Key = tuple[str, str, TransferDemand]
OpenInstances = Callable[[ResourcePath, TransferDemand], AbstractAsyncContextManager[Instances]]


class Coalescer:
    """Brings together the requests for instances of one archive.

    Parameters
    ----------
    archive
    take_inventory
        Says what is under a path, raising UnknownResource where nothing is.
    open_alone
        A retrieval that shares nothing, for requests that come alone or that sharing does not serve.
    """

    def __init__(
        self,
        archive: Archive,
        take_inventory: Callable[[ResourcePath], Awaitable[Inventory]],
        open_alone: OpenInstances,
    ) -> None:
        self._archive = archive
        self._take_inventory = take_inventory
        self._open_alone = open_alone
        self._gatherings: dict[Key, _Gathering] = {}
        self._unfit_until: dict[Key, float] = {}
        self._pace = ArchivePace()

    @asynccontextmanager
    async def open_instances(self, path: ResourcePath, demand: TransferDemand) -> AsyncIterator[Instances]:
        """Fetch one instance, with others if there are any; raises and ends as ``RetrieveService.open_instances``."""
        key = (path.study, path.series or "", demand)
        if self._is_unfit(key):
            async with self._open_alone(path, demand) as instances:
                yield instances
            return
        subscriber = self._gather(key, path)
        async with AsyncExitStack() as stack:
            stack.callback(subscriber.leave)
            if (turn := await subscriber.wait()) is not None:
                yield SharedInstance(self._archive.ae_title, path, turn)
                return
            instances = await stack.enter_async_context(self._open_alone(path, demand))
            subscriber.leave()  # from here on it is nobody else's concern
            yield instances

    def _gather(self, key: Key, path: ResourcePath) -> Subscriber:
        gathering = self._gatherings.get(key)
        if gathering is None:
            start_batch, forget = self._prepare_batches(key), lambda: self._gatherings.pop(key)
            gathering = _Gathering(self._archive, self._pace, start_batch, forget)
            self._gatherings[key] = gathering
        return gathering.add(path)

    def _prepare_batches(self, key: Key) -> Callable[[Sequence[Subscriber], _Gathering], Batch]:
        facts = SeriesFacts(self._pace)

        def start(subscribers: Sequence[Subscriber], gathering: _Gathering) -> Batch:
            listener = BatchListener(gathering.consider, gathering.take_back, lambda: self._note_unfit(key))
            return Batch(self._archive, self._take_inventory, key[2], facts, subscribers, listener)

        return start

    def _is_unfit(self, key: Key) -> bool:
        return self._unfit_until.get(key, 0.0) > asyncio.get_running_loop().time()

    def _note_unfit(self, key: Key) -> None:
        now = asyncio.get_running_loop().time()
        self._unfit_until = {known: until for known, until in self._unfit_until.items() if until > now}
        self._unfit_until[key] = now + UNFIT_S


class _Gathering:
    """The requests of one series and demand: those waiting, the batches under way, single ones that have not begun.

    Decides when a batch begins, without waiting itself: one timer stands for the next decision.
    """

    def __init__(
        self,
        archive: Archive,
        pace: ArchivePace,
        start_batch: Callable[[Sequence[Subscriber], _Gathering], Batch],
        on_idle: Callable[[], object],
    ) -> None:
        settings = archive.settings
        self._loop = asyncio.get_running_loop()
        self._archive = archive
        self._pace = pace
        self._window_s = settings.coalesce_window_ms / 1_000
        self._longest_wait_s = settings.pool_timeout_s
        self._share = max(1, settings.max_associations // 2)
        self._start_batch = start_batch
        self._on_idle = on_idle
        self._waiting: deque[Subscriber] = deque()
        self._batches: list[Batch] = []
        self._alone: set[Subscriber] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False

    def add(self, path: ResourcePath) -> Subscriber:
        """A request has come."""
        subscriber = Subscriber(path, self._forget)
        self._waiting.append(subscriber)
        if self._timer is None:
            self.consider()
        return subscriber

    def take_back(self, subscribers: Sequence[Subscriber]) -> None:
        """A batch could not serve these; they have waited longest."""
        for subscriber in reversed(subscribers):
            subscriber.on_leave = self._forget
            self._waiting.appendleft(subscriber)
        self.consider()

    def _forget(self, subscriber: Subscriber) -> None:
        if subscriber in self._waiting:
            self._waiting.remove(subscriber)
        elif subscriber in self._alone:
            self._alone.remove(subscriber)
        else:
            return
        self.consider()

    def consider(self) -> None:
        """Begin the batches that are due, and set the timer for the next one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._batches = [batch for batch in self._batches if not batch.is_over]
        while self._waiting:
            due = self._find_due_time()
            if due > self._loop.time():
                self._timer = self._loop.call_at(due, self.consider)
                return
            self._begin()
        if not (self._batches or self._alone or self._is_over):
            self._is_over = True
            self._on_idle()

    @property
    def _free_share(self) -> int:
        """How many more associations the series may have; those on their last instance do not count."""
        return self._share - len(self._alone) - sum(bool(batch.waiting) for batch in self._batches)

    def _find_due_time(self) -> float:
        since = self._waiting[0].since
        if self._free_share <= 0:
            return since + self._longest_wait_s
        left = sum(len(batch.waiting) for batch in self._batches)
        distinct = len({subscriber.uid for subscriber in self._waiting})
        is_nearly_done = left * NEARLY_DONE <= distinct
        return since + (self._window_s if is_nearly_done else max(self._window_s, LONGEST_GATHERING_S))

    def _begin(self) -> None:
        if self._free_share <= 0:
            text = f"other requests for the series under way for {self._longest_wait_s:g} s"
            self._waiting.popleft().fail(PoolTimeout(self._archive.ae_title, text))
            return
        chosen = self._choose()
        if len(chosen) == 1:  # its own retrieval asks for no more than it needs, and knows more ways
            self._alone.add(chosen[0])
            chosen[0].send_away()
            return
        count = min(self._free_share, len(chosen) // 2, 1 + int(len(chosen) * self._pace.instance_s / LONG_BATCH_S))
        self._batches += [self._start_batch(chosen[start::count], self) for start in range(count)]

    def _choose(self) -> list[Subscriber]:
        """The next requests in order, each instance once; an equal request comes with the next batch."""
        chosen: dict[str, Subscriber] = {}
        left: deque[Subscriber] = deque()
        for subscriber in self._waiting:
            if subscriber.uid in chosen or len(chosen) == UIDS_IN_A_BATCH:
                left.append(subscriber)
            else:
                chosen[subscriber.uid] = subscriber
        self._waiting = left
        return list(chosen.values())
