"""The connection: two machines back to back, every fault, every end, and what the driver is told to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.dimse.ul.connection import NEED_DATA, Connection, Role
from gateway.dimse.ul.events import (
    Abort,
    AssociateReject,
    PDataFragment,
    ReleaseReply,
    ReleaseRequest,
    TransportClosed,
)
from gateway.dimse.ul.fsm import TRANSITIONS, Event, State
from gateway.dimse.ul.pdu import AbortReason, encode_p_data_header, encode_pdu
from gateway.errors import LocalProtocolError, RemoteProtocolError
from tests.support.upper_layer import (
    MAX_LENGTH,
    cut_single_bytes,
    establish_pair,
    iter_two_chunks,
    join_fragments,
    make_accept,
    make_request,
    open_pair,
    take_events,
)

RELEASE_RQ = encode_pdu(ReleaseRequest())
RELEASE_RP = encode_pdu(ReleaseReply())
P_DATA = encode_p_data_header(1, True, True, 4) + b"data"


def provider_abort(reason: int) -> bytes:
    return encode_pdu(Abort(2, reason))


def in_state(state: State) -> Connection:
    """A connection that came to `state` the ordinary way."""
    return _WAYS[state]()


def _unconnected(role: Role) -> Connection:
    return Connection(role, max_length=MAX_LENGTH)


def _sta3() -> Connection:
    _, acceptor = open_pair()
    acceptor.receive_data(encode_pdu(make_request()))
    assert acceptor.next_event() == make_request()
    return acceptor


def _sta4() -> Connection:
    requestor = _unconnected(Role.REQUESTOR)
    assert requestor.send(make_request()) == b""
    return requestor


def _sta5() -> Connection:
    requestor, _ = open_pair()
    requestor.send(make_request())
    return requestor


def _sta7() -> Connection:
    requestor, _ = establish_pair()
    requestor.send(ReleaseRequest())
    return requestor


def _sta8() -> Connection:
    _, acceptor = establish_pair()
    acceptor.receive_data(RELEASE_RQ)
    assert acceptor.next_event() == ReleaseRequest()
    return acceptor


def _colliding(which: int) -> Connection:
    connection = establish_pair()[which]
    connection.send(ReleaseRequest())
    connection.receive_data(RELEASE_RQ)
    assert connection.next_event() is NEED_DATA
    connection.bytes_to_send()
    return connection


def _sta13() -> Connection:
    acceptor = _sta3()
    acceptor.send(AssociateReject(1, 1, 7))
    return acceptor


_WAYS: dict[State, Callable[[], Connection]] = {
    State.STA1: lambda: _unconnected(Role.REQUESTOR),
    State.STA2: lambda: open_pair()[1],
    State.STA3: _sta3,
    State.STA4: _sta4,
    State.STA5: _sta5,
    State.STA6: lambda: establish_pair()[0],
    State.STA7: _sta7,
    State.STA8: _sta8,
    State.STA10: lambda: _colliding(1),
    State.STA11: lambda: _colliding(0),
    State.STA13: _sta13,
}
"""Sta9 and Sta12 last only for the time of a call, since the machine answers for its user there."""


@pytest.mark.parametrize("state", _WAYS)
def test_states_are_reached(state: State) -> None:
    connection = in_state(state)
    assert connection.state is state
    assert connection.is_established == (state is State.STA6)
    assert connection.artim_running == (state in (State.STA2, State.STA13))
    assert not connection.close_requested


# --- the ordinary course ---


def test_association_data_release() -> None:
    requestor, acceptor = establish_pair()
    assert (requestor.peer_max_length, acceptor.peer_max_length) == (MAX_LENGTH, MAX_LENGTH)
    acceptor.receive_data(requestor.send_p_data(1, True, True, 4) + b"ping")
    acceptor.receive_data(requestor.send_p_data(1, False, False, 2) + b"ab")
    acceptor.receive_data(requestor.send_p_data(1, False, True, 0))
    assert take_events(acceptor) == [
        PDataFragment(1, True, b"ping", True),
        PDataFragment(1, False, b"ab", False),
        PDataFragment(1, False, b"", True),
    ]
    acceptor.receive_data(requestor.send(ReleaseRequest()))
    assert take_events(acceptor) == [ReleaseRequest()]
    requestor.receive_data(acceptor.send(ReleaseReply()))
    assert take_events(requestor) == [ReleaseReply()]
    assert (requestor.state, requestor.close_requested) == (State.STA1, True)
    assert (acceptor.state, acceptor.close_requested, acceptor.artim_running) == (State.STA13, False, True)
    acceptor.receive_data(b"")
    assert take_events(acceptor) == [TransportClosed()]
    assert (acceptor.state, acceptor.close_requested, acceptor.artim_running) == (State.STA1, True, False)


def test_conversation_at_every_split() -> None:
    """What the requestor says in one association, cut anywhere, is the same to the acceptor."""
    wire = encode_pdu(make_request())
    rest = P_DATA + encode_p_data_header(1, False, True, 5) + b"bytes" + RELEASE_RQ
    expected = [
        PDataFragment(1, True, b"data", True),
        PDataFragment(1, False, b"bytes", True),
        ReleaseRequest(),
    ]
    for chunks in [[rest], cut_single_bytes(rest), *iter_two_chunks(rest)]:
        _, acceptor = open_pair()
        for byte in cut_single_bytes(wire):
            assert acceptor.next_event() is NEED_DATA
            acceptor.receive_data(byte)
        assert acceptor.next_event() == make_request()
        acceptor.send(make_accept())
        events = []
        for chunk in chunks:
            acceptor.receive_data(chunk)
            events += take_events(acceptor)
        assert join_fragments(events) == expected


def test_request_before_the_transport_is_open() -> None:
    requestor = in_state(State.STA4)
    assert requestor.bytes_to_send() == b""
    requestor.transport_connected()
    assert requestor.bytes_to_send() == encode_pdu(make_request())
    assert requestor.bytes_to_send() == b""
    assert requestor.state is State.STA5


def test_rejection() -> None:
    requestor, acceptor = open_pair()
    acceptor.receive_data(requestor.send(make_request()))
    acceptor.next_event()
    requestor.receive_data(acceptor.send(AssociateReject(1, 1, 7)))
    assert requestor.next_event() == AssociateReject(1, 1, 7)
    assert (requestor.state, requestor.close_requested) == (State.STA1, True)
    assert (acceptor.state, acceptor.close_requested, acceptor.artim_running) == (State.STA13, False, True)


def test_unknown_protocol_version_is_refused_by_the_provider() -> None:
    _, acceptor = open_pair()
    acceptor.receive_data(encode_pdu(make_request(protocol_version=2)))
    assert acceptor.next_event() is NEED_DATA
    assert acceptor.bytes_to_send() == encode_pdu(AssociateReject(1, 2, 2))
    assert (acceptor.state, acceptor.artim_running) == (State.STA13, True)


def test_other_bits_of_the_protocol_version_are_not_tested() -> None:
    _, acceptor = open_pair()
    acceptor.receive_data(encode_pdu(make_request(protocol_version=0x8003)))
    assert acceptor.next_event() == make_request(protocol_version=0x8003)


def test_unlimited_peer() -> None:
    requestor, acceptor = open_pair()
    acceptor.receive_data(requestor.send(make_request()))
    acceptor.next_event()
    requestor.receive_data(encode_pdu(make_accept(max_length=0)))
    requestor.next_event()
    assert requestor.peer_max_length == 0
    assert requestor.send_p_data(1, False, True, 1 << 30) == encode_p_data_header(1, False, True, 1 << 30)


# --- reading is lazy ---


def test_state_is_that_of_the_events_seen() -> None:
    requestor, _ = establish_pair()
    requestor.receive_data(P_DATA + encode_pdu(Abort(0, 0)))
    assert requestor.next_event() == PDataFragment(1, True, b"data", True)
    assert requestor.is_established
    assert requestor.send_p_data(1, True, True, 2)
    assert requestor.next_event() == Abort(0, 0)
    assert requestor.state is State.STA1


def test_events_before_the_end_of_the_transport_are_not_lost() -> None:
    requestor, _ = establish_pair()
    requestor.receive_data(P_DATA)
    requestor.receive_data(b"")
    assert take_events(requestor) == [PDataFragment(1, True, b"data", True), TransportClosed()]


# --- release ---


def test_data_still_arrives_after_a_release_request() -> None:
    requestor, acceptor = establish_pair()
    to_acceptor = requestor.send(ReleaseRequest())
    requestor.receive_data(acceptor.send_p_data(1, True, True, 4) + b"late")
    assert take_events(requestor) == [PDataFragment(1, True, b"late", True)]
    assert requestor.state is State.STA7
    acceptor.receive_data(to_acceptor)
    assert take_events(acceptor) == [ReleaseRequest()]
    requestor.receive_data(acceptor.send_p_data(1, False, True, 2) + b"er")
    requestor.receive_data(acceptor.send(ReleaseReply()))
    assert take_events(requestor) == [PDataFragment(1, False, b"er", True), ReleaseReply()]


def test_release_collision() -> None:
    requestor, acceptor = establish_pair()
    to_acceptor = requestor.send(ReleaseRequest())
    to_requestor = acceptor.send(ReleaseRequest())
    requestor.receive_data(to_requestor)
    acceptor.receive_data(to_acceptor)
    assert take_events(requestor) == take_events(acceptor) == []
    assert (requestor.state, acceptor.state) == (State.STA11, State.STA10)
    assert acceptor.bytes_to_send() == b""
    acceptor.receive_data(requestor.bytes_to_send())
    assert take_events(acceptor) == [ReleaseReply()]
    assert (acceptor.state, acceptor.artim_running) == (State.STA13, True)
    requestor.receive_data(acceptor.bytes_to_send())
    assert take_events(requestor) == [ReleaseReply()]
    assert (requestor.state, requestor.close_requested) == (State.STA1, True)


# --- abort and the end of the transport ---


@pytest.mark.parametrize("state", [s for s in _WAYS if s not in (State.STA1, State.STA4)])
def test_peer_aborts(state: State) -> None:
    connection = in_state(state)
    connection.receive_data(encode_pdu(Abort(2, 6)) + P_DATA)
    silent = state in (State.STA2, State.STA13)  # AA-2: nobody is there yet, or any more, to be told
    assert take_events(connection) == ([] if silent else [Abort(2, 6)])
    assert connection.state is State.STA1
    assert connection.close_requested
    assert not connection.artim_running
    assert connection.bytes_to_send() == b""


@pytest.mark.parametrize("state", [s for s in _WAYS if (s, Event.EVT15) in TRANSITIONS])
def test_we_abort(state: State) -> None:
    connection = in_state(state)
    sent = connection.send(Abort(0, 0))
    if state is State.STA4:
        assert (sent, connection.state, connection.close_requested) == (b"", State.STA1, True)
    else:
        assert (sent, connection.state, connection.artim_running) == (
            encode_pdu(Abort(0, 0)),
            State.STA13,
            True,
        )


@pytest.mark.parametrize("state", _WAYS)
@pytest.mark.parametrize("cut_short", [b"", b"\4\0\0", encode_p_data_header(1, False, True, 9)])
def test_transport_closes(state: State, cut_short: bytes) -> None:
    connection = in_state(state)
    connection.receive_data(cut_short[:3])
    connection.receive_data(b"")
    assert take_events(connection) == [TransportClosed()]
    assert (connection.state, connection.artim_running, connection.close_requested) == (
        State.STA1,
        False,
        True,
    )
    connection.receive_data(P_DATA)
    connection.receive_data(b"")
    assert take_events(connection) == []
    assert connection.bytes_to_send() == b""


@pytest.mark.parametrize("state", _WAYS)
def test_artim_expires(state: State) -> None:
    connection = in_state(state)
    was_running = connection.artim_running
    connection.artim_expired()
    assert connection.close_requested == was_running
    assert connection.state is (State.STA1 if was_running else state)
    assert not connection.artim_running


# --- faults of the peer ---


def expect_fault(connection: Connection, reason: int) -> bytes:
    """Raised once, with the transport to be closed; returns what is sent."""
    with pytest.raises(RemoteProtocolError) as caught:
        take_events(connection)
    assert caught.value.reason == reason
    assert connection.close_requested
    assert connection.next_event() is NEED_DATA
    return connection.bytes_to_send()


PEER_PDUS = {
    Event.EVT3: encode_pdu(make_accept()),
    Event.EVT4: encode_pdu(AssociateReject(1, 1, 1)),
    Event.EVT6: encode_pdu(make_request()),
    Event.EVT10: P_DATA,
    Event.EVT12: RELEASE_RQ,
    Event.EVT13: RELEASE_RP,
}
UNEXPECTED = [
    pytest.param(state, event, id=f"{state.value}-{event.value}")
    for state in _WAYS
    for event in PEER_PDUS
    if (action := TRANSITIONS.get((state, event))) is not None and action.value in ("AA-1", "AA-8")
]


@pytest.mark.parametrize(("state", "event"), UNEXPECTED)
def test_unexpected_pdu(state: State, event: Event) -> None:
    connection = in_state(state)
    connection.receive_data(PEER_PDUS[event])
    sent = expect_fault(connection, AbortReason.UNEXPECTED_PDU)
    # AA-1 says that the service user aborts, for which no reason is significant (PS3.8 §9.3.8)
    assert sent == (encode_pdu(Abort(0, 0)) if state is State.STA2 else provider_abort(2))
    assert (connection.state, connection.artim_running) == (State.STA13, True)
    connection.receive_data(b"")
    assert connection.next_event() == TransportClosed()


INVALID = {
    "unrecognized": (b"\x0b\0\0\0\0\0", AbortReason.UNRECOGNIZED_PDU),
    "length": (b"\7\0\0\0\0\5", AbortReason.INVALID_PARAMETER_VALUE),
    "too long": (encode_p_data_header(1, False, True, MAX_LENGTH - 5), AbortReason.INVALID_PARAMETER_VALUE),
}


@pytest.mark.parametrize("wire", INVALID.values(), ids=INVALID)
@pytest.mark.parametrize("state", [s for s in _WAYS if s not in (State.STA1, State.STA4, State.STA13)])
def test_invalid_pdu(state: State, wire: tuple[bytes, AbortReason]) -> None:
    connection = in_state(state)
    connection.receive_data(wire[0])
    sent = expect_fault(connection, wire[1])
    assert sent == (encode_pdu(Abort(0, 0)) if state is State.STA2 else provider_abort(wire[1]))
    connection.receive_data(wire[0])
    assert (connection.next_event(), connection.bytes_to_send()) == (NEED_DATA, b"")


@pytest.mark.parametrize(
    ("state", "pdu"),
    [(State.STA2, encode_pdu(make_request())), (State.STA5, encode_pdu(make_accept()))],
)
def test_association_pdu_that_cannot_be_read(state: State, pdu: bytes) -> None:
    connection = in_state(state)
    connection.receive_data(pdu.replace(b"\x50\0\0", b"\x50\0\x7f"))  # user information longer than the PDU
    expect_fault(connection, AbortReason.INVALID_PARAMETER_VALUE)


def test_unreadable_pdu_that_may_not_come_is_reported_as_unexpected() -> None:
    connection = in_state(State.STA6)
    connection.receive_data(b"\1\0\0\0\0\x44" + bytes(68))
    assert expect_fault(connection, AbortReason.UNEXPECTED_PDU) == provider_abort(2)


def test_pieces_before_a_pdv_that_disagrees() -> None:
    connection = in_state(State.STA6)
    connection.receive_data(b"\4\0\0\0\0\x10\0\0\0\4\1\0ab" + b"\0\0\0\x63\1\2abcd")
    assert connection.next_event() == PDataFragment(1, False, b"ab", False)
    assert expect_fault(connection, AbortReason.INVALID_PARAMETER_VALUE) == provider_abort(6)


def test_longer_pdus_are_taken_where_configured() -> None:
    _, acceptor = establish_pair(accept_longer_pdus=True)
    acceptor.receive_data(encode_p_data_header(1, False, True, MAX_LENGTH) + bytes(MAX_LENGTH))
    assert [len(event.data) for event in take_events(acceptor)] == [MAX_LENGTH]


@pytest.mark.parametrize("state", [State.STA1, State.STA4])
@pytest.mark.parametrize(
    ("wire", "reason"),
    [(P_DATA, AbortReason.UNEXPECTED_PDU), (b"HTTP/1.1 400", AbortReason.UNRECOGNIZED_PDU)],
    ids=["P-DATA", "HTTP"],
)
def test_peer_talks_first(state: State, wire: bytes, reason: AbortReason) -> None:
    connection = in_state(state)
    connection.receive_data(wire)
    assert expect_fault(connection, reason) == provider_abort(reason)
    assert connection.state is State.STA1
    with pytest.raises(LocalProtocolError):
        connection.send(make_request())


# --- after the end ---


def test_pdus_in_sta13_are_ignored() -> None:
    connection = in_state(State.STA13)
    for event, pdu in PEER_PDUS.items():
        connection.receive_data(pdu)
        assert connection.next_event() is NEED_DATA
        # AA-7: a request for another association on the same connection is answered with A-ABORT
        assert connection.bytes_to_send() == (provider_abort(2) if event is Event.EVT6 else b"")
    assert connection.state is State.STA13


def test_payload_in_sta13_is_ignored_in_pieces() -> None:
    connection = in_state(State.STA13)
    for byte in cut_single_bytes(P_DATA + encode_pdu(Abort(0, 0))):
        connection.receive_data(byte)
        assert connection.next_event() is NEED_DATA
    assert connection.close_requested


def test_garbage_in_sta13_is_answered_once() -> None:
    connection = in_state(State.STA13)
    connection.receive_data(b"GET / HTTP/1.1\r\n\r\n")
    assert connection.next_event() is NEED_DATA
    assert connection.bytes_to_send() == provider_abort(AbortReason.UNRECOGNIZED_PDU)
    connection.receive_data(b"GET / HTTP/1.1\r\n\r\n")
    assert (connection.next_event(), connection.bytes_to_send()) == (NEED_DATA, b"")


def test_finished_connection_takes_no_second_association() -> None:
    requestor, acceptor = establish_pair()
    acceptor.receive_data(requestor.send(ReleaseRequest()))
    acceptor.next_event()
    requestor.receive_data(acceptor.send(ReleaseReply()))
    requestor.next_event()
    requestor.receive_data(P_DATA + encode_pdu(make_accept()))
    assert requestor.next_event() is NEED_DATA
    with pytest.raises(LocalProtocolError):
        requestor.send(make_request())


# --- faults of our own ---

REQUESTS: dict[Event, Any] = {
    Event.EVT1: make_request(),
    Event.EVT7: make_accept(),
    Event.EVT8: AssociateReject(1, 1, 1),
    Event.EVT11: ReleaseRequest(),
    Event.EVT14: ReleaseReply(),
    Event.EVT15: Abort(0, 0),
}
FORBIDDEN = [
    pytest.param(state, event, id=f"{state.value}-{event.value}")
    for state in _WAYS
    for event in REQUESTS
    if (state, event) not in TRANSITIONS
]


@pytest.mark.parametrize(("state", "event"), FORBIDDEN)
def test_requests_that_the_state_does_not_allow(state: State, event: Event) -> None:
    connection = in_state(state)
    with pytest.raises(LocalProtocolError):
        connection.send(REQUESTS[event])
    assert connection.state is state


@pytest.mark.parametrize("state", [s for s in _WAYS if s not in (State.STA6, State.STA8)])
def test_data_that_the_state_does_not_allow(state: State) -> None:
    with pytest.raises(LocalProtocolError):
        in_state(state).send_p_data(1, True, True, 2)


@pytest.mark.parametrize("event", [PDataFragment(1, True, b"", True), TransportClosed()])
def test_events_that_are_not_for_sending(event: Any) -> None:
    with pytest.raises(LocalProtocolError):
        in_state(State.STA6).send(event)


@pytest.mark.parametrize(("context_id", "length"), [(0, 2), (2, 2), (257, 2), (-1, 2), (1, -1), (1, MAX_LENGTH - 5)])
def test_numbers_that_no_pdv_has(context_id: int, length: int) -> None:
    with pytest.raises(LocalProtocolError):
        in_state(State.STA6).send_p_data(context_id, False, False, length)


def test_longest_pdv_the_peer_takes() -> None:
    assert in_state(State.STA6).send_p_data(1, False, False, MAX_LENGTH - 6)[2:6] == MAX_LENGTH.to_bytes(4)


def test_event_that_cannot_be_encoded_changes_nothing() -> None:
    requestor, _ = open_pair()
    with pytest.raises(LocalProtocolError):
        requestor.send(make_request(called_ae_title="X" * 17))
    assert requestor.state is State.STA1
    assert requestor.send(make_request()) == encode_pdu(make_request())


def test_announced_length_is_the_one_enforced() -> None:
    requestor, _ = open_pair()
    with pytest.raises(LocalProtocolError):
        requestor.send(make_request(max_length=MAX_LENGTH + 1))
    with pytest.raises(LocalProtocolError):
        in_state(State.STA3).send(make_accept(max_length=0))


def test_acceptor_asks_for_no_association() -> None:
    with pytest.raises(LocalProtocolError):
        _unconnected(Role.ACCEPTOR).send(make_request())


def test_transport_opens_once() -> None:
    requestor, _ = open_pair()
    with pytest.raises(LocalProtocolError):
        requestor.transport_connected()


def test_what_is_queued_goes_out_before_what_is_sent() -> None:
    requestor = _sta4()
    requestor.transport_connected()
    assert requestor.send(Abort(0, 0)) == encode_pdu(make_request()) + encode_pdu(Abort(0, 0))
