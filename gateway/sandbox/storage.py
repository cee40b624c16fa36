"""C-STORE and C-ECHO as SCP (PS3.4 §B.2, §A.4) of the sandbox archive."""

from __future__ import annotations

from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.presentation import PresentationContext

from gateway.sandbox.behaviour import Moment
from gateway.sandbox.session import Session

__all__ = ["serve_echo", "serve_store"]

_SUCCESS = 0x0000
_CANNOT_UNDERSTAND = 0xC000
_MISMATCH = 0xA900
_OUT_OF_RESOURCES = 0xA700


def serve_echo(session: Session, request: C_ECHO, context: PresentationContext) -> None:
    """Answer a C-ECHO request.

    Raises
    ------
    PeerGone
    """
    session.observations.count("echoes")
    session.disturb(Moment.BEFORE_FIRST_RESPONSE)
    response = C_ECHO()
    response.MessageIDBeingRespondedTo = request.MessageID
    response.AffectedSOPClassUID = request.AffectedSOPClassUID
    response.Status = _SUCCESS
    session.send(response, context)


def serve_store(session: Session, request: C_STORE, context: PresentationContext) -> None:
    """Store an instance and answer; pynetdicom has gathered its data set in memory.

    Raises
    ------
    PeerGone
    """
    session.disturb(Moment.BEFORE_STORE_RESPONSE)
    if delay := session.behaviour.store_delay_s:
        session.pause(delay)
    response = C_STORE()
    response.MessageIDBeingRespondedTo = request.MessageID
    response.AffectedSOPClassUID = request.AffectedSOPClassUID
    response.AffectedSOPInstanceUID = request.AffectedSOPInstanceUID
    response.Status = session.behaviour.store_status or _store(session, request, context)
    if response.Status == _SUCCESS:
        session.observations.count("stores")
    session.send(response, context)


def _store(session: Session, request: C_STORE, context: PresentationContext) -> int:
    if str(request.AffectedSOPClassUID) != str(context.abstract_syntax):
        return _MISMATCH
    capacity = session.behaviour.store_capacity
    if capacity is not None and len(session.state.index) >= capacity:
        return _OUT_OF_RESOURCES
    try:
        session.state.index.add(
            request.DataSet.getbuffer() if request.DataSet else b"",
            str(request.AffectedSOPClassUID),
            str(request.AffectedSOPInstanceUID),
            str(context.transfer_syntax[0]),
        )
    except (ValueError, AttributeError):
        return _CANNOT_UNDERSTAND
    return _SUCCESS
