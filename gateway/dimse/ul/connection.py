"""One association as seen by its user: events in and out, bytes in and out, and no I/O.

`Connection` carries out the effects of `fsm.py` on the PDUs that `framer.py` finds. It is not a DIMSE layer
(that is `gateway.dimse.messages`) and it knows neither sockets nor clocks: its driver
(`gateway.dimse.transport` and `association`) moves the bytes, runs the ARTIM clock while `artim_running` and
closes the transport when `close_requested`::

    connection = Connection(Role.REQUESTOR, max_length=131_072)
    connection.transport_connected()
    writer.write(connection.send(AssociateRequest(...)))
    connection.receive_data(chunk)                      # b"" when the transport closed
    while (event := connection.next_event()) is not NEED_DATA:
        ...
    writer.write(connection.bytes_to_send())            # after next_event, also when it raised

Reading is lazy: `receive_data` only keeps the chunk, and the state moves as `next_event` is called. The state
is therefore always that of the events the user has seen, whatever else has arrived.

Source: PS3.8 §7, §9.2, §9.3
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal, TypeAlias

from gateway.dimse.ul.events import (
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    IndicationEvent,
    PDataFragment,
    ReleaseReply,
    ReleaseRequest,
    RequestEvent,
    TransportClosed,
)
from gateway.dimse.ul.framer import Framer, ReceivedPdu
from gateway.dimse.ul.fsm import EFFECTS, TRANSITIONS, Action, Artim, Event, Indication, Send, State
from gateway.dimse.ul.pdu import (
    PDV_OVERHEAD,
    AbortReason,
    PduType,
    decode_pdu,
    encode_p_data_header,
    encode_pdu,
)
from gateway.errors import LocalProtocolError, RemoteProtocolError

__all__ = ["NEED_DATA", "Connection", "NeedData", "Role"]


class Role(Enum):
    """Which side of the association this is (PS3.8 §3.5)."""

    REQUESTOR = "requestor"
    ACCEPTOR = "acceptor"


class _Sentinel(Enum):
    NEED_DATA = "NEED_DATA"


NeedData: TypeAlias = Literal[_Sentinel.NEED_DATA]
NEED_DATA: Final = _Sentinel.NEED_DATA
"""What `Connection.next_event` returns when it needs more bytes."""

_REQUEST_EVENTS: Final[dict[type, Event]] = {
    AssociateRequest: Event.EVT1,
    AssociateAccept: Event.EVT7,
    AssociateReject: Event.EVT8,
    ReleaseRequest: Event.EVT11,
    ReleaseReply: Event.EVT14,
    Abort: Event.EVT15,
}

_PDU_EVENTS: Final[dict[PduType, Event]] = {
    PduType.ASSOCIATE_AC: Event.EVT3,
    PduType.ASSOCIATE_RJ: Event.EVT4,
    PduType.ASSOCIATE_RQ: Event.EVT6,
    PduType.P_DATA_TF: Event.EVT10,
    PduType.RELEASE_RQ: Event.EVT12,
    PduType.RELEASE_RP: Event.EVT13,
    PduType.ABORT: Event.EVT16,
}

_PROTOCOL_VERSION_NOT_SUPPORTED: Final = AssociateReject(result=1, source=2, reason=2)
"""PS3.8 Table 9-21."""

# Sources of an A-ABORT (PS3.8 Table 9-26)
_SERVICE_USER: Final = 0
_SERVICE_PROVIDER: Final = 2

_MAX_PDU_LENGTH: Final = 0xFFFF_FFFF
"""The length field of a PDU has four bytes."""


class Connection:
    """The upper layer protocol machine of one association.

    Parameters
    ----------
    role : Role
        Requestor or acceptor.
    max_length : int
        Longest P-DATA-TF variable field this side takes, in bytes, as announced in A-ASSOCIATE; 0 = no limit.
    accept_longer_pdus : bool
        Take longer P-DATA-TF from a peer that ignores the limit. They cost no memory: payload is not gathered.
    """

    def __init__(self, role: Role, *, max_length: int, accept_longer_pdus: bool = False) -> None:
        self._role = role
        self._max_length = max_length
        self._framer = Framer(max_length=max_length, accept_longer_pdus=accept_longer_pdus)
        self._state = State.STA1
        self._artim_running = False
        self._close_requested = False
        self._peer_max_length = 0
        self._transport_is_open = False
        self._end_of_stream = False
        self._end_told = False
        self._request = b""  # A-ASSOCIATE-RQ while the transport opens (Sta4)
        self._outgoing = bytearray()

    @property
    def state(self) -> State:
        """State of PS3.8 Table 9-10 after the events seen so far."""
        return self._state

    @property
    def is_established(self) -> bool:
        """Whether the association is ready for data transfer (Sta6)."""
        return self._state is State.STA6

    @property
    def artim_running(self) -> bool:
        """Whether the driver's clock shall run towards `artim_expired`."""
        return self._artim_running

    @property
    def close_requested(self) -> bool:
        """Whether the driver shall close the transport, after sending `bytes_to_send`."""
        return self._close_requested

    @property
    def peer_max_length(self) -> int:
        """Longest P-DATA-TF variable field the peer takes, in bytes; 0 = no limit, or not negotiated yet."""
        return self._peer_max_length

    # --- the transport ---

    def transport_connected(self) -> None:
        """Say that the transport is open: confirmed to a requestor (Evt2), indicated to an acceptor (Evt5).

        The requestor may say so before or after it sends `AssociateRequest`; if after, the PDU is in
        `bytes_to_send`. For the acceptor ARTIM starts.

        Raises
        ------
        LocalProtocolError
            The transport was open already.
        """
        if self._transport_is_open:
            raise LocalProtocolError("the transport is open already")
        self._transport_is_open = True
        if self._role is Role.ACCEPTOR:
            self._apply(self._action_for(Event.EVT5))
        elif self._state is State.STA4:
            self._outgoing += self._apply(self._action_for(Event.EVT2), self._request)

    def receive_data(self, data: bytes | memoryview) -> None:
        """Take what was read from the transport.

        Parameters
        ----------
        data : bytes
            Any number of bytes, which must not change as long as pieces of them are in use; ``b""`` says that
            the transport closed, after which nothing is taken.
        """
        if self._end_of_stream:
            return
        if len(data):
            self._framer.feed(data)
        else:
            self._end_of_stream = True

    def bytes_to_send(self) -> bytes:
        """Take the answers this machine gave by itself; ``b""`` if none.

        To be called after `next_event` has returned or raised, and after `transport_connected`.
        """
        outgoing = bytes(self._outgoing)
        self._outgoing.clear()
        return outgoing

    def artim_expired(self) -> None:
        """Say that ARTIM ran out (Evt18); without effect if it was stopped meanwhile."""
        if self._artim_running:
            self._apply(self._action_for(Event.EVT18))

    # --- the user's requests and responses ---

    def send(self, event: RequestEvent) -> bytes:
        """Carry out a request or response of the user.

        Returns
        -------
        bytes
            What to write, whole PDUs. Empty for an `AssociateRequest` before `transport_connected`, and for
            an `Abort` then.

        Raises
        ------
        LocalProtocolError
            Not allowed in this state or role (an `Abort` in Sta1, Sta2 and Sta13 for instance, where closing the
            transport says it all), not encodable, or a maximum length other than this connection's.
        """
        trigger = _REQUEST_EVENTS.get(type(event))
        if trigger is None:
            raise LocalProtocolError(f"{type(event).__name__} is not for sending")
        action = self._action_for(trigger)
        self._check_association(event)
        encoded = encode_pdu(event)
        if action is Action.AE_1:
            encoded = self._request_association(encoded)
        else:
            encoded = self._apply(action, encoded)
        return self.bytes_to_send() + encoded

    def send_p_data(self, context_id: int, is_command: bool, last: bool, length: int) -> bytes:
        """Encode the header of a P-DATA-TF with one PDV; the caller writes `length` bytes of payload after it.

        Parameters
        ----------
        context_id : int
            Accepted presentation context, odd, 1 to 255.
        is_command, last : bool
            Message control header (PS3.8 §E.2).
        length : int
            Payload bytes, at most `peer_max_length` - 6.

        Returns
        -------
        bytes
            12 bytes, to be written together with the payload: a PDU in two small segments waits for Nagle.

        Raises
        ------
        LocalProtocolError
            No data transfer in this state, or numbers out of range.
        """
        is_established = self._state is State.STA6  # where DT-1 changes nothing, and nearly all is sent
        action = Action.DT_1 if is_established else self._action_for(Event.EVT9)
        if not (1 <= context_id <= 255 and context_id % 2):
            raise LocalProtocolError(f"{context_id} is not a presentation context ID")
        if length < 0 or length + PDV_OVERHEAD > (self._peer_max_length or _MAX_PDU_LENGTH):
            raise LocalProtocolError(f"PDV of {length} bytes, the peer takes {self._peer_max_length}")
        header = encode_p_data_header(context_id, is_command, last, length)
        return header if is_established else self._apply(action, header)

    # --- the peer's ---

    def next_event(self) -> IndicationEvent | NeedData:
        """The next thing that the peer or the transport did.

        Returns
        -------
        event or NEED_DATA
            In wire order. After ``receive_data(b"")`` a `TransportClosed` comes last, once, in any state.

        Raises
        ------
        RemoteProtocolError
            The peer broke the protocol: raised once, with the A-ABORT in `bytes_to_send` and
            `close_requested` set. What follows from the peer is ignored.
        """
        while True:
            try:
                unit = self._framer.next_unit()
            except RemoteProtocolError as fault:
                event = self._handle(Event.EVT19, fault=fault)
            else:
                if isinstance(unit, PDataFragment):
                    return unit
                if unit is None:
                    return self._end() if self._end_of_stream else NEED_DATA
                event = self._handle_pdu(unit)
            if event is not None:
                return event

    def take_data(self, context_id: int, fragments: list[PDataFragment]) -> bool:
        """The fast way over a data set: append its fragments, as far as they have arrived and nothing else comes.

        The same as repeated `next_event`, which is to be called whenever this returns False.

        Returns
        -------
        bool
            Whether the last fragment of the data set is among them.
        """
        return self._state is State.STA6 and self._framer.take_data(context_id, fragments)

    def _handle_pdu(self, pdu: ReceivedPdu) -> IndicationEvent | None:
        if pdu.pdu_type is PduType.P_DATA_TF and self._state is State.STA6:
            return None  # as below, without asking the table at each PDU
        trigger = _PDU_EVENTS[pdu.pdu_type]
        action = TRANSITIONS.get((self._state, trigger))
        tells = None if action is None else EFFECTS[action].tells
        if tells is Indication.P_DATA:
            return None  # DT-2 and AR-6 only let the payload through and keep the state
        if pdu.pdu_type is PduType.P_DATA_TF:
            self._framer.discard_pdu()
        if tells is not Indication.PEER_PDU:
            return self._handle(trigger)
        # Decoded only where it is wanted: a PDU that may not come is reported as that, whatever it holds.
        try:
            event = decode_pdu(pdu.pdu_type, pdu.body)
        except RemoteProtocolError as fault:
            return self._handle(Event.EVT19, fault=fault)
        return self._handle(trigger, event)

    def _handle(
        self,
        trigger: Event,
        event: RequestEvent | None = None,
        fault: RemoteProtocolError | None = None,
    ) -> IndicationEvent | None:
        """Carry out what `trigger`, caused by the peer, does; return what the user is to be told."""
        action = TRANSITIONS.get((self._state, trigger))
        text = f"{trigger.value} in {self._state.value}"
        fault = fault or RemoteProtocolError(text, reason=AbortReason.UNEXPECTED_PDU)
        if action is None:
            self._refuse_early_pdu(fault.reason)
            raise fault
        if isinstance(event, AssociateRequest) and not event.protocol_version & 1:
            # AE-6 where the provider cannot take the association; the effects are those of a local refusal.
            self._outgoing += self._apply(Action.AE_8, encode_pdu(_PROTOCOL_VERSION_NOT_SUPPORTED))
            return None
        self._outgoing += self._apply(action, reason=fault.reason)
        if EFFECTS[action].tells is Indication.FAULT:
            self._close_requested = True
            raise fault
        if isinstance(event, AssociateRequest | AssociateAccept):
            self._peer_max_length = event.max_length
        return event

    def _refuse_early_pdu(self, reason: int) -> None:
        """Sta1 or Sta4: the peer talks before it was spoken to, which Table 9-10 does not foresee."""
        self._state = State.STA1
        self._close_requested = True
        self._framer.abandon()
        self._outgoing += encode_pdu(Abort(_SERVICE_PROVIDER, reason))

    def _end(self) -> TransportClosed | NeedData:
        if self._end_told:
            return NEED_DATA
        self._end_told = True
        if (action := TRANSITIONS.get((self._state, Event.EVT17))) is not None:
            self._apply(action)
        self._close_requested = True
        return TransportClosed()

    # --- the machine ---

    def _action_for(self, trigger: Event) -> Action:
        action = TRANSITIONS.get((self._state, trigger))
        if action is None:
            raise LocalProtocolError(f"{trigger.value} is not allowed in {self._state.value}")
        return action

    def _apply(self, action: Action, primitive: bytes = b"", *, reason: int = 0) -> bytes:
        """Carry out the effects of `action`; return what goes out."""
        effect = EFFECTS[action]
        self._state = effect.next_state
        if self._role is Role.ACCEPTOR:
            self._state = effect.acceptor_state or effect.next_state
        if effect.artim is not None:
            self._artim_running = effect.artim is Artim.START
        self._close_requested |= effect.closes
        if self._state is State.STA1:
            self._framer.abandon()
        outgoing = _outgoing_pdu(effect.send, primitive, reason)
        if effect.then is not None and (follow_up := TRANSITIONS.get((self._state, effect.then))) is not None:
            outgoing += self._apply(follow_up, encode_pdu(ReleaseReply()))
        return outgoing

    def _request_association(self, request: bytes) -> bytes:
        self._request = request
        self._apply(Action.AE_1)
        return self._apply(self._action_for(Event.EVT2), request) if self._transport_is_open else b""

    def _check_association(self, event: RequestEvent) -> None:
        """What the table does not say: roles, one association per connection, the limit that is enforced."""
        if isinstance(event, AssociateRequest) and (self._role is Role.ACCEPTOR or self._close_requested):
            raise LocalProtocolError("a requestor asks for one association, once")
        if isinstance(event, AssociateRequest | AssociateAccept) and event.max_length != self._max_length:
            raise LocalProtocolError(f"announces {event.max_length}, the connection takes {self._max_length}")


def _outgoing_pdu(send: Send | None, primitive: bytes, reason: int) -> bytes:
    match send:
        case Send.PRIMITIVE:
            return primitive
        case Send.USER_ABORT:
            return primitive or encode_pdu(Abort(_SERVICE_USER, 0))
        case Send.PROVIDER_ABORT:
            return encode_pdu(Abort(_SERVICE_PROVIDER, reason))
    return b""
