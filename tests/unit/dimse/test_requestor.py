"""Opening an association: what is proposed, and every way not to get one."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gateway.dimse.contexts import Proposal, ProposedSyntax
from gateway.dimse.requestor import open_association
from gateway.dimse.uids import QR_TRANSFER_SYNTAXES, STUDY_ROOT_FIND, STUDY_ROOT_GET
from gateway.dimse.ul.events import Abort, ExtendedNegotiation, UserIdentity
from gateway.errors import (
    AssociationAborted,
    AssociationRejected,
    AssociationTimeout,
    BackendError,
    ConnectFailed,
    ConnectionLost,
    ConnectTimeout,
    UndecodableResponse,
)
from tests.support.cancellation import iter_cancelled_runs
from tests.support.scripted_peer import CT_IMAGE_STORAGE, PeerAssociation, ScriptedPeer

PROPOSAL = Proposal(
    (
        ProposedSyntax(STUDY_ROOT_GET, QR_TRANSFER_SYNTAXES),
        ProposedSyntax(CT_IMAGE_STORAGE, QR_TRANSFER_SYNTAXES[:1], scp=True),
        ProposedSyntax(STUDY_ROOT_FIND, QR_TRANSFER_SYNTAXES),
    ),
    (ExtendedNegotiation(STUDY_ROOT_FIND, b"\1\1"),),
)


async def test_what_is_proposed_and_what_came_of_it() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept(results={STUDY_ROOT_FIND: 3}, transfer_syntaxes={STUDY_ROOT_GET: QR_TRANSFER_SYNTAXES[1]})

    async with ScriptedPeer(script) as archive:
        identity = UserIdentity(2, b"user", b"secret")
        association = await open_association(archive.describe(user_identity=identity), PROPOSAL)
        request = archive.associations[0].request
        assert request is not None
        assert (request.called_ae_title, request.calling_ae_title) == ("ARCHIVE", "GATEWAY")
        assert [context.context_id for context in request.contexts] == [1, 3, 5]
        assert [(role.sop_class_uid, role.scp) for role in request.roles] == [(CT_IMAGE_STORAGE, True)]
        assert request.user_identity == identity
        assert association.contexts.find(STUDY_ROOT_GET).transfer_syntax == QR_TRANSFER_SYNTAXES[1]
        assert association.contexts.find(CT_IMAGE_STORAGE, scp=True).context_id == 3
        assert association.contexts.find(STUDY_ROOT_FIND) is None
        assert association.extended == {STUDY_ROOT_FIND: b"\1\1"}
        assert association.is_clean
        await association.release()
        await archive.until(lambda: archive.endings == ["released"])


async def test_an_acceptance_without_any_context_is_an_association() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept(results=dict.fromkeys((STUDY_ROOT_GET, STUDY_ROOT_FIND, CT_IMAGE_STORAGE), 4))

    async with ScriptedPeer(script) as archive:
        association = await open_association(archive.describe(), PROPOSAL)
        assert association.contexts.worst_result(STUDY_ROOT_GET) == 4
        association.abort()
        await archive.until(lambda: archive.endings == ["aborted"])


async def test_an_abort_in_the_same_segment_as_the_acceptance() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept(with_bytes=bytes.fromhex("07 00 00000004 00 00 02 00"))

    async with ScriptedPeer(script) as archive:
        association = await open_association(archive.describe(), PROPOSAL)
        assert not association.is_usable
        with pytest.raises(AssociationAborted):
            await association.receive(1, waiting_for="it")


async def reject(peer: PeerAssociation) -> None:
    await peer.reject(1, 1, 7)


async def abort(peer: PeerAssociation) -> None:
    await peer.receive_request()
    await peer.send_bytes(peer.connection.send(Abort(0, 0)))


async def drop(peer: PeerAssociation) -> None:
    await peer.receive_request()
    peer.drop()


async def drop_within_the_answer(peer: PeerAssociation) -> None:
    await peer.receive_request()
    await peer.send_bytes(bytes.fromhex("02 00 000000ff 00 01"))
    peer.drop()


async def send_garbage(peer: PeerAssociation) -> None:
    await peer.receive_request()
    await peer.send_bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def send_data(peer: PeerAssociation) -> None:
    await peer.receive_request()
    await peer.send_bytes(bytes.fromhex("04 00 00000008 00000004 01 03 6162"))


async def release_instead(peer: PeerAssociation) -> None:
    await peer.receive_request()
    await peer.send_bytes(bytes.fromhex("05 00 00000004 00000000"))


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (reject, AssociationRejected),
        (abort, AssociationAborted),
        (drop, ConnectionLost),
        (drop_within_the_answer, ConnectionLost),
        (send_garbage, UndecodableResponse),
        (send_data, UndecodableResponse),
        (release_instead, UndecodableResponse),
    ],
)
async def test_other_answers(script: object, error: type[BackendError]) -> None:
    async with ScriptedPeer(script) as archive:  # type: ignore[arg-type]
        with pytest.raises(error) as caught:
            await open_association(archive.describe(), PROPOSAL)
        assert caught.value.ae_title == "ARCHIVE"
        if isinstance(caught.value, AssociationRejected):
            assert (caught.value.result, caught.value.source, caught.value.reason) == (1, 1, 7)
            assert "called AE title not recognized" in str(caught.value)
        await archive.until(lambda: archive.open_count == 0)


async def test_no_answer() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.receive_request()

    async with ScriptedPeer(script) as archive:
        with pytest.raises(AssociationTimeout, match=r"0\.02 s"):
            await open_association(archive.describe(associate_timeout_s=0.02), PROPOSAL)
        await archive.until(lambda: archive.endings == ["aborted"])


async def test_nobody_listens() -> None:
    async with ScriptedPeer(reject) as archive:
        peer = archive.describe()
    with pytest.raises(ConnectFailed, match="connection refused"):
        await open_association(peer, PROPOSAL)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b"])
async def test_a_name_that_does_not_resolve(host: str) -> None:
    async with ScriptedPeer(reject) as archive:
        with pytest.raises(ConnectFailed, match="cannot be resolved"):
            await open_association(archive.describe(host=host), PROPOSAL)


async def test_a_connect_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*arguments: object, **fields: object) -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr("gateway.dimse.requestor.connect", never)
    async with ScriptedPeer(reject) as archive:
        with pytest.raises(ConnectTimeout, match=r"0\.01 s"):
            await open_association(archive.describe(connect_timeout_s=0.01), PROPOSAL)


async def test_cancelled_at_every_await_leaves_no_connection() -> None:
    async def accept(peer: PeerAssociation) -> None:
        await peer.accept()

    async with ScriptedPeer(accept) as archive:

        async def operate() -> None:
            association = await open_association(archive.describe(), PROPOSAL)
            association.abort()

        steps = [step async for step in iter_cancelled_runs(operate)]
        assert len(steps) >= 2
        await archive.until(lambda: archive.open_count == 0)


def test_the_text_of_failures_names_no_address() -> None:
    from gateway.dimse.requestor import _describe_failure

    assert _describe_failure(socket.gaierror(8, "name 10.0.0.1")) == "its name cannot be resolved"
    assert _describe_failure(OSError("Multiple exceptions: 10.0.0.1")) == "none of its addresses answers"
