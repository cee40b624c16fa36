"""What one archive holds, asked for once where several requests want to know it at the same time.

An answer is trusted for `fresh_s` seconds from when it was asked for; then, and for whatever no fresh answer holds,
the archive is asked again. So nothing is called missing from memory. With 0 seconds nothing is shared and nothing is
kept: each request asks anew. Called by ``service.py`` before each retrieval.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from cachetools import TLRUCache

from gateway.dimse.archive import Archive
from gateway.errors import UnknownResource
from gateway.resources import ResourcePath
from gateway.services.cache.single_flight import SingleFlight
from gateway.services.retrieve.inventories.inventory import Inventory, SeriesRow
from gateway.services.retrieve.inventories.queries import (
    complete_inventory,
    describe_study,
    list_series,
    take_inventory,
)

__all__ = ["Answer", "Inventories", "PendingInventory"]

MAX_INSTANCES = 20_000
"""Instances in the inventories kept, some 10 MB; what is larger is not kept."""

MAX_SERIES = 2_000

T = TypeVar("T")
Rows: TypeAlias = tuple[SeriesRow, ...]


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What the archive said, and when it was asked (seconds of the clock of `Inventories`)."""

    content: T
    size: int
    asked_at: float


_Kept: TypeAlias = "TLRUCache[ResourcePath, Answer[T]]"


class PendingInventory:
    """An inventory in two stages: the series are known, the instances may still have to be asked for.

    Attributes
    ----------
    path : ResourcePath
    series : tuple[SeriesRow, ...]
        The series under `path`, at least one; for an instance, its series.
    """

    def __init__(
        self, inventories: Inventories, path: ResourcePath, series: Rows, inventory: Inventory | None = None
    ) -> None:
        self._inventories = inventories
        self._inventory = inventory
        self.path = path
        self.series = series

    @property
    def is_complete(self) -> bool:
        """Whether `complete` answers without asking the archive."""
        return self._inventory is not None

    async def complete(self) -> Inventory:
        """The instances; asked for now, at image level, where they are not known.

        Raises
        ------
        UnknownResource
            There are none.
        BackendError
            The archive failed.
        """
        if self._inventory is None:
            self._inventory = await self._inventories.take_below(self.path, self.series)
        return self._inventory


class Inventories:
    """What one archive holds.

    Parameters
    ----------
    archive : Archive
    fresh_s : float
        How long an answer is trusted, in seconds; 0 asks anew each time.
    clock : callable
        Seconds that never go back.
    """

    def __init__(self, archive: Archive, fresh_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._archive = archive
        self._fresh_s = fresh_s
        self._clock = clock
        self._inventories: _Kept[Inventory] = self._make_kept(MAX_INSTANCES)
        self._series: _Kept[Rows] = self._make_kept(MAX_SERIES)
        self._asking: SingleFlight[ResourcePath, Inventory] = SingleFlight("inventory")
        self._asking_series: SingleFlight[ResourcePath, Answer[Rows]] = SingleFlight("series of an inventory")
        self._studies: _Kept[str] = self._make_kept(MAX_SERIES)
        self._asking_study: SingleFlight[ResourcePath, Answer[str]] = SingleFlight("description of a study")
        self._epoch = 0

    async def take(self, path: ResourcePath) -> Inventory:
        """What is under `path`.

        Raises
        ------
        UnknownResource
            Nothing: the target does not exist, or its UIDs are not in that hierarchy.
        BackendError
            The archive failed.
        """
        if (known := self.find(path)) is not None:
            return known
        return await self._ask(path, lambda: take_inventory(self._archive, path))

    async def begin(self, path: ResourcePath) -> PendingInventory:
        """Find out whether `path` exists and which series are under it; its instances only where that costs nothing.

        Raises
        ------
        UnknownResource
            Nothing: the target does not exist, or its UIDs are not in that hierarchy.
        BackendError
            The archive failed.
        """
        known = self.find(path)
        if known is None and path.instance is not None:
            known = await self.take(path)
        if known is not None:
            return PendingInventory(self, path, known.list_series(), known)
        rows = (await self.take_series(path)).content
        if not rows:
            raise UnknownResource(path.level.value.lower())
        return PendingInventory(self, path, rows)

    async def take_below(self, path: ResourcePath, series: Rows) -> Inventory:
        """As `take` for a study or series whose `series` are known, which saves asking for them."""
        if (known := self.find(path)) is not None:
            return known
        return await self._ask(path, lambda: complete_inventory(self._archive, path, series))

    async def ask(self, path: ResourcePath) -> Inventory:
        """As `take`, but asked from now on: nothing known or under way will do."""
        self._asking.part(path.__eq__)
        return await self._ask(path, lambda: take_inventory(self._archive, path))

    async def take_series(self, path: ResourcePath) -> Answer[Rows]:
        """The series of a study, or the one `path` names; empty where there is none.

        Raises
        ------
        BackendError
            The archive failed.
        """

        async def work() -> Answer[Rows]:
            epoch, asked_at = self._epoch, self._clock()
            rows = await list_series(self._archive, path)
            answer = Answer(rows, 1 + len(rows), asked_at)
            self._keep(self._series, path, answer, epoch)
            return answer

        if (known := self._series.get(path)) is not None:
            return known
        return await (self._asking_series.run(path, work) if self._fresh_s else work())

    async def take_study(self, study: str) -> Answer[str]:
        """A digest of how the index describes a study; "" where there is none. Raises as `take_series`."""
        path = ResourcePath(study)

        async def work() -> Answer[str]:
            epoch, asked_at = self._epoch, self._clock()
            answer = Answer(await describe_study(self._archive, study), 1, asked_at)
            self._keep(self._studies, path, answer, epoch)
            return answer

        if (known := self._studies.get(path)) is not None:
            return known
        return await (self._asking_study.run(path, work) if self._fresh_s else work())

    def forget(self, study: str) -> None:
        """Trust nothing asked for until now about this study: it has changed."""
        self._epoch += 1
        for kept in (self._inventories, self._series, self._studies):
            for path in [path for path in kept if path.study == study]:
                del kept[path]
        for flights in (self._asking, self._asking_series, self._asking_study):
            flights.part(lambda path: path.study == study)

    async def _ask(self, path: ResourcePath, query: Callable[[], Awaitable[Inventory]]) -> Inventory:
        async def work() -> Inventory:
            epoch, asked_at = self._epoch, self._clock()
            inventory = await query()
            self._keep(self._inventories, path, Answer(inventory, len(inventory.instances), asked_at), epoch)
            return inventory

        return await (self._asking.run(path, work) if self._fresh_s else work())

    def find(self, path: ResourcePath) -> Inventory | None:
        """What fresh answers say about `path`: one for itself, for its series or for its study."""
        for wider in dict.fromkeys((path, ResourcePath(path.study, path.series), ResourcePath(path.study))):
            answer = self._inventories.get(wider)
            if answer is not None and (inventory := answer.content.narrow(path)) is not None:
                return inventory
        return None

    def _keep(self, kept: _Kept[T], path: ResourcePath, answer: Answer[T], epoch: int) -> None:
        if self._fresh_s and epoch == self._epoch and answer.size <= kept.maxsize:
            kept[path] = answer

    def _make_kept(self, most: int) -> _Kept[Any]:
        return TLRUCache(
            most,
            ttu=lambda _, answer, __: answer.asked_at + self._fresh_s,
            timer=self._clock,
            getsizeof=lambda answer: answer.size,
        )
