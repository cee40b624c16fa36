"""Our application entity as acceptor: what archives send us (PS3.8 §7.1.2, PS3.7 §9.1.1, §9.1.5, §10.1.1).

Answers C-ECHO, takes C-STORE for moves that are under way and the results of storage commitment; everything else is
refused: another called AE title, other services, a store nobody asked for. One task an association; its pace is that
of the retrieval that takes the instances, so a slow web client slows the archive's socket and nothing is gathered here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from gateway import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gateway.config import DimseSettings, split_address
from gateway.dimse.association import Association
from gateway.dimse.commands import Command, CommandField
from gateway.dimse.contexts import Negotiated
from gateway.dimse.scp.provider import ServiceProvider
from gateway.dimse.status import UNRECOGNIZED_OPERATION
from gateway.dimse.transport import Transport
from gateway.dimse.ul.connection import NEED_DATA, Connection, Role
from gateway.dimse.ul.events import (
    DICOM_APPLICATION_CONTEXT,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ContextResult,
    ProposedContext,
    RoleSelection,
)
from gateway.errors import BackendError, RemoteProtocolError
from gateway.tasks import cancel_and_wait, start_task

__all__ = ["Acceptor"]

_log = structlog.get_logger(__name__)


class Acceptor:
    """Listens for associations.

    Parameters
    ----------
    settings
        Address, limits and time limits.
    ae_titles
        Called AE titles that are ours: asked at each association.
    providers
        The services offered, the first that serves an abstract syntax gets its contexts.
    """

    def __init__(
        self,
        settings: DimseSettings,
        ae_titles: Callable[[], frozenset[str]],
        providers: Sequence[ServiceProvider],
    ) -> None:
        self._settings = settings
        self._ae_titles = ae_titles
        self._providers = tuple(providers)
        self._by_request = {provider.request: provider for provider in providers}
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
        accept = self._accept(request)
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

    def _accept(self, request: AssociateRequest) -> AssociateAccept:
        return AssociateAccept(
            called_ae_title=request.called_ae_title,
            calling_ae_title=request.calling_ae_title,
            results=tuple(self._judge(context, request.calling_ae_title) for context in request.contexts),
            max_length=self._settings.max_pdu_bytes,
            implementation_class_uid=IMPLEMENTATION_CLASS_UID,
            implementation_version_name=IMPLEMENTATION_VERSION_NAME,
            roles=tuple(role for role in map(self._answer_role, request.roles) if role is not None),
        )

    def _answer_role(self, asked: RoleSelection) -> RoleSelection | None:
        """Let the other side be SCP of a class whose SCU we are; elsewhere the default roles hold, without a word."""
        if asked.scp and any(one.is_scu and one.serves(asked.sop_class_uid) for one in self._providers):
            return RoleSelection(asked.sop_class_uid, scu=False, scp=True)
        return None

    def _judge(self, context: ProposedContext, calling_ae_title: str) -> ContextResult:
        """Result 3 for classes nobody here serves, 4 where no transfer syntax will do (PS3.8 Table 9-18)."""
        for provider in self._providers:
            if provider.serves(context.abstract_syntax):
                chosen = provider.choose(context, calling_ae_title)
                return ContextResult(context.context_id, 4 if chosen is None else 0, chosen or "")
        return ContextResult(context.context_id, 3, "")

    # --- messages ---

    async def _serve_messages(self, association: Association, calling_ae_title: str) -> None:
        while True:
            message = await association.receive(self._settings.idle_timeout_s, waiting_for="a request")
            command = message.command
            if (provider := self._by_request.get(command.command_field)) is not None:
                await provider.handle(association, message, calling_ae_title)
            elif not command.command_field.is_response and command.command_field is not CommandField.C_CANCEL_RQ:
                await association.discard_data_set()
                await association.send(message.context_id, _decline(command))


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
        if refusal := connection.bytes_to_send():  # a protocol version nobody here speaks; the peer closes then
            transport.write(refusal)


def _decline(request: Command) -> Command:
    """The answer to a service nobody here provides (PS3.7 §C.5.19)."""
    return Command(
        command_field=CommandField(request.command_field | 0x8000),
        message_id_being_responded_to=request.message_id,
        affected_sop_class_uid=request.affected_sop_class_uid or request.requested_sop_class_uid,
        status=UNRECOGNIZED_OPERATION,
    )
