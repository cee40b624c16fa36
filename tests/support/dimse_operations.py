"""One association to a scripted archive, for tests of operations on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from gateway.config import BackendSettings, DimseSettings
from gateway.dimse.acceptor import Acceptor
from gateway.dimse.archive import Archive
from gateway.dimse.association import Association
from gateway.dimse.contexts import Proposal, ProposedSyntax
from gateway.dimse.move_routing import MoveReception, MoveRegistry
from gateway.dimse.requestor import open_association
from gateway.dimse.scp.storage import MoveStorageProvider
from gateway.dimse.scp.verification import VerificationProvider
from gateway.dimse.uids import (
    QR_TRANSFER_SYNTAXES,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    VERIFICATION,
)
from gateway.tasks import running_tasks
from tests.support.cancellation import iter_cancelled_runs, settle
from tests.support.scripted_peer import (
    CT_IMAGE_STORAGE,
    PeerAssociation,
    Script,
    ScriptedPeer,
    request_association,
)

SHORT_S = 0.03  # for limits that are meant to be reached
LONG_S = 5.0  # for limits that are not
IDENTIFIER = b"\x08\0\x52\0CS\6\0STUDY "

PROPOSAL = Proposal(
    (
        *(
            ProposedSyntax(uid, QR_TRANSFER_SYNTAXES)
            for uid in (VERIFICATION, STUDY_ROOT_FIND, STUDY_ROOT_MOVE, STUDY_ROOT_GET)
        ),
        ProposedSyntax(CT_IMAGE_STORAGE, QR_TRANSFER_SYNTAXES[:1], scp=True),
    )
)


def encode_nothing(transfer_syntax: str) -> bytes:
    """An identifier that says no more than its level."""
    assert transfer_syntax in QR_TRANSFER_SYNTAXES
    return IDENTIFIER


@asynccontextmanager
async def associated(script: Script, **fields: Any) -> AsyncIterator[tuple[Association, ScriptedPeer]]:
    """An association with a peer that runs `script`."""
    async with ScriptedPeer(script) as archive:
        async with lend(archive, **fields) as association:
            yield association, archive
        await archive.until(lambda: archive.open_count == 0)
        assert running_tasks() == []


@asynccontextmanager
async def lend(archive: ScriptedPeer, **fields: Any) -> AsyncIterator[Association]:
    """An association, ended in order if clean, else aborted, as the pool does."""
    association = await open_association(archive.describe(**fields), PROPOSAL)
    try:
        yield association
    finally:
        if association.is_clean:
            await association.release()
        else:
            association.abort()


async def cancel_at_every_await(
    script: Script, operate: Callable[[Association], Coroutine[Any, Any, object]], **fields: Any
) -> int:
    """Cancel `operate` at each await, on a new association each time; how many awaits there were.

    Afterwards nothing may be left: no task, no association that the peer still takes for open.
    """
    steps = 0
    async with ScriptedPeer(script) as archive:

        async def run() -> None:
            async with lend(archive, **fields) as association:
                await operate(association)

        async for _ in iter_cancelled_runs(run):
            steps += 1
            await archive.until(lambda: archive.open_count == 0)
            await settle(lambda: not running_tasks())
        await archive.until(lambda: archive.open_count == 0)
    return steps


class Destination:
    """Our acceptor with both its services, as C-MOVE destination; `registry` is where moves are registered."""

    def __init__(self, **settings: Any) -> None:
        self.registry = MoveRegistry()
        self.acceptor = Acceptor(
            DimseSettings(**{"listen": "127.0.0.1:0"} | settings),
            lambda: frozenset({"GATEWAY"}),
            (VerificationProvider(), MoveStorageProvider(self.registry)),
        )

    async def __aenter__(self) -> Destination:
        await self.acceptor.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.acceptor.close()
        assert self.acceptor.association_count == 0
        assert self.registry.active_count == 0

    @asynccontextmanager
    async def connect(self, **fields: Any) -> AsyncIterator[PeerAssociation]:
        """An association of an archive with us for CT images and Verification."""
        syntaxes = ((CT_IMAGE_STORAGE, QR_TRANSFER_SYNTAXES[:1]), (VERIFICATION, QR_TRANSFER_SYNTAXES))
        async with request_association(self.acceptor.port, *syntaxes, **fields) as association:
            yield association

    def register(self, **fields: Any) -> MoveReception:
        """Expect a move."""
        values = {"archive_ae_title": "ARCHIVE", "calling_ae_title": "GATEWAY", "destination": "GATEWAY"}
        return self.registry.register(**values | fields)


@asynccontextmanager
async def archive_at(
    port: int, destination: Destination | None = None, *, can_receive: bool = True, **settings: Any
) -> AsyncIterator[Archive]:
    """The archive at `port` as services see it, closed at the end with nothing left."""
    async with destination or Destination() as running:
        values = {"ae_title": "ARCHIVE", "host": "127.0.0.1", "port": port, "cancel_timeout_s": 1, "move_grace_s": 1}
        backend = BackendSettings(**values | settings)
        archive = Archive("main", backend, ae_title="GATEWAY", registry=running.registry, can_receive=can_receive)
        yield archive
        await archive.close()
        assert archive.pool.busy_count == archive.pool.idle_count == archive.pool.waiting_count == 0
    await settle(lambda: running_tasks() == [])
