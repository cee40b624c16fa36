"""C-STORE as SCU: the command set, the data set in pieces, every answer."""

from __future__ import annotations

import asyncio

import pytest

from gateway.dimse.association import Association
from gateway.dimse.commands import Command, CommandField
from gateway.dimse.scu.storage import InstanceToStore, store
from gateway.dimse.uids import QR_TRANSFER_SYNTAXES
from gateway.dimse.ul.events import Abort, TransportClosed
from gateway.errors import (
    AssociationAborted,
    ConnectionLost,
    DimseTimeout,
    NoAcceptedContext,
    UndecodableResponse,
)
from tests.support.dimse_operations import LONG_S, SHORT_S, associated, cancel_at_every_await
from tests.support.scripted_peer import CT_IMAGE_STORAGE, PeerAssociation

INSTANCE = InstanceToStore(CT_IMAGE_STORAGE, "1.2.3", QR_TRANSFER_SYNTAXES[0])


@pytest.mark.parametrize("status", [0x0000, 0xB000, 0xA700, 0xC000, 0x0117])
async def test_data_set_and_status(status: int) -> None:
    payload = bytes(range(256)) * 400 + b"x"

    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        request = await peer.receive()
        assert request.command.command_field is CommandField.C_STORE_RQ
        assert request.command.affected_sop_class_uid == CT_IMAGE_STORAGE
        assert request.command.affected_sop_instance_uid == "1.2.3"
        assert request.command.move_originator_message_id is None
        assert request.data == payload + b"\0"
        assert max(peer.fragment_lengths) <= peer.max_length - 6
        await peer.respond(request, status, error_comment="so")

    async with associated(script) as (association, _):
        async with store(association, INSTANCE, LONG_S) as operation:
            for at in range(0, len(payload), 10_007):
                await operation.write(payload[at : at + 10_007])
            await operation.end()
            answer = await operation.finish()
        assert (answer.status, answer.error_comment) == (status, "so")
        assert association.is_clean


async def test_one_association_stores_many() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        for _ in range(3):
            await peer.respond(await peer.receive(), 0)

    async with associated(script) as (association, archive):
        for number in range(3):
            instance = InstanceToStore(CT_IMAGE_STORAGE, f"1.2.{number}", QR_TRANSFER_SYNTAXES[0])
            async with store(association, instance, LONG_S) as operation:
                await operation.write(b"abcd")
                await operation.end()
                assert (await operation.finish()).status == 0
        received = archive.associations[0].messages_received
        assert [command.message_id for command in received] == [1, 2, 3]


@pytest.mark.parametrize(
    "fields",
    [{"message_id_being_responded_to": 9}, {"command_field": CommandField.C_ECHO_RSP}, {"status": None}],
)
async def test_an_answer_to_something_else(fields: dict[str, object]) -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.respond(await peer.receive(), 0, **fields)

    async with associated(script) as (association, archive):
        with pytest.raises(UndecodableResponse):
            async with store(association, INSTANCE, LONG_S) as operation:
                await operation.write(b"abcd")
                await operation.end()
                await operation.finish()
        assert not association.is_clean
    assert archive.endings == ["aborted"]


async def test_leaving_before_the_end_leaves_the_association_unclean() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.receive()

    async with associated(script) as (association, archive):
        async with store(association, INSTANCE, LONG_S) as operation:
            await operation.write(b"abcd")
        assert not association.is_clean
    assert archive.endings == ["aborted"]


async def test_no_answer() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.receive()

    async with associated(script) as (association, _):
        with pytest.raises(DimseTimeout, match="C-STORE-RSP"):
            async with store(association, INSTANCE, SHORT_S) as operation:
                await operation.end()
                await operation.finish()
        assert not association.is_clean


async def test_an_archive_that_stops_taking_bytes() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.receive_event()
        await stalled.wait()

    stalled = asyncio.Event()
    async with associated(script, silence_timeout_s=0.1) as (association, _):
        with pytest.raises(DimseTimeout, match="took nothing"):
            async with store(association, INSTANCE, LONG_S) as operation:
                for _ in range(100):
                    await operation.write(bytes(1 << 20))
        association.abort()
        stalled.set()


@pytest.mark.parametrize("how", ["abort", "drop"])
async def test_an_archive_that_goes_in_mid_instance(how: str) -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        for _ in range(3):
            await peer.receive_event()
        if how == "abort":
            await peer.abort()
        else:
            peer.drop()

    async with associated(script) as (association, _):
        with pytest.raises((AssociationAborted, ConnectionLost)):
            async with store(association, INSTANCE, LONG_S) as operation:
                while True:
                    await operation.write(bytes(100_000))
        assert not association.is_clean


async def test_an_answer_before_the_end_is_seen_and_leaves_the_association_unclean() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.receive_event()
        answer = Command(command_field=CommandField.C_STORE_RSP, message_id_being_responded_to=1, status=0xA700)
        await peer.send(peer.context_for(CT_IMAGE_STORAGE), answer)
        while not isinstance(await peer.receive_event(), TransportClosed | Abort):
            pass

    async with associated(script) as (association, _):
        async with store(association, INSTANCE, LONG_S) as operation:
            assert not operation.is_answered
            async with asyncio.timeout(10):
                while not operation.is_answered:
                    await operation.write(bytes(100_000))
                    await asyncio.sleep(0)
            assert (await operation.finish()).status == 0xA700
        assert not association.is_clean


@pytest.mark.parametrize(
    ("instance", "result"),
    [
        (InstanceToStore("1.2.840.10008.5.1.4.1.1.4", "1.2", QR_TRANSFER_SYNTAXES[0]), 3),
        (InstanceToStore(CT_IMAGE_STORAGE, "1.2", "1.2.840.10008.1.2.4.50"), 4),
    ],
)
async def test_not_negotiated(instance: InstanceToStore, result: int) -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()

    async with associated(script) as (association, _):
        with pytest.raises(NoAcceptedContext) as caught:
            async with store(association, instance, LONG_S):
                pytest.fail("sent")
        assert caught.value.result == result
        assert association.is_clean


async def test_cancelled_at_every_await() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.respond(await peer.receive(), 0)

    async def operate(association: Association) -> None:
        async with store(association, INSTANCE, LONG_S) as operation:
            for _ in range(3):
                await operation.write(bytes(50_000))
            await operation.end()
            await operation.finish()

    assert await cancel_at_every_await(script, operate) >= 3
