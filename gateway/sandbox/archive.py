"""An embedded DIMSE archive for the demo and for tests.

pynetdicom's application entity listens, negotiates and encodes messages; the services beside this file answer
C-ECHO, C-FIND, C-GET, C-MOVE and C-STORE from files on disk. It shares no code with the rest of the gateway, so
that it proves the gateway against an independent implementation. It is not meant for patients' images: no
durability, one process, an instance being received is held in memory.

Of pynetdicom, only instances are adapted (handlers and the request dispatch of each association); none of its
process-wide settings is changed, so that other users of it in the process are not touched.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from socketserver import BaseServer
from types import TracebackType
from typing import Any, Self, cast

import structlog
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_CANCEL_RQ, C_FIND_RQ, C_GET_RQ, C_MOVE_RQ
from pynetdicom.dimse_primitives import C_CANCEL, C_ECHO, C_FIND, C_GET, C_MOVE, C_STORE, N_ACTION
from pynetdicom.pdu import A_ABORT_RQ, A_RELEASE_RQ, P_DATA_TF
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from gateway.sandbox.behaviour import Behaviour, Moment
from gateway.sandbox.commitment import serve_commitment
from gateway.sandbox.counters import Counters
from gateway.sandbox.find import serve_find
from gateway.sandbox.index import InstanceIndex
from gateway.sandbox.negotiation import VERIFICATION, answer_extended_negotiation, choose_contexts
from gateway.sandbox.retrieve import serve_get, serve_move
from gateway.sandbox.session import ArchiveState, PeerGone, Session, prepare_transport
from gateway.sandbox.storage import serve_echo, serve_store

__all__ = ["SandboxArchive"]

_log = structlog.get_logger(__name__)

_LISTEN_POLL_S = 0.02  # how long `stop` waits for the listening thread at most
_THREAD_LIMIT_S = 5.0  # and for the threads of each association
_PDU_BYTES = 131_072  # announced: large PDUs are fewer turns of pynetdicom's loops
_BACKLOG = 128
_TCP_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux

_SERVICES: Mapping[type, Callable[[Session, Any, Any], None]] = {
    C_ECHO: serve_echo,
    C_FIND: serve_find,
    C_GET: serve_get,
    C_MOVE: serve_move,
    C_STORE: serve_store,
    N_ACTION: serve_commitment,
}
_NOTIFICATIONS = (evt.EVT_DIMSE_RECV, evt.EVT_DIMSE_SENT, evt.EVT_PDU_RECV, evt.EVT_PDU_SENT)


class SandboxArchive:
    """A DIMSE archive on a thread of its own; a context manager that starts and stops it.

    Parameters
    ----------
    directory : Path
        Where instances and index are kept; made if missing. What is there from an earlier run is served.
    ae_title : str
        Its AE title; any Called AE Title is accepted.
    host : str
        Interface to listen on.
    port : int
        0 lets the system choose.
    move_destinations : mapping of str to (str, int), optional
        AE title to host and port. May be changed by `add_move_destination`.
    behaviour : Behaviour, optional
        The switches for tests; assign `archive.behaviour` to change them at any time.
    """

    def __init__(
        self,
        directory: Path,
        *,
        ae_title: str = "SANDBOX",
        host: str = "127.0.0.1",
        port: int = 0,
        move_destinations: Mapping[str, tuple[str, int]] | None = None,
        behaviour: Behaviour | None = None,
    ) -> None:
        self.ae_title = ae_title
        self.host = host
        self.port = port
        ae = AE(ae_title)
        ae.maximum_pdu_size = _PDU_BYTES
        ae.maximum_associations = 10_000  # counted here, by the behaviour's limit
        ae.network_timeout = None  # an idle association is the gateway's business
        ae.dimse_timeout = None
        ae.connection_timeout = 5
        ae.add_supported_context(VERIFICATION)
        self._state = ArchiveState(ae, InstanceIndex(directory), move_destinations or {}, behaviour or Behaviour())
        self._server: _Server | None = None
        self._listening: threading.Thread | None = None

    @property
    def behaviour(self) -> Behaviour:
        """The switches in force; associations look at them whenever they matter."""
        return self._state.behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        self._state.behaviour = behaviour
        self._state.observations.wake()

    @property
    def counters(self) -> Counters:
        """A snapshot of what was seen so far."""
        return self._state.observations.counters

    @property
    def index(self) -> InstanceIndex:
        """The stored instances, to fill or to look at directly."""
        return self._state.index

    @property
    def associations(self) -> list[Association]:
        """pynetdicom's associations as they are now, those opened for a C-MOVE included."""
        return self._state.ae.active_associations

    def wait_for(self, condition: Callable[[Counters], bool], timeout: float = 10.0) -> bool:
        """Wait until `condition` holds for the counters; False if `timeout` seconds were not enough."""
        return self._state.observations.wait_for(condition, timeout)

    def add_move_destination(self, ae_title: str, host: str, port: int) -> None:
        """Make an AE title known as a destination of C-MOVE."""
        self._state.move_destinations[ae_title] = (host, port)

    def load(self, directory: Path) -> int:
        """Index every Part 10 file below `directory` where it lies and return how many there were.

        Files that are no DICOM are left out.
        """
        loaded = 0
        for path in sorted(path for path in directory.rglob("*") if path.is_file()):
            with suppress(ValueError):
                self.index.add_file(path)
                loaded += 1
        return loaded

    def start(self) -> int:
        """Listen and return the port.

        Raises
        ------
        OSError
            The port is taken.
        """
        server = self._state.ae.make_server(
            (self.host, self.port),
            server_class=_Server,
            request_handler=partial(_AcceptHandler, state=self._state),
        )
        self._server = cast(_Server, server)
        self.port = int(server.server_address[1])
        self._listening = threading.Thread(
            target=server.serve_forever, args=(_LISTEN_POLL_S,), name=f"{self.ae_title} listener", daemon=True
        )
        self._listening.start()
        return self.port

    def stop(self) -> None:
        """Close the port and every association at once, and wait for their threads. May be called twice."""
        self._state.stopping.set()
        if self._server is None:
            return
        self._server.stop_listening()
        associations = self.associations
        for assoc in associations:
            assoc.dul.to_user_queue.put(None)  # ends the wait for an A-ASSOCIATE-RQ that never came
            Session(assoc, self._state).reset()
        self._state.observations.wake()
        for assoc in associations:
            assoc.join(_THREAD_LIMIT_S)
            assoc.dul.join(_THREAD_LIMIT_S)
        if self._listening is not None:
            self._listening.join(_THREAD_LIMIT_S)
        self._server = None
        self._state.index.close()

    def drop_associations(self) -> None:
        """Close the transport of every open association, as a crash would; the archive goes on listening."""
        for assoc in self.associations:
            Session(assoc, self._state).reset()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Server(ThreadedAssociationServer):
    """pynetdicom's server without its log handlers."""

    request_queue_size = _BACKLOG

    def _bind_defaults(self) -> None:
        """Bind nothing: each association is given its handlers when it is made."""

    def stop_listening(self) -> None:
        """End `serve_forever` and close the port."""
        BaseServer.shutdown(self)  # pynetdicom's own wants to be known to its AE
        self.server_close()


class _AcceptHandler(RequestHandler):
    """Makes the association for an accepted connection and ties it to the archive."""

    def __init__(self, request: socket.socket, address: Any, server: Any, *, state: ArchiveState) -> None:
        self._state = state
        super().__init__(request, address, server)

    def _create_association(self) -> Association:
        assoc = super()._create_association()
        for event in _NOTIFICATIONS:
            for bound in list(assoc.get_handlers(event)):
                assoc.unbind(event, cast(Any, bound)[0])  # logging that would format every PDU
        prepare_transport(assoc)
        _AcceptedAssociation(Session(assoc, self._state)).bind()
        return assoc


class _AcceptedAssociation:
    """The event handlers of one accepted association."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._assoc = session.assoc
        self._observations = session.observations
        self._lock = threading.Lock()
        self._is_open = self._has_ended = False

    def bind(self) -> None:
        """Take over from pynetdicom's defaults."""
        for event, handler in (
            (evt.EVT_REQUESTED, self._answer_request),
            (evt.EVT_SOP_EXTENDED, self._answer_extended_negotiation),
            (evt.EVT_ESTABLISHED, self._note_established),
            (evt.EVT_RELEASED, self._note_end),
            (evt.EVT_ABORTED, self._note_end),
            (evt.EVT_CONN_CLOSE, self._note_end),
            (evt.EVT_DATA_SENT, self._acknowledge_quickly),
            (evt.EVT_PDU_RECV, self._note_pdu),
            (evt.EVT_DIMSE_RECV, self._note_message),
        ):
            self._assoc.bind(event, handler)
        self._assoc._serve_request = self._serve  # type: ignore[method-assign, assignment]

    def _answer_request(self, event: evt.Event) -> None:
        """Reject, fail or let pynetdicom negotiate with contexts made for this request."""
        try:
            self._session.disturb(Moment.BEFORE_ASSOCIATION_ANSWER)
        except PeerGone:
            self._assoc.is_aborted = True
            self._session.close()
            self._assoc.kill()
            return
        behaviour = self._session.behaviour
        rejection = behaviour.rejection
        if rejection is None and self._observations.counters.associations_open >= behaviour.max_associations:
            rejection = (2, 3, 2)
        if rejection is not None:
            self._observations.count("associations_rejected")
            self._assoc.acse.send_reject(*rejection)
            self._assoc.kill()
            return
        request = cast(A_ASSOCIATE, self._assoc.requestor.primitive)
        requested = request.presentation_context_definition_list
        self._assoc.acceptor.supported_contexts = choose_contexts(requested, behaviour)

    def _answer_extended_negotiation(self, event: Any) -> dict[str, bytes]:
        self._session.extended = answer_extended_negotiation(event.app_info, self._session.behaviour)
        return self._session.extended

    def _acknowledge_quickly(self, event: evt.Event) -> None:
        """Re-arm quick acknowledgement after each send.

        DCMTK peers write an answer in two small segments with Nagle's algorithm on: the second would wait 40 ms
        for our delayed acknowledgement of the first.
        """
        if _TCP_QUICKACK is not None:
            with suppress(OSError, AttributeError):  # closed in the meantime
                self._assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, _TCP_QUICKACK, 1)  # type: ignore[union-attr]

    def _note_established(self, event: evt.Event) -> None:
        with self._lock:
            self._is_open = not self._has_ended  # a requestor that left at once is noticed in another thread
            self._observations.count("associations_total")
            self._observations.count("associations_open", int(self._is_open))

    def _note_end(self, event: evt.Event) -> None:
        with self._lock:
            was_open, self._is_open, self._has_ended = self._is_open, False, True
        if was_open:
            self._observations.count("associations_open", -1)
            if event.event is evt.EVT_CONN_CLOSE and not self._session.is_ending:
                self._observations.count("connections_lost")
        elif self._assoc.requestor.primitive is None:
            self._assoc.dul.to_user_queue.put(None)  # closed before A-ASSOCIATE-RQ: end pynetdicom's wait for it

    def _note_pdu(self, event: evt.Event) -> None:
        """Runs in the reading thread: stalling here stops the reading itself."""
        if isinstance(event.pdu, A_ABORT_RQ | A_RELEASE_RQ):
            self._session.is_ending = True
        if isinstance(event.pdu, A_ABORT_RQ):
            self._observations.count("aborts")
        elif isinstance(event.pdu, P_DATA_TF) and not self._session.is_gone:
            self._session.bytes_received += event.pdu.pdu_length
            with suppress(PeerGone):
                if delay := self._session.behaviour.pdata_delay_s:
                    self._session.pause(delay)
                self._session.disturb(Moment.WITHIN_STORE, self._session.bytes_received)

    def _note_message(self, event: evt.Event) -> None:
        """A new request makes an old C-CANCEL for its message ID void."""
        if isinstance(event.message, C_CANCEL_RQ):
            self._observations.count("cancels")
        elif isinstance(event.message, C_FIND_RQ | C_GET_RQ | C_MOVE_RQ):
            self._assoc.dimse.cancel_req.pop(event.message.command_set.MessageID, None)

    def _serve(self, message: Any, context_id: int) -> None:
        """Answer one request, in the thread of the association (in the place of pynetdicom's dispatch)."""
        if isinstance(message, C_CANCEL) or self._session.is_gone or not message.is_valid_request:
            return  # a C-CANCEL that came too late is void (PS3.7 §9.3.2.3)
        service = _SERVICES.get(type(message))
        context = self._assoc._accepted_cx.get(context_id)
        if service is None or context is None:
            self._assoc.abort()
            return
        self._assoc._is_paused = True
        try:
            service(self._session, message, context)
        except PeerGone:
            pass
        except Exception as error:  # noqa: BLE001 - the boundary of one request
            _log.error("sandbox_request_failed", service=service.__name__, error=type(error).__name__)
            self._assoc.abort()
        finally:
            self._assoc._is_paused = False
