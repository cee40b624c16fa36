"""The pool's decisions over made-up associations, in any order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dimse import pool as pool_module
from gateway.dimse.contexts import Proposal, ProposedSyntax
from gateway.dimse.pool import Lease, Pool, PoolLimits
from gateway.dimse.uids import QR_TRANSFER_SYNTAXES, VERIFICATION
from gateway.errors import AssociationRejected, ConnectFailed, PoolTimeout, ShuttingDown
from gateway.tasks import running_tasks
from tests.support.cancellation import settle

ECHO = Proposal((ProposedSyntax(VERIFICATION, QR_TRANSFER_SYNTAXES),))
OTHER = Proposal((ProposedSyntax("1.2.3", QR_TRANSFER_SYNTAXES),))
EXACT = Proposal((ProposedSyntax("1.2.4", QR_TRANSFER_SYNTAXES),), exact=True)
PROPOSALS = (ECHO, OTHER, EXACT)


class FakeAssociation:
    """What the pool uses of an association; `archive` counts as the archive would."""

    def __init__(self, archive: FakeArchive, proposal: Proposal) -> None:
        self.archive = archive
        self.proposal = proposal
        self.is_clean = True
        self.is_retired = False
        self.is_open = True
        self.transport = SimpleNamespace(on_activity=None)
        self.released = asyncio.get_running_loop().create_future()

    def abort(self) -> None:
        self._end()

    async def release(self) -> None:
        if self.archive.slow_release:
            await self.released
        self._end()

    def settle_idle(self) -> None:
        pass

    def end_from_outside(self) -> None:
        """The peer closes it."""
        self.is_clean = False
        self._end()
        if self.transport.on_activity is not None:
            self.transport.on_activity()

    def _end(self) -> None:
        self.is_clean = False
        if self.is_open:
            self.is_open = False
            self.archive.open_count -= 1


@dataclass
class FakeArchive:
    """Opens made-up associations; `openings` are those it has not answered."""

    open_count: int = 0
    most_open: int = 0
    slow_release: bool = False
    immediate: bool = True
    openings: list[asyncio.Future[None]] = field(default_factory=list)
    associations: list[FakeAssociation] = field(default_factory=list)
    opened_for: list[Proposal] = field(default_factory=list)

    async def open(self, peer: object, proposal: Proposal) -> FakeAssociation:
        self.open_count += 1
        self.most_open = max(self.most_open, self.open_count)
        self.opened_for.append(proposal)
        try:
            if not self.immediate:
                answer = asyncio.get_running_loop().create_future()
                self.openings.append(answer)
                await answer
        except BaseException:
            self.open_count -= 1
            raise
        association = FakeAssociation(self, proposal)
        self.associations.append(association)
        return association


PEER: Any = SimpleNamespace(ae_title="ARCHIVE")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeArchive:
    archive = FakeArchive()
    monkeypatch.setattr(pool_module, "open_association", archive.open)
    return archive


def make_pool(**limits: Any) -> Pool:
    return Pool(PEER, PoolLimits(**limits))


class Client:
    """A task that leases, holds until told and gives back."""

    def __init__(self, pool: Pool, proposal: Proposal = ECHO, *, fresh: bool = False) -> None:
        self.lease: Lease | None = None
        self.go = asyncio.Event()
        self.dirty = False
        self.task = asyncio.create_task(self._run(pool, proposal, fresh))

    async def _run(self, pool: Pool, proposal: Proposal, fresh: bool) -> None:
        async with pool.lease(proposal, fresh=fresh) as self.lease:
            await self.go.wait()
            if self.dirty:
                self.association.is_clean = False

    @property
    def association(self) -> FakeAssociation:
        assert self.lease is not None
        return self.lease.association  # type: ignore[return-value]

    @property
    def holds(self) -> bool:
        return self.lease is not None and not self.task.done()

    async def finish(self) -> None:
        self.go.set()
        await asyncio.wait({self.task})


async def turns(count: int = 8) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("lease"), st.integers(0, 2), st.booleans()),
        st.tuples(st.just("give back"), st.integers(0, 9), st.booleans()),
        st.tuples(st.just("cancel"), st.integers(0, 9), st.just(False)),
        st.tuples(st.just("answer"), st.integers(0, 9), st.booleans()),
        st.tuples(st.just("peer ends"), st.integers(0, 9), st.just(False)),
        st.tuples(st.just("released"), st.integers(0, 9), st.just(False)),
        st.tuples(st.just("turn"), st.integers(0, 9), st.just(False)),
    ),
    max_size=40,
)


class Simulation:
    """Carries out operations and checks the invariants after each."""

    def __init__(self, maximum: int) -> None:
        self.archive = FakeArchive(slow_release=True, immediate=False)
        self.pool = make_pool(max_associations=maximum, wait_s=60)
        self.clients: list[Client] = []
        self.maximum = maximum

    async def run(self, operations: list[tuple[str, int, bool]]) -> None:
        original, pool_module.open_association = pool_module.open_association, self.archive.open
        try:
            for name, number, flag in operations:
                getattr(self, "do_" + name.replace(" ", "_"))(number, flag)
                await turns(1 + number % 3)
                self.check()
            await self.end()
        finally:
            pool_module.open_association = original

    def do_lease(self, number: int, fresh: bool) -> None:
        self.clients.append(Client(self.pool, PROPOSALS[number], fresh=fresh))

    def do_give_back(self, number: int, dirty: bool) -> None:
        if holders := [client for client in self.clients if client.holds]:
            client = holders[number % len(holders)]
            client.dirty = dirty
            client.go.set()

    def do_cancel(self, number: int, _: bool) -> None:
        if running := [client for client in self.clients if not client.task.done()]:
            running[number % len(running)].task.cancel()

    def do_answer(self, number: int, refuses: bool) -> None:
        if pending := [opening for opening in self.archive.openings if not opening.done()]:
            opening = pending[number % len(pending)]
            if refuses:
                opening.set_exception(ConnectFailed("ARCHIVE", "refused"))
            else:
                opening.set_result(None)

    def do_peer_ends(self, number: int, _: bool) -> None:
        if alive := [association for association in self.archive.associations if association.is_open]:
            alive[number % len(alive)].end_from_outside()

    def do_released(self, number: int, _: bool) -> None:
        for association in self.archive.associations:
            if not association.released.done():
                association.released.set_result(None)

    def do_turn(self, number: int, _: bool) -> None:
        pass

    def check(self) -> None:
        assert self.archive.most_open <= self.maximum
        in_use = self.pool.busy_count + self.pool.idle_count + self.pool.ending_count
        assert 0 <= in_use <= self.maximum
        held = [client.association for client in self.clients if client.holds]
        assert len({id(association) for association in held}) == len(held), "leased twice"
        for client, proposal in ((c, c.association.proposal) for c in self.clients if c.holds):
            assert proposal in PROPOSALS, client
        if self.pool.waiting_count:  # nobody waits beside a free slot
            assert in_use == self.maximum

    async def end(self) -> None:
        """Let everything finish: all clients are served, or failed by the archive."""
        self.archive.immediate = True
        for _ in range(200):
            for client in self.clients:
                client.go.set()
            self.do_answer(0, False)
            self.do_released(0, False)
            await turns(2)
            self.check()
            if all(client.task.done() for client in self.clients):
                break
        for client in self.clients:
            assert client.task.done()
            if not client.task.cancelled() and (error := client.task.exception()) is not None:
                assert isinstance(error, ConnectFailed), error
        assert self.pool.busy_count == self.pool.waiting_count == 0
        closing = asyncio.create_task(self.pool.close())
        await turns()
        self.do_released(0, False)
        await closing
        assert self.archive.open_count == self.pool.idle_count == self.pool.ending_count == 0
        await turns()
        assert running_tasks() == []


@given(st.integers(1, 3), OPERATIONS)
def test_invariants_after_any_sequence(maximum: int, operations: list[tuple[str, int, bool]]) -> None:
    async def run() -> None:
        await Simulation(maximum).run(operations)

    asyncio.run(run())


class TestDecisions:
    async def test_waiters_are_served_in_order(self, fake: FakeArchive) -> None:
        pool = make_pool(max_associations=1)
        first = Client(pool)
        await turns()
        waiting = [Client(pool) for _ in range(5)]
        await turns()
        assert pool.waiting_count == 5
        served = []
        for client in [first, *waiting]:
            assert client.holds
            served.append(client.association)
            await client.finish()
            await turns()
        assert len(set(map(id, served))) == 1
        assert (pool.statistics.opened, pool.statistics.reused, pool.statistics.waits) == (1, 5, 5)
        await pool.close()

    async def test_one_that_is_retired_is_released_in_order(self, fake: FakeArchive) -> None:
        pool = make_pool(max_associations=1)
        first, second = Client(pool), Client(pool)
        await turns()
        fake.associations[0].is_retired = True
        await first.finish()
        await turns()
        assert second.holds and second.association is fake.associations[1] and not fake.associations[0].is_open
        assert (pool.statistics.released, pool.statistics.aborted, pool.statistics.opened) == (1, 0, 2)
        await second.finish()
        await pool.close()

    async def test_the_newest_idle_association_is_used_first(self, fake: FakeArchive) -> None:
        pool = make_pool(max_associations=3)
        clients = [Client(pool) for _ in range(3)]
        await turns()
        associations = [client.association for client in clients]
        for client in clients:
            await client.finish()
        again = Client(pool)
        await turns()
        assert again.association is associations[-1]
        await again.finish()
        await pool.close()

    async def test_a_full_pool_closes_an_idle_association_that_does_not_serve(self, fake: FakeArchive) -> None:
        pool = make_pool(max_associations=2)
        oldest, newest = Client(pool), Client(pool)
        await turns()
        await oldest.finish()
        await newest.finish()
        other = Client(pool, OTHER)
        await turns()
        assert other.holds
        assert [association.is_open for association in fake.associations] == [False, True, True]
        assert pool.idle_count == 1
        await other.finish()
        await pool.close()

    async def test_a_slot_is_free_only_once_its_association_is_released(self, fake: FakeArchive) -> None:
        fake.slow_release = True
        pool = make_pool(max_associations=1)
        first = Client(pool)
        await turns()
        await first.finish()
        other = Client(pool, OTHER)
        await turns()
        assert not other.holds
        assert pool.ending_count == 1
        fake.associations[0].released.set_result(None)
        await turns()
        assert other.holds
        assert fake.most_open == 1
        other.dirty = True
        await other.finish()
        await pool.close()

    async def test_only_as_many_idle_associations_are_closed_as_needed(self, fake: FakeArchive) -> None:
        fake.slow_release = True
        pool = make_pool(max_associations=4)
        clients = [Client(pool) for _ in range(4)]
        await turns()
        for client in clients:
            await client.finish()
        other = Client(pool, OTHER)
        await turns()
        another = Client(pool, EXACT)  # has the pool decide once more
        await turns()
        assert (pool.idle_count, pool.ending_count) == (3, 1)
        another.task.cancel()
        fake.associations[0].released.set_result(None)
        await turns()
        assert other.holds
        await other.finish()
        fake.slow_release = False
        await pool.close()

    async def test_the_association_with_the_fewest_contexts_to_spare_is_taken(self, fake: FakeArchive) -> None:
        pool = make_pool()
        large = Proposal((*ECHO.syntaxes, *EXACT.syntaxes), exact=True)
        clients = [Client(pool), Client(pool, large)]
        await turns()
        for client in clients:
            await client.finish()
        small, next_best = Client(pool), Client(pool)
        await turns()
        assert (small.association.proposal, next_best.association.proposal) == (ECHO, large)
        for client in (small, next_best):
            await client.finish()
        assert fake.opened_for == [ECHO, large]
        await pool.close()

    async def test_what_can_be_spared(self, fake: FakeArchive) -> None:
        pool = make_pool(max_associations=2)
        assert pool.spare_count == 2
        first, second = Client(pool), Client(pool)
        await turns()
        assert pool.spare_count == 0
        await first.finish()
        assert pool.spare_count == 1
        third, waiting = Client(pool), Client(pool, OTHER)
        await turns()
        await third.finish()
        await turns()
        assert waiting.holds and pool.spare_count == 0
        another = Client(pool)
        await turns()
        assert pool.waiting_count == 1 and pool.spare_count == 0
        for client in (second, waiting, another):
            await client.finish()
        await pool.close()

    async def test_a_dirty_association_is_aborted(self, fake: FakeArchive) -> None:
        pool = make_pool()
        client = Client(pool)
        await turns()
        client.dirty = True
        await client.finish()
        assert (pool.idle_count, pool.statistics.aborted, fake.open_count) == (0, 1, 0)
        await pool.close()

    async def test_an_exception_in_the_block_gives_back(self, fake: FakeArchive) -> None:
        pool = make_pool()
        with pytest.raises(ZeroDivisionError):
            async with pool.lease(ECHO):
                raise ZeroDivisionError
        assert (pool.idle_count, pool.busy_count) == (1, 0)
        await pool.close()

    async def test_fresh_passes_the_idle_ones_over(self, fake: FakeArchive) -> None:
        pool = make_pool()
        client = Client(pool)
        await turns()
        await client.finish()
        async with pool.lease(ECHO, fresh=True) as lease:
            assert not lease.reused
            assert lease.association is not client.association
        assert pool.idle_count == 2
        await pool.close()

    async def test_nobody_gives_back_in_time(self, fake: FakeArchive) -> None:
        pool = make_pool(max_associations=1, wait_s=0.01)
        holder = Client(pool)
        await turns()
        with pytest.raises(PoolTimeout, match="all 1 associations busy"):
            async with pool.lease(ECHO):
                pytest.fail("leased")
        assert (pool.waiting_count, pool.statistics.wait_timeouts) == (0, 1)
        await holder.finish()
        await pool.close()

    async def test_idle_and_age_limits(self, fake: FakeArchive) -> None:
        for limits in ({"max_idle_s": 0.02}, {"max_age_s": 0.02}):
            pool = make_pool(**limits)
            client = Client(pool)
            await turns()
            await client.finish()
            assert pool.idle_count == 1
            await settle(lambda: fake.open_count == 0)
            assert pool.idle_count == 0
            assert pool.statistics.released == 1
            await pool.close()

    async def test_one_timer_stands_for_all(self, fake: FakeArchive) -> None:
        pool = make_pool(max_idle_s=30)
        clients = [Client(pool) for _ in range(5)]
        await turns()
        for client in clients:
            await client.finish()
        assert pool._timer is not None
        loop = asyncio.get_running_loop()
        timers = [handle for handle in loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
        assert timers == [pool._timer]
        await pool.close()
        assert all(handle.cancelled() for handle in loop._scheduled)  # type: ignore[attr-defined]

    async def test_a_transient_rejection_is_retried_once(
        self, fake: FakeArchive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pool_module, "REJECTION_BACKOFF_S", 0)
        answers: list[int] = []

        async def open_association(peer: object, proposal: Proposal) -> object:
            if answers:
                raise AssociationRejected("ARCHIVE", answers.pop(0), 3, 2, "local limit exceeded")
            return await fake.open(peer, proposal)

        monkeypatch.setattr(pool_module, "open_association", open_association)
        pool = make_pool()
        answers[:] = [2]
        async with pool.lease(ECHO):
            pass
        for failing in ([2, 2], [1]):
            answers[:] = failing
            with pytest.raises(AssociationRejected):
                async with pool.lease(OTHER):
                    pytest.fail("leased")
            assert answers == []
            assert pool.busy_count == 0
        await pool.close()

    async def test_a_transient_rejection_ends_what_is_idle(
        self, fake: FakeArchive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The archive counts our idle associations among those it allows."""
        monkeypatch.setattr(pool_module, "REJECTION_BACKOFF_S", 0.001)

        async def open_association(peer: object, proposal: Proposal) -> object:
            if fake.open_count >= 1:
                raise AssociationRejected("ARCHIVE", 2, 3, 2, "local limit exceeded")
            return await fake.open(peer, proposal)

        monkeypatch.setattr(pool_module, "open_association", open_association)
        pool = make_pool()
        for proposal in (ECHO, OTHER, ECHO):
            async with pool.lease(proposal):
                assert fake.open_count == 1
        await pool.close()

    async def test_closing(self, fake: FakeArchive) -> None:
        pool = make_pool(max_associations=2)
        idle, leased = Client(pool, OTHER), Client(pool)
        await turns()
        await idle.finish()
        second = Client(pool, EXACT)
        await turns()
        third = Client(pool)
        await turns()
        await pool.close()
        await turns()
        assert isinstance(third.task.exception(), ShuttingDown)
        assert leased.holds
        assert second.holds
        with pytest.raises(ShuttingDown):
            async with pool.lease(ECHO):
                pytest.fail("leased")
        await leased.finish()
        pool.abort_leased()
        await second.finish()
        await turns()
        assert (pool.busy_count, pool.idle_count, fake.open_count) == (0, 0, 0)

    async def test_finding_a_proposal_in_use(self, fake: FakeArchive) -> None:
        pool = make_pool()
        assert pool.find_proposal(lambda proposal: True) is None
        client = Client(pool, OTHER)
        await turns()
        assert pool.find_proposal(lambda proposal: proposal is OTHER) is OTHER
        assert pool.find_proposal(lambda proposal: proposal is ECHO) is None
        await client.finish()
        assert pool.find_proposal(lambda proposal: proposal is OTHER) is OTHER
        await pool.close()
