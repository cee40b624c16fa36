"""Our acceptor: whom it takes, what it answers, how it ends."""

from __future__ import annotations

import asyncio

import pytest

from gateway.config import DimseSettings
from gateway.dimse.acceptor import Acceptor
from gateway.dimse.commands import Command, CommandField
from gateway.dimse.uids import QR_TRANSFER_SYNTAXES, STUDY_ROOT_FIND, VERIFICATION
from gateway.dimse.ul.connection import Connection, Role
from gateway.dimse.ul.events import Abort, AssociateAccept, AssociateReject, TransportClosed
from gateway.tasks import running_tasks
from tests.support.cancellation import settle
from tests.support.dimse_operations import SHORT_S, Destination
from tests.support.scripted_peer import CT_IMAGE_STORAGE, PeerAssociation, PeerGone, request_association

ECHO = Command(command_field=CommandField.C_ECHO_RQ, message_id=5, affected_sop_class_uid=VERIFICATION)


async def expect_end(peer: PeerAssociation) -> str:
    """How we end it."""
    with pytest.raises(PeerGone) as caught:
        await peer.receive()
    return caught.value.how


async def test_echo_and_release() -> None:
    async with Destination() as destination, destination.connect() as peer:
        for number in (1, 2):
            await peer.send(3, Command(command_field=CommandField.C_ECHO_RQ, message_id=number))
            answer = (await peer.receive()).command
            assert (answer.command_field, answer.message_id_being_responded_to) == (CommandField.C_ECHO_RSP, number)
            assert (answer.status, answer.affected_sop_class_uid) == (0, VERIFICATION)
        await peer.release()
        assert peer.ending == "ReleaseReply"
        await settle(lambda: destination.acceptor.association_count == 0)
        assert running_tasks() == []


async def test_what_is_accepted() -> None:
    syntaxes = (
        (VERIFICATION, ("1.2.840.10008.1.2",)),
        (STUDY_ROOT_FIND, QR_TRANSFER_SYNTAXES),
        (CT_IMAGE_STORAGE, ("1.2.840.10008.1.2", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.50")),
        (VERIFICATION, ("1.2.840.10008.1.2.4.50",)),
        ("1.3.6.1.4.1.99.1", ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")),
    )
    async with Destination() as destination, request_association(destination.acceptor.port, *syntaxes) as peer:
        assert isinstance(peer.answer, AssociateAccept)
        assert [(result.result, result.transfer_syntax) for result in peer.answer.results] == [
            (0, "1.2.840.10008.1.2"),
            (3, ""),
            (0, "1.2.840.10008.1.2.4.90"),
            (4, ""),
            (0, "1.2.840.10008.1.2.1"),
        ]


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({"called": "SOMEBODY"}, AssociateReject(1, 1, 7)),
        ({"application_context": "1.2.3"}, AssociateReject(1, 1, 2)),
        ({"protocol_version": 2}, AssociateReject(1, 2, 2)),
    ],
)
async def test_who_is_rejected(fields: dict[str, object], answer: AssociateReject) -> None:
    async with Destination() as destination:
        async with destination.connect(**fields) as peer:
            assert peer.answer == answer
        await settle(lambda: destination.acceptor.association_count == 0)


async def test_more_than_the_maximum_are_rejected_until_one_ends() -> None:
    async with Destination(max_inbound_associations=2) as destination:
        async with destination.connect() as first, destination.connect():
            async with destination.connect() as third:
                assert third.answer == AssociateReject(2, 3, 2)
            await first.release()
            await settle(lambda: destination.acceptor.association_count == 1)
            async with destination.connect() as fourth:
                assert isinstance(fourth.answer, AssociateAccept)


OURS = (CommandField.C_STORE_RQ, CommandField.C_ECHO_RQ, CommandField.C_CANCEL_RQ)


@pytest.mark.parametrize("number", [field for field in CommandField if not field.is_response and field not in OURS])
async def test_other_services_are_declined(number: CommandField) -> None:
    async with Destination() as destination, destination.connect() as peer:
        request = Command(command_field=number, message_id=7, affected_sop_class_uid=STUDY_ROOT_FIND, has_data_set=True)
        await peer.send(1, request, bytes(50_000))
        answer = (await peer.receive()).command
        assert answer.command_field == number | 0x8000
        assert (answer.status, answer.message_id_being_responded_to) == (0x0211, 7)
        await peer.send(3, ECHO)
        assert (await peer.receive()).command.status == 0


async def test_responses_and_cancels_nobody_waits_for_are_passed_over() -> None:
    async with Destination() as destination, destination.connect() as peer:
        for field in (CommandField.C_CANCEL_RQ, CommandField.C_STORE_RSP, CommandField.C_FIND_RSP):
            await peer.send(1, Command(command_field=field, message_id_being_responded_to=1))
        await peer.send(3, ECHO)
        assert (await peer.receive()).command.command_field is CommandField.C_ECHO_RSP


async def test_an_association_that_carries_nothing_is_ended() -> None:
    async with Destination(idle_timeout_s=SHORT_S) as destination, destination.connect() as peer:
        assert await expect_end(peer) == "aborted"
        await settle(lambda: destination.acceptor.association_count == 0)


async def test_a_connection_that_asks_for_nothing_is_closed() -> None:
    async with Destination(artim_timeout_s=SHORT_S) as destination:
        reader, writer = await asyncio.open_connection("127.0.0.1", destination.acceptor.port)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        await settle(lambda: destination.acceptor.association_count == 0)


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", bytes.fromhex("07 00 00000004 0000 00 00")),
        (bytes.fromhex("04 00 00000008 00000004 01 03 6162"), bytes.fromhex("07 00 00000004 0000 00 00")),
        (bytes.fromhex("01 00 ffffffff") + bytes(100), bytes.fromhex("07 00 00000004 0000 00 00")),
        (b"", b""),
    ],
)
async def test_garbage_instead_of_a_request(data: bytes, answer: bytes) -> None:
    async with Destination() as destination:
        reader, writer = await asyncio.open_connection("127.0.0.1", destination.acceptor.port)
        writer.write(data)
        if not data:
            writer.write_eof()
        received = await reader.read()
        assert received[:6] == answer[:6]
        writer.close()
        await writer.wait_closed()
        await settle(lambda: destination.acceptor.association_count == 0)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 20,
        bytes.fromhex("01 00 00000044") + bytes(68),
        bytes.fromhex("04 00 00000008 00000004 01 03 6162"),
        bytes.fromhex("04 00 00000008 00000004 01 02 6162"),
        bytes.fromhex("04 00 00000008 00000099 01 02 6162"),
    ],
)
async def test_garbage_on_an_association(data: bytes) -> None:
    async with Destination() as destination, destination.connect() as peer:
        await peer.send_bytes(data)
        event = await peer.receive_event()
        assert isinstance(event, Abort)
        assert event.source == 2
        assert isinstance(await peer.receive_event(), TransportClosed)
        await settle(lambda: destination.acceptor.association_count == 0)


async def test_closing_ends_what_is_served_and_the_port() -> None:
    async with Destination() as destination, destination.connect() as peer:
        assert destination.acceptor.is_listening
        port = destination.acceptor.port
        await destination.acceptor.close()
        assert not destination.acceptor.is_listening
        assert await expect_end(peer) == "aborted"
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        assert running_tasks() == []


async def test_without_an_address_it_does_not_listen() -> None:
    acceptor = Acceptor(DimseSettings(listen=None), frozenset, ())
    await acceptor.start()
    assert not acceptor.is_listening
    assert acceptor.port == 0
    await acceptor.close()


async def test_an_address_in_use() -> None:
    async with Destination() as destination:
        with pytest.raises(OSError):
            await Destination(listen=f"127.0.0.1:{destination.acceptor.port}").acceptor.start()


async def test_data_in_the_same_segment_as_the_request_is_not_forgotten() -> None:
    """A requestor may not send before it is accepted; Sta3 answers P-DATA with an abort (PS3.8 Table 9-10)."""
    async with Destination() as destination:
        async with destination.connect() as peer:
            request = peer.request
            assert request is not None
        probe = Connection(Role.REQUESTOR, max_length=request.max_length)
        probe.transport_connected()
        reader, writer = await asyncio.open_connection("127.0.0.1", destination.acceptor.port)
        writer.write(probe.send(request) + bytes.fromhex("04 00 00000008 00000004 01 03 6162"))
        received = await asyncio.wait_for(reader.read(), 5)
        assert received[-10:-4] == bytes.fromhex("07 00 00000004")
        writer.close()
        await writer.wait_closed()
