"""The pool over real associations: leases at once, endings noticed, cancellation at every await."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.dimse.contexts import Proposal, ProposedSyntax
from gateway.dimse.pool import Pool, PoolLimits
from gateway.dimse.scu.verification import echo
from gateway.dimse.uids import QR_TRANSFER_SYNTAXES, VERIFICATION
from gateway.errors import AssociationRejected
from gateway.tasks import running_tasks
from tests.support.cancellation import iter_cancelled_runs, settle
from tests.support.scripted_peer import PeerAssociation, PeerGone, ScriptedPeer

ECHO = Proposal((ProposedSyntax(VERIFICATION, QR_TRANSFER_SYNTAXES),))
OTHER = Proposal((ProposedSyntax("1.2.3", QR_TRANSFER_SYNTAXES),))
EXACT = Proposal((ProposedSyntax("1.2.4", QR_TRANSFER_SYNTAXES),), exact=True)
PROPOSALS = (ECHO, OTHER, EXACT)


async def answer_echoes(peer: PeerAssociation) -> None:
    await peer.accept()
    while True:
        await peer.respond(await peer.receive(), 0)


@asynccontextmanager
async def pool_with(
    *scripts: Callable[[PeerAssociation], Any], **limits: Any
) -> AsyncIterator[tuple[Pool, ScriptedPeer]]:
    async with ScriptedPeer(*scripts) as archive:
        pool = Pool(archive.describe(), PoolLimits(**limits))
        yield pool, archive
        await pool.close()
        await archive.until(lambda: archive.open_count == 0)
        assert pool.busy_count == pool.idle_count == pool.waiting_count == 0
        assert running_tasks() == []


class TestRealAssociations:
    async def test_fifty_leases_at_once_over_four_associations(self) -> None:
        async with pool_with(answer_echoes, max_associations=4) as (pool, archive):

            async def use() -> None:
                async with pool.lease(ECHO) as lease:
                    await echo(lease.association, timeout=5)

            await asyncio.gather(*(use() for _ in range(50)))
            assert archive.most_open == 4
            assert (pool.statistics.opened, pool.statistics.reused) == (4, 46)
            assert (pool.idle_count, pool.busy_count) == (4, 0)
        assert archive.endings == ["released"] * 4

    async def test_fifty_leases_for_three_purposes_never_pass_the_maximum(self) -> None:
        most: list[int] = []

        async def count(peer: PeerAssociation) -> None:
            await peer.receive_request()
            most.append(sum(not ending for ending in archive.endings))
            await peer.accept()

        async with pool_with(count, max_associations=4) as (pool, archive):

            async def use(proposal: Proposal) -> None:
                async with pool.lease(proposal):
                    await asyncio.sleep(0)

            await asyncio.gather(*(use(PROPOSALS[number % 3]) for number in range(50)))
            assert max(most) == 4  # in the archive's own view, where a release counts once it was asked for
            assert pool.busy_count == 0

    @pytest.mark.parametrize("how", ["release", "abort", "drop", "send garbage", "unasked message"])
    async def test_the_end_of_an_idle_association_is_noticed(self, how: str) -> None:
        go = asyncio.Event()

        async def script(peer: PeerAssociation) -> None:
            await peer.accept()
            message = await peer.receive()
            await peer.respond(message, 0)
            await go.wait()
            match how:
                case "release":
                    await peer.release()
                case "abort":
                    await peer.abort()
                case "drop":
                    peer.drop()
                case "send garbage":
                    await peer.send_bytes(b"\xff" * 30)
                case "unasked message":
                    await peer.respond(message, 0)

        async with pool_with(script, answer_echoes) as (pool, archive):
            async with pool.lease(ECHO) as lease:
                await echo(lease.association, timeout=5)
            assert pool.idle_count == 1
            go.set()
            await archive.until(lambda: archive.open_count == 0)
            await settle(lambda: pool.idle_count == 0)
            async with pool.lease(ECHO) as lease:
                assert not lease.reused
                await echo(lease.association, timeout=5)

    async def test_an_association_with_an_operation_under_way_is_aborted(self) -> None:
        async def never_answer(peer: PeerAssociation) -> None:
            await peer.accept()
            await peer.receive()

        async with pool_with(never_answer) as (pool, archive):
            with pytest.raises(TimeoutError):
                async with pool.lease(ECHO) as lease, asyncio.timeout(0.02):
                    await echo(lease.association, timeout=5)
            await archive.until(lambda: archive.endings == ["aborted"])
            assert pool.statistics.aborted == 1

    async def test_a_rejection_frees_the_slot(self) -> None:
        async def reject(peer: PeerAssociation) -> None:
            await peer.reject(1, 1, 3)

        async with pool_with(reject, reject, answer_echoes, max_associations=1) as (pool, archive):
            for _ in range(2):
                with pytest.raises(AssociationRejected):
                    async with pool.lease(ECHO):
                        pytest.fail("leased")
            async with pool.lease(ECHO) as lease:
                await echo(lease.association, timeout=5)

    async def test_cancelled_at_every_await_leaves_nothing(self) -> None:
        async with ScriptedPeer(answer_echoes) as archive:
            pools: list[Pool] = []

            async def operate() -> None:
                pool = Pool(archive.describe(), PoolLimits(max_associations=1))
                pools.append(pool)
                async with pool.lease(ECHO) as lease:
                    await echo(lease.association, timeout=5)
                async with pool.lease(OTHER):
                    await asyncio.sleep(0)

            steps = 0
            async for _ in iter_cancelled_runs(operate):
                steps += 1
                pool = pools[-1]
                assert (pool.busy_count, pool.waiting_count) == (0, 0)
                async with pool.lease(ECHO) as lease:  # the only slot is free
                    await echo(lease.association, timeout=5)
                await pool.close()
                await archive.until(lambda: archive.open_count == 0)
                assert running_tasks() == []
            assert steps >= 4
            await pools[-1].close()

    async def test_a_waiter_cancelled_as_its_turn_comes(self) -> None:
        async with pool_with(answer_echoes, max_associations=1) as (pool, archive):
            released = asyncio.Event()

            async def hold() -> None:
                async with pool.lease(ECHO):
                    await released.wait()
                assert pool.busy_count == 1  # giving back has made it the waiter's turn, which has not run yet
                waiter.cancel()

            async def wait() -> None:
                async with pool.lease(ECHO):
                    pytest.fail("leased")

            holder = asyncio.create_task(hold())
            await settle(lambda: archive.open_count == 1 and len(pool._leased) == 1)
            waiter = asyncio.create_task(wait())
            await asyncio.sleep(0)
            assert pool.waiting_count == 1
            released.set()
            await holder
            with pytest.raises(asyncio.CancelledError):
                await waiter
            assert (pool.busy_count, pool.idle_count) == (0, 1)

    async def test_close_waits_for_a_peer_that_does_not_answer_the_release(self, monkeypatch: Any) -> None:
        async def stall(peer: PeerAssociation) -> None:
            await peer.accept()
            while True:
                if (event := await peer.receive_event()) and type(event).__name__ in ("Abort", "TransportClosed"):
                    peer.ending = type(event).__name__
                    raise PeerGone(peer.ending)

        monkeypatch.setattr("gateway.dimse.association.Association.release.__kwdefaults__", {"timeout": 0.02})
        async with pool_with(stall) as (pool, archive):
            async with pool.lease(ECHO):
                pass
        assert archive.endings == ["Abort"]
