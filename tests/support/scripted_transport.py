"""A transport without a socket, fed by the test; and an association over it, opened by a pair of machines."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence

from gateway.dimse.association import Association
from gateway.dimse.commands import Command, encode_command
from gateway.dimse.contexts import Negotiated
from gateway.dimse.ul.connection import Connection, Role
from gateway.dimse.ul.events import AssociateAccept, AssociateRequest
from tests.support.upper_layer import make_accept, make_request, take_events


class ScriptedTransport:
    """What ``gateway.dimse.transport.Transport`` offers its owner; chunks come from :meth:`arrive`."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.writes: list[bytes] = []
        self.bytes_received = 0
        self.is_closing = False
        self.is_stuck = False
        self.on_activity = None
        self._chunks: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self.read_count = 0

    @property
    def is_closed(self) -> bool:
        """Whether the end was read or it was closed."""
        return self.is_closing or (bool(self._chunks) and self._chunks[0] == b"")

    @property
    def has_unread(self) -> bool:
        """Whether something has arrived."""
        return bool(self._chunks)

    def arrive(self, chunks: Iterable[bytes]) -> None:
        """Let chunks arrive, b"" for the end."""
        self._chunks.extend(chunks)
        self._arrived.set()

    async def read(self, limit_s: float | None = None) -> bytes:
        """The next chunk."""
        async with asyncio.timeout(limit_s):
            while not self._chunks:
                self._arrived.clear()
                await self._arrived.wait()
        return self.take_unread()

    def take_unread(self) -> bytes:
        """The same at once."""
        self.read_count += 1
        chunk = self._chunks.popleft() if self._chunks else b""
        self.bytes_received += len(chunk)
        return chunk

    def write(self, data: bytes) -> None:
        """Note what is written."""
        self.write_joined([data])

    def write_joined(self, parts: Sequence[bytes | memoryview]) -> None:
        """Note what is written."""
        if not self.is_closing:
            self.writes.append(b"".join(parts))
            self.written += self.writes[-1]

    async def drain(self, limit_s: float | None = None) -> None:
        """Return at once, never if stuck."""
        if self.is_closing:
            raise ConnectionResetError
        if self.is_stuck:
            async with asyncio.timeout(limit_s):
                await asyncio.get_running_loop().create_future()

    async def close(self, *, timeout: float = 1.0) -> None:
        """Close."""
        self.is_closing = True

    def close_soon(self) -> None:
        """Close."""
        self.is_closing = True

    abort = close_soon


class Pair:
    """An association of ours over a scripted transport, and the peer's machine to make and read its bytes."""

    def __init__(
        self,
        request: AssociateRequest | None = None,
        accept: AssociateAccept | None = None,
        *,
        silence_timeout_s: float = 5.0,
        with_accept: bytes = b"",
        kind: type[Association] = Association,
    ) -> None:
        request, accept = request or make_request(), accept or make_accept()
        self.transport = ScriptedTransport()
        ours = Connection(Role.REQUESTOR, max_length=request.max_length)
        self.peer = Connection(Role.ACCEPTOR, max_length=accept.max_length)
        ours.transport_connected()
        self.peer.transport_connected()
        self.peer.receive_data(ours.send(request))
        assert self.peer.next_event() == request
        ours.receive_data(self.peer.send(accept) + with_accept)
        assert ours.next_event() == accept
        self.association = kind(
            self.transport,  # type: ignore[arg-type]
            ours,
            Negotiated(request.contexts, accept),
            ae_title="ARCHIVE",
            silence_timeout_s=silence_timeout_s,
        )

    def encode(
        self, command: Command, data: bytes | None = None, *, context_id: int = 1, fragment: int = 10_000
    ) -> bytes:
        """The bytes of a message of the peer."""
        wire = bytearray()
        parts = [(True, encode_command(command))] + ([(False, data)] if data is not None else [])
        for is_command, payload in parts:
            for start in range(0, len(payload) or 1, fragment):
                piece = payload[start : start + fragment]
                last = start + fragment >= len(payload)
                wire += self.peer.send_p_data(context_id, is_command, last, len(piece)) + piece
        return bytes(wire)

    def take_sent(self) -> list[object]:
        """What we have sent, as events of the peer's machine; fragments with their bytes copied."""
        self.peer.receive_data(bytes(self.transport.written))
        self.transport.written.clear()
        return [
            event._replace(data=bytes(event.data)) if hasattr(event, "_replace") else event
            for event in take_events(self.peer)
        ]
