"""C-CANCEL and the drain: bounded by time and by bytes; late stores are refused."""

from __future__ import annotations

import asyncio

import pytest

from gateway.dimse.commands import Command, CommandField
from gateway.dimse.scu import cancel
from gateway.dimse.scu.cancel import cancel_and_drain, is_final_response
from tests.support.dimse_operations import LONG_S, SHORT_S, associated
from tests.support.scripted_peer import CT_IMAGE_STORAGE, PeerAssociation


def response(**fields: object) -> Command:
    values = {"command_field": CommandField.C_GET_RSP, "message_id_being_responded_to": 3, "status": 0}
    return Command(**values | fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("command", "is_final"),
    [
        (response(), True),
        (response(status=0xFE00), True),
        (response(status=0xB000), True),
        (response(status=0xC123), True),
        (response(status=0xFF00), False),
        (response(status=0xFF01), False),
        (response(status=None), False),
        (response(message_id_being_responded_to=4), False),
        (response(command_field=CommandField.C_FIND_RSP), False),
    ],
)
def test_what_is_final(command: Command, is_final: bool) -> None:
    assert is_final_response(command, CommandField.C_GET_RSP, 3) is is_final


async def test_late_stores_are_refused_and_pendings_passed_over() -> None:
    answers: list[int | None] = []

    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        request = await peer.receive()
        context_id = peer.context_for(CT_IMAGE_STORAGE)
        assert request.command.command_field is CommandField.C_CANCEL_RQ
        for number in range(3):
            answer = await peer.store(context_id, f"1.2.{number}", bytes(40_000), message_id=number)
            assert answer.command.command_field is CommandField.C_STORE_RSP
            assert answer.command.message_id_being_responded_to == number
            answers.append(answer.command.status)
            await peer.respond(request, 0xFF00, **GET_3)
        await peer.respond(request, 0xFE00, b"failed list", **GET_3)

    async with associated(script) as (association, _):
        association.begin_operation()
        await cancel_and_drain(association, 7, 3, CommandField.C_GET_RSP, timeout=LONG_S)
        assert association.is_clean and association.is_retired
    assert answers == [0xA700] * 3


GET_3 = {"command_field": CommandField.C_GET_RSP, "message_id_being_responded_to": 3}


async def test_too_many_bytes_end_the_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancel, "MAX_DRAIN_BYTES", 1_000_000)

    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.receive()
        context_id = peer.context_for(CT_IMAGE_STORAGE)
        await peer.send_bytes(peer.encode(context_id, Command(**STORE), bytes(10)))
        await peer.receive()
        await peer.send_bytes(peer.encode(context_id, Command(**STORE), bytes(50_000_000), fragment=16_000))

    async with associated(script) as (association, archive):
        association.begin_operation()
        await cancel_and_drain(association, 7, 3, CommandField.C_GET_RSP, timeout=LONG_S)
        assert not association.is_usable
        assert association.bytes_received < 3_000_000
    assert archive.endings[0] in ("aborted", "closed")  # a reset may overtake the A-ABORT


STORE = {
    "command_field": CommandField.C_STORE_RQ,
    "message_id": 9,
    "affected_sop_class_uid": CT_IMAGE_STORAGE,
    "affected_sop_instance_uid": "1.2.3",
    "has_data_set": True,
}


async def test_time_ends_the_drain() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()

    async with associated(script) as (association, archive):
        await cancel_and_drain(association, 7, 3, CommandField.C_GET_RSP, timeout=SHORT_S)
        assert not association.is_usable
    assert archive.endings == ["aborted"]


async def test_cancelled_while_draining_aborts() -> None:
    cancelled = asyncio.Event()

    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.receive()
        cancelled.set()

    async with associated(script) as (association, archive):
        draining = asyncio.create_task(cancel_and_drain(association, 7, 3, CommandField.C_GET_RSP, timeout=LONG_S))
        await cancelled.wait()
        draining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await draining
        assert not association.is_usable
    assert archive.endings == ["aborted"]


async def test_an_association_that_ends_meanwhile() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.receive()
        await peer.abort()

    async with associated(script) as (association, _):
        await cancel_and_drain(association, 7, 3, CommandField.C_GET_RSP, timeout=LONG_S)
        assert not association.is_usable
