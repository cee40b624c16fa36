"""C-STORE sub-operations: one stored instance out over an association (PS3.4 §C.4.2.3, §C.4.3.3).

An instance leaves as it is stored wherever the peer accepted that transfer syntax; between the native
little-endian syntaxes it is converted; anything else fails.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import PresentationContext

from gateway.sandbox.index import StoredInstance
from gateway.sandbox.session import Session, encode_for

__all__ = ["CONVERTIBLE", "Originator", "Tally", "send_instance"]

CONVERTIBLE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)
_NO_CONTEXT = 0x0122
_WARNINGS = frozenset({0x0001, 0x0107, 0x0116})


@dataclass(frozen=True, slots=True)
class Originator:
    """The C-MOVE that a C-STORE is sent for (PS3.7 §9.1.1.1)."""

    ae_title: str
    message_id: int


@dataclass(slots=True)
class Tally:
    """The counters of a response (PS3.7 §9.3.3.2) and the instances that failed."""

    remaining: int
    completed: int = 0
    failed: int = 0
    warning: int = 0
    failed_uids: list[str] = field(default_factory=list)

    def add(self, instance: StoredInstance, status: int) -> None:
        """Count the C-STORE status of one sub-operation."""
        self.remaining -= 1
        if status == 0:
            self.completed += 1
        elif status in _WARNINGS or status >> 12 == 0xB:
            self.warning += 1
        else:
            self.failed += 1
            self.failed_uids.append(instance.sop_instance_uid)

    def write(self, response: object, *, final: bool) -> None:
        """Set the counters of a response; a final one that was not cancelled has none remaining."""
        numbers = {
            "NumberOfRemainingSuboperations": None if final else self.remaining,
            "NumberOfCompletedSuboperations": self.completed,
            "NumberOfFailedSuboperations": self.failed,
            "NumberOfWarningSuboperations": self.warning,
        }
        for name, number in numbers.items():
            setattr(response, name, number)


def send_instance(
    session: Session,
    instance: StoredInstance,
    suboperation: int,
    originator: Originator | None = None,
    altered: Dataset | None = None,
) -> int:
    """Send one instance and return the status of its C-STORE response.

    Parameters
    ----------
    session : Session
        Where it goes: the requestor of a C-GET, or the association to a move destination.
    suboperation : int
        Its ordinal in the operation, from 1; serves as message ID too.
    altered : Dataset, optional
        What to send in its place.

    Raises
    ------
    PeerGone
    """
    context = _find_context(session, instance)
    if context is None:
        return _NO_CONTEXT
    message_id = suboperation % 65_535 + 1
    request = C_STORE()
    request.MessageID = message_id
    request.Priority = 0
    request.AffectedSOPClassUID = instance.sop_class_uid
    request.AffectedSOPInstanceUID = instance.sop_instance_uid
    if originator is not None:
        request.MoveOriginatorApplicationEntityTitle = originator.ae_title
        request.MoveOriginatorMessageID = originator.message_id
    if altered is not None:
        request.AffectedSOPInstanceUID = altered.SOPInstanceUID
        request.DataSet = encode_for(context, altered)
    elif context.transfer_syntax[0] == instance.transfer_syntax_uid:
        request._dataset_path = (Path(instance.path), instance.data_offset)  # streamed from the file
    else:
        request.DataSet = _convert(instance, context)
    session.observations.count("suboperations")
    session.send_store_request(request, context, suboperation)
    return session.receive_store_response(message_id)


def _find_context(session: Session, instance: StoredInstance) -> PresentationContext | None:
    """Return the context to send on: the stored transfer syntax first, then one it can be converted to."""
    contexts = {
        str(context.transfer_syntax[0]): context
        for context in session.assoc.accepted_contexts
        if context.abstract_syntax == instance.sop_class_uid and context.as_scu
    }
    wanted = [instance.transfer_syntax_uid]
    if instance.transfer_syntax_uid in CONVERTIBLE:
        wanted += CONVERTIBLE
    return next((contexts[uid] for uid in wanted if uid in contexts), None)


def _convert(instance: StoredInstance, context: PresentationContext) -> BytesIO:
    return encode_for(context, pydicom.dcmread(instance.path))
