"""One C-GET or C-MOVE with a UID list that serves several requests for instances of a series (PS3.4 §C.4.2.1.4).

The driver asks once, in the way that a retrieval of its own would try first, and gives each instance that arrives to
the request for it, which pulls it (``sharing/turns.py``). Whatever does not work out, the requests still waiting
retrieve on their own, with the whole plan of ``attempts.py``; so sharing never makes an answer worse. Which requests
come together is decided in ``sharing/coalescing.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace

import structlog

from gateway.dimse.archive import Archive, Identifier
from gateway.dimse.scu.retrieve import Retrieval
from gateway.dimse.status import OUT_OF_RESOURCES, SUCCESS
from gateway.dimse.suboperation import StoreSubOperation
from gateway.errors import (
    AssociationAborted,
    ConnectionLost,
    DimseStatusError,
    GatewayError,
    MoveDestinationUnavailable,
    NoAcceptedContext,
    UndecodableResponse,
    UnknownResource,
)
from gateway.resources import Level, ResourcePath
from gateway.services.retrieve.attempts import Attempt, Scope, plan_attempts
from gateway.services.retrieve.context_offers import offer_contexts
from gateway.services.retrieve.inventories.inventory import Inventory
from gateway.services.retrieve.sharing.turns import Subscriber, Turn
from gateway.services.retrieve.transfer_demand import TransferDemand
from gateway.tasks import start_task

__all__ = ["ArchivePace", "Batch", "BatchListener", "SeriesFacts"]

PATIENCE_S = 0.25
"""How long in all the archive may wait for one subscriber while others wait behind it."""

SHORTEST_WATCH_S = 0.02
"""Between looks at a subscriber that has used up its patience but is reading just now."""

PACE_WEIGHT = 0.1
"""Of the newest instance in the moving average."""

_OWN_RETRIEVAL_MAY_HELP = (
    NoAcceptedContext,
    DimseStatusError,
    AssociationAborted,
    ConnectionLost,
    MoveDestinationUnavailable,
    UndecodableResponse,
)

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class ArchivePace:
    """How long an archive takes for one instance of a list, slow clients not counted: a moving average in seconds."""

    instance_s: float = 0.0

    def note(self, seconds: float) -> None:
        """An instance took so long."""
        self.instance_s += PACE_WEIGHT * (seconds - self.instance_s)


@dataclass(slots=True)
class SeriesFacts:
    """What batches have learned, for those that follow: of the archive, and of the series as long as there is no pause.

    `inventory` only serves to choose the presentation contexts; that an instance exists is told by its arrival.
    """

    pace: ArchivePace
    inventory: Inventory | None = None


@dataclass(frozen=True, slots=True)
class BatchListener:
    """Whom a batch tells: of any change, of requests to be asked for again together, and that sharing does not work."""

    on_change: Callable[[], None]
    on_return: Callable[[Sequence[Subscriber]], None]
    on_unfit: Callable[[], None]


class Batch:
    """Requests for different instances of one series, served by one operation.

    Attributes
    ----------
    waiting : dict of str to Subscriber
        By SOP Instance UID, those whose turn has not come.
    """

    def __init__(
        self,
        archive: Archive,
        take_inventory: Callable[[ResourcePath], Awaitable[Inventory]],
        demand: TransferDemand,
        facts: SeriesFacts,
        subscribers: Sequence[Subscriber],
        listener: BatchListener,
    ) -> None:
        self._archive = archive
        self._take_inventory = take_inventory
        self._demand = demand
        self._facts = facts
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._turn: Turn | None = None
        self._read_s = 0.0
        self._outstanding: set[str] = set()
        self._refused = 0
        self._unsuited: list[Subscriber] = []
        self.has_begun = False
        self.waiting = {subscriber.uid: subscriber for subscriber in subscribers}
        for subscriber in subscribers:
            subscriber.on_leave = self._forget
        self._task = start_task(self._run(), name=f"shared retrieval {archive.ae_title}")
        self._task.add_done_callback(lambda _: listener.on_change())

    @property
    def is_over(self) -> bool:
        """Whether its association is free again."""
        return self._task.done()

    # --- what happens to its requests meanwhile ---

    def _forget(self, subscriber: Subscriber) -> None:
        """A request has left; the last one takes the operation with it."""
        if self.waiting.get(subscriber.uid) is not subscriber:
            return
        del self.waiting[subscriber.uid]
        if not self.waiting and self._turn is None and not self._unsuited:
            self._task.cancel()
        self._listener.on_change()

    def _return_waiting(self) -> None:
        """Have those whose turn has not come asked for again, by another operation."""
        returned = list(self.waiting.values())
        self.waiting.clear()
        self._listener.on_return(returned)

    # --- the operation ---

    async def _run(self) -> None:
        try:
            await self._retrieve()
        except _OWN_RETRIEVAL_MAY_HELP as error:
            _log.info("shared_retrieval_failed", error=type(error).__name__, waiting=len(self.waiting))
            self._listener.on_unfit()
        except GatewayError as error:
            if not self.has_begun:  # the archive cannot be reached: nor would each of them reach it
                self._fail_waiting(error)
        finally:
            rest = [*self.waiting.values(), *self._unsuited]
            self.waiting.clear()
            for subscriber in rest:
                subscriber.send_away()

    def _fail_waiting(self, error: GatewayError) -> None:
        for subscriber in self.waiting.values():
            subscriber.fail(error)

    async def _retrieve(self) -> None:
        inventory = self._facts.inventory = self._facts.inventory or await self._learn_series()
        if inventory is None:
            return
        attempt = await self._choose_attempt(inventory)
        uids = tuple(self.waiting)
        self._outstanding = set(uids)
        async with self._open(attempt, inventory, uids) as retrieval:
            self.has_begun = True
            asked_at = self._loop.time()
            async for store in retrieval:
                arrived_at = self._loop.time()
                if not await self._pass_on(retrieval, store):
                    return
                self._facts.pace.note(arrived_at - asked_at + self._read_s)
                asked_at = self._loop.time()
        self._judge(retrieval)

    async def _learn_series(self) -> Inventory | None:
        """Ask for the first instance that exists; the others of a series are of the same class as a rule."""
        while (subscriber := next(iter(self.waiting.values()), None)) is not None:
            try:
                return await self._take_inventory(subscriber.path)
            except UnknownResource as error:
                self.waiting.pop(subscriber.uid, None)
                subscriber.fail(error)
        return None

    async def _choose_attempt(self, inventory: Inventory) -> Attempt:
        """The way that a retrieval of its own tries first."""
        methods = await self._archive.list_retrieve_methods(inventory.list_classes(inventory.instances))
        plan = plan_attempts(
            self._demand,
            methods,
            tells_classes=inventory.tells_classes,
            sends=self._archive.transfer_syntaxes_sent,
        )
        return replace(next(plan), scope=Scope.LIST)

    def _open(
        self, attempt: Attempt, inventory: Inventory, uids: tuple[str, ...]
    ) -> AbstractAsyncContextManager[Retrieval]:
        keys = _identify(inventory.path, uids)
        if attempt.by_move:
            return self._archive.move(keys, uids, prefers_native=self._demand.prefers_native, only=attempt.form)
        stored = tuple(sorted({held.transfer_syntax_uid for held in inventory.instances.values()}))
        classes = inventory.list_classes(inventory.instances)
        return self._archive.get(keys, offer_contexts(attempt.choice, classes, stored))

    async def _pass_on(self, retrieval: Retrieval, store: StoreSubOperation) -> bool:
        """Give an instance to the request for it; answers whether to go on to the next one."""
        uid = store.sop_instance_uid
        self._outstanding.discard(uid)
        subscriber = self.waiting.pop(uid, None)
        if subscriber is not None and not self._demand.admits(store.transfer_syntax_uid):
            self._unsuited.append(subscriber)
            subscriber = None
        if subscriber is not None and subscriber.is_waiting:
            goes_on = await self._serve(retrieval, subscriber, store)
        else:
            goes_on = await self._pass_over(store)
        # those that left or went elsewhere are not waited for
        return goes_on and (bool(self.waiting) or not self._outstanding)

    async def _serve(self, retrieval: Retrieval, subscriber: Subscriber, store: StoreSubOperation) -> bool:
        turn = self._turn = Turn(store)
        subscriber.give(turn)
        self._listener.on_change()
        try:
            await self._attend(turn)
            if turn.was_cut:
                self._return_waiting()
                return False
            if turn.ended.result():
                await retrieval.answer_current(SUCCESS)
                turn.acknowledge()
                return True
        except asyncio.CancelledError:
            turn.revoke(ConnectionLost(self._archive.ae_title, "the shared retrieval was stopped"))
            raise
        except GatewayError as error:
            turn.revoke(error)
            raise
        finally:
            self._turn = None
            self._read_s = turn.read_s
        return bool(self.waiting) and await self._pass_over(store)

    async def _attend(self, turn: Turn) -> None:
        """Wait for the end of a turn; one that takes too long keeps the association, the others leave."""
        while not turn.ended.done():
            patience_s = PATIENCE_S - turn.held_s if self.waiting else None
            if patience_s is not None and patience_s <= 0 and not turn.is_reading:
                self._return_waiting()
                patience_s = None
            limit_s = None if patience_s is None else max(patience_s, SHORTEST_WATCH_S)
            await asyncio.wait({turn.ended}, timeout=limit_s)

    async def _pass_over(self, store: StoreSubOperation) -> bool:
        """Refuse what nobody takes (any more) and read past it; answers whether that was cheaper than a new start."""
        self._refused += 1
        await store.refuse_early(OUT_OF_RESOURCES)
        passed, limit = 0, self._archive.pool.cost.break_even_bytes
        while (piece := await store.read_piece()) is not None:
            passed += len(piece)
            if passed > limit:
                store.abort()
                self._return_waiting()
                return False
        return True

    def _judge(self, retrieval: Retrieval) -> None:
        """Whether the archive failed at what we asked, so that single retrievals are better for a while."""
        outcome = retrieval.outcome
        if outcome is None:
            return
        if outcome.is_failure and outcome.completed in (None, 0) and not self._refused:
            raise outcome.as_error(self._archive.ae_title, retrieval.operation)
        if self._unsuited or (self.waiting and (outcome.failed or 0) > self._refused):
            self._listener.on_unfit()


def _identify(path: ResourcePath, uids: Sequence[str]) -> Identifier:
    values = {"0020000D": [path.study], "0020000E": [path.series], "00080018": list(uids)}
    level = {"00080052": {"vr": "CS", "Value": [Level.IMAGE.value]}}
    return {**level, **{tag: {"vr": "UI", "Value": value} for tag, value in values.items()}}
