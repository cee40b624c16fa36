"""An established association over asyncio: messages in, messages out, one at a time (PS3.7 §9, PS3.8 §7).

Sits on ``transport.py`` (bytes) and the pure machines ``ul.Connection`` and ``messages.MessageReader``; gives
``scu/`` and ``scp/`` whole command sets and the pieces of a data set as they arrive. It knows no service and no
pool. Requestor and acceptor sides are the same once established; ``requestor.py`` and ``acceptor.py`` open them.

Pulled: the socket is read only while somebody waits in :meth:`Association.receive` or
:meth:`Association.read_piece`. Time limits apply to waiting for the peer, never to a slow consumer, and inside a
message they count silence, not duration.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from gateway.dimse.commands import Command, encode_command
from gateway.dimse.contexts import AcceptedContext, Proposal
from gateway.dimse.messages import MessageReader, MessageStart
from gateway.dimse.transport import Transport
from gateway.dimse.ul.connection import NEED_DATA, Connection
from gateway.dimse.ul.events import (
    Abort,
    PDataFragment,
    ReleaseReply,
    ReleaseRequest,
    TransportClosed,
)
from gateway.dimse.ul.fsm import State
from gateway.errors import (
    AssociationAborted,
    BackendError,
    ConnectionLost,
    DimseTimeout,
    RemoteProtocolError,
    UndecodableResponse,
)

__all__ = ["Association", "ContextLookup"]

RELEASE_TIMEOUT_S = 2.0
"""A peer that does not answer A-RELEASE-RQ is aborted; nothing is lost by then."""

UNLIMITED_PDU_BYTES = 131_072
"""What we send to a peer that announced no limit (PS3.8 §D.1): large, yet DCMTK's own ceiling."""

PDV_HEADER_BYTES = 6
_ABORTABLE = frozenset({State.STA6, State.STA7})
"""Data transfer, and waiting for A-RELEASE-RP: in the other states we reach, the association is over."""

MAX_DATA_SET_BYTES = 16_777_216
"""Identifiers and small responses are gathered; nothing sensible is larger."""


class ContextLookup(Protocol):
    """What an association knows of its accepted contexts, on either side."""

    def by_id(self, context_id: int) -> AcceptedContext | None:
        """The accepted context with that ID, None if it was not accepted."""

    def find(
        self, abstract_syntax: str, transfer_syntax: str | None = None, *, scp: bool = False
    ) -> AcceptedContext | None:
        """The first accepted context for a class."""

    def worst_result(self, abstract_syntax: str) -> int:
        """Why no context of a class will do."""


class Association:
    """One association in data transfer (Sta6).

    Not for concurrent use: one task receives, the same or one other sends. Whoever leases or accepted it ends it
    with :meth:`release` or :meth:`abort`.

    Parameters
    ----------
    ae_title
        The peer's, for errors and logs.
    contexts
        The accepted presentation contexts.
    silence_timeout_s
        Longest wait, in seconds, for the next byte of a message under way.
    """

    def __init__(
        self,
        transport: Transport,
        connection: Connection,
        contexts: ContextLookup,
        *,
        ae_title: str,
        silence_timeout_s: float,
        proposal: Proposal | None = None,
        extended: dict[str, bytes] | None = None,
    ) -> None:
        self.ae_title = ae_title
        self.contexts = contexts
        self.proposal = proposal
        self.extended = extended or {}
        self.silence_timeout_s = silence_timeout_s
        self._transport = transport
        self._connection = connection
        self._reader = MessageReader()
        self._inbox: deque[MessageStart | PDataFragment] = deque()
        self._failure: BackendError | None = None
        self._in_data_set = False
        self._outstanding = 0
        self._message_id = 0
        self.is_retired = False
        """Whether it shall be released where it would go back to the pool, though nothing is wrong with it."""
        self._take_events()  # what came in the same chunk as the last PDU of the negotiation

    # --- state ---

    @property
    def is_usable(self) -> bool:
        """Whether it is established and nothing has gone wrong so far."""
        return self._connection.is_established and self._failure is None and not self._transport.is_closed

    @property
    def is_clean(self) -> bool:
        """Whether it may go back to the pool: usable, nothing outstanding, nothing unread (invariant 7)."""
        return (
            self.is_usable
            and not self._outstanding
            and not self._inbox
            and not self._in_data_set
            and self._reader.is_between_messages
            and not self._transport.has_unread
        )

    def look(self) -> None:
        """Look into the socket, so that `is_clean` knows of what has arrived in this moment."""
        self._transport.look()

    @property
    def has_message(self) -> bool:
        """Whether the next message is here with its whole data set: reading it will not wait."""
        if self._in_data_set or not self._inbox:
            return False
        first = self._inbox[0]
        has_data_set = isinstance(first, MessageStart) and first.command.has_data_set
        return not has_data_set or any(isinstance(unit, PDataFragment) and unit.last for unit in self._inbox)

    @property
    def transport(self) -> Transport:
        """The transport, for the pool's watch over idle associations."""
        return self._transport

    @property
    def bytes_received(self) -> int:
        """Bytes read from the socket so far."""
        return self._transport.bytes_received

    def next_message_id(self) -> int:
        """A Message ID (0000,0110) from 1 to 65535, unique among those outstanding here."""
        self._message_id = self._message_id % 65_535 + 1
        return self._message_id

    def begin_operation(self) -> None:
        """Note that a request is about to be sent; until :meth:`end_operation` the association is not clean."""
        self._outstanding += 1

    def end_operation(self) -> None:
        """Note that the final response of a request was read."""
        self._outstanding -= 1

    # --- receiving ---

    async def receive(self, limit_s: float | None, *, waiting_for: str) -> MessageStart:
        """Wait for the next command set.

        The rest of a data set that nobody read is passed over first, under the silence limit.

        Parameters
        ----------
        limit_s
            Longest wait for the message to begin, in seconds; None where another wait bounds it.
        waiting_for
            Named in the error, for instance ``"C-FIND-RSP"``.

        Raises
        ------
        DimseTimeout
            Nothing came in time.
        AssociationAborted, ConnectionLost, UndecodableResponse
            The association is over.
        """
        await self.discard_data_set()
        while not self._inbox:
            under_way = not self._reader.is_between_messages
            await self._pump(self.silence_timeout_s if under_way else limit_s, waiting_for)
        message = self._inbox.popleft()
        if not isinstance(message, MessageStart):
            raise UndecodableResponse(self.ae_title, "data set without a command set")
        self._in_data_set = message.command.has_data_set
        return message

    async def read_piece(self) -> bytes | memoryview | None:
        """Wait for more of the current data set; None when it has ended.

        A piece has up to 256 KiB, and stays as it is as long as somebody holds it. Those that have arrived together
        come one after the other without waiting.

        Raises
        ------
        DimseTimeout
            The peer was silent for longer than the silence limit.
        AssociationAborted, ConnectionLost, UndecodableResponse
            The association is over.
        """
        while self._in_data_set:
            if not self._inbox:
                await self._pump(self.silence_timeout_s, "the rest of a data set")
                continue
            piece = self._inbox.popleft()
            assert isinstance(piece, PDataFragment)
            self._in_data_set = not piece.last
            if piece.data:
                return piece.data
        return None

    async def read_data_set(self, *, max_bytes: int = MAX_DATA_SET_BYTES) -> bytes:
        """Gather the current data set: an identifier, never an instance.

        Raises
        ------
        UndecodableResponse
            It is longer than `max_bytes`.
        """
        pieces: list[bytes | memoryview] = []
        size = 0
        while (piece := await self.read_piece()) is not None:
            size += len(piece)
            if size > max_bytes:
                raise UndecodableResponse(self.ae_title, f"a response over {max_bytes} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    async def discard_data_set(self) -> None:
        """Read the rest of the current data set, if any, and drop it."""
        while await self.read_piece() is not None:
            pass

    async def _pump(self, limit_s: float | None, waiting_for: str) -> None:
        self._check_usable()
        try:
            chunk = await self._transport.read(limit_s)
        except TimeoutError:
            text = f"nothing received for {limit_s:g} s while waiting for {waiting_for}"
            raise DimseTimeout(self.ae_title, text) from None
        self._connection.receive_data(chunk)
        self._take_events()
        if self._failure is not None and not self._inbox:
            raise self._failure

    def _take_events(self) -> None:
        try:
            self._take_data()
            while (event := self._connection.next_event()) is not NEED_DATA:
                if not isinstance(event, PDataFragment):
                    self._note_end(event)
                elif (unit := self._reader.feed(event)) is not None:
                    self._inbox.append(unit)
                    self._take_data()
        except RemoteProtocolError as error:
            self._failure = UndecodableResponse(self.ae_title, str(error))
            self._failure.__cause__ = error
            if self._connection.is_established:
                self._transport.write(self._connection.send(Abort(2, error.reason)))
        self._flush()

    def _take_data(self) -> None:
        """Take the data set under way as far as it has arrived; the same as events would, with less ado."""
        context_id = self._reader.data_context
        if context_id is not None:
            fragments: list[PDataFragment] = []
            if self._connection.take_data(context_id, fragments):
                self._reader.end_data_set()
            self._inbox.extend(fragments)

    def _note_end(self, event: object) -> None:
        match event:
            case Abort(source=source, reason=reason):
                self._failure = AssociationAborted(self.ae_title, source, reason)
            case ReleaseRequest():
                self._failure = ConnectionLost(self.ae_title, "the peer released the association")
                self._transport.write(self._connection.send(ReleaseReply()))
            case TransportClosed():
                self._failure = self._failure or ConnectionLost(self.ae_title, "connection closed by the peer")
            case ReleaseReply():
                self._failure = ConnectionLost(self.ae_title, "released")

    def _flush(self) -> None:
        if answer := self._connection.bytes_to_send():
            self._transport.write(answer)
        if self._connection.close_requested:
            self._transport.close_soon()

    # --- sending ---

    @property
    def max_fragment_bytes(self) -> int:
        """Most payload bytes of one PDV to this peer, even (PS3.8 §D.1, §E.2)."""
        limit = self._connection.peer_max_length or UNLIMITED_PDU_BYTES
        return max(min(limit, 1_048_576) - PDV_HEADER_BYTES, 2) & ~1

    async def send(self, context_id: int, command: Command, data_set: bytes | None = None) -> None:
        """Send a message whose data set, if any, is at hand, in as few segments as the peer's limit allows.

        Raises
        ------
        ConnectionLost
            The connection is gone.
        DimseTimeout
            The peer took nothing for longer than the silence limit.
        """
        self._check_usable()
        parts = self._fragment(context_id, True, encode_command(command))
        if data_set is not None:
            parts += self._fragment(context_id, False, data_set)
        await self.write_parts(parts)

    async def send_encoded(self, context_id: int, command_set: bytes) -> None:
        """Send a message without data set whose command set is encoded already; raises as :meth:`send`."""
        await self.write_parts(self.frame_command(context_id, command_set))

    @property
    def has_answer(self) -> bool:
        """Whether a message has arrived that nobody has read, for instance an answer before its request was over."""
        if not self._inbox:
            self.settle_idle()
        return bool(self._inbox)

    def frame_command(self, context_id: int, command_set: bytes) -> list[bytes | memoryview]:
        """The PDUs of an encoded command set, to be written together with the data set; see ``data_set_writer.py``."""
        self._check_usable()
        return self._fragment(context_id, True, command_set)

    def frame_fragment(self, context_id: int, *, last: bool, length: int) -> bytes:
        """The header of a P-DATA-TF that carries `length` data set bytes; see ``data_set_writer.py``."""
        if not self._inbox:
            self.settle_idle()  # nobody reads while a data set is sent, yet the peer may have aborted
        self._check_usable()
        return self._connection.send_p_data(context_id, False, last, length)

    async def write_parts(self, parts: list[bytes | memoryview]) -> None:
        """Write ready PDUs in one go and wait until the peer keeps up; raises as :meth:`send`."""
        self.hand_over(parts)
        await self.drain()

    def hand_over(self, parts: list[bytes | memoryview]) -> None:
        """Write ready PDUs in one go, to be followed by :meth:`drain`; raises ConnectionLost as :meth:`send`."""
        self._check_usable()
        self._transport.write_joined(parts)

    async def drain(self) -> None:
        """Wait until the peer took enough of what was handed over; raises as :meth:`send`."""
        try:
            await self._transport.drain(self.silence_timeout_s)
        except ConnectionResetError as error:
            self.settle_idle()  # an A-ABORT that arrived before the end says more than the end
            raise self._failure or ConnectionLost(self.ae_title, "connection closed by the peer") from error
        except TimeoutError:
            text = f"the peer took nothing for {self.silence_timeout_s:g} s"
            raise DimseTimeout(self.ae_title, text) from None

    def _check_usable(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _fragment(self, context_id: int, is_command: bool, payload: bytes) -> list[bytes | memoryview]:
        size = self.max_fragment_bytes
        view = memoryview(payload)
        parts: list[bytes | memoryview] = []
        for start in range(0, len(payload), size):
            piece = view[start : start + size]
            last = start + size >= len(payload)
            parts += [self._connection.send_p_data(context_id, is_command, last, len(piece)), piece]
        return parts

    # --- ending ---

    async def release(self, *, timeout: float = RELEASE_TIMEOUT_S) -> None:
        """End in order; a peer that does not answer within `timeout` seconds is aborted.

        P-DATA that arrives meanwhile is dropped (PS3.8 §7.2.2: it may).
        """
        if not self.is_usable:
            self.abort()
            return
        self._transport.on_activity = None
        self._transport.write(self._connection.send(ReleaseRequest()))
        try:
            async with asyncio.timeout(timeout):
                while self._failure is None:
                    self._connection.receive_data(await self._transport.read())
                    self._inbox.clear()
                    self._take_events()
        except TimeoutError:
            self.abort()
        except asyncio.CancelledError:
            self.abort()
            raise
        await self._transport.close()

    def abort(self) -> None:
        """A-ABORT (source 0, service user) if still possible, then close without waiting."""
        self._transport.on_activity = None
        if self._connection.state in _ABORTABLE:
            self._transport.write(self._connection.send(Abort(0, 0)))
        self._failure = self._failure or ConnectionLost(self.ae_title, "aborted by us")
        self._transport.close_soon()

    def settle_idle(self) -> None:
        """Read what arrived while nobody waited: a release, an abort, an end. Does not wait.

        Anything else is a message nobody asked for; then the association is no longer clean.
        """
        while self._transport.has_unread and self._failure is None:
            self._connection.receive_data(self._transport.take_unread())
            self._take_events()
