"""A DIMSE peer that follows a script, misbehaving on purpose: the other side of our associations in unit tests.

It runs in the loop of the test, over real sockets, on our own upper layer machine; pynetdicom's independent view
is the sandbox archive's. As acceptor it is a :class:`ScriptedPeer` that runs one script per association; as
requestor it is :func:`request_association`. A script is a coroutine over :class:`PeerAssociation`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from gateway.dimse.commands import Command, CommandField, encode_command
from gateway.dimse.messages import MessageReader, MessageStart
from gateway.dimse.requestor import Peer
from gateway.dimse.ul.connection import NEED_DATA, Connection, Role
from gateway.dimse.ul.events import (
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ContextResult,
    ExtendedNegotiation,
    PDataFragment,
    ProposedContext,
    ReleaseReply,
    ReleaseRequest,
    RoleSelection,
    TransportClosed,
)

MAX_LENGTH = 16_384
LIMIT_S = 10.0  # no wait of a test peer is longer


class PeerGone(Exception):
    """The other side released, aborted or closed while the script waited for a message; `how` says which."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


class Message(NamedTuple):
    """One whole message."""

    context_id: int
    command: Command
    data: bytes


class PeerAssociation:
    """The peer's end of one connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, role: Role, max_length: int = MAX_LENGTH
    ) -> None:
        self.connection = Connection(role, max_length=max_length, accept_longer_pdus=True)
        self.connection.transport_connected()
        self.max_length = max_length
        self.request: AssociateRequest | None = None
        self.answer: AssociateAccept | AssociateReject | Abort | TransportClosed | None = None
        self.fragment_lengths: list[int] = []
        self.messages_received: list[Command] = []
        self.ending = ""
        self._reader = reader
        self._writer = writer
        self._messages = MessageReader()
        self._is_at_end = False

    # --- negotiation ---

    async def receive_request(self) -> AssociateRequest:
        """Wait for A-ASSOCIATE-RQ."""
        event = await self.receive_event()
        if not isinstance(event, AssociateRequest):
            await self._note_end(event)
            raise PeerGone(self.ending)
        self.request = event
        return event

    async def accept(
        self,
        *,
        results: dict[str, int] | None = None,
        transfer_syntaxes: dict[str, str] | None = None,
        roles: bool = True,
        extended: tuple[ExtendedNegotiation, ...] | None = None,
        with_bytes: bytes = b"",
    ) -> AssociateRequest:
        """Accept every context with its first transfer syntax, but for abstract syntaxes named in `results`.

        `with_bytes` leave in the same segment as the A-ASSOCIATE-AC.
        """
        request = self.request or await self.receive_request()
        refused, chosen = results or {}, transfer_syntaxes or {}

        def judge(context: ProposedContext) -> ContextResult:
            result = refused.get(context.abstract_syntax, 0)
            syntax = chosen.get(context.abstract_syntax, context.transfer_syntaxes[0])
            return ContextResult(context.context_id, result, "" if result else syntax)

        accept = AssociateAccept(
            called_ae_title=request.called_ae_title,
            calling_ae_title=request.calling_ae_title,
            results=tuple(judge(context) for context in request.contexts),
            max_length=self.max_length,
            implementation_class_uid="1.2.826.0.2",
            roles=tuple(RoleSelection(role.sop_class_uid, True, True) for role in request.roles) if roles else (),
            extended=request.extended if extended is None else extended,
        )
        await self.send_bytes(self.connection.send(accept) + with_bytes)
        return request

    async def reject(self, result: int, source: int, reason: int) -> None:
        """Answer with A-ASSOCIATE-RJ."""
        if self.request is None:
            await self.receive_request()
        await self.send_bytes(self.connection.send(AssociateReject(result, source, reason)))

    def context_for(self, abstract_syntax: str) -> int:
        """The ID of the first context proposed for a class."""
        assert self.request is not None
        return next(c.context_id for c in self.request.contexts if c.abstract_syntax == abstract_syntax)

    # --- messages ---

    async def receive_event(self) -> Any:
        """The next event of the upper layer."""
        while (event := self.connection.next_event()) is NEED_DATA:
            async with asyncio.timeout(LIMIT_S):
                try:
                    chunk = await self._reader.read(65_536)
                except ConnectionError:
                    chunk = b""
            if not chunk and self._is_at_end:
                return TransportClosed()
            self._is_at_end = not chunk
            self.connection.receive_data(chunk)
        if isinstance(event, PDataFragment):
            self.fragment_lengths.append(len(event.data))
        return event

    async def receive(self) -> Message:
        """The next whole message; raises PeerGone if the other side ends instead (a release is answered)."""
        start: MessageStart | None = None
        data: list[bytes] = []
        while True:
            event = await self.receive_event()
            if not isinstance(event, PDataFragment):
                await self._note_end(event)
                raise PeerGone(self.ending)
            match self._messages.feed(event):
                case MessageStart(command=command) as start:
                    self.messages_received.append(command)
                    is_complete = not command.has_data_set
                case PDataFragment(data=piece, last=is_complete):
                    data.append(bytes(piece))
                case None:
                    is_complete = False
            if is_complete and start is not None:
                return Message(start.context_id, start.command, b"".join(data))

    async def send(self, context_id: int, command: Command, data: bytes | None = None, *, fragment: int = 0) -> None:
        """Send a message in fragments of at most `fragment` bytes, or as large as allowed."""
        await self.send_bytes(self.encode(context_id, command, data, fragment=fragment))

    def encode(self, context_id: int, command: Command, data: bytes | None = None, *, fragment: int = 0) -> bytes:
        """The bytes of a message."""
        wire = self._encode_part(context_id, True, encode_command(command), fragment)
        return wire if data is None else wire + self._encode_part(context_id, False, data, fragment)

    def encode_data(self, context_id: int, data: bytes, *, last: bool) -> bytes:
        """One data set fragment."""
        return self.connection.send_p_data(context_id, False, last, len(data)) + data

    def _encode_part(self, context_id: int, is_command: bool, payload: bytes, fragment: int) -> bytes:
        size = fragment or (self.connection.peer_max_length or 65_536) - 6
        wire = bytearray()
        for start in range(0, len(payload), size):
            piece = payload[start : start + size]
            last = start + size >= len(payload)
            wire += self.connection.send_p_data(context_id, is_command, last, len(piece)) + piece
        return bytes(wire)

    async def respond(self, request: Message, status: int, data: bytes | None = None, /, **fields: Any) -> None:
        """Answer `request` with `status`."""
        command = request.command
        values: dict[str, Any] = {
            "command_field": fields.get("command_field") or CommandField(command.command_field | 0x8000),
            "message_id_being_responded_to": command.message_id,
            "affected_sop_class_uid": command.affected_sop_class_uid,
            "affected_sop_instance_uid": command.affected_sop_instance_uid,
            "status": status,
            "has_data_set": data is not None,
        }
        await self.send(request.context_id, Command(**values | fields), data)

    async def store(self, context_id: int, uid: str, data: bytes, *, message_id: int = 1, **fields: Any) -> Message:
        """Send C-STORE-RQ and wait for the response."""
        await self.send(context_id, store_request(uid, message_id=message_id, **fields), data)
        return await self.receive()

    # --- other things on the wire ---

    async def send_bytes(self, data: bytes) -> None:
        """Send anything."""
        with suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    async def release(self) -> None:
        """Ask for release and wait for the answer or another end."""
        await self.send_bytes(self.connection.send(ReleaseRequest()))
        while not isinstance(event := await self.receive_event(), ReleaseReply | Abort | TransportClosed):
            pass
        self.ending = self.ending or type(event).__name__

    async def abort(self) -> None:
        """Send A-ABORT."""
        await self.send_bytes(self.connection.send(Abort(0, 0)))

    def drop(self) -> None:
        """Cut the connection without a word."""
        transport = self._writer.transport
        assert isinstance(transport, asyncio.WriteTransport)
        transport.abort()

    async def read_to_end(self) -> None:
        """Read until the other side has ended, answering a release."""
        while not self.ending:
            event = await self.receive_event()
            if not isinstance(event, PDataFragment):
                await self._note_end(event)

    async def _note_end(self, event: Any) -> None:
        if isinstance(event, ReleaseRequest):
            self.ending = "released"
            await self.send_bytes(self.connection.send(ReleaseReply()))
        elif isinstance(event, Abort):
            self.ending = "aborted"
        else:
            self.ending = "closed"

    async def close(self) -> None:
        """Close the connection."""
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


def store_request(uid: str, *, message_id: int = 1, **fields: Any) -> Command:
    """A C-STORE-RQ for an instance of CT Image Storage."""
    values: dict[str, Any] = {
        "command_field": CommandField.C_STORE_RQ,
        "message_id": message_id,
        "affected_sop_class_uid": CT_IMAGE_STORAGE,
        "affected_sop_instance_uid": uid,
        "priority": 0,
        "has_data_set": True,
    }
    return Command(**values | fields)


CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
Script = Callable[[PeerAssociation], Awaitable[None]]


class ScriptedPeer:
    """Listens on loopback and runs a script for each connection, the last one again when they run out.

    After its script an association is read to its end, so `endings` tells how each was ended by us.
    """

    def __init__(self, *scripts: Script) -> None:
        self.port = 0
        self.associations: list[PeerAssociation] = []
        self.open_count = 0
        self.most_open = 0
        self.read_after_script = True
        self._scripts = deque(scripts)
        self._failures: list[BaseException] = []
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def endings(self) -> list[str]:
        """How each association ended, in order of connecting; "" while it stands."""
        return [association.ending for association in self.associations]

    def describe(self, **fields: Any) -> Peer:
        """How to reach it, for ``open_association`` and pools."""
        values: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.port,
            "ae_title": "ARCHIVE",
            "calling_ae_title": "GATEWAY",
            "max_length": 16_384,
            "connect_timeout_s": 5.0,
            "associate_timeout_s": 5.0,
            "silence_timeout_s": 5.0,
        }
        return Peer(**values | fields)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; looked at when a connection comes, goes or a script calls `note`."""
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def note(self) -> None:
        """Have `until` look again."""
        self._changed.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        association = PeerAssociation(reader, writer, Role.ACCEPTOR)
        self.associations.append(association)
        self.open_count += 1
        self.most_open = max(self.most_open, self.open_count)
        script = self._scripts.popleft() if len(self._scripts) > 1 else self._scripts[0]
        self.note()
        try:
            await script(association)
        except PeerGone:
            pass
        except BaseException as error:
            self._failures.append(error)
            association.drop()
        try:
            if self.read_after_script:
                await association.read_to_end()
        finally:
            self.open_count -= 1
            self.note()
            await association.close()

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)

    async def __aenter__(self) -> ScriptedPeer:
        self._server = await asyncio.start_server(self._begin, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        failures = [failure for failure in self._failures if not isinstance(failure, asyncio.CancelledError)]
        failures += [
            failure for task in self._tasks if not task.cancelled() and (failure := task.exception()) is not None
        ]
        if failures:
            raise failures[0]


@asynccontextmanager
async def request_association(
    port: int,
    *syntaxes: tuple[str, tuple[str, ...]],
    called: str = "GATEWAY",
    calling: str = "ARCHIVE",
    **fields: Any,
) -> AsyncIterator[PeerAssociation]:
    """Connect as requestor and negotiate; `answer` holds what came back. The connection is cut on leaving."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    association = PeerAssociation(reader, writer, Role.REQUESTOR)
    contexts = tuple(ProposedContext(2 * n + 1, uid, transfer) for n, (uid, transfer) in enumerate(syntaxes))
    values: dict[str, Any] = {
        "called_ae_title": called,
        "calling_ae_title": calling,
        "contexts": contexts,
        "max_length": MAX_LENGTH,
        "implementation_class_uid": "1.2.826.0.3",
    }
    association.request = AssociateRequest(**values | fields)
    try:
        await association.send_bytes(association.connection.send(association.request))
        association.answer = await association.receive_event()
        yield association
    finally:
        association.drop()
        await association.close()
