"""The framer: whole, byte by byte and at every split; pieces without gathering; lengths that disagree."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dimse.ul.events import PDataFragment
from gateway.dimse.ul.framer import Framer, ReceivedPdu
from gateway.dimse.ul.pdu import AbortReason, PduType
from gateway.errors import RemoteProtocolError
from tests.support.upper_layer import cut_single_bytes, iter_two_chunks, join_fragments

P_DATA = ReceivedPdu(PduType.P_DATA_TF, b"")
COMMAND, COMMAND_LAST, DATA, DATA_LAST = 1, 3, 0, 2


def make_pdv(context_id: int, control: int, payload: bytes) -> bytes:
    return struct.pack(">IBB", len(payload) + 2, context_id, control) + payload


def make_p_data(*pdvs: bytes) -> bytes:
    body = b"".join(pdvs)
    return struct.pack(">BBI", 4, 0, len(body)) + body


def make_pdu(pdu_type: int, body: bytes) -> bytes:
    return struct.pack(">BBI", pdu_type, 0, len(body)) + body


def read_all(chunks: Iterable[bytes], **options: Any) -> list[Any]:
    framer = Framer(**{"max_length": 0} | options)
    units: list[Any] = []
    for chunk in chunks:
        framer.feed(chunk)
        units += iter(framer.next_unit, None)
    return units


def read_fast(chunks: Iterable[bytes], context_id: int, **options: Any) -> list[Any]:
    """The same as `read_all`, with `take_data` first each time."""
    framer = Framer(**{"max_length": 0} | options)
    units: list[Any] = []
    for chunk in chunks:
        framer.feed(chunk)
        while True:
            framer.take_data(context_id, units)
            if (unit := framer.next_unit()) is None:
                break
            units.append(unit)
    return units


def without_headers(units: Iterable[Any]) -> list[Any]:
    """What counts: `take_data` does not tell where a P-DATA-TF began."""
    return [unit for unit in units if unit != P_DATA]


STREAM = b"".join(
    (
        make_pdu(1, bytes(range(80))),
        make_p_data(make_pdv(1, COMMAND, b"abc"), make_pdv(1, COMMAND_LAST, b"de")),
        make_p_data(make_pdv(1, DATA, b"fghij")),
        make_p_data(make_pdv(1, DATA, b""), make_pdv(1, DATA_LAST, b"")),
        make_p_data(make_pdv(255, DATA_LAST, b"k")),
        make_pdu(7, bytes((0, 0, 2, 6))),
        make_pdu(5, bytes(4)),
    )
)

# Joined: the pieces of one command set or data set, cut nowhere but where a PDU header stands between them.
EXPECTED = [
    ReceivedPdu(PduType.ASSOCIATE_RQ, bytes(range(80))),
    P_DATA,
    PDataFragment(1, True, b"abcde", True),
    P_DATA,
    PDataFragment(1, False, b"fghij", False),
    P_DATA,
    PDataFragment(1, False, b"", True),
    P_DATA,
    PDataFragment(255, False, b"k", True),
    ReceivedPdu(PduType.ABORT, bytes((0, 0, 2, 6))),
    ReceivedPdu(PduType.RELEASE_RQ, bytes(4)),
]


def test_whole_stream() -> None:
    assert join_fragments(read_all([STREAM])) == EXPECTED


def test_one_byte_at_a_time() -> None:
    assert join_fragments(read_all(cut_single_bytes(STREAM))) == EXPECTED


def test_every_split() -> None:
    for chunks in iter_two_chunks(STREAM):
        assert join_fragments(read_all(chunks)) == EXPECTED


def test_chunks_fed_before_the_first_is_read() -> None:
    framer = Framer(max_length=0)
    for chunk in cut_single_bytes(STREAM):
        framer.feed(chunk)
    assert join_fragments(iter(framer.next_unit, None)) == EXPECTED


def test_last_stands_on_the_final_piece_only() -> None:
    units = read_all(cut_single_bytes(make_p_data(make_pdv(3, DATA_LAST, b"wxyz"))))
    assert [(bytes(unit.data), unit.last) for unit in units[1:]] == [
        (b"w", False),
        (b"x", False),
        (b"y", False),
        (b"z", True),
    ]


def test_empty_pdv_that_is_not_the_last_says_nothing() -> None:
    assert read_all([make_p_data(make_pdv(3, DATA, b""))]) == [P_DATA]


def test_pieces_are_views_of_what_was_fed() -> None:
    chunk = make_p_data(make_pdv(3, DATA_LAST, b"wxyz"))
    piece = read_all([chunk])[1].data
    assert isinstance(piece, memoryview)
    assert piece.obj is chunk


def test_pieces_of_a_long_pdu_go_out_as_they_arrive() -> None:
    """A PDU of 16 MiB in chunks of 64 KiB: one piece for each chunk, a view of it, before the PDU is complete."""
    size = 16 << 20
    framer = Framer(max_length=0)
    framer.feed(struct.pack(">BBIIBB", 4, 0, size + 6, size + 2, 1, DATA_LAST))
    assert framer.next_unit() == P_DATA
    assert framer.next_unit() is None
    chunk = bytes(65_536)
    count = size // len(chunk)
    for number in range(1, count + 1):
        framer.feed(chunk)
        piece = framer.next_unit()
        assert isinstance(piece, PDataFragment)
        assert isinstance(piece.data, memoryview)
        assert piece.data.obj is chunk
        assert (len(piece.data), piece.last) == (len(chunk), number == count)
        assert framer.next_unit() is None


def test_reserved_bits_of_the_message_control_header_are_not_checked() -> None:
    units = read_all([make_p_data(make_pdv(1, 0xFF, b"a"), make_pdv(1, 0xFC, b"b"))])
    assert join_fragments(units)[1:] == [
        PDataFragment(1, True, b"a", True),
        PDataFragment(1, False, b"b", False),
    ]


def fault_of(wire: bytes, **options: Any) -> RemoteProtocolError:
    """The one fault that whole and byte by byte agree on."""
    reasons = []
    for chunks in ([wire], cut_single_bytes(wire)):
        with pytest.raises(RemoteProtocolError) as caught:
            read_all(chunks, **options)
        reasons.append(caught.value.reason)
    assert reasons[0] == reasons[1]
    return caught.value


@pytest.mark.parametrize("code", [0, 8, 0x47, 255])
def test_unrecognized_pdu(code: int) -> None:
    assert fault_of(make_pdu(code, bytes(4))).reason == AbortReason.UNRECOGNIZED_PDU


@pytest.mark.parametrize(
    ("pdu_type", "length"),
    [(1, 67), (1, (1 << 20) + 1), (2, 67), (2, 0xFFFFFFFF), (3, 3), (3, 5), (5, 0), (6, 5), (7, 1 << 31)],
)
def test_lengths_that_no_such_pdu_has(pdu_type: int, length: int) -> None:
    fault = fault_of(struct.pack(">BBI", pdu_type, 0, length))
    assert fault.reason == AbortReason.INVALID_PARAMETER_VALUE


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="no PDV"),
        pytest.param(b"\0\0\0\1\1", id="PDU shorter than one PDV"),
        pytest.param(b"\0\0\0\1\1\0", id="PDV without message control header"),
        pytest.param(b"\0\0\0\0\1\0", id="PDV of nothing"),
        pytest.param(b"\0\0\0\1\1\0\0\0\2\1\2", id="PDV of its context ID alone, another behind it"),
        pytest.param(b"\0\0\0\4\1\0a", id="PDV longer than its PDU"),
        pytest.param(b"\xff\xff\xff\xff\1\0a", id="PDV of 4 GiB"),
        pytest.param(b"\0\0\0\3\1\0ab", id="a byte left over"),
        pytest.param(b"\0\0\0\3\1\0abcdef", id="less than a PDV header left over"),
    ],
)
def test_pdv_lengths_that_disagree(body: bytes) -> None:
    assert fault_of(make_pdu(4, body)).reason == AbortReason.INVALID_PARAMETER_VALUE


def test_disagreement_found_after_pieces_went_out() -> None:
    framer = Framer(max_length=0)
    framer.feed(make_p_data(make_pdv(1, DATA, b"ab"), struct.pack(">IBB", 99, 1, DATA_LAST)))
    assert framer.next_unit() == P_DATA
    assert framer.next_unit() == PDataFragment(1, False, b"ab", False)
    with pytest.raises(RemoteProtocolError):
        framer.next_unit()


def test_longest_pdu_announced() -> None:
    pdu = make_p_data(make_pdv(1, DATA_LAST, bytes(14)))
    assert len(read_all([pdu], max_length=20)) == 2
    assert fault_of(pdu, max_length=19).reason == AbortReason.INVALID_PARAMETER_VALUE
    assert len(read_all([pdu], max_length=19, accept_longer_pdus=True)) == 2


def test_largest_association_pdu() -> None:
    body = bytes(1 << 20)
    assert read_all([make_pdu(1, body)[:100], make_pdu(1, body)[100:]]) == [ReceivedPdu(PduType.ASSOCIATE_RQ, body)]


def test_nothing_is_read_after_a_fault() -> None:
    framer = Framer(max_length=0)
    framer.feed(make_pdu(9, b"") + STREAM)
    framer.feed(STREAM)
    with pytest.raises(RemoteProtocolError):
        framer.next_unit()
    framer.feed(STREAM)
    assert framer.next_unit() is None


@pytest.mark.parametrize("cut", [cut_single_bytes, lambda wire: [wire]], ids=["bytes", "whole"])
def test_discarded_pdu(cut: Any) -> None:
    framer = Framer(max_length=0)
    units = []
    for chunk in cut(STREAM):
        framer.feed(chunk)
        for unit in iter(framer.next_unit, None):
            units.append(unit)
            if unit == P_DATA:
                framer.discard_pdu()
    assert units == [unit for unit in EXPECTED if not isinstance(unit, PDataFragment)]


@pytest.mark.parametrize("context_id", [1, 3, 255])
def test_the_fast_way_at_every_split(context_id: int) -> None:
    """Not only the same bytes: the same fragments, cut in the same places."""
    for chunks in [[STREAM], list(cut_single_bytes(STREAM)), *iter_two_chunks(STREAM)]:
        assert without_headers(read_fast(chunks, context_id)) == without_headers(read_all(chunks))


P_DATA_PDUS = st.lists(
    st.builds(
        make_pdv,
        st.sampled_from([1, 1, 1, 3]),
        st.sampled_from([DATA, DATA, COMMAND, DATA_LAST, 0xFC]),
        st.binary(max_size=30),
    ),
    min_size=1,
    max_size=3,
).map(lambda pdvs: make_p_data(*pdvs))


@given(
    st.lists(P_DATA_PDUS | st.just(make_pdu(5, bytes(4))), max_size=8).map(b"".join),
    st.lists(st.integers(0, 400), max_size=12),
    st.sampled_from([0, 20, 40]),
    st.booleans(),
)
def test_the_fast_way_over_any_p_data(wire: bytes, cuts: list[int], max_length: int, accept_longer: bool) -> None:
    bounds = sorted({0, len(wire)} | {cut for cut in cuts if cut < len(wire)})
    chunks = [wire[start:stop] for start, stop in itertools.pairwise(bounds)]
    options = {"max_length": max_length, "accept_longer_pdus": accept_longer}
    outcomes: list[Any] = []
    for read in (read_all, lambda chunks, **options: read_fast(chunks, 1, **options)):
        try:
            outcomes.append(without_headers(read(chunks, **options)))
        except RemoteProtocolError as fault:
            outcomes.append((str(fault), fault.reason))
    assert outcomes[0] == outcomes[1]


def test_the_fast_way_takes_a_data_set_to_its_end_and_no_further() -> None:
    framer = Framer(max_length=0)
    first, second = make_p_data(make_pdv(1, DATA, b"ab")), make_p_data(make_pdv(1, DATA_LAST, b"cd"))
    framer.feed(first + second + first)
    fragments: list[PDataFragment] = []
    assert framer.take_data(1, fragments)
    assert fragments == [PDataFragment(1, False, b"ab", False), PDataFragment(1, False, b"cd", True)]
    assert framer.next_unit() == P_DATA
