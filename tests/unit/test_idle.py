"""A gateway with nothing to do does nothing: associations that rest wake nobody, however many there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

from gateway.app import Gateway, run_gateway
from gateway.config import BackendSettings, DimseSettings, GatewaySettings, HttpSettings
from gateway.dimse.proposals import propose_query
from gateway.dimse.uids import QR_TRANSFER_SYNTAXES, VERIFICATION
from tests.support.scripted_peer import PeerAssociation, ScriptedPeer, request_association

EACH_WAY = 16
WATCHED_S = 0.3  # however long a busy machine makes it: what is counted are iterations, not seconds
SETTLING = 50
OWN_ITERATIONS = 2  # the one that begins to wait and the one that ends waiting


class CountingSelector:
    """The event loop's selector, counting how often the loop asks it: once in each iteration."""

    def __init__(self, selector: Any) -> None:
        self._select: Callable[..., Any] = selector.select
        self.count = 0

    def select(self, timeout: float | None = None) -> Any:
        self.count += 1
        return self._select(timeout)


@contextmanager
def counted_iterations() -> Iterator[CountingSelector]:
    selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    counting = CountingSelector(selector)
    selector.select = counting.select
    try:
        yield counting
    finally:
        del selector.select


async def accept(peer: PeerAssociation) -> None:
    await peer.accept()


async def open_associations(stack: AsyncExitStack, gateway: Gateway) -> None:
    """As many in the pool as an archive has opened with us."""
    archive = gateway.archives["main"]
    proposal = propose_query(archive.settings)
    async with AsyncExitStack() as leases:
        for _ in range(EACH_WAY):
            await leases.enter_async_context(archive.pool.lease(proposal, fresh=True))
    for _ in range(EACH_WAY):
        await stack.enter_async_context(
            request_association(gateway.dimse_port, (VERIFICATION, QR_TRANSFER_SYNTAXES), called="GATEWAY")
        )
    assert archive.pool.idle_count == gateway.acceptor.association_count == EACH_WAY


async def test_32_idle_associations_wake_nobody() -> None:
    async with ScriptedPeer(accept) as peer, AsyncExitStack() as stack:
        backend = BackendSettings(ae_title="ARCHIVE", host="127.0.0.1", port=peer.port, max_associations=EACH_WAY)
        settings = GatewaySettings(
            http=HttpSettings(listen="127.0.0.1:0", shutdown_grace_s=1),
            dimse=DimseSettings(listen="127.0.0.1:0"),
            backends={"main": backend},
        )
        gateway = await stack.enter_async_context(run_gateway(settings))
        await open_associations(stack, gateway)
        for _ in range(SETTLING):
            await asyncio.sleep(0)  # both sides of the associations are in this loop
        with counted_iterations() as loop:
            await asyncio.sleep(WATCHED_S)
        assert loop.count <= OWN_ITERATIONS
        assert gateway.archives["main"].pool.idle_count == gateway.acceptor.association_count == EACH_WAY


async def test_a_timer_that_ticks_is_counted() -> None:
    with counted_iterations() as loop:
        for _ in range(OWN_ITERATIONS + 1):
            await asyncio.sleep(0.001)
    assert loop.count > OWN_ITERATIONS
