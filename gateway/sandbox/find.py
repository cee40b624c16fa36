"""C-FIND as SCP (PS3.4 §C.4.1) of the sandbox archive."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset
from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.dsutils import decode
from pynetdicom.presentation import PresentationContext

from gateway.sandbox.answers import find_answers
from gateway.sandbox.behaviour import Moment
from gateway.sandbox.identifiers import IdentifierError, QueryScope, read_scope
from gateway.sandbox.matching import MatchingOptions
from gateway.sandbox.session import Session, encode_for

__all__ = ["read_request", "serve_find"]

_SUCCESS = 0x0000
_CANCELED = 0xFE00
_IDENTIFIER_MISMATCH = 0xA900
_PENDING = 0xFF00
_PENDING_KEYS_UNSUPPORTED = 0xFF01


def read_request(session: Session, request: Any, context: PresentationContext) -> tuple[Dataset, QueryScope]:
    """Decode and check the identifier of a C-FIND, C-GET or C-MOVE request.

    Raises
    ------
    IdentifierError
        It breaks the rules of its information model, or cannot be decoded.
    """
    syntax = context.transfer_syntax[0]
    try:
        identifier = decode(request.Identifier, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
        agreed = session.extended.get(str(request.AffectedSOPClassUID), b"")
        relational = agreed[:1] == b"\x01"
        return identifier, read_scope(identifier, str(request.AffectedSOPClassUID), relational=relational)
    except (ValueError, TypeError, AttributeError, KeyError, NotImplementedError) as error:
        raise IdentifierError("identifier") from error


def serve_find(session: Session, request: C_FIND, context: PresentationContext) -> None:
    """Answer one C-FIND request to its final response.

    Raises
    ------
    PeerGone
    """
    session.observations.count("finds")
    session.disturb(Moment.BEFORE_FIRST_RESPONSE)
    response = C_FIND()
    response.MessageIDBeingRespondedTo = request.MessageID
    response.AffectedSOPClassUID = request.AffectedSOPClassUID
    response.Status = session.behaviour.find_status
    if response.Status == _SUCCESS:
        try:
            response.Status = _send_matches(session, request, context, response)
        except IdentifierError:
            response.Status = _IDENTIFIER_MISMATCH
    response.Identifier = None
    session.send(response, context)


def _send_matches(session: Session, request: C_FIND, context: PresentationContext, response: C_FIND) -> int:
    keys, scope = read_request(session, request, context)
    agreed = session.extended.get(str(request.AffectedSOPClassUID), b"").ljust(3, b"\x00")
    options = MatchingOptions(
        combined_datetime=agreed[1] == 1,
        fuzzy=agreed[2] == 1,
        unknown_values_match=session.behaviour.unknown_values_match,
    )
    state = session.state
    answers = find_answers(state.index, keys, scope, options, session.behaviour, state.ae.ae_title)
    for number, answer in enumerate(answers, 1):
        if session.behaviour.response_delay_s:
            session.pause(session.behaviour.response_delay_s)
        if session.is_cancelled(request.MessageID):
            return _CANCELED
        response.Status = _PENDING if answer.all_keys_supported else _PENDING_KEYS_UNSUPPORTED
        response.Identifier = encode_for(context, answer.data_set)
        session.send(response, context)
        session.observations.count("responses")
        session.disturb(Moment.AFTER_RESPONSES, number)
    return _SUCCESS
