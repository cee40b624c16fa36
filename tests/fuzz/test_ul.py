"""Nothing a peer sends makes the upper layer raise anything but RemoteProtocolError, or hold on to payload."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.tests import encoded_pdu_items as reference

from gateway.dimse.ul.connection import NEED_DATA, Connection
from gateway.dimse.ul.events import (
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    PDataFragment,
    ReleaseReply,
    ReleaseRequest,
    TransportClosed,
)
from gateway.dimse.ul.fsm import State
from gateway.dimse.ul.pdu import PduType, decode_pdu, encode_p_data_header, encode_pdu
from gateway.errors import RemoteProtocolError
from tests.support.upper_layer import (
    establish_pair,
    join_fragments,
    make_accept,
    make_request,
    open_pair,
)

REFERENCE_PDUS = [value for name, value in sorted(vars(reference).items()) if name.startswith(("a_", "p_data_tf"))]
VALID_PDUS = [
    encode_pdu(make_request()),
    encode_pdu(make_accept()),
    encode_pdu(AssociateReject(1, 1, 1)),
    encode_p_data_header(1, True, True, 4) + b"data",
    encode_p_data_header(1, False, False, 5) + b"piece",
    encode_p_data_header(1, False, True, 4) + b"last",
    encode_p_data_header(3, False, False, 5) + b"other",
    encode_pdu(ReleaseRequest()),
    encode_pdu(ReleaseReply()),
    encode_pdu(Abort(2, 0)),
]


@st.composite
def damaged_pdus(draw: st.DrawFn) -> bytes:
    """A PDU of pynetdicom's references with some bytes replaced, removed or put in."""
    wire = bytearray(draw(st.sampled_from(REFERENCE_PDUS)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(wire)))
        wire[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(wire)


def make_item(item_type: int, body: bytes) -> bytes:
    return bytes([item_type, 0]) + len(body).to_bytes(2) + body


item_types = st.sampled_from([0x10, 0x20, 0x21, 0x30, 0x40, *range(0x50, 0x5B)])
items = st.recursive(
    st.binary(max_size=24),
    lambda inner: st.lists(st.builds(make_item, item_types, inner), max_size=4).map(b"".join),
    max_leaves=8,
)
streams = st.one_of(
    st.binary(max_size=200),
    damaged_pdus(),
    st.lists(st.sampled_from(VALID_PDUS) | damaged_pdus(), max_size=6).map(b"".join),
)


@st.composite
def cut_streams(draw: st.DrawFn) -> list[bytes]:
    """A stream in chunks of any lengths."""
    wire = draw(streams)
    cuts = sorted(draw(st.sets(st.integers(0, len(wire)), max_size=5)) | {0, len(wire)})
    return [wire[start:stop] for start, stop in zip(cuts, cuts[1:], strict=False)]


def start_waiting_for_accept() -> Connection:
    requestor, _ = open_pair()
    requestor.send(make_request())
    return requestor


STARTS = {
    "Sta2": lambda: open_pair()[1],
    "Sta5": start_waiting_for_accept,
    "Sta6 requestor": lambda: establish_pair()[0],
    "Sta6 acceptor": lambda: establish_pair()[1],
}


def run(
    connection: Connection, chunks: list[bytes], *, fast: bool = False
) -> tuple[list[Any], list[RemoteProtocolError], bytes]:
    """Feed `chunks`, then the end; events without the cuts, faults, and what was sent.

    `fast` takes the data set of context 1 by ``take_data`` wherever it stands.
    """
    events: list[Any] = []
    faults: list[RemoteProtocolError] = []
    sent = b""
    for chunk in [*(chunk for chunk in chunks if chunk), b""]:
        connection.receive_data(chunk)
        while True:
            if fast:
                connection.take_data(1, events)
            try:
                event = connection.next_event()
            except RemoteProtocolError as fault:
                faults.append(fault)
                continue
            finally:
                sent += connection.bytes_to_send()
            if event is NEED_DATA:
                break
            events.append(event)
    return join_fragments(events), faults, sent


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
@given(chunks=cut_streams())
def test_the_fast_way_over_data_gives_the_same(start: Any, chunks: list[bytes]) -> None:
    (events, faults, sent), (fast_events, fast_faults, fast_sent) = (
        run(start(), chunks),
        run(start(), chunks, fast=True),
    )
    assert (fast_events, fast_sent) == (events, sent)
    assert [(str(fault), fault.reason) for fault in fast_faults] == [(str(fault), fault.reason) for fault in faults]


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
@given(chunks=cut_streams())
def test_any_stream_ends_in_order(start: Any, chunks: list[bytes]) -> None:
    connection = start()
    events, faults, sent = run(connection, chunks)
    assert len(faults) <= 1
    assert events[-1] == TransportClosed()
    assert connection.state is State.STA1
    assert connection.close_requested
    assert not connection.artim_running
    if faults:
        assert faults[0].reason in (0, 1, 2, 6)
        assert sent[:1] == bytes([PduType.ABORT])


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
@given(chunks=cut_streams())
def test_cuts_make_no_difference(start: Any, chunks: list[bytes]) -> None:
    cut = run(start(), chunks)
    whole = run(start(), [b"".join(chunks)])
    single = run(start(), [bytes([byte]) for byte in b"".join(chunks)])
    for other in (whole, single):
        assert other[0] == cut[0]
        assert [str(fault) for fault in other[1]] == [str(fault) for fault in cut[1]]
        assert other[2] == cut[2]


@given(pdu_type=st.sampled_from([PduType.ASSOCIATE_RQ, PduType.ASSOCIATE_AC]), variable=items)
def test_items_of_any_shape(pdu_type: PduType, variable: bytes) -> None:
    """Decoded to a value, or RemoteProtocolError."""
    fixed = b"\0\1\0\0" + b"ARCHIVE".ljust(16) + b"GATEWAY".ljust(16) + bytes(32)
    try:
        event = decode_pdu(pdu_type, fixed + variable)
    except RemoteProtocolError as fault:
        assert fault.reason == 6
        return
    assert isinstance(event, AssociateRequest | AssociateAccept)
    assert event.called_ae_title == "ARCHIVE"


@given(titles=st.binary(min_size=32, max_size=32))
def test_any_titles_can_be_answered(titles: bytes) -> None:
    _, acceptor = open_pair()
    wire = bytearray(encode_pdu(make_request()))
    wire[10:42] = titles
    acceptor.receive_data(bytes(wire))
    request = acceptor.next_event()
    assert isinstance(request, AssociateRequest)
    accept = make_accept(called_ae_title=request.called_ae_title, calling_ae_title=request.calling_ae_title)
    assert len(acceptor.send(accept)) == len(encode_pdu(make_accept()))


@given(
    payloads=st.lists(st.tuples(st.booleans(), st.binary(max_size=300), st.booleans()), min_size=1, max_size=6),
    size=st.integers(1, 97),
)
def test_payload_arrives_as_it_was_sent(payloads: list[tuple[bool, bytes, bool]], size: int) -> None:
    requestor, acceptor = establish_pair()
    wire = b"".join(
        requestor.send_p_data(3, is_command, last, len(payload)) + payload for is_command, payload, last in payloads
    )
    events, faults, _ = run(acceptor, [wire[at : at + size] for at in range(0, len(wire), size)])
    sent = [PDataFragment(3, is_command, payload, last) for is_command, payload, last in payloads]
    said = [piece for piece in sent if piece.data or piece.last]
    assert (events[:-1], faults) == (join_fragments(said), [])
