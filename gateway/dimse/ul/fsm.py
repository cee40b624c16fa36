"""The DICOM upper layer protocol machine: PS3.8 §9.2, Tables 9-6 to 9-10, as data.

One association lives in one of thirteen states. Three kinds of things happen to it: its own user asks for
something (associate, release, abort, send data), a PDU arrives from the peer, or the world around it changes
(the transport opens or closes, the ARTIM timer expires). Nineteen such events are numbered by the standard;
their numbers, the states' numbers and the codes of the actions are the identity of the enums here, so that a
line of this file can be held against a line of the standard.

::

    requestor                                            acceptor
    Sta1 idle                                            Sta1 idle
      | Evt1 associate request                             | Evt5 connection indication
    Sta4 transport opening                               Sta2 waiting for A-ASSOCIATE-RQ (ARTIM runs)
      | Evt2 transport open, RQ sent                       | Evt6 RQ arrived
    Sta5 waiting for AC or RJ                            Sta3 waiting for the user's answer
      | Evt3 AC arrived                                    | Evt7 accepted, AC sent
      +-------------------> Sta6 data transfer <-----------+
                              |            |
        Evt11 release request |            | Evt12 A-RELEASE-RQ arrived
                            Sta7          Sta8 --- Evt14 answered, RP sent ---> Sta13 (ARTIM runs)
        Evt13 RP arrived      |                                                   | Evt17 transport closed
                            Sta1                                                Sta1

Both sides may ask for release at once. The requests cross, each side finds an A-RELEASE-RQ while it waits for
A-RELEASE-RP (AR-8), and the roles of the association break the tie: the requestor answers first
(Sta9 -> Sta11), the acceptor waits for that answer and then gives its own (Sta10 -> Sta12 -> Sta13). While
its own release request is unanswered (Sta7), a side still takes P-DATA: the peer may have been sending.

Sta13 is where an association goes to die when this side has said its last word and the peer is to close the
transport: PDUs that still arrive are ignored, and ARTIM bounds the wait.

A pair of state and event has one of two meanings when things go wrong. If the peer sent what it should not
have, the table has a row for it: AA-8 (AA-1 in Sta2) sends A-ABORT. If there is no row, this side's own user
asked for what the state does not allow, which is a defect in the caller.

What an action *does* is data as well (`EFFECTS`): what is sent, what happens to ARTIM, what the user is told,
whether the transport is closed, the next state. `connection.py` carries the effects out; nothing here acts.

Two actions have two next states. AR-8 depends on the role (Sta9 for the requestor, Sta10 for the acceptor).
AE-6 goes to Sta3 when the association can be taken; a provider that cannot take it does as AE-8 does.

Source: PS3.8 §9.2
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

__all__ = ["EFFECTS", "TRANSITIONS", "Action", "Artim", "Effect", "Event", "Indication", "Send", "State"]


class State(Enum):
    """States of PS3.8 Tables 9-1 to 9-5; the value is the standard's short name."""

    STA1 = "Sta1"
    """Idle."""
    STA2 = "Sta2"
    """Transport open; waiting for A-ASSOCIATE-RQ."""
    STA3 = "Sta3"
    """Waiting for the user's A-ASSOCIATE response."""
    STA4 = "Sta4"
    """Waiting for the transport to open."""
    STA5 = "Sta5"
    """Waiting for A-ASSOCIATE-AC or -RJ."""
    STA6 = "Sta6"
    """Association established, ready for data transfer."""
    STA7 = "Sta7"
    """Waiting for A-RELEASE-RP."""
    STA8 = "Sta8"
    """Waiting for the user's A-RELEASE response."""
    STA9 = "Sta9"
    """Release collision, requestor: waiting for the user's A-RELEASE response."""
    STA10 = "Sta10"
    """Release collision, acceptor: waiting for A-RELEASE-RP."""
    STA11 = "Sta11"
    """Release collision, requestor: waiting for A-RELEASE-RP."""
    STA12 = "Sta12"
    """Release collision, acceptor: waiting for the user's A-RELEASE response."""
    STA13 = "Sta13"
    """Waiting for the transport to be closed."""


class Event(Enum):
    """Events of PS3.8 Table 9-10; the value is the standard's short name."""

    EVT1 = "Evt1"
    """A-ASSOCIATE request (local user)."""
    EVT2 = "Evt2"
    """Transport connection confirmed."""
    EVT3 = "Evt3"
    """A-ASSOCIATE-AC received."""
    EVT4 = "Evt4"
    """A-ASSOCIATE-RJ received."""
    EVT5 = "Evt5"
    """Transport connection indication."""
    EVT6 = "Evt6"
    """A-ASSOCIATE-RQ received."""
    EVT7 = "Evt7"
    """A-ASSOCIATE response, accept (local user)."""
    EVT8 = "Evt8"
    """A-ASSOCIATE response, reject (local user)."""
    EVT9 = "Evt9"
    """P-DATA request (local user)."""
    EVT10 = "Evt10"
    """P-DATA-TF received."""
    EVT11 = "Evt11"
    """A-RELEASE request (local user)."""
    EVT12 = "Evt12"
    """A-RELEASE-RQ received."""
    EVT13 = "Evt13"
    """A-RELEASE-RP received."""
    EVT14 = "Evt14"
    """A-RELEASE response (local user)."""
    EVT15 = "Evt15"
    """A-ABORT request (local user)."""
    EVT16 = "Evt16"
    """A-ABORT received."""
    EVT17 = "Evt17"
    """Transport connection closed."""
    EVT18 = "Evt18"
    """ARTIM timer expired."""
    EVT19 = "Evt19"
    """Unrecognized or invalid PDU received."""


class Action(Enum):
    """Actions of PS3.8 Tables 9-6 (AE), 9-7 (DT), 9-8 (AR) and 9-9 (AA)."""

    AE_1 = "AE-1"
    """Open the transport."""
    AE_2 = "AE-2"
    """Send A-ASSOCIATE-RQ."""
    AE_3 = "AE-3"
    """Confirm acceptance to the user."""
    AE_4 = "AE-4"
    """Confirm rejection to the user, close the transport."""
    AE_5 = "AE-5"
    """Take the transport, start ARTIM."""
    AE_6 = "AE-6"
    """Stop ARTIM, indicate the request to the user; or refuse it as provider, with the effects of AE-8."""
    AE_7 = "AE-7"
    """Send A-ASSOCIATE-AC."""
    AE_8 = "AE-8"
    """Send A-ASSOCIATE-RJ, start ARTIM."""
    DT_1 = "DT-1"
    """Send P-DATA-TF."""
    DT_2 = "DT-2"
    """Indicate P-DATA."""
    AR_1 = "AR-1"
    """Send A-RELEASE-RQ."""
    AR_2 = "AR-2"
    """Indicate release."""
    AR_3 = "AR-3"
    """Confirm release, close the transport."""
    AR_4 = "AR-4"
    """Send A-RELEASE-RP, start ARTIM."""
    AR_5 = "AR-5"
    """Stop ARTIM."""
    AR_6 = "AR-6"
    """Indicate P-DATA although release was asked for."""
    AR_7 = "AR-7"
    """Send P-DATA-TF although the peer asked for release."""
    AR_8 = "AR-8"
    """Release collision."""
    AR_9 = "AR-9"
    """Release collision, requestor: send A-RELEASE-RP."""
    AR_10 = "AR-10"
    """Release collision, acceptor: confirm release."""
    AA_1 = "AA-1"
    """Send A-ABORT of the service user, (re)start ARTIM."""
    AA_2 = "AA-2"
    """Stop ARTIM, close the transport."""
    AA_3 = "AA-3"
    """Indicate the peer's abort, close the transport."""
    AA_4 = "AA-4"
    """Indicate A-P-ABORT."""
    AA_5 = "AA-5"
    """Stop ARTIM."""
    AA_6 = "AA-6"
    """Ignore the PDU."""
    AA_7 = "AA-7"
    """Send A-ABORT."""
    AA_8 = "AA-8"
    """Send A-ABORT of the service provider, indicate A-P-ABORT, start ARTIM."""


class Send(Enum):
    """What an action puts on the wire."""

    PRIMITIVE = "the PDU of what the user asked for"
    USER_ABORT = "A-ABORT as the user asked for it, else source 0 (service user)"
    PROVIDER_ABORT = "A-ABORT with source 2 (service provider) and the reason of the fault"


class Artim(Enum):
    """What an action does to the ARTIM timer (PS3.8 §9.1.5)."""

    START = "start or restart"
    STOP = "stop if running"


class Indication(Enum):
    """What an action tells the user."""

    PEER_PDU = "what the PDU says"
    P_DATA = "pieces of payload, as they arrive"
    TRANSPORT_CLOSED = "the transport ended"
    FAULT = "the peer broke the protocol"


@dataclass(frozen=True, slots=True)
class Effect:
    """What one action does, in the order of the fields.

    Parameters
    ----------
    next_state : State
        State afterwards.
    send : Send, optional
        What goes out.
    artim : Artim, optional
        None leaves the timer as it is.
    tells : Indication, optional
        What the user learns; None where it learns nothing.
    closes : bool
        Whether this side closes the transport.
    acceptor_state : State, optional
        State of the acceptor afterwards where it is not `next_state` (AR-8).
    then : Event, optional
        Event of the user that is raised on its behalf straight afterwards, where the new state allows it. A
        user that has asked for release has nothing to decide when the requests collide, so it is not asked.
    """

    next_state: State
    send: Send | None = None
    artim: Artim | None = None
    tells: Indication | None = None
    closes: bool = False
    acceptor_state: State | None = None
    then: Event | None = None


EFFECTS: Final[dict[Action, Effect]] = {
    # Association establishment, Table 9-6. The driver opens the transport of AE-1.
    Action.AE_1: Effect(State.STA4),
    Action.AE_2: Effect(State.STA5, send=Send.PRIMITIVE),
    Action.AE_3: Effect(State.STA6, tells=Indication.PEER_PDU),
    Action.AE_4: Effect(State.STA1, tells=Indication.PEER_PDU, closes=True),
    Action.AE_5: Effect(State.STA2, artim=Artim.START),
    # AE-6 for a request that can be taken
    Action.AE_6: Effect(State.STA3, artim=Artim.STOP, tells=Indication.PEER_PDU),
    Action.AE_7: Effect(State.STA6, send=Send.PRIMITIVE),
    Action.AE_8: Effect(State.STA13, send=Send.PRIMITIVE, artim=Artim.START),
    # Data transfer, Table 9-7
    Action.DT_1: Effect(State.STA6, send=Send.PRIMITIVE),
    Action.DT_2: Effect(State.STA6, tells=Indication.P_DATA),
    # Association release, Table 9-8
    Action.AR_1: Effect(State.STA7, send=Send.PRIMITIVE),
    Action.AR_2: Effect(State.STA8, tells=Indication.PEER_PDU),
    Action.AR_3: Effect(State.STA1, tells=Indication.PEER_PDU, closes=True),
    Action.AR_4: Effect(State.STA13, send=Send.PRIMITIVE, artim=Artim.START),
    Action.AR_5: Effect(State.STA1, artim=Artim.STOP, tells=Indication.TRANSPORT_CLOSED),
    Action.AR_6: Effect(State.STA7, tells=Indication.P_DATA),
    Action.AR_7: Effect(State.STA8, send=Send.PRIMITIVE),
    Action.AR_8: Effect(State.STA9, acceptor_state=State.STA10, then=Event.EVT14),
    Action.AR_9: Effect(State.STA11, send=Send.PRIMITIVE),
    Action.AR_10: Effect(State.STA12, tells=Indication.PEER_PDU, then=Event.EVT14),
    # Abort and its relatives, Table 9-9
    Action.AA_1: Effect(State.STA13, send=Send.USER_ABORT, artim=Artim.START, tells=Indication.FAULT),
    Action.AA_2: Effect(State.STA1, artim=Artim.STOP, closes=True),
    Action.AA_3: Effect(State.STA1, tells=Indication.PEER_PDU, closes=True),
    Action.AA_4: Effect(State.STA1, tells=Indication.TRANSPORT_CLOSED),
    Action.AA_5: Effect(State.STA1, artim=Artim.STOP, tells=Indication.TRANSPORT_CLOSED),
    Action.AA_6: Effect(State.STA13),
    Action.AA_7: Effect(State.STA13, send=Send.PROVIDER_ABORT),
    Action.AA_8: Effect(State.STA13, send=Send.PROVIDER_ABORT, artim=Artim.START, tells=Indication.FAULT),
}

TRANSITIONS: Final[dict[tuple[State, Event], Action]] = {
    (State.STA1, Event.EVT1): Action.AE_1,
    (State.STA4, Event.EVT2): Action.AE_2,
    (State.STA2, Event.EVT3): Action.AA_1,
    (State.STA3, Event.EVT3): Action.AA_8,
    (State.STA5, Event.EVT3): Action.AE_3,
    (State.STA6, Event.EVT3): Action.AA_8,
    (State.STA7, Event.EVT3): Action.AA_8,
    (State.STA8, Event.EVT3): Action.AA_8,
    (State.STA9, Event.EVT3): Action.AA_8,
    (State.STA10, Event.EVT3): Action.AA_8,
    (State.STA11, Event.EVT3): Action.AA_8,
    (State.STA12, Event.EVT3): Action.AA_8,
    (State.STA13, Event.EVT3): Action.AA_6,
    (State.STA2, Event.EVT4): Action.AA_1,
    (State.STA3, Event.EVT4): Action.AA_8,
    (State.STA5, Event.EVT4): Action.AE_4,
    (State.STA6, Event.EVT4): Action.AA_8,
    (State.STA7, Event.EVT4): Action.AA_8,
    (State.STA8, Event.EVT4): Action.AA_8,
    (State.STA9, Event.EVT4): Action.AA_8,
    (State.STA10, Event.EVT4): Action.AA_8,
    (State.STA11, Event.EVT4): Action.AA_8,
    (State.STA12, Event.EVT4): Action.AA_8,
    (State.STA13, Event.EVT4): Action.AA_6,
    (State.STA1, Event.EVT5): Action.AE_5,
    (State.STA2, Event.EVT6): Action.AE_6,
    (State.STA3, Event.EVT6): Action.AA_8,
    (State.STA5, Event.EVT6): Action.AA_8,
    (State.STA6, Event.EVT6): Action.AA_8,
    (State.STA7, Event.EVT6): Action.AA_8,
    (State.STA8, Event.EVT6): Action.AA_8,
    (State.STA9, Event.EVT6): Action.AA_8,
    (State.STA10, Event.EVT6): Action.AA_8,
    (State.STA11, Event.EVT6): Action.AA_8,
    (State.STA12, Event.EVT6): Action.AA_8,
    (State.STA13, Event.EVT6): Action.AA_7,
    (State.STA3, Event.EVT7): Action.AE_7,
    (State.STA3, Event.EVT8): Action.AE_8,
    (State.STA6, Event.EVT9): Action.DT_1,
    (State.STA8, Event.EVT9): Action.AR_7,
    (State.STA2, Event.EVT10): Action.AA_1,
    (State.STA3, Event.EVT10): Action.AA_8,
    (State.STA5, Event.EVT10): Action.AA_8,
    (State.STA6, Event.EVT10): Action.DT_2,
    (State.STA7, Event.EVT10): Action.AR_6,
    (State.STA8, Event.EVT10): Action.AA_8,
    (State.STA9, Event.EVT10): Action.AA_8,
    (State.STA10, Event.EVT10): Action.AA_8,
    (State.STA11, Event.EVT10): Action.AA_8,
    (State.STA12, Event.EVT10): Action.AA_8,
    (State.STA13, Event.EVT10): Action.AA_6,
    (State.STA6, Event.EVT11): Action.AR_1,
    (State.STA2, Event.EVT12): Action.AA_1,
    (State.STA3, Event.EVT12): Action.AA_8,
    (State.STA5, Event.EVT12): Action.AA_8,
    (State.STA6, Event.EVT12): Action.AR_2,
    (State.STA7, Event.EVT12): Action.AR_8,
    (State.STA8, Event.EVT12): Action.AA_8,
    (State.STA9, Event.EVT12): Action.AA_8,
    (State.STA10, Event.EVT12): Action.AA_8,
    (State.STA11, Event.EVT12): Action.AA_8,
    (State.STA12, Event.EVT12): Action.AA_8,
    (State.STA13, Event.EVT12): Action.AA_6,
    (State.STA2, Event.EVT13): Action.AA_1,
    (State.STA3, Event.EVT13): Action.AA_8,
    (State.STA5, Event.EVT13): Action.AA_8,
    (State.STA6, Event.EVT13): Action.AA_8,
    (State.STA7, Event.EVT13): Action.AR_3,
    (State.STA8, Event.EVT13): Action.AA_8,
    (State.STA9, Event.EVT13): Action.AA_8,
    (State.STA10, Event.EVT13): Action.AR_10,
    (State.STA11, Event.EVT13): Action.AR_3,
    (State.STA12, Event.EVT13): Action.AA_8,
    (State.STA13, Event.EVT13): Action.AA_6,
    (State.STA8, Event.EVT14): Action.AR_4,
    (State.STA9, Event.EVT14): Action.AR_9,
    (State.STA12, Event.EVT14): Action.AR_4,
    (State.STA3, Event.EVT15): Action.AA_1,
    (State.STA4, Event.EVT15): Action.AA_2,
    (State.STA5, Event.EVT15): Action.AA_1,
    (State.STA6, Event.EVT15): Action.AA_1,
    (State.STA7, Event.EVT15): Action.AA_1,
    (State.STA8, Event.EVT15): Action.AA_1,
    (State.STA9, Event.EVT15): Action.AA_1,
    (State.STA10, Event.EVT15): Action.AA_1,
    (State.STA11, Event.EVT15): Action.AA_1,
    (State.STA12, Event.EVT15): Action.AA_1,
    (State.STA2, Event.EVT16): Action.AA_2,
    (State.STA3, Event.EVT16): Action.AA_3,
    (State.STA5, Event.EVT16): Action.AA_3,
    (State.STA6, Event.EVT16): Action.AA_3,
    (State.STA7, Event.EVT16): Action.AA_3,
    (State.STA8, Event.EVT16): Action.AA_3,
    (State.STA9, Event.EVT16): Action.AA_3,
    (State.STA10, Event.EVT16): Action.AA_3,
    (State.STA11, Event.EVT16): Action.AA_3,
    (State.STA12, Event.EVT16): Action.AA_3,
    (State.STA13, Event.EVT16): Action.AA_2,
    (State.STA2, Event.EVT17): Action.AA_5,
    (State.STA3, Event.EVT17): Action.AA_4,
    (State.STA4, Event.EVT17): Action.AA_4,
    (State.STA5, Event.EVT17): Action.AA_4,
    (State.STA6, Event.EVT17): Action.AA_4,
    (State.STA7, Event.EVT17): Action.AA_4,
    (State.STA8, Event.EVT17): Action.AA_4,
    (State.STA9, Event.EVT17): Action.AA_4,
    (State.STA10, Event.EVT17): Action.AA_4,
    (State.STA11, Event.EVT17): Action.AA_4,
    (State.STA12, Event.EVT17): Action.AA_4,
    (State.STA13, Event.EVT17): Action.AR_5,
    (State.STA2, Event.EVT18): Action.AA_2,
    (State.STA13, Event.EVT18): Action.AA_2,
    (State.STA2, Event.EVT19): Action.AA_1,
    (State.STA3, Event.EVT19): Action.AA_8,
    (State.STA5, Event.EVT19): Action.AA_8,
    (State.STA6, Event.EVT19): Action.AA_8,
    (State.STA7, Event.EVT19): Action.AA_8,
    (State.STA8, Event.EVT19): Action.AA_8,
    (State.STA9, Event.EVT19): Action.AA_8,
    (State.STA10, Event.EVT19): Action.AA_8,
    (State.STA11, Event.EVT19): Action.AA_8,
    (State.STA12, Event.EVT19): Action.AA_8,
    (State.STA13, Event.EVT19): Action.AA_7,
}
