"""One archive, as services see it: its operations, each on an association leased for it.

An :class:`Archive` joins the settings of one backend, its pool, what is known of its abilities (``abilities.py``) and
the registry of moves. Services ask it to find, get, move or store; they never see an association, a context or a pool.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Container, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from gateway.codecs.identifier import encode_identifier
from gateway.config import BackendSettings, RetrieveMethod
from gateway.dimse.abilities import Abilities
from gateway.dimse.association import Association
from gateway.dimse.contexts import MAX_CONTEXTS, Proposal, ProposedSyntax
from gateway.dimse.event_reports import TakeEvent
from gateway.dimse.move_routing import MoveRegistry
from gateway.dimse.move_turns import MoveTurns
from gateway.dimse.pool import Pool
from gateway.dimse.proposals import (
    QueryCapabilities,
    RetrieveAbilities,
    StorageContext,
    check_roles,
    describe_peer,
    limit_pool,
    propose_get,
)
from gateway.dimse.scu import commitment, query, retrieve, storage, verification
from gateway.dimse.scu.commitment import CommitmentExchange
from gateway.dimse.scu.query import FindResponses, QueryTimes
from gateway.dimse.scu.retrieve import Retrieval, RetrieveTimes
from gateway.dimse.scu.storage import InstanceToStore, StoreOperation
from gateway.dimse.uids import (
    STUDY_ROOT_GET,
)
from gateway.errors import (
    AssociationAborted,
    ConnectionLost,
    DimseTimeout,
    MoveDestinationUnavailable,
    PoolTimeout,
)

__all__ = ["Archive", "Identifier", "QueryCapabilities", "RetrieveAbilities", "StorageContext"]

Identifier = Mapping[str, dict[str, Any]]
"""Keys of an identifier: DICOM JSON Model attributes by tag, the level (0008,0052) among them."""


class _Answering(Protocol):
    async def peek(self) -> None:
        """Wait for the first answer."""


_Operation = TypeVar("_Operation", bound=_Answering)


class _StaleAssociation(Exception):
    """A pooled association ended before the first answer."""


class Archive:
    """The archive behind backend `name`.

    Parameters
    ----------
    name
        Of the backend, in configuration and URLs.
    settings
        Its section of the configuration.
    ae_title
        Our own AE title, for calling and as move destination, unless the settings name others.
    registry
        Where moves are registered.
    can_receive
        Whether our acceptor listens, so that C-MOVE is possible at all.
    """

    def __init__(
        self,
        name: str,
        settings: BackendSettings,
        *,
        ae_title: str,
        registry: MoveRegistry,
        can_receive: bool = True,
    ) -> None:
        self.name = name
        self.settings = settings
        self.ae_title = settings.ae_title
        self.calling_ae_title = settings.calling_ae_title or ae_title
        self.move_destination = settings.move_destination or ae_title
        self.can_receive = can_receive
        self.pool = Pool(describe_peer(settings, self.calling_ae_title), limit_pool(settings))
        self._registry = registry
        self.abilities = Abilities(settings, can_receive=can_receive)
        self._retrieve_times = RetrieveTimes(
            settings.retrieve_timeout_s, settings.cancel_timeout_s, settings.move_grace_s
        )
        self._one_move = asyncio.Lock() if settings.move_correlation == "one-at-a-time" else None
        self._turns = MoveTurns()
        self._closes_between_stores = False

    # --- C-ECHO ---

    async def echo(self) -> None:
        """Verify that the archive answers (PS3.4 Annex A).

        Raises
        ------
        BackendError
            It does not.
        """
        try:
            await self._echo(fresh=False)
        except _StaleAssociation:
            await self._echo(fresh=True)

    async def _echo(self, *, fresh: bool) -> None:
        async with self.pool.lease(self.abilities.query_proposal, fresh=fresh) as lease:
            self.abilities.learn(lease.association)
            try:
                await verification.echo(lease.association, timeout=self.settings.response_timeout_s)
            except (ConnectionLost, AssociationAborted) as error:
                if lease.reused:
                    raise _StaleAssociation from error
                raise

    # --- C-FIND ---

    async def query_capabilities(self, *, fuzzy: bool = False) -> QueryCapabilities:
        """What was negotiated for C-FIND; opens an association the first time.

        Parameters
        ----------
        fuzzy
            Find out about fuzzy matching of names too. It is an option of the association, so it is asked for by
            associations of its own and only when wanted; not asked for, it counts as not offered.

        Raises
        ------
        BackendError
            No association.
        """
        known = self.abilities
        if (known.fuzzy_capabilities if fuzzy else known.capabilities) is None:
            async with self._lease_query(known.fuzzy_proposal if fuzzy else known.query_proposal):
                pass
        return (known.fuzzy_capabilities if fuzzy else known.capabilities) or QueryCapabilities()

    @asynccontextmanager
    async def find(self, keys: Identifier, *, fuzzy: bool = False) -> AsyncIterator[FindResponses]:
        """Ask with C-FIND Study Root and give the matches; leaving early cancels.

        The first response has arrived when the block begins.

        Parameters
        ----------
        keys
            The identifier, Query/Retrieve Level included.
        fuzzy
            Match person names as the archive sees fit, where it offers that; else literally (PS3.4 §C.5.1.1).

        Raises
        ------
        BackendError
            Opening or asking failed; further ones while iterating.
        """
        times = QueryTimes(self.settings.response_timeout_s, self.settings.cancel_timeout_s)

        def start(association: Association) -> AbstractAsyncContextManager[FindResponses]:
            return query.find(association, lambda syntax: encode_identifier(keys, syntax), times)

        proposal = self.abilities.fuzzy_proposal if fuzzy else self.abilities.query_proposal
        async with self._operate(proposal, start) as responses:
            yield responses

    # --- C-GET and C-MOVE ---

    async def retrieve_abilities(self) -> RetrieveAbilities:
        """Whether the archive accepted C-GET and C-MOVE Study Root; opens an association the first time."""
        if self.abilities.retrieve is None:
            async with self._lease_query(self.abilities.query_proposal):
                pass
        return self.abilities.retrieve or RetrieveAbilities(can_get=True, can_move=True)

    async def list_retrieve_methods(self, sop_classes: Collection[str] = ()) -> tuple[RetrieveMethod, ...]:
        """C-GET, C-MOVE or both, preferred first, for instances of these classes.

        As configured, else as the archive has shown to be of use: some give certain classes by C-MOVE alone.
        """
        if self.settings.retrieve is not RetrieveMethod.AUTO:
            return (self.settings.retrieve,)
        return self.abilities.order_methods(await self.retrieve_abilities(), sop_classes)

    @property
    def transfer_syntaxes_sent(self) -> Container[str]:
        """The transfer syntaxes that the archive has proposed in C-STOREs so far."""
        return _OfferedSyntaxes(self._registry, self.ae_title)

    @property
    def lets_stores_follow(self) -> bool:
        """Whether to keep an association for the next C-STORE: nobody waits for one, and they stay open in between."""
        return not self.pool.waiting_count and not self._closes_between_stores

    def note_follower_lost(self) -> None:
        """Remember that a C-STORE sent at once after another was lost: some archives close after each answer."""
        self._closes_between_stores = True

    @property
    def names_moves(self) -> bool:
        """Whether the archive tells in its C-STOREs which C-MOVE they belong to."""
        return self._registry.is_named_by(self.ae_title)

    @asynccontextmanager
    async def get(
        self, keys: Identifier, contexts: Sequence[StorageContext], *, sop_class: str = STUDY_ROOT_GET
    ) -> AsyncIterator[Retrieval]:
        """Fetch with C-GET; instances arrive on the same association.

        The first instance, or the outcome, has arrived when the block begins.

        Parameters
        ----------
        contexts
            What to offer to receive, at most 124; the archive uses whichever it likes of those it accepts.
        sop_class
            Study Root, or one of ``PARTIAL_GETS``; those need two contexts more.

        Raises
        ------
        NoAcceptedContext
            C-GET, or every storage context, or the SCP role, was refused.
        BackendError
            Opening or asking failed; further ones while iterating.
        """

        def start(association: Association) -> AbstractAsyncContextManager[Retrieval]:
            check_roles(association, contexts)
            return retrieve.get(
                association, lambda syntax: encode_identifier(keys, syntax), self._retrieve_times, sop_class=sop_class
            )

        async with self._operate(propose_get(contexts, self.abilities.query_proposal), start) as retrieval:
            yield retrieval

    @asynccontextmanager
    async def move(
        self,
        keys: Identifier,
        instances: Collection[str],
        *,
        prefers_native: bool = False,
        only: Collection[str] = (),
    ) -> AsyncIterator[Retrieval]:
        """Fetch with C-MOVE Study Root to our own AE.

        The first instance, or the outcome, has arrived when the block begins.

        Parameters
        ----------
        instances
            The SOP Instance UIDs expected, for archives that send no move originator; empty if unknown.
        prefers_native, only
            Which transfer syntaxes to accept, see ``MoveRegistry.register``.

        Raises
        ------
        MoveDestinationUnavailable
            We listen on no port.
        NoAcceptedContext
            C-MOVE was refused.
        BackendError
            Opening or asking failed; further ones while iterating.
        """
        if not self.can_receive:
            raise MoveDestinationUnavailable(self.ae_title, "C-MOVE needs dimse.listen, which is empty")

        def start(association: Association) -> AbstractAsyncContextManager[Retrieval]:
            reception = self._registry.register(
                archive_ae_title=self.ae_title,
                calling_ae_title=self.calling_ae_title,
                destination=self.move_destination,
                instances=instances,
                prefers_native=prefers_native,
                only=only,
            )
            return retrieve.move(
                association, lambda syntax: encode_identifier(keys, syntax), reception, self._retrieve_times
            )

        async with AsyncExitStack() as stack:
            if self._one_move is not None:
                await self._wait_for_turn(stack, self._one_move)
            terms = (prefers_native, frozenset(only))
            async with self._turns.turn(terms, wait_s=self.settings.pool_timeout_s):
                retrieval = await stack.enter_async_context(self._operate(self.abilities.query_proposal, start))
            yield retrieval

    # --- C-STORE ---

    @asynccontextmanager
    async def store(
        self, instance: InstanceToStore, offered: Collection[StorageContext] = ()
    ) -> AsyncIterator[StoreOperation]:
        """Begin C-STORE of one instance; its data set is written piece by piece inside the block.

        Parameters
        ----------
        offered
            Contexts to propose besides the one needed, should an association have to be opened: what else the
            same request has brought, so that its associations serve all of it.

        Raises
        ------
        NoAcceptedContext
            The archive takes neither the class (result 3) nor the transfer syntax (result 4).
        BackendError
            Opening or sending failed.
        """
        async with self.pool.lease(self._propose_store(instance, offered)) as lease:
            async with storage.store(lease.association, instance, self.settings.store_timeout_s) as operation:
                yield operation

    def _propose_store(self, instance: InstanceToStore, offered: Collection[StorageContext]) -> Proposal:
        needed = ProposedSyntax(instance.sop_class_uid, (instance.transfer_syntax_uid,))
        others = (ProposedSyntax(context.sop_class_uid, context.transfer_syntaxes) for context in offered)
        pooled = self.pool.find_proposal(lambda proposal: needed in proposal.syntaxes)
        return pooled or Proposal(tuple(dict.fromkeys((needed, *others)))[:MAX_CONTEXTS])

    # --- Storage Commitment ---

    def open_commitment(self, take: TakeEvent) -> AbstractAsyncContextManager[CommitmentExchange]:
        """Open an association for Storage Commitment, see ``scu/commitment.py``."""
        return commitment.open_commitment(self.pool, take, timeout=self.settings.response_timeout_s)

    # --- shared ---

    @asynccontextmanager
    async def _lease_query(self, proposal: Proposal) -> AsyncIterator[Association]:
        async with self.pool.lease(proposal) as lease:
            self.abilities.learn(lease.association)
            yield lease.association

    @asynccontextmanager
    async def _operate(
        self, proposal: Proposal, start: Callable[[Association], AbstractAsyncContextManager[_Operation]]
    ) -> AsyncIterator[_Operation]:
        """Lease, start and wait for the first answer; a pooled association that was stale is replaced once."""
        try:
            async with (
                asyncio.timeout(self.settings.operation_timeout_s or None) as deadline,
                AsyncExitStack() as stack,
            ):
                try:
                    operation = await self._start(stack, proposal, start, fresh=False)
                except _StaleAssociation:
                    operation = await self._start(stack, proposal, start, fresh=True)
                yield operation
        except TimeoutError:
            if not deadline.expired():
                raise
            text = f"the operation took longer than {self.settings.operation_timeout_s:g} s"
            raise DimseTimeout(self.ae_title, text) from None

    async def _start(
        self,
        stack: AsyncExitStack,
        proposal: Proposal,
        start: Callable[[Association], AbstractAsyncContextManager[_Operation]],
        *,
        fresh: bool,
    ) -> _Operation:
        async with AsyncExitStack() as attempt:
            lease = await attempt.enter_async_context(self.pool.lease(proposal, fresh=fresh))
            self.abilities.learn(lease.association)
            try:
                operation = await attempt.enter_async_context(start(lease.association))
                await operation.peek()
            except (ConnectionLost, AssociationAborted) as error:
                if lease.reused:
                    raise _StaleAssociation from error
                raise
            stack.push_async_exit(attempt.pop_all())
            return operation

    async def _wait_for_turn(self, stack: AsyncExitStack, lock: asyncio.Lock) -> None:
        try:
            async with asyncio.timeout(self.settings.pool_timeout_s):
                await stack.enter_async_context(lock)
        except TimeoutError:
            text = f"another C-MOVE was under way for {self.settings.pool_timeout_s:g} s"
            raise PoolTimeout(self.ae_title, text) from None

    def describe_load(self) -> dict[str, int]:
        """Associations busy, idle and waited for, and how many have been opened and reused so far."""
        pool = self.pool
        return {
            "busy": pool.busy_count,
            "idle": pool.idle_count,
            "waiting": pool.waiting_count,
            "opened": pool.statistics.opened,
            "reused": pool.statistics.reused,
            "limit": pool.limits.max_associations,
        }

    async def close(self) -> None:
        """Release what is idle, lend no more, and cut what is still on loan: nobody waits for it any longer."""
        self.pool.abort_leased()
        await self.pool.close()


@dataclass(frozen=True, slots=True)
class _OfferedSyntaxes:
    registry: MoveRegistry
    ae_title: str

    def __contains__(self, uid: object) -> bool:
        return uid in self.registry.offered_by(self.ae_title)
