"""How a sandbox archive misbehaves: the switches that tests turn.

Values only, no code that acts: the services beside this file read them at the moment they matter, so that
``archive.behaviour`` may be exchanged while associations are open. The defaults are a well-behaved archive.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

__all__ = ["Behaviour", "CommitmentAnswer", "Disturbance", "Fault", "Moment"]


class Fault(Enum):
    """What happens at a disturbed moment."""

    STALL = auto()
    """Nothing more is sent until the behaviour changes, the peer leaves or the archive stops."""
    ABORT = auto()
    """A-ABORT from the service user (PS3.8 §9.3.8, source 0)."""
    DROP = auto()
    """The transport connection is closed without a word."""


class Moment(Enum):
    """Where an operation is disturbed; `Disturbance.count` says how far in."""

    BEFORE_ASSOCIATION_ANSWER = auto()
    """A-ASSOCIATE-RQ is there, nothing answered."""
    BEFORE_FIRST_RESPONSE = auto()
    """A C-ECHO, C-FIND, C-GET or C-MOVE request is there, nothing answered."""
    AFTER_RESPONSES = auto()
    """`count` pending responses of one operation are sent."""
    AFTER_SUBOPERATIONS = auto()
    """`count` C-STORE sub-operations of one C-GET or C-MOVE are over."""
    WITHIN_SUBOPERATION = auto()
    """`count` bytes of the data set of one C-STORE sub-operation are sent (whole PDVs)."""
    BEFORE_STORE_RESPONSE = auto()
    """A C-STORE request came in completely, its response is not sent."""
    WITHIN_STORE = auto()
    """`count` bytes of P-DATA came in on an association; nothing more is read from it."""


class CommitmentAnswer(Enum):
    """On which association, and when, the result of a storage commitment is reported (PS3.4 §J.3.3)."""

    LATER = auto()
    """On one that the archive opens."""
    BEFORE = auto()
    """On that of the request, before the request is answered."""
    AFTER = auto()
    """On that of the request, after it."""
    NEVER = auto()


@dataclass(frozen=True, slots=True)
class Disturbance:
    """A fault at a moment.

    Parameters
    ----------
    fault : Fault
    moment : Moment
    count : int
        Responses, sub-operations or bytes, as the moment says.
    suboperation : int
        For `Moment.WITHIN_SUBOPERATION`: which one of the operation, from 1.
    """

    fault: Fault
    moment: Moment
    count: int = 0
    suboperation: int = 1


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The switches; each is off by default.

    Parameters
    ----------
    refuse_get, refuse_move : bool
        The contexts of these services are rejected (result 3).
    refuse_role : bool
        SCP/SCU role selection is not answered, so that no C-GET sub-operation can be sent (PS3.7 D.3.3.4).
    refuse_extended_negotiation : bool
        No SOP Class Extended Negotiation item is answered.
    refuse_relational, refuse_combined_datetime, refuse_fuzzy : bool
        That byte of the item is answered with 0 (PS3.4 C.5.1.1).
    refuse_compressed : bool
        Compressed transfer syntaxes are accepted in no context.
    accepted_transfer_syntaxes : tuple of str or None
        If given, only these are accepted in storage contexts.
    max_associations : int
        More are rejected with 2/3/2, local limit exceeded.
    rejection : tuple of int or None
        Result, source and reason (PS3.8 §9.3.4) with which every association is rejected.
    omit_move_originator : bool
        C-STORE requests of a C-MOVE name no Move Originator (PS3.7 §9.1.1.1: both fields are optional).
    omit_pending_responses : bool
        C-GET and C-MOVE send their final response only.
    omit_optional_keys : bool
        Counts, Modalities in Study, SOP Classes in Study and Instance Availability are neither matched nor
        returned, as dcmqrscp does.
    repeat_answers : bool
        Upper levels answer once per instance, as some small archives do.
    omit_character_set : bool
        (0008,0005) is only in answers to requests that ask for it.
    latin1_answers : bool
        Text of answers is Latin-1 without (0008,0005), as careless archives do.
    unknown_values_match : bool
        A required key whose stored value is empty matches every request (PS3.4 §C.2.2.1.2); most archives
        do not do this.
    ignore_cancel : bool
        C-CANCEL is read and has no effect.
    late_store : bool
        The last C-STORE of a C-MOVE starts after the final response.
    response_delay_s : float
        Before each pending response, in seconds.
    find_status, retrieve_status, store_status : int
        If not 0, C-FIND, C-GET and C-MOVE, or C-STORE answer this status at once.
    offer_root_retrieve : bool
        C-GET of Composite Instance Root Retrieve and Retrieve Without Bulk Data are accepted (PS3.4 Annexes Y and Z).
    refused_classes : frozenset of str
        Storage classes whose contexts are rejected as abstract syntaxes (result 3).
    store_capacity : int or None
        How many instances there is room for; C-STOREs on top of them are answered A700.
    store_delay_s : float
        Before each C-STORE response, in seconds.
    pdata_delay_s : float
        Before each P-DATA PDU is read further, in seconds.
    refuse_commitment : bool
        Storage Commitment is rejected as an abstract syntax (result 3).
    commitment : CommitmentAnswer
        How results of storage commitment are reported.
    commitment_status : int
        If not 0, the N-ACTION of a storage commitment is answered with it.
    failing_suboperations : frozenset of int
        Ordinals, from 1, of sub-operations that are counted as failed without being tried.
    disturbance : Disturbance or None
        One fault at one moment.
    """

    refuse_get: bool = False
    refuse_move: bool = False
    refuse_role: bool = False
    refuse_extended_negotiation: bool = False
    refuse_relational: bool = False
    refuse_combined_datetime: bool = False
    refuse_fuzzy: bool = False
    refuse_compressed: bool = False
    accepted_transfer_syntaxes: tuple[str, ...] | None = None
    max_associations: int = 100
    rejection: tuple[int, int, int] | None = None
    omit_move_originator: bool = False
    omit_pending_responses: bool = False
    omit_optional_keys: bool = False
    repeat_answers: bool = False
    omit_character_set: bool = False
    latin1_answers: bool = False
    unknown_values_match: bool = False
    ignore_cancel: bool = False
    late_store: bool = False
    response_delay_s: float = 0.0
    find_status: int = 0
    retrieve_status: int = 0
    store_status: int = 0
    offer_root_retrieve: bool = False
    refused_classes: frozenset[str] = frozenset()
    store_capacity: int | None = None
    store_delay_s: float = 0.0
    pdata_delay_s: float = 0.0
    refuse_commitment: bool = False
    commitment: CommitmentAnswer = CommitmentAnswer.LATER
    commitment_status: int = 0
    failing_suboperations: frozenset[int] = frozenset()
    disturbance: Disturbance | None = None
