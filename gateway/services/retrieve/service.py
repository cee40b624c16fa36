"""Retrieve: from a path to a stream of instances, exactly those of the target (PS3.18 §10.4, PS3.4 §C.4.2–3).

Carries out the plan of ``attempts.py`` against what ``inventories/inventory.py`` found. Instances are yielded as the
archive sends them, in its order; what did not come is asked for again in other forms, and what is missing in the
end is told by an exception, so that a response never ends well without being complete (invariants 4 and 6).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from typing import Self

import structlog

from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE, get_transfer_syntax
from gateway.dimse.archive import Archive, Identifier
from gateway.dimse.association_cost import AssociationCost
from gateway.dimse.scu.retrieve import Retrieval
from gateway.dimse.suboperation import StoreSubOperation
from gateway.errors import (
    AssociationAborted,
    BackendError,
    ConnectionLost,
    DimseStatusError,
    GatewayError,
    IncompleteRetrieval,
    MoveDestinationUnavailable,
    NoAcceptedContext,
    NotAcceptable,
    UndecodableResponse,
    UnknownResource,
)
from gateway.resources import Level, ResourcePath
from gateway.services.retrieve.attempts import (
    Attempt,
    Scope,
    plan_attempts,
    refuses_the_method,
)
from gateway.services.retrieve.context_offers import offer_contexts, offer_single_form
from gateway.services.retrieve.early_retrieval import EarlyRetrieval, EarlyRetrievals
from gateway.services.retrieve.identifiers import identify, list_identifiers
from gateway.services.retrieve.instances import Instances
from gateway.services.retrieve.inventories.inventories import Inventories
from gateway.services.retrieve.inventories.inventory import Inventory
from gateway.services.retrieve.pixels.partial_retrieval import PartialRetrievals
from gateway.services.retrieve.received_instance import ReceivedInstance
from gateway.services.retrieve.sharing.coalescing import Coalescer
from gateway.services.retrieve.transfer_demand import TransferDemand

__all__ = ["InstanceStream", "RetrieveService"]

DICOM, OCTET_STREAM = "application/dicom", "application/octet-stream"

MAX_BROKEN_ATTEMPTS = 3
"""Attempts that may end with the association cut; an archive that does so more often is left alone."""

MAX_FRUITLESS_REQUESTS = 10
"""Requests for single instances in a row that may bring nothing; then the rest would bring nothing either."""

_OTHER_FORM_MAY_HELP = (
    NoAcceptedContext,
    DimseStatusError,
    AssociationAborted,
    ConnectionLost,
    MoveDestinationUnavailable,
    UndecodableResponse,
)

_log = structlog.get_logger(__name__)


class InstanceStream:
    """The instances of one target, iterated once; the first has arrived when it is handed out.

    Parameters
    ----------
    held
        What the target holds, or how to begin before that is known.
    ask_again
        Asks the archive anew what the target holds, for when something is missing.
    likely_classes
        What to offer first where the archive does not tell classes; empty for the common ones of each modality.

    Attributes
    ----------
    expected : int
        Instances of the target; 0 as long as the archive has not listed them.
    classes : dict[str, set[str]]
        The SOP classes of what has arrived, by series.
    unavailable : tuple[str, ...]
        SOP Instance UIDs that the archive's index calls offline or unavailable: known to be missing before the
        first byte.
    """

    def __init__(
        self,
        archive: Archive,
        held: Inventory | EarlyRetrieval,
        demand: TransferDemand,
        ask_again: Callable[[], Awaitable[Inventory]],
        likely_classes: tuple[str, ...] = (),
    ) -> None:
        self._archive = archive
        self._ask_again = ask_again
        self._likely_classes = likely_classes
        self.classes: dict[str, set[str]] = {}
        self._demand = demand
        self._early = held if isinstance(held, EarlyRetrieval) else None
        self._inventory = Inventory(held.path, {}, {})
        self._missing: dict[str, None] = {}
        self.expected = 0
        self.unavailable: tuple[str, ...] = ()
        if isinstance(held, Inventory):
            self._take_up(held)
        self._error: BackendError | None = None
        self._broken = 0
        # by method, True for C-MOVE: what has been tried, and what the archive will not do in any form
        self._tried: set[bool] = set()
        self._refused: set[bool] = set()
        self._classes_got: set[str] = set()
        self._instances = self._generate()
        self._first: ReceivedInstance | None = None

    @property
    def first(self) -> ReceivedInstance:
        """The instance that has arrived; not yet read, and iterating gives it again."""
        assert self._first is not None
        return self._first

    @property
    def is_complete(self) -> bool:
        """Whether every instance has arrived."""
        return bool(self.expected) and not self._missing and not self.unavailable

    async def begin(self) -> None:
        """Wait for the first instance.

        Raises
        ------
        NotAcceptable
            The instances exist, but none in a transfer syntax demanded.
        BackendError
            None came.
        """
        self._first = await anext(self._instances)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ReceivedInstance:
        """Give the next instance; asking for it tells the archive that the one before was taken.

        Raises
        ------
        IncompleteRetrieval
            At the end, when some are missing.
        BackendError
            The archive failed and other ways of asking did not help.
        """
        if (instance := self._first) is not None:
            self._first = None
            return instance
        return await anext(self._instances)

    async def close(self) -> None:
        """Stop: what is under way is refused, cancelled and drained, or cut."""
        await self._instances.aclose()

    def _take_up(self, inventory: Inventory, delivered: Collection[str] = ()) -> None:
        """Judge by `inventory` from now on; what was `delivered` before is not missing."""
        self._inventory = inventory
        self.expected = len(inventory.instances)
        if not delivered:
            unavailable = [uid for uid, held in inventory.instances.items() if held.is_unavailable]
            self.unavailable = tuple(unavailable) if len(unavailable) < self.expected else ()
        known = {*self.unavailable, *delivered}
        self._missing = dict.fromkeys(uid for uid in inventory.instances if uid not in known)

    # --- before the inventory is known ---

    async def _begin_early(self, early: EarlyRetrieval) -> AsyncGenerator[ReceivedInstance, None]:
        """Ask for the whole target while the archive lists it; then take up the inventory."""
        attempt = early.attempt
        async with early.listing():
            try:
                async with AsyncExitStack() as stack:
                    async with early.unless_refuted():
                        retrieval = await stack.enter_async_context(
                            self._open(attempt, identify(early.path), (), early.classes)
                        )
                    async for store in retrieval:
                        if (instance := await self._admit_early(early, store)) is not None:
                            self._note_class(instance)
                            self._classes_got.add(instance.sop_class_uid)
                            yield instance
                self._judge(retrieval)
            except _OTHER_FORM_MAY_HELP as error:
                _log.info("early_retrieval_failed", error=type(error).__name__, by_move=attempt.by_move)
                self._learn_from(error, attempt)
            self._tried.add(attempt.by_move)
            if not self.expected:
                self._take_up(await early.take_list(), early.delivered)
        if early.delivered:
            self._broken = 0

    async def _admit_early(self, early: EarlyRetrieval, store: StoreSubOperation) -> ReceivedInstance | None:
        if not self.expected and (early.is_listed or not self._demand.admits(store.transfer_syntax_uid)):
            self._take_up(await early.take_list(), early.delivered)
        return self._admit(store) if self.expected else await early.admit(store)

    # --- carrying out the plan ---

    async def _generate(self) -> AsyncGenerator[ReceivedInstance, None]:
        if self._early is not None:
            async with aclosing(self._begin_early(self._early)) as instances:
                async for instance in instances:
                    yield instance
            if not self._missing:
                return
            delivered = [uid for uid in self._inventory.instances if uid not in self._missing]
            self._take_up(await self._ask_again(), delivered)
        methods = await self._archive.list_retrieve_methods(self._inventory.list_classes(self._missing))
        plan = plan_attempts(
            self._demand,
            methods,
            tells_classes=self._inventory.tells_classes,
            sends=self._archive.transfer_syntaxes_sent,
        )
        for attempt in plan:
            is_worth_it = attempt.by_move not in self._refused
            while is_worth_it:
                missing, broken = len(self._missing), self._broken
                async with aclosing(self._try(attempt)) as instances:
                    async for instance in instances:
                        self._note_class(instance)
                        self._note_way(attempt, instance)
                        yield instance
                self._tried.add(attempt.by_move)
                # cut off on the way: what it has brought so far, it will go on to bring
                is_worth_it = self._broken > broken and 0 < len(self._missing) < missing
                self._broken = 0 if is_worth_it else self._broken
            if not self._missing:
                return
            if self._broken >= MAX_BROKEN_ATTEMPTS:
                break
            _log.info("retrieval_incomplete", missing=len(self._missing), of=self.expected, scope=attempt.scope.name)
        if self._broken < MAX_BROKEN_ATTEMPTS:
            await self._strike_out_deleted()
        if self._missing:
            raise self._explain_missing()

    async def _strike_out_deleted(self) -> None:
        """What the archive holds no longer is not missing: the inventory may be older than the retrieval.

        Raises
        ------
        UnknownResource
            There is nothing any more, nor was anything delivered.
        """
        try:
            held = (await self._ask_again()).instances
        except UnknownResource:
            if not self._delivered:
                raise
            held = {}
        except BackendError:
            return
        deleted = [uid for uid in self._missing if uid not in held]
        if len(deleted) < self.expected:  # else others have taken their place, and the next request will get these
            self.expected -= len(deleted)
            self._missing = {uid: None for uid in self._missing if uid in held}

    def _note_class(self, instance: ReceivedInstance) -> None:
        self.classes.setdefault(instance.path.series or "", set()).add(instance.sop_class_uid)

    def _note_way(self, attempt: Attempt, instance: ReceivedInstance) -> None:
        """Have the archive remember which classes C-MOVE gives and C-GET does not."""
        if not attempt.by_move and instance.sop_class_uid in self._classes_got:
            return
        classes = self._inventory.list_classes([instance.path.instance or ""])
        if not attempt.by_move:
            self._classes_got.update(classes, (instance.sop_class_uid,))
        elif False in self._tried and self._classes_got.isdisjoint(classes):
            self._archive.abilities.note_get_refused(classes)

    async def _try(self, attempt: Attempt) -> AsyncGenerator[ReceivedInstance, None]:
        fruitless = 0
        for keys, uids in list_identifiers(self._inventory, self._missing, attempt.scope):
            missing = len(self._missing)
            if not any(uid in self._missing for uid in uids):
                continue
            try:
                async with self._open(attempt, keys, uids) as retrieval:
                    async for store in retrieval:
                        if (instance := self._admit(store)) is not None:
                            yield instance
                self._judge(retrieval)
            except _OTHER_FORM_MAY_HELP as error:
                _log.info("retrieval_attempt_failed", error=type(error).__name__, by_move=attempt.by_move)
                self._learn_from(error, attempt)
                if not isinstance(error, DimseStatusError) or attempt.by_move in self._refused:
                    return
            fruitless = fruitless + 1 if len(self._missing) == missing else 0
            if attempt.scope is Scope.SINGLE and fruitless >= MAX_FRUITLESS_REQUESTS:
                return

    def _learn_from(self, error: BackendError, attempt: Attempt) -> None:
        """What a failure says about further attempts, and about the answer if there are none."""
        if isinstance(error, AssociationAborted | ConnectionLost | UndecodableResponse):
            self._broken += 1
        if refuses_the_method(error):
            self._refused.add(attempt.by_move)
        if self._error is None or (
            isinstance(self._error, NoAcceptedContext) and not isinstance(error, NoAcceptedContext)
        ):
            self._error = error

    def _open(
        self, attempt: Attempt, keys: Identifier, uids: tuple[str, ...], classes: tuple[str, ...] = ()
    ) -> AbstractAsyncContextManager[Retrieval]:
        if attempt.by_move:
            prefers_native = self._demand.prefers_native
            return self._archive.move(keys, uids, prefers_native=prefers_native, only=attempt.form)
        likely = self._likely_classes if attempt.scope is Scope.TARGET else ()
        classes = attempt.classes or classes or likely or self._inventory.list_classes(uids)
        if attempt.form:
            return self._archive.get(keys, offer_single_form(attempt.form, classes))
        stored = tuple({self._inventory.instances[uid].transfer_syntax_uid for uid in uids})
        return self._archive.get(keys, offer_contexts(attempt.choice, classes, stored))

    def _admit(self, store: StoreSubOperation) -> ReceivedInstance | None:
        """The instance if it is one of ours and still missing; else None, and it is passed over.

        Raises
        ------
        NotAcceptable, IncompleteRetrieval
            It comes in a transfer syntax that is not demanded: other ways of asking will not change that.
        """
        uid = store.sop_instance_uid
        if uid not in self._missing:
            return None
        if not self._demand.admits(store.transfer_syntax_uid):
            raise self._explain_unacceptable(store.transfer_syntax_uid)
        del self._missing[uid]
        return ReceivedInstance(self._archive.ae_title, self._inventory.instances[uid].path, store)

    def _judge(self, retrieval: Retrieval) -> None:
        outcome = retrieval.outcome
        if outcome is not None and outcome.is_failure:
            raise outcome.as_error(self._archive.ae_title, retrieval.operation)

    @property
    def _delivered(self) -> int:
        return self.expected - len(self._missing) - len(self.unavailable)

    def _explain_missing(self) -> GatewayError:
        if self._delivered == 0 and self._error is not None:
            return self._error
        return IncompleteRetrieval(self._archive.ae_title, self._delivered, self.expected, tuple(self._missing))

    def _explain_unacceptable(self, transfer_syntax_uid: str) -> GatewayError:
        if self._delivered:
            return self._explain_missing()
        syntax = get_transfer_syntax(transfer_syntax_uid)
        sent = EXPLICIT_VR_LE if syntax.is_uncompressed else syntax.uid
        media_type = syntax.media_type or OCTET_STREAM if self._demand.is_for_pixels else DICOM
        available = f'multipart/related; type="{media_type}"; transfer-syntax={sent}'
        return NotAcceptable([available], f"stored as {syntax.name}, which the request does not accept")


class RetrieveService:
    """Retrieves from one archive.

    Attributes
    ----------
    partial : PartialRetrievals
        For those who can do with less than whole instances.
    """

    def __init__(self, archive: Archive, inventories: Inventories) -> None:
        self._archive = archive
        self._early = EarlyRetrievals(archive, inventories)
        shares = archive.settings.coalesce_window_ms > 0
        self._coalescer = Coalescer(archive, inventories.take, self._open_alone) if shares else None
        self.partial = PartialRetrievals(archive, inventories.take, self.open_instances)

    @property
    def association_cost(self) -> AssociationCost:
        """What a new association with the archive costs."""
        return self._archive.pool.cost

    @asynccontextmanager
    async def open_instances(self, path: ResourcePath, demand: TransferDemand) -> AsyncIterator[Instances]:
        """Fetch what is under `path`; the first instance has arrived when the block begins.

        Leaving the block early cancels what is under way.

        Raises
        ------
        UnknownResource
            The archive holds nothing there.
        NotAcceptable
            It holds something, but not in a transfer syntax demanded.
        BackendError
            The archive failed; further ones while iterating.
        """
        shared = self._coalescer if path.level is Level.IMAGE else None
        async with (shared.open_instances if shared else self._open_alone)(path, demand) as instances:
            yield instances

    @asynccontextmanager
    async def _open_alone(self, path: ResourcePath, demand: TransferDemand) -> AsyncIterator[InstanceStream]:
        """The same without sharing an operation with other requests."""
        held = await self._early.ask(path, demand)
        likely = self._early.list_likely_classes(held) if isinstance(held, Inventory) else ()
        stream = InstanceStream(self._archive, held, demand, lambda: self._early.ask_again(path), likely)
        try:
            await stream.begin()
            yield stream
            if stream.is_complete and path.level is not Level.IMAGE:
                self._early.note_arrivals(path, stream.classes)
        finally:
            await stream.close()
