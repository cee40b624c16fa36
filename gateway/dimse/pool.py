"""A pool of associations with one archive.

One synchronous method, :meth:`Pool._decide`, makes every decision: drop what is closed or expired, serve waiters
in order, choose whom to close so that the first waiter may open. Callers await what it decided afterwards, so no
decision is ever half made. The newest idle association is reused first, so that surplus ones grow old and go.

Invariants: associations that are leased, idle, being opened or being released never pass the maximum, since the
archive counts them too; a slot comes back on every path, rejection and cancellation included; only a clean
association (invariant 7 of the architecture) becomes idle, any other is aborted. An idle association whose socket
becomes readable is settled at once. Nothing polls: one timer stands for the next expiry.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from gateway.dimse.association import Association
from gateway.dimse.association_cost import AssociationCost
from gateway.dimse.contexts import Proposal
from gateway.dimse.requestor import Peer, open_association
from gateway.errors import AssociationRejected, PoolTimeout, ShuttingDown
from gateway.tasks import start_task

__all__ = ["Lease", "Pool", "PoolLimits", "PoolStatistics"]

REJECTION_BACKOFF_S = 0.25
"""Before the one retry after a transient rejection: archives free a slot when an association ends."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Counts and seconds, and whether associations may be cut where that is cheaper than reading on."""

    max_associations: int = 8
    max_idle_s: float = 30.0
    max_age_s: float = 600.0
    wait_s: float = 10.0
    may_cut: bool = True


@dataclass(slots=True)
class PoolStatistics:
    """Counters since the start; read by the status page and by leak tests."""

    opened: int = 0
    reused: int = 0
    released: int = 0
    aborted: int = 0
    failed: int = 0
    waits: int = 0
    wait_timeouts: int = 0


@dataclass(slots=True)
class Lease:
    """An association on loan; `reused` tells that it had been idle, so a first failure may mean it was stale."""

    association: Association
    reused: bool


@dataclass(slots=True, eq=False)
class _Member:
    association: Association
    opened_at: float
    idle_since: float = 0.0


@dataclass(slots=True, eq=False)
class _Waiter:
    proposal: Proposal
    fresh: bool
    turn: asyncio.Future[_Member | None]


class Pool:
    """Associations with `peer`, leased by proposal.

    Parameters
    ----------
    peer
        The archive.
    limits
        Maximum number, idle and age limits, longest wait.
    """

    def __init__(self, peer: Peer, limits: PoolLimits) -> None:
        self.peer = peer
        self.limits = limits
        self.statistics = PoolStatistics()
        self.cost = AssociationCost(may_cut=limits.may_cut)
        self._idle: list[_Member] = []
        self._leased: set[_Member] = set()
        self._opening = 0
        self._waiters: deque[_Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    # --- for the status page and tests ---

    @property
    def idle_count(self) -> int:
        """Associations waiting for work."""
        return len(self._idle)

    @property
    def busy_count(self) -> int:
        """Associations on loan or being opened."""
        return len(self._leased) + self._opening

    @property
    def waiting_count(self) -> int:
        """Callers waiting for their turn."""
        return len(self._waiters)

    @property
    def ending_count(self) -> int:
        """Associations being released."""
        return len(self._ending)

    @property
    def spare_count(self) -> int:
        """Associations that may be leased before anybody has to wait; 0 while somebody waits."""
        if self._waiters:
            return 0
        return max(self.limits.max_associations - self.busy_count - self.ending_count, 0)

    def find_proposal(self, suits: Callable[[Proposal], bool]) -> Proposal | None:
        """The proposal of an open association that `suits`, idle ones first; None if there is none."""
        for member in (*reversed(self._idle), *self._leased):
            proposal = member.association.proposal
            if proposal is not None and suits(proposal):
                return proposal
        return None

    # --- leasing ---

    @asynccontextmanager
    async def lease(self, proposal: Proposal, *, fresh: bool = False) -> AsyncIterator[Lease]:
        """Lend an association that serves `proposal`; on leaving it becomes idle if clean, else it is aborted.

        Parameters
        ----------
        fresh
            Open a new one even if an idle one would serve.

        Raises
        ------
        PoolTimeout
            No turn within the wait limit; waiters are served in order.
        ShuttingDown
            The pool is closed.
        BackendError
            Opening failed, see ``open_association``.
        """
        member, reused = await self._acquire(proposal, fresh)
        try:
            yield Lease(member.association, reused)
        finally:
            self._give_back(member)

    async def _acquire(self, proposal: Proposal, fresh: bool) -> tuple[_Member, bool]:
        if self._closed:
            raise ShuttingDown("the gateway is shutting down")
        waiter = _Waiter(proposal, fresh, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        self._decide()
        member = await self._await_turn(waiter)
        if member is not None:
            self.statistics.reused += 1
            return member, True
        return await self._open(proposal), False

    async def _await_turn(self, waiter: _Waiter) -> _Member | None:
        if not waiter.turn.done():
            self.statistics.waits += 1
        try:
            async with asyncio.timeout(self.limits.wait_s):
                return await waiter.turn
        except BaseException as error:
            self._withdraw(waiter)
            if isinstance(error, TimeoutError):
                self.statistics.wait_timeouts += 1
                text = f"all {self.limits.max_associations} associations busy for {self.limits.wait_s:g} s"
                raise PoolTimeout(self.peer.ae_title, text) from None
            raise

    def _withdraw(self, waiter: _Waiter) -> None:
        """Undo a wait that ended badly, also when its turn came in the same instant."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        elif waiter.turn.done() and not waiter.turn.cancelled() and waiter.turn.exception() is None:
            member = waiter.turn.result()
            if member is not None:
                self._give_back(member)
            else:
                self._opening -= 1
        self._decide()

    async def _open(self, proposal: Proposal) -> _Member:
        began = time.monotonic()
        try:
            association = await self._open_with_retry(proposal)
        except BaseException:
            self.statistics.failed += 1
            self._opening -= 1
            self._decide()
            raise
        self._opening -= 1
        self.cost.note_set_up(time.monotonic() - began)
        member = _Member(association, time.monotonic())
        self._leased.add(member)
        self.statistics.opened += 1
        return member

    async def _open_with_retry(self, proposal: Proposal) -> Association:
        try:
            return await open_association(self.peer, proposal)
        except AssociationRejected as error:
            if error.result != 2:
                raise
            _log.info("association_rejected_retrying", ae_title=self.peer.ae_title, reason=error.reason)
            self._end_idle(list(self._idle))
            await asyncio.sleep(REJECTION_BACKOFF_S)
            return await open_association(self.peer, proposal)

    def _give_back(self, member: _Member) -> None:
        self._leased.discard(member)
        if self._closed or member.association.is_retired or not member.association.is_clean:
            self._end(member)
        else:
            member.idle_since = time.monotonic()
            member.association.transport.on_activity = lambda: self._settle(member)
            self._idle.append(member)
        self._decide()

    # --- deciding ---

    def _decide(self) -> None:
        """Drop what is dead or expired, then serve waiters in order. Does not wait; the only decision maker."""
        now = time.monotonic()
        self._end_idle([member for member in self._idle if self._is_spent(member, now)])
        while self._waiters and self._serve(self._waiters[0]):
            self._waiters.popleft()
        self._set_timer(now)

    def _serve(self, waiter: _Waiter) -> bool:
        if waiter.turn.done():
            return True
        if not waiter.fresh and (member := self._newest_idle(waiter.proposal)) is not None:
            self._idle.remove(member)
            member.association.transport.on_activity = None
            self._leased.add(member)
            waiter.turn.set_result(member)
            return True
        if self._is_full and self._idle and not self._ending:
            self._end_idle([min(self._idle, key=lambda member: member.idle_since)])
        if self._is_full:
            return False
        self._opening += 1
        waiter.turn.set_result(None)
        return True

    @property
    def _is_full(self) -> bool:
        open_count = len(self._leased) + self._opening + len(self._idle) + len(self._ending)
        return open_count >= self.limits.max_associations

    def _newest_idle(self, proposal: Proposal) -> _Member | None:
        """The one that serves `proposal` with the fewest contexts to spare; of several, the newest."""
        best: tuple[int, _Member] | None = None
        for member in reversed(self._idle):
            offered = member.association.proposal
            if offered is not None and offered.serves(proposal):
                size = len(offered.syntaxes)
                if best is None or size < best[0]:
                    best = size, member
        return best[1] if best is not None else None

    def _is_spent(self, member: _Member, now: float) -> bool:
        return (
            not member.association.is_clean
            or now - member.idle_since >= self.limits.max_idle_s
            or now - member.opened_at >= self.limits.max_age_s
        )

    def _set_timer(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._idle and not self._closed:
            due = min(
                min(member.idle_since + self.limits.max_idle_s, member.opened_at + self.limits.max_age_s)
                for member in self._idle
            )
            self._timer = asyncio.get_running_loop().call_later(max(due - now, 0) + 0.01, self._decide)

    def _settle(self, member: _Member) -> None:
        """Something arrived on an idle association: a release, an abort, an end, or what nobody asked for."""
        if member in self._idle:
            member.association.settle_idle()
            self._decide()

    # --- ending ---

    def _end_idle(self, members: list[_Member]) -> None:
        for member in members:
            if member in self._idle:
                self._idle.remove(member)
                self._end(member)

    def _end(self, member: _Member) -> None:
        association = member.association
        if not association.is_clean:
            self.statistics.aborted += 1
            association.abort()
            return
        self.statistics.released += 1
        task = start_task(association.release(), name=f"release {self.peer.ae_title}")
        self._ending.add(task)
        task.add_done_callback(self._forget_ended)

    def _forget_ended(self, task: asyncio.Task[None]) -> None:
        self._ending.discard(task)
        self._decide()

    async def close(self) -> None:
        """Release what is idle, refuse new leases and those waiting; leased ones end when given back."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.turn.done():
                waiter.turn.set_exception(ShuttingDown("the gateway is shutting down"))
        self._end_idle(list(self._idle))
        if self._ending:
            await asyncio.wait(set(self._ending))

    def abort_leased(self) -> None:
        """Cut the associations still on loan: the grace time of a shutdown is over."""
        for member in self._leased:
            member.association.abort()
