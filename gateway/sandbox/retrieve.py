"""C-GET and C-MOVE as SCP (PS3.4 §C.4.2, §C.4.3) of the sandbox archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.dimse_primitives import C_GET, C_MOVE
from pynetdicom.presentation import PresentationContext, build_context

from gateway.sandbox.behaviour import Moment
from gateway.sandbox.find import read_request
from gateway.sandbox.identifiers import IdentifierError, select_instances
from gateway.sandbox.index import StoredInstance
from gateway.sandbox.negotiation import ROOT_GET_MODELS
from gateway.sandbox.root_retrieve import alter_instance, select_named
from gateway.sandbox.session import PeerGone, Session, encode_for, prepare_transport
from gateway.sandbox.suboperations import CONVERTIBLE, Originator, Tally, send_instance

__all__ = ["serve_get", "serve_move"]

_SUCCESS = 0x0000
_PENDING = 0xFF00
_CANCELED = 0xFE00
_SOME_FAILED = 0xB000
_NONE_SENT = 0xA702
_UNKNOWN_DESTINATION = 0xA801
_IDENTIFIER_MISMATCH = 0xA900
_STORE_FAILED = 0x0110
_MAX_CONTEXTS = 128

_Send = Callable[[StoredInstance, int], int]


def serve_get(session: Session, request: C_GET, context: PresentationContext) -> None:
    """Run a C-GET: the instances go back on the same association.

    Raises
    ------
    PeerGone
    """
    session.observations.count("gets")
    is_root = str(request.AffectedSOPClassUID) in ROOT_GET_MODELS
    operation = (_RootOperation if is_root else _Operation)(session, request, context)
    instances = operation.begin()
    if instances is not None:
        operation.finish(operation.run(instances, operation.send))


def serve_move(session: Session, request: C_MOVE, context: PresentationContext) -> None:
    """Run a C-MOVE: the instances go to the move destination on an association of its own.

    Raises
    ------
    PeerGone
    """
    session.observations.count("moves")
    operation = _Operation(session, request, context)
    destination = session.state.move_destinations.get(str(request.MoveDestination).strip())
    instances = operation.begin()
    if instances is None:
        return
    if destination is None:
        operation.refuse(_UNKNOWN_DESTINATION)
        return
    late = instances[-1:] if session.behaviour.late_store else []
    originator = _name_originator(session, request)
    with _open_store_association(session, request, destination, instances) as channel:

        def send(instance: StoredInstance, number: int) -> int:
            if instance in late:
                return _SUCCESS  # claimed now, sent after the final response
            return _send_to_destination(channel, instance, number, originator)

        operation.finish(operation.run(instances, send))
        for instance in late:
            _send_to_destination(channel, instance, len(instances), originator)


class _Operation:
    """What C-GET and C-MOVE have in common: check, sub-operations with pending responses, final response."""

    def __init__(self, session: Session, request: C_GET | C_MOVE, context: PresentationContext) -> None:
        self._session = session
        self._request = request
        self._context = context
        self._is_cancelled = False

    def begin(self) -> list[StoredInstance] | None:
        """Return the instances to send, None if the final response has already gone out."""
        self._session.disturb(Moment.BEFORE_FIRST_RESPONSE)
        if self._session.behaviour.retrieve_status:
            self.refuse(self._session.behaviour.retrieve_status)
            return None
        try:
            return self._select()
        except IdentifierError:
            self.refuse(_IDENTIFIER_MISMATCH)
            return None

    def _select(self) -> list[StoredInstance]:
        _, scope = read_request(self._session, self._request, self._context)
        if not scope.unique_keys.get(scope.level):
            raise IdentifierError("unique key")
        return select_instances(self._session.state.index, scope, at_patient_id=True)

    def send(self, instance: StoredInstance, number: int) -> int:
        """Send an instance on the association of the request; its C-STORE status."""
        return send_instance(self._session, instance, number)

    def run(self, instances: list[StoredInstance], send: _Send) -> Tally:
        """Send the instances one by one; ends early if cancelled."""
        tally = Tally(len(instances))
        for number, instance in enumerate(instances, 1):
            if self._session.is_cancelled(self._request.MessageID):
                self._is_cancelled = True
                break
            fails = number in self._session.behaviour.failing_suboperations
            tally.add(instance, _STORE_FAILED if fails else send(instance, number))
            self._session.disturb(Moment.AFTER_SUBOPERATIONS, number)
            if tally.remaining:
                self._send_pending(tally, number)
        return tally

    def finish(self, tally: Tally) -> None:
        """Send the final response, with Failed SOP Instance UID List (0008,0058) where it is due."""
        response = self._build_response(self._choose_status(tally))
        tally.write(response, final=not self._is_cancelled)
        if response.Status != _SUCCESS:
            failed = Dataset()
            failed.FailedSOPInstanceUIDList = tally.failed_uids
            response.Identifier = encode_for(self._context, failed)
        self._session.send(response, self._context)

    def refuse(self, status: int) -> None:
        """Send a final response without sub-operations."""
        self._session.send(self._build_response(status), self._context)

    def _choose_status(self, tally: Tally) -> int:
        if self._is_cancelled:
            return _CANCELED
        if not tally.failed and not tally.warning:
            return _SUCCESS
        return _NONE_SENT if not tally.completed and not tally.warning else _SOME_FAILED

    def _send_pending(self, tally: Tally, number: int) -> None:
        if self._session.behaviour.response_delay_s:
            self._session.pause(self._session.behaviour.response_delay_s)
        if self._session.behaviour.omit_pending_responses:
            return
        response = self._build_response(_PENDING)
        tally.write(response, final=False)
        self._session.send(response, self._context)
        self._session.observations.count("responses")
        self._session.disturb(Moment.AFTER_RESPONSES, number)

    def _build_response(self, status: int) -> C_GET | C_MOVE:
        response = type(self._request)()
        response.MessageIDBeingRespondedTo = self._request.MessageID
        response.AffectedSOPClassUID = self._request.AffectedSOPClassUID
        response.Status = status
        return response


class _RootOperation(_Operation):
    """A C-GET that names instances alone, and sends them whole, in part, or frames of one (PS3.4 Annexes Y and Z)."""

    _identifier: Dataset

    def _select(self) -> list[StoredInstance]:
        instances, self._identifier = select_named(self._session, self._request, self._context)
        return instances

    def send(self, instance: StoredInstance, number: int) -> int:
        """Send what the request wants of an instance."""
        try:
            altered = alter_instance(instance, str(self._request.AffectedSOPClassUID), self._identifier)
        except (IndexError, ValueError):
            return _STORE_FAILED
        return send_instance(self._session, instance, number, altered=altered)


def _name_originator(session: Session, request: C_MOVE) -> Originator | None:
    if session.behaviour.omit_move_originator:
        return None
    return Originator(session.assoc.requestor.ae_title, cast(int, request.MessageID))


def _send_to_destination(
    channel: Session | None, instance: StoredInstance, number: int, originator: Originator | None
) -> int:
    """Send one instance of a C-MOVE; a destination that is not or no longer there is a failed sub-operation."""
    if channel is None:
        return _STORE_FAILED
    try:
        return send_instance(channel, instance, number, originator)
    except PeerGone:
        return _STORE_FAILED


@contextmanager
def _open_store_association(
    session: Session, request: C_MOVE, destination: tuple[str, int], instances: list[StoredInstance]
) -> Iterator[Session | None]:
    """Open an association to the destination, None if it cannot be had; released at the end."""
    if not instances:
        yield None
        return
    host, port = destination
    assoc = session.state.ae.associate(
        host,
        port,
        contexts=_propose_contexts(instances),
        ae_title=str(request.MoveDestination).strip(),
        max_pdu=0,
        evt_handlers=[(evt.EVT_CONN_OPEN, lambda event: prepare_transport(event.assoc))],
    )
    if not assoc.is_established:
        yield None
        return
    assoc._reactor_checkpoint.clear()  # pynetdicom's loop must not take our C-STORE responses
    session.observations.wait_while(lambda: not assoc._is_paused, 0.0005, 5)
    channel = Session(assoc, session.state)
    try:
        yield channel
    finally:
        assoc._reactor_checkpoint.set()
        if channel.is_gone:
            channel.close()
        else:
            assoc.release()


def _propose_contexts(instances: list[StoredInstance]) -> list[PresentationContext]:
    """One context per class and stored syntax, and one with the native ones where a conversion is possible."""
    pairs = dict.fromkeys((instance.sop_class_uid, instance.transfer_syntax_uid) for instance in instances)
    contexts = [build_context(UID(sop_class), [UID(syntax)]) for sop_class, syntax in pairs]
    native = dict.fromkeys(sop_class for sop_class, syntax in pairs if syntax in CONVERTIBLE)
    contexts += [build_context(UID(sop_class), list(CONVERTIBLE[:2])) for sop_class in native]
    return contexts[:_MAX_CONTEXTS]
