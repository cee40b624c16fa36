"""Beginning a retrieval while the archive still lists what it holds.

The list of instances takes an archive longer than the first of them. So where the pool has an association to spare and
the classes to come are known well enough, the C-GET or C-MOVE starts at once and the inventory is taken beside it.
Completeness, 404 and what else depends on the inventory are judged by it all the same, only later: the inventory holds
its association for as long as the archive needs, whatever the client does, so that nobody waits for it in a circle.
:class:`EarlyRetrievals` decides, :class:`EarlyRetrieval` is one of them; ``service.py`` carries it out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress

from gateway.codecs import Buffer
from gateway.codecs.head import HeadReader
from gateway.codecs.part10 import encode_file_meta
from gateway.dimse.archive import Archive
from gateway.dimse.suboperation import StoreSubOperation
from gateway.errors import DecodeError, GatewayError, PoolTimeout
from gateway.resources import Level, ResourcePath, is_valid_uid
from gateway.services.retrieve.attempts import Attempt, plan_attempts
from gateway.services.retrieve.context_offers import can_offer_all
from gateway.services.retrieve.inventories.held_classes import HeldClasses
from gateway.services.retrieve.inventories.inventories import Inventories
from gateway.services.retrieve.inventories.inventory import Inventory, SeriesRow
from gateway.services.retrieve.inventories.queries import list_instances
from gateway.services.retrieve.received_instance import ReceivedInstance
from gateway.services.retrieve.transfer_demand import TransferDemand
from gateway.tasks import cancel_and_wait, start_task

__all__ = ["EarlyRetrieval", "EarlyRetrievals"]

ASSOCIATIONS = 2
"""What an early retrieval takes at once: one for the instances, one for the inventory."""

HEAD_START_S = 0.02
"""How long the list waits for the first instance: an archive (dcmqrscp) that locks its index for the length of a
C-FIND would begin to send only after it; the other way round it does both at once."""

MAX_HEAD_BYTES = 262_144
"""How far into a data set its Series Instance UID is looked for."""

AskInventory = Callable[[], Awaitable[Inventory]]


class EarlyRetrieval:
    """One retrieval under way whose inventory is not known yet.

    Parameters
    ----------
    path
        A study or series.
    series
        The series that everything under `path` is in; "" where there may be several.
    attempt, classes
        How to ask, and the classes to offer.
    list_all
        Has the archive list the instances: an inventory of nothing but their UIDs.

    Attributes
    ----------
    delivered : set[str]
        SOP Instance UIDs of what was admitted.
    """

    def __init__(
        self,
        ae_title: str,
        path: ResourcePath,
        series: str,
        attempt: Attempt,
        classes: tuple[str, ...],
        list_all: AskInventory,
    ) -> None:
        self.path = path
        self.attempt = attempt
        self.classes = classes
        self.delivered: set[str] = set()
        self._ae_title = ae_title
        self._series = series
        self._list_all = list_all
        self._listing: asyncio.Task[Inventory | GatewayError] | None = None
        self._has_begun = asyncio.Event()

    # --- the inventory ---

    @asynccontextmanager
    async def listing(self) -> AsyncIterator[None]:
        """Have the archive list the instances within the block, soon after the operation has begun."""
        self._listing = start_task(self._list(), name=f"inventory beside a retrieval {self._ae_title}")
        try:
            yield
        finally:
            await cancel_and_wait(self._listing)

    async def _list(self) -> Inventory | GatewayError:
        with suppress(TimeoutError):
            async with asyncio.timeout(HEAD_START_S):
                await self._has_begun.wait()
        try:
            return await self._list_all()
        except GatewayError as error:
            return error

    @property
    def is_listed(self) -> bool:
        """Whether :meth:`take_list` answers or raises at once."""
        return self._answer is not None and not isinstance(self._answer, PoolTimeout)

    @property
    def _answer(self) -> Inventory | GatewayError | None:
        listing = self._listing
        return listing.result() if listing is not None and listing.done() and not listing.cancelled() else None

    async def take_list(self) -> Inventory:
        """Wait until the archive has listed the instances.

        Raises
        ------
        UnknownResource
            There are none.
        BackendError
            The archive failed to list them.
        """
        assert self._listing is not None
        answer = await self._listing
        if isinstance(answer, PoolTimeout):  # perhaps what it waited for was held by this very request
            return await self._list_all()
        if isinstance(answer, GatewayError):
            raise answer
        return answer

    @asynccontextmanager
    async def unless_refuted(self) -> AsyncIterator[None]:
        """Open the operation in the block; given up when the archive fails to list the instances, or there are none.

        Raises
        ------
        UnknownResource, BackendError
            As :meth:`take_list`.
        """
        assert self._listing is not None
        is_open = True

        def end(_: object) -> None:
            if is_open and self.is_listed and isinstance(self._answer, GatewayError):
                deadline.reschedule(asyncio.get_running_loop().time())

        try:
            async with asyncio.timeout(None) as deadline:
                self._listing.add_done_callback(end)
                try:
                    yield
                finally:
                    self._has_begun.set()
                    is_open = False  # it may be called once more: callbacks of what has ended are on their way
        except TimeoutError:
            if not deadline.expired():
                raise
            await self.take_list()

    # --- what arrives before it is known ---

    async def admit(self, store: StoreSubOperation) -> ReceivedInstance | None:
        """The instance with its path, which it tells itself if need be; None for one that is not of the target.

        Raises
        ------
        BackendError
            The archive failed in the middle, or could not list an instance that does not tell its series.
        """
        uid = store.sop_instance_uid
        if uid in self.delivered or not is_valid_uid(uid):
            return None
        lead: list[Buffer] = []
        series = self._series or await self._read_series(store, lead)
        if not series:
            held = (await self.take_list()).instances.get(uid)
            series = (held.path.series or "") if held is not None else ""
        if not series:
            return None
        self.delivered.add(uid)
        return ReceivedInstance(self._ae_title, self.path.with_instance(series, uid), store, lead)

    async def _read_series(self, store: StoreSubOperation, lead: list[Buffer]) -> str:
        """The series that an instance of the study says it is in; "" if that cannot be read. Fills `lead`."""
        reader = HeadReader(MAX_HEAD_BYTES)
        try:
            reader.feed(encode_file_meta(store.sop_class_uid, store.sop_instance_uid, store.transfer_syntax_uid))
            while (piece := await store.read_piece()) is not None:
                lead.append(piece)
                if (head := reader.feed(piece)) is not None:
                    return head.series_uid if head.study_uid == self.path.study else ""
        except DecodeError:
            pass
        return ""


class EarlyRetrievals:
    """Decides for one archive which retrievals begin early.

    Parameters
    ----------
    archive
    inventories
        Asked for what is under a path, at once or in two stages.
    """

    def __init__(self, archive: Archive, inventories: Inventories) -> None:
        self._archive = archive
        self._inventories = inventories
        self._classes = HeldClasses()

    async def ask(self, path: ResourcePath, demand: TransferDemand) -> Inventory | EarlyRetrieval:
        """Find out what is under `path`: all of it, or enough to begin.

        Raises
        ------
        UnknownResource
            The archive holds nothing there.
        BackendError
            The archive failed.
        """
        if path.level is Level.IMAGE or not self._is_affordable:
            return await self._inventories.take(path)
        if (known := self._inventories.find(path)) is not None:
            return known
        if classes := self._classes.find(path):
            return await self._prepare(path, (), demand, classes) or await self.take(path)
        pending = await self._inventories.begin(path)
        rows = pending.series
        classes = () if pending.is_complete else self._classes.guess(rows)
        if (early := await self._prepare(path, rows, demand, classes)) is not None:
            return early
        inventory = await pending.complete()
        self._classes.note_inventory(inventory, rows)
        return inventory

    async def ask_again(self, path: ResourcePath) -> Inventory:
        """As :meth:`take`, but asked from now on: what was known before led to something that did not come."""
        self._inventories.forget(path.study)
        return await self.take(path)

    async def take(self, path: ResourcePath) -> Inventory:
        """All that the archive tells of the instances under `path`; raises as :meth:`ask`."""
        inventory = await self._inventories.take(path)
        self._classes.note_inventory(inventory)
        return inventory

    def list_likely_classes(self, inventory: Inventory) -> tuple[str, ...]:
        """The classes to offer for an inventory that does not tell them; empty where no better guess is known."""
        if inventory.tells_classes:
            return ()
        return self._classes.find(inventory.path) or self._classes.guess(inventory.list_series())

    def note_arrivals(self, path: ResourcePath, classes: Mapping[str, Collection[str]]) -> None:
        """Remember the classes, by series, of everything under `path`: all of it has arrived."""
        self._classes.note_classes(path, classes)

    @property
    def _is_affordable(self) -> bool:
        return self._archive.pool.spare_count >= ASSOCIATIONS and not self._classes.tells_unavailable

    async def _prepare(
        self, path: ResourcePath, rows: tuple[SeriesRow, ...], demand: TransferDemand, classes: tuple[str, ...]
    ) -> EarlyRetrieval | None:
        if not classes or not self._is_affordable:
            return None
        methods = await self._archive.list_retrieve_methods(classes)
        attempt = next(plan_attempts(demand, methods, tells_classes=True, sends=()))
        if attempt.by_move and not self._archive.names_moves:
            return None
        if not attempt.by_move and not can_offer_all(attempt.choice, classes):
            return None
        series = path.series or (rows[0].uid if len(rows) == 1 else "")

        async def list_all() -> Inventory:
            inventory = await list_instances(self._archive, path, rows)
            self._classes.note_inventory(inventory, rows)
            return inventory

        return EarlyRetrieval(self._archive.ae_title, path, series, attempt, classes, list_all)
