"""Storage Commitment as SCU: the request, its answers, and results on the same association."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.dimse.commands import Command, CommandField
from gateway.dimse.event_reports import EventReport
from gateway.dimse.pool import Pool, PoolLimits
from gateway.dimse.scu.commitment import CommitmentExchange, open_commitment
from gateway.dimse.uids import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
from gateway.errors import ConnectionLost, DimseStatusError, DimseTimeout, NoAcceptedContext, UndecodableResponse
from gateway.tasks import running_tasks
from tests.support.dimse_operations import IDENTIFIER, LONG_S, SHORT_S, encode_nothing
from tests.support.scripted_peer import Message, PeerAssociation, Script, ScriptedPeer


class Exchange:
    """One exchange with a scripted archive, and the events it brought."""

    def __init__(self, exchange: CommitmentExchange, archive: ScriptedPeer, events: list[EventReport]) -> None:
        self.exchange, self.archive, self.events = exchange, archive, events


@asynccontextmanager
async def exchanging(script: Script, *, timeout: float = LONG_S) -> AsyncIterator[Exchange]:
    events: list[EventReport] = []

    async def take(report: EventReport) -> int:
        events.append(report)
        return 0

    async with ScriptedPeer(script) as archive:
        pool = Pool(archive.describe(), PoolLimits())
        async with open_commitment(pool, take, timeout=timeout) as exchange:
            yield Exchange(exchange, archive, events)
        await pool.close()
        await archive.until(lambda: archive.open_count == 0)
    assert running_tasks() == []


async def report(peer: PeerAssociation, request: Message, number: int) -> Message:
    """Send one event and give the answer to it."""
    event = Command(
        command_field=CommandField.N_EVENT_REPORT_RQ,
        message_id=100 + number,
        affected_sop_class_uid=STORAGE_COMMITMENT,
        affected_sop_instance_uid=STORAGE_COMMITMENT_INSTANCE,
        event_type_id=number,
        has_data_set=True,
    )
    await peer.send(request.context_id, event, IDENTIFIER)
    return await peer.receive()


async def test_the_request_as_the_standard_has_it() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        request = await peer.receive()
        command = request.command
        assert command.command_field is CommandField.N_ACTION_RQ and command.action_type_id == 1
        assert command.requested_sop_class_uid == STORAGE_COMMITMENT
        assert command.requested_sop_instance_uid == STORAGE_COMMITMENT_INSTANCE
        assert request.data == IDENTIFIER
        await peer.respond(request, 0)

    async with exchanging(script) as it:
        await it.exchange.request(encode_nothing)
    assert it.events == [] and it.archive.endings == ["released"]


async def test_results_before_and_after_the_answer() -> None:
    answers: list[Command] = []

    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        request = await peer.receive()
        answers.append((await report(peer, request, 1)).command)
        await peer.respond(request, 0)
        answers.append((await report(peer, request, 2)).command)

    async with exchanging(script) as it:
        await it.exchange.request(encode_nothing)
        assert len(it.events) == 1
        await it.exchange.await_results(lambda: len(it.events) == 2, timeout=LONG_S)
    assert [(event.event_type, event.data) for event in it.events] == [(1, IDENTIFIER), (2, IDENTIFIER)]
    assert [(answer.command_field, answer.status, answer.event_type_id) for answer in answers] == [
        (CommandField.N_EVENT_REPORT_RSP, 0, 1),
        (CommandField.N_EVENT_REPORT_RSP, 0, 2),
    ]
    assert [answer.message_id_being_responded_to for answer in answers] == [101, 102]


async def test_no_result_is_no_error() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.respond(await peer.receive(), 0)

    async with exchanging(script) as it:
        await it.exchange.request(encode_nothing)
        await it.exchange.await_results(lambda: False, timeout=SHORT_S)
    assert it.archive.endings == ["released"]


async def test_a_refusal() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.respond(await peer.receive(), 0x0213, error_comment="full")

    with pytest.raises(DimseStatusError) as caught:
        async with exchanging(script) as it:
            await it.exchange.request(encode_nothing)
    assert (caught.value.operation, caught.value.status, caught.value.comment) == ("N-ACTION", 0x0213, "full")


async def test_an_archive_that_does_not_offer_it() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept(results={STORAGE_COMMITMENT: 3})

    with pytest.raises(NoAcceptedContext) as caught:
        async with exchanging(script):
            pass
    assert caught.value.abstract_syntax == STORAGE_COMMITMENT


async def test_silence_an_end_and_an_answer_to_something_else() -> None:
    async def be_silent(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.receive()
        await peer.read_to_end()

    async def leave(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.receive()
        peer.drop()

    async def mix_up(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.respond(await peer.receive(), 0, message_id_being_responded_to=77)

    expected: list[tuple[Script, type[Exception]]] = [
        (be_silent, DimseTimeout),
        (leave, ConnectionLost),
        (mix_up, UndecodableResponse),
    ]
    for script, error in expected:
        with pytest.raises(error):
            async with exchanging(script, timeout=0.1) as it:
                assert not it.exchange.has_asked
                try:
                    await it.exchange.request(encode_nothing)
                finally:
                    assert it.exchange.has_asked
