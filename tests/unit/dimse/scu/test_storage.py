"""C-STORE as SCU: the command set, the data set in pieces, every answer."""

from __future__ import annotations

import asyncio
import weakref

import pytest

from gateway.dimse.association import Association
from gateway.dimse.commands import Command, CommandField
from gateway.dimse.scu.storage import InstanceToStore, NotSent, StoreOperation, store
from gateway.dimse.uids import QR_TRANSFER_SYNTAXES
from gateway.dimse.ul.events import Abort, TransportClosed
from gateway.errors import (
    AssociationAborted,
    ConnectionLost,
    DimseTimeout,
    NoAcceptedContext,
    UndecodableResponse,
)
from gateway.tasks import cancel_and_wait
from tests.support.cancellation import settle
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


# --- one behind the other ---


def make_instance(number: int, sop_class: str = CT_IMAGE_STORAGE) -> InstanceToStore:
    return InstanceToStore(sop_class, f"1.2.{number}", QR_TRANSFER_SYNTAXES[0])


async def store_first(association: Association, operation: StoreOperation) -> None:
    await operation.write(b"abcd")
    await operation.end()


async def test_the_next_leaves_when_the_one_before_is_answered_and_not_earlier() -> None:
    payload = bytes(range(250)) * 999
    received = []

    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        first = await peer.receive()
        await may_answer.wait()
        received.append(len(peer.fragment_lengths))
        await peer.respond(first, 0)
        second = await peer.receive()
        received.append(second.data)
        await peer.respond(second, 0xB007)

    may_answer = asyncio.Event()
    async with associated(script) as (association, archive):
        async with store(association, make_instance(1), LONG_S) as first:
            await store_first(association, first)
            second = first.follow(make_instance(2))
            assert second is not None and first.follow(make_instance(3)) is None
            for at in range(0, len(payload), 9_999):
                await second.write(payload[at : at + 9_999])
            ending = asyncio.create_task(second.end())
            answering = asyncio.create_task(first.finish())
            assert not (await asyncio.wait({ending, answering}, timeout=0.05))[0]
            assert not second.is_answered
            may_answer.set()
            assert (await answering).status == 0
            await ending
            assert (await second.finish()).status == 0xB007
        assert association.is_clean
        commands = archive.associations[0].messages_received
    assert received == [2, payload]  # of the second, no fragment before the answer
    assert [command.message_id for command in commands] == [1, 2]


async def test_what_is_there_leaves_at_once_and_the_rest_as_it_comes() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.respond(await peer.receive(), 0)
        while sum(peer.fragment_lengths[1:]) < 200_000:
            await peer.receive_event()
        has_begun.set()
        await rest.wait()

    has_begun, rest = asyncio.Event(), asyncio.Event()
    async with associated(script) as (association, _):
        async with store(association, make_instance(1), LONG_S) as first:
            await store_first(association, first)
            second = first.follow(make_instance(2))
            assert second is not None
            await second.write(bytes(300_000))
            await first.finish()
            await asyncio.wait_for(has_begun.wait(), 5)
        assert not association.is_clean
        association.abort()
        rest.set()


async def test_more_than_a_mebibyte_waits_for_its_turn() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        for _ in range(2):
            await peer.respond(await peer.receive(), 0)

    async with associated(script) as (association, _):
        async with store(association, make_instance(1), LONG_S) as first:
            await store_first(association, first)
            second = first.follow(make_instance(2))
            assert second is not None
            await second.write(bytes(1_000_000))
            writing = asyncio.create_task(second.write(bytes(1_000_000)))
            assert not (await asyncio.wait({writing}, timeout=0.05))[0]
            await first.finish()
            await writing
            await second.end()
            assert (await second.finish()).status == 0
        assert association.is_clean


@pytest.mark.parametrize("when", ["before", "between"])
@pytest.mark.parametrize("how", ["abort", "silence", "nonsense"])
async def test_without_an_answer_the_next_is_not_sent_and_can_be_taken_back(how: str, when: str) -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        request = await peer.receive()
        if how == "abort":
            await peer.abort()
        elif how == "nonsense":
            await peer.respond(request, 0, message_id_being_responded_to=9)
            await peer.receive_event()
        else:
            await over.wait()

    over = asyncio.Event()
    async with associated(script) as (association, _):
        async with store(association, make_instance(1), SHORT_S if how == "silence" else LONG_S) as first:
            await store_first(association, first)
            second = first.follow(make_instance(2))
            assert second is not None
            await second.write(b"ab")
            if when == "before":
                with pytest.raises((AssociationAborted, DimseTimeout, UndecodableResponse)):
                    await first.finish()
                with pytest.raises(NotSent):
                    await second.write(b"cd")
            else:
                await second.write(b"cd")
                ending = asyncio.create_task(second.end())
                await asyncio.sleep(0)
                assert not ending.done()
                with pytest.raises((AssociationAborted, DimseTimeout, UndecodableResponse)):
                    await first.finish()
                with pytest.raises(NotSent):
                    await ending
            assert b"".join(second.take_back()) == b"abcd"
            assert first.follow(make_instance(3)) is None
            over.set()
        association.abort()


async def test_nothing_is_sent_where_more_than_the_answer_came() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.respond(await peer.receive(), 0)
        request = await peer.receive()
        await peer.respond(request, 0)
        await peer.respond(request, 0)
        await peer.receive_event()

    async with associated(script) as (association, archive):
        before = association.bytes_received
        async with store(association, make_instance(0), LONG_S) as ordinary:
            await store_first(association, ordinary)
            await ordinary.finish()
        length = association.bytes_received - before
        async with store(association, make_instance(1), LONG_S) as first:
            await store_first(association, first)
            second = first.follow(make_instance(2))
            assert second is not None
            await settle(lambda: association.bytes_received == before + 3 * length)
            assert (await first.finish()).status == 0
            with pytest.raises(NotSent):
                await second.end()
        assert not association.is_clean
    assert len(archive.associations[0].messages_received) == 2


@pytest.mark.parametrize("how", ["abort", "drop"])
async def test_nothing_is_sent_to_an_archive_that_ends_with_its_answer(how: str) -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.respond(await peer.receive(), 0)
        if how == "abort":
            await peer.abort()
        else:
            peer.drop()

    async with associated(script) as (association, _):
        async with store(association, make_instance(1), LONG_S) as first:
            await store_first(association, first)
            second = first.follow(make_instance(2))
            assert second is not None
            await second.write(b"abcd")
            assert (await first.finish()).status == 0
            with pytest.raises(NotSent):
                await second.end()
        assert not association.is_clean


async def test_what_is_withdrawn_leaves_the_association_clean_and_its_place_to_another() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        for _ in range(2):
            await peer.respond(await peer.receive(), 0)

    async with associated(script) as (association, archive):
        async with store(association, make_instance(1), LONG_S) as first:
            await store_first(association, first)
            given_up, cancelled = first.follow(make_instance(2)), None
            assert given_up is not None
            await given_up.write(b"abcd")
            given_up.withdraw()
            cancelled = first.follow(make_instance(3))
            assert cancelled is not None and given_up.is_withdrawn
            ending = asyncio.create_task(cancelled.end())
            await asyncio.sleep(0)
            await cancel_and_wait(ending)
            assert cancelled.is_withdrawn
            last = first.follow(make_instance(4))
            assert last is not None
            await first.finish()
            await store_first(association, last)
            await last.finish()
            last.withdraw()
        assert association.is_clean
        uids = [command.affected_sop_instance_uid for command in archive.associations[0].messages_received]
    assert uids == ["1.2.1", "1.2.4"]


async def test_what_is_over_does_not_hold_what_followed() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        for _ in range(3):
            await peer.respond(await peer.receive(), 0)

    async with associated(script) as (association, _):
        async with store(association, make_instance(1), LONG_S) as first:
            operation, held = first, list[weakref.ref[StoreOperation]]()
            for number in (2, 3):
                await store_first(association, operation)
                following = operation.follow(make_instance(number))
                assert following is not None
                held.append(weakref.ref(following))
                await operation.finish()
                operation = following
            del following
            assert [it() for it in held] == [None, operation]
        association.abort()


async def test_nothing_follows_what_is_not_sent_or_is_answered_or_another_class() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.respond(await peer.receive(), 0)

    async with associated(script) as (association, _):
        async with store(association, make_instance(1), LONG_S) as first:
            assert first.follow(make_instance(2)) is None
            await store_first(association, first)
            assert first.follow(make_instance(2, "1.2.840.10008.5.1.4.1.1.4")) is None
            association.is_retired = True
            assert first.follow(make_instance(2)) is None
            association.is_retired = False
            await first.finish()
            assert first.follow(make_instance(2)) is None
        assert association.is_clean
