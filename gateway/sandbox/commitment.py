"""Storage Commitment as SCP (PS3.4 Annex J) of the sandbox archive, in the three ways that archives answer.

The result goes out on the association of the request before or after the N-ACTION response, or on an association of
the archive's own once the request is answered. What is committed is what the index holds.
"""

from __future__ import annotations

import threading
from io import BytesIO
from typing import cast

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT
from pynetdicom.dsutils import decode
from pynetdicom.presentation import PresentationContext, build_context

from gateway.sandbox.behaviour import CommitmentAnswer, Moment
from gateway.sandbox.session import PeerGone, Session, encode_for, prepare_transport

__all__ = ["STORAGE_COMMITMENT", "serve_commitment"]

STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"
_INSTANCE = "1.2.840.10008.1.20.1.1"
_SUCCESS = 0x0000
_NO_SUCH_ACTION = 0x0123
_INVALID_ARGUMENT = 0x0115
_NO_SUCH_OBJECT = 0x0112
_CLASS_CONFLICT = 0x0119


def serve_commitment(session: Session, request: N_ACTION, context: PresentationContext) -> None:
    """Answer an N-ACTION request, and report the result as the behaviour says.

    Raises
    ------
    PeerGone
    """
    session.observations.count("commitments")
    session.disturb(Moment.BEFORE_FIRST_RESPONSE)
    result = _examine(session, request, context)
    status = session.behaviour.commitment_status or (result if isinstance(result, int) else _SUCCESS)
    way = session.behaviour.commitment
    if isinstance(result, Dataset) and not status and way is CommitmentAnswer.BEFORE:
        _report(session, result, context)
    session.send(_answer(request, status), context)
    if isinstance(result, int) or status:
        return
    if way is CommitmentAnswer.AFTER:
        _report(session, result, context)
    elif way is CommitmentAnswer.LATER:
        threading.Thread(target=_report_later, args=(session, result), name="commitment", daemon=True).start()


def _examine(session: Session, request: N_ACTION, context: PresentationContext) -> Dataset | int:
    """The event information, or the status of a request that cannot be processed."""
    if request.ActionTypeID != 1:
        return _NO_SUCH_ACTION
    syntax = context.transfer_syntax[0]
    asked = decode(cast(BytesIO, request.ActionInformation), syntax.is_implicit_VR, syntax.is_little_endian)
    if "TransactionUID" not in asked or not asked.get("ReferencedSOPSequence"):
        return _INVALID_ARGUMENT
    result = Dataset()
    result.TransactionUID = asked.TransactionUID
    committed: list[Dataset] = []
    failed: list[Dataset] = []
    for item in asked.ReferencedSOPSequence:
        reason = _judge(session, item)
        told = Dataset()
        told.ReferencedSOPClassUID = item.ReferencedSOPClassUID
        told.ReferencedSOPInstanceUID = item.ReferencedSOPInstanceUID
        if reason:
            told.FailureReason = reason
        (failed if reason else committed).append(told)
    if committed:
        result.ReferencedSOPSequence = committed
    if failed:
        result.FailedSOPSequence = failed
    return result


def _judge(session: Session, item: Dataset) -> int:
    """Failure Reason (PS3.3 §C.14.1.1), 0 for what is held."""
    held = session.state.index.select({"sop_instance_uid": [str(item.ReferencedSOPInstanceUID)]})
    if not held:
        return _NO_SUCH_OBJECT
    return 0 if held[0].sop_class_uid == str(item.ReferencedSOPClassUID) else _CLASS_CONFLICT


def _answer(request: N_ACTION, status: int) -> N_ACTION:
    response = N_ACTION()
    response.MessageIDBeingRespondedTo = request.MessageID
    response.AffectedSOPClassUID = request.RequestedSOPClassUID
    response.AffectedSOPInstanceUID = request.RequestedSOPInstanceUID
    response.ActionTypeID = request.ActionTypeID
    response.Status = status
    return response


# --- reporting ---


def _report(session: Session, result: Dataset, context: PresentationContext) -> None:
    """Send N-EVENT-REPORT and wait for its response."""
    event = N_EVENT_REPORT()
    event.MessageID = 1
    event.AffectedSOPClassUID = UID(STORAGE_COMMITMENT)
    event.AffectedSOPInstanceUID = UID(_INSTANCE)
    event.EventTypeID = 2 if "FailedSOPSequence" in result else 1
    event.EventInformation = encode_for(context, result)
    session.send(event, context)
    while True:
        _, message = session.assoc.dimse.get_msg(block=True)
        if message is None or session.is_gone:
            raise PeerGone
        if isinstance(message, N_EVENT_REPORT):
            session.observations.count("commitment_reports")
            return


def _report_later(asked_on: Session, result: Dataset) -> None:
    """Report on an association of the archive's own, as SCP of the class (PS3.4 §J.2.1)."""
    state = asked_on.state
    ae_title = asked_on.assoc.requestor.ae_title
    if state.stopping.wait(asked_on.behaviour.response_delay_s) or ae_title not in state.move_destinations:
        return
    host, port = state.move_destinations[ae_title]
    assoc: Association = state.ae.associate(
        host,
        port,
        contexts=[build_context(UID(STORAGE_COMMITMENT))],
        ae_title=ae_title,
        ext_neg=[build_role(UID(STORAGE_COMMITMENT), scp_role=True)],
        evt_handlers=[(evt.EVT_CONN_OPEN, lambda event: prepare_transport(event.assoc))],
    )
    if not assoc.is_established:
        return
    assoc.send_n_event_report(
        result, 2 if "FailedSOPSequence" in result else 1, UID(STORAGE_COMMITMENT), UID(_INSTANCE)
    )
    asked_on.observations.count("commitment_reports")
    assoc.release()
