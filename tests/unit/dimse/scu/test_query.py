"""C-FIND as SCU: matches in order, every ending, leaving early."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dimse.association import Association
from gateway.dimse.commands import Command, CommandField
from gateway.dimse.scu.query import FindMatch, FindResponses, QueryTimes, find
from gateway.dimse.scu.verification import echo
from gateway.dimse.uids import QR_TRANSFER_SYNTAXES, STUDY_ROOT_FIND
from gateway.errors import (
    AssociationAborted,
    ConnectionLost,
    DimseStatusError,
    DimseTimeout,
    NoAcceptedContext,
    UndecodableResponse,
)
from tests.support.dimse_operations import (
    IDENTIFIER,
    LONG_S,
    SHORT_S,
    associated,
    cancel_at_every_await,
    encode_nothing,
)
from tests.support.scripted_peer import Message, PeerAssociation, PeerGone
from tests.support.scripted_transport import Pair

TIMES = QueryTimes(LONG_S, LONG_S)


async def serve_find(peer: PeerAssociation, request: Message, matches: int, final: int = 0) -> None:
    """Answer with `matches` and the final status, looking for C-CANCEL between them only at the end."""
    for number in range(matches):
        await peer.respond(request, 0xFF00 if number % 2 == 0 else 0xFF01, b"match %02d" % number)
    await peer.respond(request, final)


async def test_matches_in_order_and_a_clean_end() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        request = await peer.receive()
        assert request.command.command_field is CommandField.C_FIND_RQ
        assert request.command.affected_sop_class_uid == STUDY_ROOT_FIND
        assert request.data == IDENTIFIER
        await serve_find(peer, request, 3)

    async with associated(script) as (association, archive):
        async with find(association, encode_nothing, TIMES) as responses:
            await responses.peek()
            matches = [match async for match in responses]
            assert matches == [
                FindMatch(b"match 00", QR_TRANSFER_SYNTAXES[0], True),
                FindMatch(b"match 01", QR_TRANSFER_SYNTAXES[0], False),
                FindMatch(b"match 02", QR_TRANSFER_SYNTAXES[0], True),
            ]
            assert [match async for match in responses] == []
            assert responses.match_count == 3
        assert association.is_clean
    assert archive.endings == ["released"]


@pytest.mark.parametrize("final", [0x0000, 0xB001])
async def test_no_matches(final: int) -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        await serve_find(peer, await peer.receive(), 0, final)

    async with associated(script) as (association, _):
        async with find(association, encode_nothing, TIMES) as responses:
            await responses.peek()
            assert [match async for match in responses] == []
        assert association.is_clean


@pytest.mark.parametrize("status", [0xA700, 0xA900, 0xC001, 0x0122, 0xFE00])
@pytest.mark.parametrize("matches", [0, 2])
async def test_a_failure_status(status: int, matches: int) -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        request = await peer.receive()
        for _ in range(matches):
            await peer.respond(request, 0xFF00, b"ab")
        await peer.respond(request, status, error_comment="why", offending_elements=(0x00100010,))

    async with associated(script) as (association, _):
        seen = 0
        with pytest.raises(DimseStatusError) as caught:
            async with find(association, encode_nothing, TIMES) as responses:
                async for _match in responses:
                    seen += 1
        assert seen == matches
        assert (caught.value.status, caught.value.operation, caught.value.comment) == (status, "C-FIND", "why")
        assert caught.value.offending_elements == (0x00100010,)
        assert association.is_clean


@pytest.mark.parametrize("field", ["message_id_being_responded_to", "command_field"])
async def test_an_answer_to_another_request(field: str) -> None:
    values = {"message_id_being_responded_to": 77, "command_field": CommandField.C_GET_RSP}

    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.respond(await peer.receive(), 0xFF00, b"ab", **{field: values[field]})
        await peer.receive()

    async with associated(script) as (association, archive):
        with pytest.raises(UndecodableResponse):
            async with find(association, encode_nothing, TIMES) as responses:
                await responses.peek()
        assert not association.is_usable
    assert archive.endings == ["aborted"]
    assert len(archive.associations[0].messages_received) == 1, "aborted at once, not cancelled"


async def abort(peer: PeerAssociation) -> None:
    await peer.abort()


async def drop(peer: PeerAssociation) -> None:
    peer.drop()


async def release(peer: PeerAssociation) -> None:
    await peer.release()


async def send_garbage(peer: PeerAssociation) -> None:
    await peer.send_bytes(b"\xee" * 50)


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (abort, AssociationAborted),
        (drop, ConnectionLost),
        (release, ConnectionLost),
        (send_garbage, UndecodableResponse),
    ],
)
@pytest.mark.parametrize("matches", [0, 1])
async def test_the_association_ends(end: Callable[[PeerAssociation], object], error: type, matches: int) -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        request = await peer.receive()
        for _ in range(matches):
            await peer.respond(request, 0xFF00, b"ab")
        await end(peer)  # type: ignore[misc]

    async with associated(script) as (association, _):
        with pytest.raises(error):
            async with find(association, encode_nothing, TIMES) as responses:
                async for _match in responses:
                    pass
        assert not association.is_usable


class TestLeavingEarly:
    async def test_cancels_drains_and_the_association_is_used_again(self) -> None:
        async def script(peer: PeerAssociation) -> None:
            await peer.accept()
            request = await peer.receive()
            for _ in range(5):
                await peer.respond(request, 0xFF00, b"ab")
            cancel = await peer.receive()
            assert cancel.command.command_field is CommandField.C_CANCEL_RQ
            assert cancel.command.message_id_being_responded_to == request.command.message_id
            assert cancel.context_id == request.context_id
            assert not cancel.command.has_data_set
            await peer.respond(request, 0xFF00, b"late")
            await peer.respond(request, 0xFE00)
            await peer.respond(await peer.receive(), 0)

        async with associated(script) as (association, archive):
            async with find(association, encode_nothing, TIMES) as responses:
                async for _match in responses:
                    break
            assert association.is_clean
            await echo(association, timeout=LONG_S)
        assert archive.endings == ["released"]

    async def test_too_late_for_the_archive(self) -> None:
        """All matches and the final response were on their way already; C-CANCEL comes afterwards."""

        async def script(peer: PeerAssociation) -> None:
            await peer.accept()
            await serve_find(peer, await peer.receive(), 4)
            await peer.receive()  # C-CANCEL, to be ignored (PS3.7 §9.3.2.3)
            await peer.respond(await peer.receive(), 0)

        async with associated(script) as (association, archive):
            async with find(association, encode_nothing, TIMES) as responses:
                await responses.peek()
            assert association.is_clean
            await echo(association, timeout=LONG_S)

    async def test_an_archive_that_ignores_the_cancel(self) -> None:
        async def script(peer: PeerAssociation) -> None:
            await peer.accept()
            request = await peer.receive()
            while not peer.ending:
                await peer.respond(request, 0xFF00, b"ab")
                with_limit = asyncio.create_task(peer.receive())
                done, _ = await asyncio.wait({with_limit}, timeout=0.005)
                if done and isinstance(with_limit.exception(), PeerGone):
                    return
                with_limit.cancel()
                await asyncio.wait({with_limit})

        async with associated(script) as (association, archive):
            async with find(association, encode_nothing, QueryTimes(LONG_S, SHORT_S)) as responses:
                await responses.peek()
            assert not association.is_usable
        assert archive.endings == ["aborted"]

    async def test_an_archive_that_falls_silent(self) -> None:
        async def script(peer: PeerAssociation) -> None:
            await peer.accept()
            request = await peer.receive()
            await peer.respond(request, 0xFF00, b"ab")

        async with associated(script) as (association, archive):
            async with find(association, encode_nothing, QueryTimes(LONG_S, SHORT_S)) as responses:
                await responses.peek()
            assert not association.is_usable
        assert archive.endings == ["aborted"]

    async def test_no_response_in_time_cancels(self) -> None:
        async def script(peer: PeerAssociation) -> None:
            await peer.accept()
            request = await peer.receive()
            await peer.receive()
            await peer.respond(request, 0xFE00)

        async with associated(script) as (association, _):
            with pytest.raises(DimseTimeout, match="C-FIND-RSP"):
                async with find(association, encode_nothing, QueryTimes(SHORT_S, LONG_S)) as responses:
                    await responses.peek()
            assert association.is_clean


async def test_nothing_is_sent_when_the_identifier_cannot_be_encoded() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.receive()

    def fail(_: str) -> bytes:
        raise ValueError("no such value")

    async with associated(script) as (association, archive):
        with pytest.raises(ValueError, match="no such value"):
            async with find(association, fail, TIMES):
                pytest.fail("asked")
        assert association.is_clean
        assert archive.associations[0].messages_received == []


async def test_not_negotiated() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept(results={STUDY_ROOT_FIND: 4})

    async with associated(script) as (association, _):
        with pytest.raises(NoAcceptedContext):
            async with find(association, encode_nothing, TIMES):
                pytest.fail("asked")
        assert association.is_clean


async def test_cancelled_at_every_await() -> None:
    """Whatever the step, the association ends up clean or aborted, and nothing runs on."""

    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        request = await peer.receive()
        await peer.respond(request, 0xFF00, b"ab")
        cancelling = asyncio.create_task(peer.receive())
        await peer.respond(request, 0xFF00, b"cd")
        await asyncio.wait({cancelling}, timeout=0.01)
        if cancelling.done() and cancelling.exception() is not None:
            return
        await peer.respond(request, 0xFE00 if cancelling.done() else 0)
        await cancelling

    async def operate(association: Association) -> None:
        async with find(association, encode_nothing, TIMES) as responses:
            async for _match in responses:
                pass
        assert association.is_clean

    assert await cancel_at_every_await(script, operate) >= 4


def answer(status: int, *, has_data_set: bool = True) -> Command:
    return Command(
        command_field=CommandField.C_FIND_RSP,
        message_id_being_responded_to=1,
        status=status,
        has_data_set=has_data_set,
    )


def responses_to(chunks: Callable[[Pair], list[bytes]]) -> tuple[FindResponses, Pair]:
    """Responses whose bytes arrive in these chunks, one for each read."""
    pair = Pair()
    pair.transport.arrive(chunks(pair))
    pair.association.begin_operation()
    return FindResponses(pair.association, 1, QR_TRANSFER_SYNTAXES[0], TIMES), pair


def two_matches(pair: Pair, final: int = 0) -> tuple[bytes, bytes]:
    first = pair.encode(answer(0xFF00), b"one!", fragment=2)
    return first, pair.encode(answer(0xFF01), b"two!") + pair.encode(answer(final, has_data_set=False))


async def test_what_arrived_together_comes_together() -> None:
    responses, pair = responses_to(lambda pair: [b"".join(two_matches(pair))])
    batch = await responses.read_batch()
    assert [(match.data, match.all_keys_supported) for match in batch] == [(b"one!", True), (b"two!", False)]
    assert responses.is_finished and pair.association.is_clean and responses.match_count == 2
    assert await responses.read_batch() == []


async def test_a_batch_does_not_wait_for_what_has_not_arrived() -> None:
    responses, pair = responses_to(lambda pair: list(two_matches(pair)))
    await responses.peek()
    assert [match.data for match in await responses.read_batch()] == [b"one!"]
    assert not responses.is_finished and pair.transport.read_count == 1
    assert [match.data for match in await responses.read_batch()] == [b"two!"]
    assert responses.is_finished


async def test_batches_at_every_split() -> None:
    whole = b"".join(two_matches(Pair()))
    for at in range(1, len(whole)):
        responses, _ = responses_to(lambda _, at=at: [whole[:at], whole[at:]])  # type: ignore[misc]
        found = []
        while batch := await responses.read_batch():
            found.extend(match.data for match in batch)
        assert found == [b"one!", b"two!"]


MATCHES = st.lists(st.tuples(st.sampled_from([0xFF00, 0xFF01]), st.binary(min_size=1, max_size=50)), max_size=8)


@given(MATCHES, st.sampled_from([0, 0xB000, 0xA700, 0xC001, 0xFE00]), st.lists(st.integers(0, 2_000), max_size=8))
def test_in_batches_or_one_by_one_the_same_matches_and_the_same_end(
    matches: list[tuple[int, bytes]], final: int, cuts: list[int]
) -> None:
    """Command sets that repeat are decoded once, and what has arrived together is given together."""

    async def run(*, together: bool) -> tuple[list[FindMatch], str]:
        pair = Pair()
        wire = b"".join(pair.encode(answer(status), data, fragment=20) for status, data in matches)
        wire += pair.encode(answer(final, has_data_set=False))
        bounds = sorted({0, len(wire)} | {cut for cut in cuts if cut < len(wire)})
        pair.transport.arrive(wire[start:stop] for start, stop in itertools.pairwise(bounds))
        pair.association.begin_operation()
        responses = FindResponses(pair.association, 1, QR_TRANSFER_SYNTAXES[0], TIMES)
        found: list[FindMatch] = []
        try:
            if together:
                while batch := await responses.read_batch():
                    found += batch
            else:
                found = [match async for match in responses]
        except DimseStatusError as error:
            return found, str(error)
        assert pair.association.is_clean
        return found, ""

    (found, end), (alone, _) = (asyncio.run(run(together=together)) for together in (True, False))
    assert [(match.data, match.all_keys_supported) for match in found] == [
        (data, status == 0xFF00) for status, data in matches
    ]
    assert bool(end) == (final not in (0, 0xB000))
    assert end or alone == found


async def test_a_failure_comes_after_the_matches_that_arrived_with_it() -> None:
    responses, pair = responses_to(lambda pair: [b"".join(two_matches(pair, 0xA700))])
    assert len(await responses.read_batch()) == 2
    with pytest.raises(DimseStatusError):
        await responses.read_batch()
    assert await responses.read_batch() == [] and pair.association.is_clean
