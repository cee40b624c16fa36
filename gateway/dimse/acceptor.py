"""Our application entity as acceptor: the destination of C-MOVE (PS3.8 §7.1.2, PS3.7 §9.1.1, §9.1.5).

Answers C-ECHO and takes C-STORE for moves that are under way; everything else is refused: another called AE
title, other services, a store nobody asked for. One task an association; its pace is that of the retrieval that
takes the instances, so a slow web client slows the archive's socket and nothing is gathered here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from gateway import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gateway.codecs.transfer_syntax import (
    DEFLATED,
    EXPLICIT_VR_BE,
    EXPLICIT_VR_LE,
    IMPLICIT_VR_LE,
    get_transfer_syntax,
)
from gateway.config import DimseSettings, split_address
from gateway.dimse.association import Association
from gateway.dimse.commands import Command, CommandField
from gateway.dimse.contexts import Negotiated
from gateway.dimse.move_routing import MoveRegistry
from gateway.dimse.status import NOT_AUTHORIZED, OUT_OF_RESOURCES, SUCCESS, UNRECOGNIZED_OPERATION
from gateway.dimse.suboperation import StoreSubOperation
from gateway.dimse.transport import Transport
from gateway.dimse.uids import VERIFICATION
from gateway.dimse.ul.connection import NEED_DATA, Connection, Role
from gateway.dimse.ul.events import (
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ContextResult,
    ProposedContext,
)
from gateway.errors import BackendError, RemoteProtocolError
from gateway.tasks import cancel_and_wait, start_task

__all__ = ["Acceptor"]

REFUSAL_DRAIN_S = 2.0
"""How long the rest of an unwanted instance is read before the association is cut."""

DICOM_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
_STANDARD_ROOT = "1.2.840.10008."
_STORAGE_ROOTS = (
    "1.2.840.10008.5.1.4.1.1.",  # the storage classes
    "1.2.840.10008.5.1.4.34.",  # RT treatment objects
    "1.2.840.10008.5.1.4.38.",  # hanging protocols
    "1.2.840.10008.5.1.4.39.",  # colour palettes
    "1.2.840.10008.5.1.4.43.",  # implants
    "1.2.840.10008.5.1.4.44.",
    "1.2.840.10008.5.1.4.45.",
)
_NATIVE_PREFERENCE = (EXPLICIT_VR_LE, IMPLICIT_VR_LE, DEFLATED, EXPLICIT_VR_BE)

_log = structlog.get_logger(__name__)


def is_storable(abstract_syntax: str) -> bool:
    """Whether a class may be a storage class; private ones are taken for that (PS3.4 §B.5)."""
    return not abstract_syntax.startswith(_STANDARD_ROOT) or abstract_syntax.startswith(_STORAGE_ROOTS)


def choose_transfer_syntax(proposed: tuple[str, ...], *, prefers_native: bool) -> str | None:
    """What to accept of one storage context.

    The sender's first compressed syntax, in which it probably holds the instance, unless the move under way
    prefers native ones; of those Explicit VR Little Endian first, for nothing needs to be converted then.
    """
    native = next((uid for uid in _NATIVE_PREFERENCE if uid in proposed), None)
    compressed = next((uid for uid in proposed if get_transfer_syntax(uid).encapsulated), None)
    return (native or compressed) if prefers_native else (compressed or native)


class Acceptor:
    """Listens for associations.

    Parameters
    ----------
    settings
        Address, limits and time limits.
    ae_titles
        Called AE titles that are ours: asked at each association.
    registry
        The moves under way.
    """

    def __init__(
        self, settings: DimseSettings, ae_titles: Callable[[], frozenset[str]], registry: MoveRegistry
    ) -> None:
        self._settings = settings
        self._ae_titles = ae_titles
        self._registry = registry
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def association_count(self) -> int:
        """Connections being served."""
        return len(self._tasks)

    @property
    def is_listening(self) -> bool:
        """Whether moves can reach us."""
        return self._server is not None

    async def start(self) -> None:
        """Begin to listen, if an address is configured; `port` is known afterwards.

        Raises
        ------
        OSError
            The address is taken or not ours.
        """
        if self._settings.listen is None:
            return
        host, port = split_address(self._settings.listen)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Transport(self._begin), host, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and end what is being served."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._tasks):
            await cancel_and_wait(task)

    def _begin(self, transport: Transport) -> None:
        task = start_task(self._serve(transport), name=f"inbound association {transport.peer_name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, transport: Transport) -> None:
        association: Association | None = None
        try:
            association, calling_ae_title = await self._negotiate(transport)
            if association is not None:
                await self._serve_messages(association, calling_ae_title)
        except BackendError as error:
            _log.debug("inbound_association_ended", reason=type(error).__name__)
        finally:
            if association is not None and association.is_usable:
                association.abort()
            transport.close_soon()

    # --- negotiation ---

    async def _negotiate(self, transport: Transport) -> tuple[Association | None, str]:
        connection = Connection(Role.ACCEPTOR, max_length=self._settings.max_pdu_bytes)
        connection.transport_connected()
        try:
            async with asyncio.timeout(self._settings.artim_timeout_s):
                request = await _await_request(connection, transport)
        except TimeoutError:
            connection.artim_expired()
            _log.info("inbound_association_timeout", limit_s=self._settings.artim_timeout_s)
            return None, ""
        if request is None:
            return None, ""
        if (refusal := self._refuse(request)) is not None:
            _log.warning("inbound_association_rejected", source=refusal.source, reason=refusal.reason)
            transport.write(connection.send(refusal))
            return None, ""
        prefers_native = self._registry.prefers_native(request.calling_ae_title)
        accept = _accept(request, self._settings.max_pdu_bytes, prefers_native)
        transport.write(connection.send(accept))
        association = Association(
            transport,
            connection,
            Negotiated(request.contexts, accept),
            ae_title=request.calling_ae_title,
            silence_timeout_s=self._settings.idle_timeout_s,
        )
        return association, request.calling_ae_title

    def _refuse(self, request: AssociateRequest) -> AssociateReject | None:
        if request.application_context != DICOM_APPLICATION_CONTEXT:
            return AssociateReject(1, 1, 2)
        if request.called_ae_title not in self._ae_titles():
            return AssociateReject(1, 1, 7)
        if len(self._tasks) > self._settings.max_inbound_associations:
            return AssociateReject(2, 3, 2)
        return None

    # --- messages ---

    async def _serve_messages(self, association: Association, calling_ae_title: str) -> None:
        while True:
            message = await association.receive(self._settings.idle_timeout_s, waiting_for="a request")
            command = message.command
            if command.command_field is CommandField.C_STORE_RQ:
                context = association.contexts.by_id(message.context_id)
                if context is None:
                    return
                await self._take_store(StoreSubOperation(association, context, command), calling_ae_title)
            elif not command.command_field.is_response and command.command_field is not CommandField.C_CANCEL_RQ:
                await association.discard_data_set()
                await association.send(message.context_id, _answer(command))

    async def _take_store(self, instance: StoreSubOperation, calling_ae_title: str) -> None:
        reception = self._registry.match(calling_ae_title, instance)
        if reception is None:
            _log.warning("unsolicited_store_refused", calling_ae_title=calling_ae_title)
            await _refuse_store(instance, NOT_AUTHORIZED)
        elif not await reception.offer(instance):
            await _refuse_store(instance, OUT_OF_RESOURCES)


async def _refuse_store(instance: StoreSubOperation, status: int) -> None:
    """Answer with a failure; an archive that goes on sending a large instance is cut after a while."""
    try:
        async with asyncio.timeout(REFUSAL_DRAIN_S):
            await instance.respond(status)
    except TimeoutError:
        instance.abort()


async def _await_request(connection: Connection, transport: Transport) -> AssociateRequest | None:
    """Wait for A-ASSOCIATE-RQ; None if the peer went away or sent something else."""
    while True:
        connection.receive_data(await transport.read())
        try:
            event = connection.next_event()
        except RemoteProtocolError as error:
            _log.info("inbound_association_broken", reason=str(error))
            transport.write(connection.bytes_to_send())
            return None
        if event is not NEED_DATA:
            return event if isinstance(event, AssociateRequest) else None


def _accept(request: AssociateRequest, max_length: int, prefers_native: bool) -> AssociateAccept:
    return AssociateAccept(
        called_ae_title=request.called_ae_title,
        calling_ae_title=request.calling_ae_title,
        results=tuple(_judge(context, prefers_native) for context in request.contexts),
        max_length=max_length,
        implementation_class_uid=IMPLEMENTATION_CLASS_UID,
        implementation_version_name=IMPLEMENTATION_VERSION_NAME,
    )


def _judge(context: ProposedContext, prefers_native: bool) -> ContextResult:
    """Accept Verification and storage; 3 for other classes, 4 where no transfer syntax will do."""
    if context.abstract_syntax == VERIFICATION:
        chosen = next((uid for uid in _NATIVE_PREFERENCE if uid in context.transfer_syntaxes), None)
    elif is_storable(context.abstract_syntax):
        chosen = choose_transfer_syntax(context.transfer_syntaxes, prefers_native=prefers_native)
    else:
        return ContextResult(context.context_id, 3, "")
    return ContextResult(context.context_id, 4, "") if chosen is None else ContextResult(context.context_id, 0, chosen)


def _answer(request: Command) -> Command:
    is_echo = request.command_field is CommandField.C_ECHO_RQ
    return Command(
        command_field=CommandField(request.command_field | 0x8000),
        message_id_being_responded_to=request.message_id,
        affected_sop_class_uid=request.affected_sop_class_uid or request.requested_sop_class_uid,
        status=SUCCESS if is_echo else UNRECOGNIZED_OPERATION,
    )
