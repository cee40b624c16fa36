"""C-ECHO as SCU."""

from __future__ import annotations

import pytest

from gateway.dimse.commands import CommandField
from gateway.dimse.scu.verification import echo
from gateway.dimse.uids import VERIFICATION
from gateway.errors import AssociationAborted, DimseStatusError, DimseTimeout, NoAcceptedContext, UndecodableResponse
from tests.support.dimse_operations import LONG_S, SHORT_S, associated
from tests.support.scripted_peer import PeerAssociation


async def test_success() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        for _ in range(2):
            request = await peer.receive()
            assert request.command.affected_sop_class_uid == VERIFICATION
            assert not request.command.has_data_set
            await peer.respond(request, 0)

    async with associated(script) as (association, archive):
        await echo(association, timeout=LONG_S)
        assert association.is_clean
        await echo(association, timeout=LONG_S)
        assert [command.message_id for command in archive.associations[0].messages_received] == [1, 2]
    assert archive.endings == ["released"]


async def test_another_status() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.respond(await peer.receive(), 0x0122, error_comment="not here")

    async with associated(script) as (association, _):
        with pytest.raises(DimseStatusError) as caught:
            await echo(association, timeout=LONG_S)
        assert (caught.value.status, caught.value.comment) == (0x0122, "not here")
        assert caught.value.meaning == "SOP class not supported"
        assert association.is_clean


@pytest.mark.parametrize(
    "fields",
    [
        {"message_id_being_responded_to": 9},
        {"command_field": CommandField.C_STORE_RSP},
        {"status": None},
    ],
)
async def test_an_answer_to_something_else(fields: dict[str, object]) -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.respond(await peer.receive(), 0, **fields)

    async with associated(script) as (association, archive):
        with pytest.raises(UndecodableResponse):
            await echo(association, timeout=LONG_S)
        assert not association.is_clean
    assert archive.endings == ["aborted"]


async def test_silence() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.receive()

    async with associated(script) as (association, _):
        with pytest.raises(DimseTimeout):
            await echo(association, timeout=SHORT_S)
        assert not association.is_clean


async def test_abort() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.receive()
        await peer.abort()

    async with associated(script) as (association, _):
        with pytest.raises(AssociationAborted):
            await echo(association, timeout=LONG_S)


async def test_not_negotiated() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept(results={VERIFICATION: 3})

    async with associated(script) as (association, _):
        with pytest.raises(NoAcceptedContext) as caught:
            await echo(association, timeout=LONG_S)
        assert (caught.value.abstract_syntax, caught.value.result) == (VERIFICATION, 3)
        assert association.is_clean
