"""Messages over an established association: splits, joined pieces, limits, endings in every phase."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dimse.association import Association
from gateway.dimse.commands import Command, CommandField
from gateway.dimse.ul.events import Abort, PDataFragment, ReleaseReply, ReleaseRequest
from gateway.errors import (
    AssociationAborted,
    BackendError,
    ConnectionLost,
    DimseTimeout,
    UndecodableResponse,
)
from tests.support.scripted_transport import Pair
from tests.support.upper_layer import make_accept, make_request

ECHO = Command(command_field=CommandField.C_ECHO_RSP, message_id_being_responded_to=1, status=0)
FIND = Command(command_field=CommandField.C_FIND_RSP, message_id_being_responded_to=1, status=0xFF00, has_data_set=True)
SHORT = 0.02  # seconds, for limits that are meant to be reached


async def gather(association: Association) -> list[bytes]:
    """The pieces of the current data set."""
    pieces = []
    while (piece := await association.read_piece()) is not None:
        pieces.append(bytes(piece))
    return pieces


class Stepping(Association):
    """Every fragment by itself, as the upper layer machine tells it."""

    def _take_data(self) -> None:
        pass


async def receive_all(association: Association) -> list[object]:
    """Contexts, command sets and pieces until the association ends; how it ended comes last."""
    received: list[object] = []
    try:
        while True:
            message = await association.receive(1, waiting_for="it")
            received.append((message.context_id, message.command))
            while (piece := await association.read_piece()) is not None:
                received.append(bytes(piece))
    except BackendError as error:
        return [*received, type(error).__name__, str(error)]


MESSAGES = st.lists(
    st.tuples(st.sampled_from([None, b"", b"a", bytes(range(60)), bytes(5_000)]), st.integers(1, 300)), max_size=5
)


@given(
    MESSAGES, st.lists(st.integers(0, 12_000), max_size=12), st.none() | st.tuples(st.floats(0, 1), st.integers(0, 255))
)
def test_the_fast_way_over_data_sets_gives_what_single_events_give(
    messages: list[tuple[bytes | None, int]], cuts: list[int], damage: tuple[float, int] | None
) -> None:
    """The same messages, pieces and endings, wherever the stream is cut and whatever is damaged in it."""
    pair = Pair()
    wire = b"".join(pair.encode(ECHO if data is None else FIND, data, fragment=size) for data, size in messages)
    if damage is not None and wire:
        place = int(damage[0] * (len(wire) - 1))
        wire = wire[:place] + bytes([damage[1]]) + wire[place + 1 :]
    bounds = sorted({0, len(wire)} | {cut for cut in cuts if cut < len(wire)})
    chunks = [*(wire[start:stop] for start, stop in itertools.pairwise(bounds)), b""]

    async def run(kind: type[Association]) -> list[object]:
        pair = Pair(kind=kind)
        pair.transport.arrive(chunks)
        return await receive_all(pair.association)

    fast, stepping = asyncio.run(run(Association)), asyncio.run(run(Stepping))
    assert fast == stepping
    if damage is None:
        expected: list[object] = []
        for data, _ in messages:
            expected.append((1, ECHO if data is None else FIND))
            expected += [data] if data else []
        joined = [fast[0]] if fast[:-2] else []
        for unit in fast[1:-2]:
            if isinstance(unit, bytes) and isinstance(joined[-1], bytes):
                joined[-1] += unit
            else:
                joined.append(unit)
        assert joined == expected


class TestReceiving:
    async def test_every_split_of_two_messages(self) -> None:
        whole = Pair()
        wire = whole.encode(FIND, b"abcdefgh", fragment=90) + whole.encode(ECHO)
        for at in range(1, len(wire)):
            pair = Pair()
            pair.transport.arrive([wire[:at], wire[at:]])
            message = await pair.association.receive(1, waiting_for="it")
            assert (message.context_id, message.command) == (1, FIND)
            assert b"".join(await gather(pair.association)) == b"abcdefgh"
            assert (await pair.association.receive(1, waiting_for="it")).command == ECHO
            assert pair.association.is_clean

    async def test_byte_by_byte(self) -> None:
        pair = Pair()
        wire = pair.encode(FIND, b"abcdefgh", fragment=6) + pair.encode(ECHO)
        pair.transport.arrive(wire[at : at + 1] for at in range(len(wire)))
        assert (await pair.association.receive(1, waiting_for="it")).command == FIND
        assert b"".join(await gather(pair.association)) == b"abcdefgh"
        assert (await pair.association.receive(1, waiting_for="it")).command == ECHO

    async def test_pieces_that_arrived_together_come_without_another_read(self) -> None:
        pair = Pair()
        wire = pair.encode(FIND, bytes(range(200)), fragment=10)
        pair.transport.arrive([wire])
        await pair.association.receive(1, waiting_for="it")
        assert b"".join(await gather(pair.association)) == bytes(range(200))
        assert pair.transport.read_count == 1

    async def test_nothing_is_read_ahead_of_the_consumer(self) -> None:
        pair = Pair()
        wire = pair.encode(FIND, bytes(1000), fragment=100)
        head = len(wire) - 10 * 112  # ten fragments of 100 bytes with headers of 12
        pair.transport.arrive([wire[:head], *(wire[head + n * 112 : head + (n + 1) * 112] for n in range(10))])
        await pair.association.receive(1, waiting_for="it")
        assert pair.transport.read_count == 1
        for count in range(1, 4):
            assert len(await pair.association.read_piece() or b"") == 100
            assert pair.transport.read_count == 1 + count

    async def test_an_unread_data_set_is_passed_over(self) -> None:
        pair = Pair()
        wire = pair.encode(FIND, bytes(500), fragment=100) + pair.encode(ECHO)
        pair.transport.arrive([wire[:300], wire[300:]])
        assert (await pair.association.receive(1, waiting_for="it")).command == FIND
        assert len(await pair.association.read_piece() or b"") > 0
        assert (await pair.association.receive(1, waiting_for="it")).command == ECHO

    async def test_an_empty_data_set(self) -> None:
        pair = Pair()
        pair.transport.arrive([pair.encode(FIND, b"")])
        await pair.association.receive(1, waiting_for="it")
        assert await pair.association.read_data_set() == b""

    async def test_a_data_set_over_the_limit(self) -> None:
        pair = Pair()
        pair.transport.arrive([pair.encode(FIND, bytes(101))])
        await pair.association.receive(1, waiting_for="it")
        with pytest.raises(UndecodableResponse, match="over 100 bytes"):
            await pair.association.read_data_set(max_bytes=100)

    async def test_what_came_with_the_last_pdu_of_the_negotiation_is_not_forgotten(self) -> None:
        probe = Pair()
        pair = Pair(with_accept=probe.encode(ECHO))
        assert (await pair.association.receive(SHORT, waiting_for="it")).command == ECHO
        pair = Pair(with_accept=probe.peer.send(Abort(0, 0)))
        assert not pair.association.is_usable
        with pytest.raises(AssociationAborted):
            await pair.association.receive(SHORT, waiting_for="it")


class TestTimeLimits:
    async def test_no_message(self) -> None:
        pair = Pair()
        with pytest.raises(DimseTimeout, match="C-FIND-RSP") as caught:
            await pair.association.receive(SHORT, waiting_for="C-FIND-RSP")
        assert caught.value.ae_title == "ARCHIVE"
        assert pair.association.is_usable

    @pytest.mark.parametrize("cut", [20, 60, 120])
    async def test_silence_within_a_message(self, cut: int) -> None:
        pair = Pair(silence_timeout_s=SHORT)
        pair.transport.arrive([pair.encode(FIND, bytes(100))[:cut]])
        with pytest.raises(DimseTimeout):
            await pair.association.receive(None, waiting_for="it")
            await pair.association.read_data_set()

    async def test_bytes_count_not_messages(self) -> None:
        """A data set that takes many times the silence limit in all, never silent for that long."""
        limit_s, pause_s = 1.0, 0.03  # far apart: a busy machine must not turn a pause into silence
        pair = Pair(silence_timeout_s=limit_s)
        wire = pair.encode(FIND, bytes(300), fragment=30)
        start = asyncio.get_running_loop().time()

        async def dribble() -> None:
            for at in range(0, len(wire), 10):
                pair.transport.arrive([wire[at : at + 10]])
                await asyncio.sleep(pause_s)

        feeding = asyncio.create_task(dribble())
        await pair.association.receive(None, waiting_for="it")
        assert len(await pair.association.read_data_set()) == 300
        assert asyncio.get_running_loop().time() - start > limit_s
        await feeding

    async def test_a_peer_that_takes_nothing(self) -> None:
        pair = Pair(silence_timeout_s=SHORT)
        pair.transport.is_stuck = True
        with pytest.raises(DimseTimeout, match="took nothing"):
            await pair.association.send(1, ECHO)


class TestSending:
    async def test_a_message_in_one_write(self) -> None:
        pair = Pair()
        await pair.association.send(1, FIND, b"abcd")
        assert len(pair.transport.writes) == 1
        command, data = pair.take_sent()
        assert (command[0], command[1], command[3]) == (1, True, True)
        assert data == PDataFragment(1, False, b"abcd", True)

    @pytest.mark.parametrize("limit", [8, 20, 101, 16_384])
    async def test_the_peers_limit_is_kept_with_even_lengths(self, limit: int) -> None:
        pair = Pair(make_request(), make_accept(max_length=limit))
        payload = bytes(range(256)) * 2
        await pair.association.send(1, FIND, payload)
        fragments = pair.take_sent()
        lengths = [len(fragment.data) for fragment in fragments]
        assert max(lengths) + 6 <= limit
        assert all(length % 2 == 0 for length in lengths)
        data = [fragment for fragment in fragments if not fragment.is_command]
        assert b"".join(fragment.data for fragment in data) == payload
        assert [fragment.last for fragment in data] == [False] * (len(data) - 1) + [True]

    async def test_a_peer_without_limit(self) -> None:
        pair = Pair(make_request(), make_accept(max_length=0))
        await pair.association.send(1, FIND, bytes(300_000))
        assert max(len(fragment.data) for fragment in pair.take_sent()) == 131_066

    async def test_message_ids_go_round(self) -> None:
        association = Pair().association
        ids = [association.next_message_id() for _ in range(65_537)]
        assert ids[:2] == [1, 2]
        assert ids[65_534:] == [65_535, 1, 2]

    async def test_after_the_end_it_says_how_it_ended(self) -> None:
        pair = Pair()
        pair.transport.arrive([pair.encode(FIND, b"ab") + pair.peer.send(Abort(2, 1))])
        await pair.association.receive(1, waiting_for="it")
        assert await pair.association.read_piece() == b"ab"
        with pytest.raises(AssociationAborted):
            await pair.association.send(1, ECHO)
        with pytest.raises(AssociationAborted):
            pair.association.frame_fragment(1, last=True, length=2)

    async def test_an_abort_that_arrived_before_the_connection_went(self) -> None:
        pair = Pair()
        pair.transport.arrive([pair.peer.send(Abort(2, 6)), b""])
        pair.transport.is_closing = True
        with pytest.raises(AssociationAborted) as caught:
            await pair.association.send(1, ECHO)
        assert (caught.value.source, caught.value.reason) == (2, 6)

    async def test_a_connection_that_went_without_a_word(self) -> None:
        pair = Pair()
        pair.transport.is_closing = True
        with pytest.raises(ConnectionLost):
            await pair.association.send(1, ECHO)


Ending = Callable[[Pair], bytes]
ENDINGS: dict[str, tuple[Ending, type[BackendError]]] = {
    "abort": (lambda pair: pair.peer.send(Abort(0, 0)), AssociationAborted),
    "release": (lambda pair: pair.peer.send(ReleaseRequest()), ConnectionLost),
    "close": (lambda pair: b"", ConnectionLost),
    "garbage": (lambda pair: b"GET / HTTP/1.1\r\n\r\n", UndecodableResponse),
    "other pdu": (lambda pair: bytes.fromhex("03 00 00000004 00 01 01 01"), UndecodableResponse),
}


def find_pdu_start(wire: bytes, at: int) -> int:
    """The start of the PDU that byte `at` is in."""
    start = 0
    while (stop := start + 6 + int.from_bytes(wire[start + 2 : start + 6], "big")) <= at:
        start = stop
    return start


async def receive(association: Association) -> None:
    await association.receive(2, waiting_for="it")


async def receive_and_read(association: Association) -> None:
    await association.receive(2, waiting_for="it")
    await association.read_data_set()


class TestEndings:
    @pytest.mark.parametrize("how", ENDINGS)
    @pytest.mark.parametrize(
        ("phase", "bytes_before", "operation"),
        [
            ("between messages", 0, receive),
            ("in a header", 3, receive),
            ("in the command set", 40, receive),
            ("in the data set", 130, receive_and_read),
        ],
    )
    async def test_in_each_phase(
        self, how: str, phase: str, bytes_before: int, operation: Callable[[Association], Awaitable[None]]
    ) -> None:
        end, error = ENDINGS[how]
        pair = Pair()
        wire = pair.encode(FIND, bytes(200), fragment=20)
        if how != "close":  # only a close may cut a PDU
            bytes_before = find_pdu_start(wire, bytes_before)
        pair.transport.arrive([*([wire[:bytes_before]] if bytes_before else []), end(pair)])
        with pytest.raises(error):
            await operation(pair.association)
        with pytest.raises(error):
            await pair.association.receive(1, waiting_for="it")
        assert not pair.association.is_usable
        assert not pair.association.is_clean

    async def test_pieces_before_the_end_are_still_given(self) -> None:
        pair = Pair()
        wire = pair.encode(FIND, bytes(40), fragment=130)
        cut = pair.encode(FIND) + pair.peer.send_p_data(1, False, False, 20) + bytes(20)
        assert len(cut) < len(wire) + 40
        pair.transport.arrive([cut + pair.peer.send(Abort(0, 0))])
        await pair.association.receive(1, waiting_for="it")
        assert await pair.association.read_piece() == bytes(20)
        with pytest.raises(AssociationAborted):
            await pair.association.read_piece()

    async def test_a_release_is_answered(self) -> None:
        pair = Pair()
        pair.transport.arrive([pair.peer.send(ReleaseRequest())])
        with pytest.raises(ConnectionLost, match="released"):
            await pair.association.receive(1, waiting_for="it")
        assert pair.take_sent() == [ReleaseReply()]

    async def test_garbage_is_answered_with_an_abort_and_the_connection_closes(self) -> None:
        pair = Pair()
        pair.transport.arrive([b"\x99" * 20])
        with pytest.raises(UndecodableResponse):
            await pair.association.receive(1, waiting_for="it")
        assert pair.take_sent() == [Abort(2, 1)]
        assert pair.transport.is_closing

    async def test_a_message_that_breaks_the_rules_is_answered_with_an_abort(self) -> None:
        pair = Pair()
        pair.transport.arrive([pair.peer.send_p_data(1, False, True, 2) + b"ab"])
        with pytest.raises(UndecodableResponse, match="order"):
            await pair.association.receive(1, waiting_for="it")
        assert pair.take_sent() == [Abort(2, 0)]

    async def test_abort_says_so_and_closes(self) -> None:
        pair = Pair()
        pair.association.abort()
        pair.association.abort()
        assert pair.take_sent() == [Abort(0, 0)]
        assert pair.transport.is_closing
        with pytest.raises(ConnectionLost, match="aborted by us"):
            await pair.association.receive(1, waiting_for="it")

    async def test_release_drops_late_data(self) -> None:
        pair = Pair()
        releasing = asyncio.create_task(pair.association.release())
        await asyncio.sleep(0)
        assert pair.take_sent() == [ReleaseRequest()]
        late = pair.peer.send_p_data(1, True, False, 4) + bytes(4)
        pair.transport.arrive([late, late, pair.peer.send(ReleaseReply())])
        await releasing
        assert pair.transport.is_closing
        assert not pair.transport.written

    async def test_release_when_both_ask_for_it(self) -> None:
        pair = Pair()
        collision = pair.peer.send(ReleaseRequest())
        releasing = asyncio.create_task(pair.association.release())
        await asyncio.sleep(0)
        pair.transport.arrive([collision])
        pair.peer.receive_data(bytes(pair.transport.written))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        pair.peer.receive_data(bytes(pair.transport.written[10:]))
        assert pair.peer.next_event() == ReleaseReply()
        pair.transport.arrive([pair.peer.bytes_to_send()])
        await releasing
        assert pair.transport.is_closing

    async def test_release_without_an_answer_becomes_an_abort(self) -> None:
        pair = Pair()
        await pair.association.release(timeout=SHORT)
        assert pair.transport.is_closing
        assert bytes(pair.transport.written[10:]) == bytes.fromhex("07 00 00000004 00 00 00 00")

    async def test_release_cancelled_becomes_an_abort(self) -> None:
        pair = Pair()
        releasing = asyncio.create_task(pair.association.release())
        await asyncio.sleep(0)
        releasing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await releasing
        assert pair.transport.is_closing

    async def test_release_of_an_ended_association(self) -> None:
        pair = Pair()
        pair.transport.arrive([b""])
        await pair.association.release()
        assert pair.transport.is_closing

    async def test_an_abort_instead_of_the_answer_to_a_release(self) -> None:
        pair = Pair()
        pair.transport.arrive([])
        releasing = asyncio.create_task(pair.association.release())
        await asyncio.sleep(0)
        pair.transport.arrive([pair.peer.send(Abort(0, 0))])
        await releasing
        assert pair.transport.is_closing


class TestCleanliness:
    async def test_an_operation_under_way(self) -> None:
        association = Pair().association
        assert association.is_clean
        association.begin_operation()
        assert not association.is_clean
        association.end_operation()
        assert association.is_clean

    async def test_a_data_set_unread(self) -> None:
        pair = Pair()
        pair.transport.arrive([pair.encode(FIND, b"ab")])
        assert not pair.association.is_clean
        await pair.association.receive(1, waiting_for="it")
        assert not pair.association.is_clean
        await pair.association.discard_data_set()
        assert pair.association.is_clean

    @pytest.mark.parametrize("how", ENDINGS)
    async def test_settling_notices_an_end(self, how: str) -> None:
        pair = Pair()
        pair.transport.arrive([ENDINGS[how][0](pair)])
        pair.association.settle_idle()
        assert not pair.association.is_usable

    async def test_settling_takes_a_message_nobody_asked_for_as_unclean(self) -> None:
        pair = Pair()
        pair.transport.arrive([pair.encode(ECHO)])
        pair.association.settle_idle()
        assert pair.association.is_usable
        assert not pair.association.is_clean

    async def test_settling_half_a_release_waits_for_the_rest(self) -> None:
        pair = Pair()
        release = pair.peer.send(ReleaseRequest())
        pair.transport.arrive([release[:4]])
        pair.association.settle_idle()
        assert pair.association.is_usable
        pair.transport.arrive([release[4:]])
        pair.association.settle_idle()
        assert not pair.association.is_usable
