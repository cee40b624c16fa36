"""C-GET and C-MOVE as SCU: instances streamed, answered in turn, counted; every way to end early."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.dimse.association import Association
from gateway.dimse.commands import Command, CommandField
from gateway.dimse.scu.retrieve import Outcome, Retrieval, RetrieveTimes, get, move
from gateway.dimse.scu.verification import echo
from gateway.dimse.uids import STUDY_ROOT_GET, STUDY_ROOT_MOVE
from gateway.errors import (
    AssociationAborted,
    BackendError,
    ConnectionLost,
    DimseTimeout,
    NoAcceptedContext,
    UndecodableResponse,
)
from gateway.tasks import running_tasks
from tests.support.cancellation import iter_cancelled_runs, settle
from tests.support.dimse_operations import (
    IDENTIFIER,
    LONG_S,
    SHORT_S,
    Destination,
    associated,
    cancel_at_every_await,
    encode_nothing,
    lend,
)
from tests.support.scripted_peer import CT_IMAGE_STORAGE, Message, PeerAssociation, ScriptedPeer, store_request

TIMES = RetrieveTimes(LONG_S, LONG_S, LONG_S)
PAYLOAD = bytes(range(256)) * 300


async def read_all(retrieval: Retrieval) -> dict[str, bytes]:
    """Every instance with its bytes."""
    instances = {}
    async for instance in retrieval:
        pieces = []
        while (piece := await instance.read_piece()) is not None:
            pieces.append(bytes(piece))
        instances[instance.sop_instance_uid] = b"".join(pieces)
    return instances


# --- C-GET ------------------------------------------------------------------------------------------------------


async def begin_get(peer: PeerAssociation) -> tuple[Message, int]:
    await peer.accept()
    request = await peer.receive()
    assert request.command.command_field is CommandField.C_GET_RQ
    return request, peer.context_for(CT_IMAGE_STORAGE)


async def finish_get(peer: PeerAssociation, request: Message, status: int = 0, **counts: int | None) -> None:
    values = {"completed_suboperations": 0, "failed_suboperations": 0, "warning_suboperations": 0}
    await peer.respond(request, status, **values | counts)


class TestGet:
    async def test_instances_and_counts(self) -> None:
        answers: list[Command] = []

        async def script(peer: PeerAssociation) -> None:
            request, context_id = await begin_get(peer)
            assert request.command.affected_sop_class_uid == STUDY_ROOT_GET
            assert request.data == IDENTIFIER
            for number in range(3):
                answer = await peer.store(context_id, f"1.2.{number}", PAYLOAD[number:], message_id=100 + number)
                answers.append(answer.command)
                assert answer.context_id == context_id
                await peer.respond(request, 0xFF00, completed_suboperations=number + 1)
            await finish_get(peer, request, 0xB000, completed_suboperations=2, warning_suboperations=1)
            await peer.respond(await peer.receive(), 0)

        async with associated(script) as (association, _):
            async with get(association, encode_nothing, TIMES) as retrieval:
                await retrieval.peek()
                assert await read_all(retrieval) == {f"1.2.{number}": PAYLOAD[number:] for number in range(3)}
                assert retrieval.outcome == Outcome(0xB000, 2, 0, 1)
                assert (retrieval.outcome.delivered, retrieval.received) == (3, 3)
                assert not retrieval.outcome.is_failure
                assert [instance async for instance in retrieval] == []
            assert association.is_clean
            await echo(association, timeout=LONG_S)
        assert [(answer.message_id_being_responded_to, answer.status) for answer in answers] == [
            (100, 0),
            (101, 0),
            (102, 0),
        ]

    async def test_success_is_said_only_when_the_next_is_asked_for(self) -> None:
        said = asyncio.Event()

        async def script(peer: PeerAssociation) -> None:
            request, context_id = await begin_get(peer)
            await peer.store(context_id, "1.2", PAYLOAD)
            said.set()
            await finish_get(peer, request, completed_suboperations=1)

        async with associated(script) as (association, _):
            async with get(association, encode_nothing, TIMES) as retrieval:
                instance = await anext(retrieval)
                while await instance.read_piece() is not None:
                    pass
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(said.wait(), SHORT_S)
                with pytest.raises(StopAsyncIteration):
                    await anext(retrieval)
                assert said.is_set()

    async def test_an_instance_that_nobody_read_is_passed_over(self) -> None:
        async def script(peer: PeerAssociation) -> None:
            request, context_id = await begin_get(peer)
            for number in range(2):
                assert (await peer.store(context_id, f"1.2.{number}", PAYLOAD)).command.status == 0
            await finish_get(peer, request, completed_suboperations=2)

        async with associated(script) as (association, _):
            async with get(association, encode_nothing, TIMES) as retrieval:
                assert [instance.sop_instance_uid async for instance in retrieval] == ["1.2.0", "1.2.1"]

    async def test_a_status_of_the_consumer(self) -> None:
        async def script(peer: PeerAssociation) -> None:
            request, context_id = await begin_get(peer)
            assert (await peer.store(context_id, "1.2", PAYLOAD)).command.status == 0xC000
            await finish_get(peer, request, failed_suboperations=1)

        async with associated(script) as (association, _):
            async with get(association, encode_nothing, TIMES) as retrieval:
                async for _instance in retrieval:
                    await retrieval.answer_current(0xC000)

    @pytest.mark.parametrize(
        ("status", "is_failure"), [(0x0000, False), (0xA701, True), (0xA900, True), (0xC001, True), (0xFE00, True)]
    )
    async def test_nothing_but_an_outcome(self, status: int, is_failure: bool) -> None:
        async def script(peer: PeerAssociation) -> None:
            request, _ = await begin_get(peer)
            await peer.respond(request, status, b"list", error_comment="why", offending_elements=(0x00080052,))

        async with associated(script) as (association, _):
            async with get(association, encode_nothing, TIMES) as retrieval:
                await retrieval.peek()
                assert await read_all(retrieval) == {}
                assert retrieval.outcome == Outcome(status, None, None, None, "why", (0x00080052,))
                assert retrieval.outcome.is_failure is is_failure
                error = retrieval.outcome.as_error("ARCHIVE", retrieval.operation)
                assert (error.status, error.operation, error.comment) == (status, "C-GET", "why")
            assert association.is_clean

    @pytest.mark.parametrize("how", ["abort", "drop", "release", "garbage"])
    async def test_lost_in_mid_instance(self, how: str) -> None:
        async def script(peer: PeerAssociation) -> None:
            _, context_id = await begin_get(peer)
            await peer.send(context_id, store_request("1.2"))
            await peer.send_bytes(peer.encode_data(context_id, PAYLOAD[:1000], last=False))
            match how:
                case "abort":
                    await peer.abort()
                case "drop":
                    peer.drop()
                case "release":
                    await peer.release()
                case "garbage":
                    await peer.send_bytes(b"\xff" * 20)

        async with associated(script) as (association, _):
            error = {"abort": AssociationAborted, "garbage": UndecodableResponse}.get(how, ConnectionLost)
            with pytest.raises(error):
                async with get(association, encode_nothing, TIMES) as retrieval:
                    await read_all(retrieval)
            assert not association.is_usable

    async def test_silence_within_an_instance(self) -> None:
        async def script(peer: PeerAssociation) -> None:
            _, context_id = await begin_get(peer)
            await peer.send(context_id, store_request("1.2"))
            await peer.send_bytes(peer.encode_data(context_id, PAYLOAD[:1000], last=False))

        async with associated(script, silence_timeout_s=SHORT_S) as (association, archive):
            with pytest.raises(DimseTimeout):
                async with get(association, encode_nothing, RetrieveTimes(LONG_S, SHORT_S, 0)) as retrieval:
                    await read_all(retrieval)
        assert archive.endings == ["aborted"]

    async def test_no_suboperation_in_time(self) -> None:
        async def script(peer: PeerAssociation) -> None:
            request, _ = await begin_get(peer)
            assert (await peer.receive()).command.command_field is CommandField.C_CANCEL_RQ
            await finish_get(peer, request, 0xFE00)

        async with associated(script) as (association, _):
            with pytest.raises(DimseTimeout):
                async with get(association, encode_nothing, RetrieveTimes(SHORT_S, LONG_S, 0)) as retrieval:
                    await retrieval.peek()
            assert association.is_clean

    @pytest.mark.parametrize(
        "fields",
        [{"message_id_being_responded_to": 9}, {"command_field": CommandField.C_MOVE_RSP}],
    )
    async def test_an_answer_to_something_else(self, fields: dict[str, Any]) -> None:
        async def script(peer: PeerAssociation) -> None:
            request, _ = await begin_get(peer)
            await peer.respond(request, 0, **fields)

        async with associated(script) as (association, _):
            with pytest.raises(UndecodableResponse):
                async with get(association, encode_nothing, RetrieveTimes(LONG_S, SHORT_S, 0)) as retrieval:
                    await retrieval.peek()
            assert not association.is_clean

    async def test_a_store_on_a_context_never_accepted(self) -> None:
        async def script(peer: PeerAssociation) -> None:
            await begin_get(peer)
            await peer.send(99, store_request("1.2"), PAYLOAD)

        async with associated(script) as (association, _):
            with pytest.raises(UndecodableResponse, match="never accepted"):
                async with get(association, encode_nothing, RetrieveTimes(LONG_S, SHORT_S, 0)) as retrieval:
                    await retrieval.peek()

    async def test_not_negotiated(self) -> None:
        async def script(peer: PeerAssociation) -> None:
            await peer.accept(results={STUDY_ROOT_GET: 3})

        async with associated(script) as (association, _):
            with pytest.raises(NoAcceptedContext):
                async with get(association, encode_nothing, TIMES):
                    pytest.fail("asked")
            assert association.is_clean


class TestLeavingGetEarly:
    @pytest.mark.parametrize("after", ["peek", "first piece", "whole instance"])
    async def test_refuses_cancels_and_drains(self, after: str) -> None:
        answers: list[int | None] = []

        async def script(peer: PeerAssociation) -> None:
            request, context_id = await begin_get(peer)
            answer = await peer.store(context_id, "1.2.0", PAYLOAD)
            answers.append(answer.command.status)
            cancel = await peer.receive()
            assert cancel.command.command_field is CommandField.C_CANCEL_RQ
            answers.append((await peer.store(context_id, "1.2.1", PAYLOAD)).command.status)
            await finish_get(peer, request, 0xFE00, failed_suboperations=2)
            await peer.respond(await peer.receive(), 0)

        async with associated(script) as (association, _):
            async with get(association, encode_nothing, TIMES) as retrieval:
                await retrieval.peek()
                if after != "peek":
                    instance = await anext(retrieval)
                    assert await instance.read_piece() is not None
                    while after == "whole instance" and await instance.read_piece() is not None:
                        pass
            assert association.is_clean
            assert answers == [0xA700, 0xA700]
            await echo(association, timeout=LONG_S)

    async def test_in_the_middle_of_a_large_instance(self) -> None:
        """The archive has not sent it all when it reads the refusal; it finishes the message (PS3.7 §9.3.1.2)."""

        async def script(peer: PeerAssociation) -> None:
            request, context_id = await begin_get(peer)
            await peer.send(context_id, store_request("1.2"))
            await peer.send_bytes(peer.encode_data(context_id, PAYLOAD[:10_000], last=False))
            refusal = await peer.receive()
            assert refusal.command.status == 0xA700
            await peer.send_bytes(peer.encode_data(context_id, PAYLOAD[:10_000], last=True))
            assert (await peer.receive()).command.command_field is CommandField.C_CANCEL_RQ
            await finish_get(peer, request, 0xFE00)

        async with associated(script) as (association, _):
            async with get(association, encode_nothing, TIMES) as retrieval:
                instance = await anext(retrieval)
                await instance.read_piece()
            assert association.is_clean

    async def test_an_archive_that_goes_on(self) -> None:
        async def script(peer: PeerAssociation) -> None:
            _, context_id = await begin_get(peer)
            for number in range(1000):
                await peer.store(context_id, f"1.2.{number}", PAYLOAD)

        async with associated(script) as (association, archive):
            async with get(association, encode_nothing, RetrieveTimes(LONG_S, SHORT_S, 0)) as retrieval:
                await anext(retrieval)
            assert not association.is_usable
        assert archive.endings[0] in ("aborted", "closed")

    async def test_cancelled_at_every_await(self) -> None:
        async def script(peer: PeerAssociation) -> None:
            request, context_id = await begin_get(peer)
            for number in range(2):
                answer = await peer.store(context_id, f"1.2.{number}", PAYLOAD)
                if answer.command.status != 0:
                    fields = {answer.command.command_field, (await peer.receive()).command.command_field}
                    assert fields == {CommandField.C_CANCEL_RQ, CommandField.C_STORE_RSP}  # in either order
                    await finish_get(peer, request, 0xFE00)
                    return
            await finish_get(peer, request, completed_suboperations=2)

        async def operate(association: Association) -> None:
            async with get(association, encode_nothing, RetrieveTimes(LONG_S, 0.05, 0)) as retrieval:
                await retrieval.peek()
                assert len(await read_all(retrieval)) == 2

        assert await cancel_at_every_await(script, operate) >= 5


# --- C-MOVE -----------------------------------------------------------------------------------------------------


async def begin_move(peer: PeerAssociation) -> Message:
    await peer.accept()
    request = await peer.receive()
    assert request.command.command_field is CommandField.C_MOVE_RQ
    return request


def originator(request: Message) -> dict[str, Any]:
    """The Move Originator fields of the C-STOREs for `request`."""
    return {"move_originator_ae_title": "GATEWAY", "move_originator_message_id": request.command.message_id}


class TestMove:
    @pytest.mark.parametrize("names_originator", [True, False])
    async def test_instances_and_counts(self, names_originator: bool) -> None:
        async with Destination() as destination:

            async def script(peer: PeerAssociation) -> None:
                request = await begin_move(peer)
                assert request.command.move_destination == "GATEWAY"
                assert request.command.affected_sop_class_uid == STUDY_ROOT_MOVE
                fields = originator(request) if names_originator else {}
                async with destination.connect() as sender:
                    for number in range(3):
                        answer = await sender.store(1, f"1.2.{number}", PAYLOAD[number:], message_id=number, **fields)
                        assert answer.command.status == 0
                        await peer.respond(request, 0xFF00, completed_suboperations=number + 1)
                    await sender.release()
                await peer.respond(request, 0, completed_suboperations=3, failed_suboperations=0)

            async with associated(script) as (association, _):
                reception = destination.register(instances=[f"1.2.{number}" for number in range(3)])
                async with move(association, encode_nothing, reception, TIMES) as retrieval:
                    await retrieval.peek()
                    assert await read_all(retrieval) == {f"1.2.{number}": PAYLOAD[number:] for number in range(3)}
                    assert retrieval.outcome == Outcome(0, 3, 0, None)
                assert association.is_clean

    async def test_several_associations_of_the_archive_at_once(self) -> None:
        async with Destination() as destination:

            async def send(request: Message, number: int) -> int | None:
                async with destination.connect() as sender:
                    return (await sender.store(1, f"1.2.{number}", PAYLOAD, **originator(request))).command.status

            async def script(peer: PeerAssociation) -> None:
                request = await begin_move(peer)
                assert await asyncio.gather(*(send(request, number) for number in range(8))) == [0] * 8
                await peer.respond(request, 0, completed_suboperations=8)

            async with associated(script) as (association, _):
                async with move(association, encode_nothing, destination.register(), TIMES) as retrieval:
                    assert len(await read_all(retrieval)) == 8

    async def test_the_last_store_after_the_final_response(self) -> None:
        async with Destination() as destination:

            async def script(peer: PeerAssociation) -> None:
                request = await begin_move(peer)
                await peer.respond(request, 0, completed_suboperations=1)
                async with destination.connect() as sender:
                    assert (await sender.store(1, "1.2", PAYLOAD, **originator(request))).command.status == 0

            async with associated(script) as (association, _):
                async with move(association, encode_nothing, destination.register(), TIMES) as retrieval:
                    assert await read_all(retrieval) == {"1.2": PAYLOAD}
                    assert retrieval.outcome == Outcome(0, 1, None, None)

    async def test_a_store_that_never_comes(self) -> None:
        async with Destination() as destination:

            async def script(peer: PeerAssociation) -> None:
                await peer.respond(await begin_move(peer), 0, completed_suboperations=2)

            async with associated(script) as (association, _):
                times = RetrieveTimes(LONG_S, LONG_S, SHORT_S)
                async with move(association, encode_nothing, destination.register(), times) as retrieval:
                    assert await read_all(retrieval) == {}
                    assert (retrieval.outcome, retrieval.received) == (Outcome(0, 2, None, None), 0)
                assert association.is_clean

    @pytest.mark.parametrize(
        ("status", "counts"),
        [(0xA801, {}), (0xA702, {"completed_suboperations": 0, "failed_suboperations": 4}), (0x0000, {})],
    )
    async def test_nothing_but_an_outcome(self, status: int, counts: dict[str, int]) -> None:
        """With a failure there is nothing to wait for; a success without counts is given its grace time."""
        async with Destination() as destination:

            async def script(peer: PeerAssociation) -> None:
                await peer.respond(await begin_move(peer), status, **counts)

            async with associated(script) as (association, _):
                times = RetrieveTimes(LONG_S, LONG_S, LONG_S if status else SHORT_S)
                async with asyncio.timeout(LONG_S / 2):
                    async with move(association, encode_nothing, destination.register(), times) as retrieval:
                        await retrieval.peek()
                        assert retrieval.outcome is not None
                        assert retrieval.outcome.status == status
                        assert await read_all(retrieval) == {}

    async def test_pending_responses_keep_it_alive(self) -> None:
        """Sixteen pendings, each within the limit, take longer than the limit in all."""
        async with Destination() as destination:

            async def script(peer: PeerAssociation) -> None:
                request = await begin_move(peer)
                for _ in range(16):
                    await asyncio.sleep(0.15)
                    await peer.respond(request, 0xFF00)
                await peer.respond(request, 0, completed_suboperations=0)

            async with associated(script) as (association, _):
                times = RetrieveTimes(2.0, LONG_S, 0.01)
                async with move(association, encode_nothing, destination.register(), times) as retrieval:
                    assert await read_all(retrieval) == {}
                    assert retrieval.outcome is not None

    async def test_nothing_happens(self) -> None:
        async with Destination() as destination:

            async def script(peer: PeerAssociation) -> None:
                request = await begin_move(peer)
                assert (await peer.receive()).command.command_field is CommandField.C_CANCEL_RQ
                await peer.respond(request, 0xFE00)

            async with associated(script) as (association, _):
                times = RetrieveTimes(SHORT_S, LONG_S, LONG_S)
                with pytest.raises(DimseTimeout):
                    async with move(association, encode_nothing, destination.register(), times) as retrieval:
                        await retrieval.peek()
                assert association.is_clean

    @pytest.mark.parametrize("how", ["abort", "drop", "release"])
    async def test_the_requesting_association_is_lost(self, how: str) -> None:
        async with Destination() as destination:

            async def script(peer: PeerAssociation) -> None:
                request = await begin_move(peer)
                async with destination.connect() as sender:
                    await sender.store(1, "1.2", PAYLOAD, **originator(request))
                await {"abort": peer.abort, "release": peer.release}.get(how, lambda: asyncio.sleep(0))()
                if how == "drop":
                    peer.drop()

            async with associated(script) as (association, _):
                seen = []
                with pytest.raises((AssociationAborted, ConnectionLost)):
                    async with move(association, encode_nothing, destination.register(), TIMES) as retrieval:
                        async for instance in retrieval:
                            seen.append(instance.sop_instance_uid)
                assert seen == ["1.2"]

    async def test_the_storing_association_is_lost_in_mid_instance(self) -> None:
        async with Destination() as destination:

            async def script(peer: PeerAssociation) -> None:
                request = await begin_move(peer)
                async with destination.connect() as sender:
                    await sender.send(1, store_request("1.2", **originator(request)))
                    await sender.send_bytes(sender.encode_data(1, PAYLOAD[:1000], last=False))
                    sender.drop()
                assert (await peer.receive()).command.command_field is CommandField.C_CANCEL_RQ
                await peer.respond(request, 0xFE00)

            async with associated(script) as (association, _):
                with pytest.raises(ConnectionLost):
                    async with move(association, encode_nothing, destination.register(), TIMES) as retrieval:
                        await read_all(retrieval)
                assert association.is_clean

    @pytest.mark.parametrize(
        "fields",
        [{"message_id_being_responded_to": 9999}, {"command_field": CommandField.C_GET_RSP}],
    )
    async def test_an_answer_to_something_else(self, fields: dict[str, Any]) -> None:
        async with Destination() as destination:

            async def script(peer: PeerAssociation) -> None:
                await peer.respond(await begin_move(peer), 0, **fields)

            async with associated(script) as (association, _):
                times = RetrieveTimes(LONG_S, SHORT_S, LONG_S)
                with pytest.raises(UndecodableResponse):
                    async with move(association, encode_nothing, destination.register(), times) as retrieval:
                        await retrieval.peek()
                assert not association.is_clean

    async def test_not_negotiated_leaves_no_registration(self) -> None:
        async def script(peer: PeerAssociation) -> None:
            await peer.accept(results={STUDY_ROOT_MOVE: 3})

        async with Destination() as destination, associated(script) as (association, _):
            with pytest.raises(NoAcceptedContext):
                async with move(association, encode_nothing, destination.register(), TIMES):
                    pytest.fail("asked")
            assert destination.registry.active_count == 0
            assert association.is_clean


class TestLeavingMoveEarly:
    @pytest.mark.parametrize("after", ["peek", "first piece", "whole instance"])
    async def test_refuses_what_waits_and_cancels(self, after: str) -> None:
        answers: list[int | None] = []

        async with Destination() as destination:

            async def send(request: Message, uid: str) -> None:
                async with destination.connect() as sender:
                    answers.append((await sender.store(1, uid, PAYLOAD, **originator(request))).command.status)

            async def script(peer: PeerAssociation) -> None:
                request = await begin_move(peer)
                sending = asyncio.gather(*(send(request, f"1.2.{number}") for number in range(3)))
                assert (await peer.receive()).command.command_field is CommandField.C_CANCEL_RQ
                await sending
                await send(request, "1.2.9")  # comes after the end: nobody asks for it any more
                await peer.respond(request, 0xFE00)

            async with associated(script) as (association, _):
                async with move(association, encode_nothing, destination.register(), TIMES) as retrieval:
                    await retrieval.peek()
                    await settle(lambda: destination.acceptor.association_count == 3)
                    if after != "peek":
                        instance = await anext(retrieval)
                        await instance.read_piece()
                        while after == "whole instance" and await instance.read_piece() is not None:
                            pass
                assert association.is_clean
        assert sorted(filter(None, answers[:-1])) in ([0xA700] * 3, [0x0124, 0xA700, 0xA700], [0x0124, 0x0124, 0xA700])
        assert answers[-1] == 0x0124

    async def test_cancelled_at_every_await(self) -> None:
        async with Destination() as destination:

            async def script(peer: PeerAssociation) -> None:
                request = await begin_move(peer)
                async with destination.connect() as sender:
                    for number in range(2):
                        answer = await sender.store(1, f"1.2.{number}", PAYLOAD, **originator(request))
                        if answer.command.status:
                            break
                await peer.respond(request, 0 if answer.command.status == 0 else 0xFE00, completed_suboperations=2)

            async with ScriptedPeer(script) as archive:

                async def operate() -> None:
                    async with lend(archive) as association:
                        reception = destination.register()
                        times = RetrieveTimes(LONG_S, 0.1, 0.05)
                        async with move(association, encode_nothing, reception, times) as retrieval:
                            await retrieval.peek()
                            assert len(await read_all(retrieval)) == 2

                steps = 0
                async for _ in iter_cancelled_runs(operate):
                    steps += 1
                    assert destination.registry.active_count == 0
                    await archive.until(lambda: archive.open_count == 0)
                    await settle(lambda: not running_tasks())
                    assert destination.acceptor.association_count == 0
                assert steps >= 6


def test_what_a_retrieval_promises_is_a_backend_error() -> None:
    assert issubclass(type(Outcome(0xA801, None, None, None).as_error("ARCHIVE", "C-MOVE")), BackendError)
    assert Outcome(0xA801, None, None, None).as_error("ARCHIVE", "C-MOVE").meaning == "move destination unknown"
