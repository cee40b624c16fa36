"""Bytes to and from one DIMSE peer over TCP: pulled reads, backpressure both ways, the socket options that matter.

Not a protocol: it knows no PDU. ``association.py`` and ``acceptor.py`` own a :class:`Transport` each.

Backpressure: the event loop reads into one fixed buffer and copies out immutable chunks; at two chunks unread
the socket is no longer read, so a peer is slowed by TCP itself. At most ``2 × READ_BYTES`` are held.

Delayed ACK: DCMTK peers write a response in two small segments with Nagle's algorithm on. Without
``TCP_NODELAY`` *and* ``TCP_QUICKACK`` re-armed after every receive each DIMSE response costs 44 ms instead of
3 ms (measured); the kernel clears the latter by itself, so it is set again and again. Linux only; elsewhere
it is left out.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

__all__ = ["READ_BYTES", "Transport", "connect"]

READ_BYTES = 262_144
"""One read: large enough that a 100 MB series takes some 400 of them, small enough to stay in cache."""

MAX_UNREAD_CHUNKS = 2
WRITE_HIGH_WATER = 262_144
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


class Transport(asyncio.BufferedProtocol):
    """One connection, pulled by one reader and fed by one writer."""

    def __init__(self, on_connected: Callable[[Transport], None] | None = None) -> None:
        self._buffer = bytearray(READ_BYTES)
        self._view = memoryview(self._buffer)
        self._chunks: deque[bytes] = deque()
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._paused = False
        self._write_paused = False
        self._at_end = False
        self._closed = asyncio.get_running_loop().create_future()
        self._on_connected = on_connected
        self.on_activity: Callable[[], None] | None = None
        """Called when bytes arrive or the connection ends while nobody reads (an idle association)."""
        self.bytes_received = 0

    # --- what its owner calls ---

    @property
    def peer_name(self) -> str:
        """``host:port`` of the peer, for logs."""
        address = self._transport.get_extra_info("peername") if self._transport else None
        return f"{address[0]}:{address[1]}" if address else "?"

    @property
    def is_closed(self) -> bool:
        """Whether the connection is gone or its receiving side has ended and all was read."""
        return self._closed.done() or (self._at_end and not self._chunks)

    async def read(self) -> bytes:
        """Wait for the next chunk: 1 to 262,144 bytes, or ``b""`` when the peer has closed.

        Only one caller at a time. Waits without limit; the caller bounds it.
        """
        while not self._chunks:
            if self._at_end:
                return b""
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self.take_unread()

    def take_unread(self) -> bytes:
        """What a read would return at once, see :attr:`has_unread`."""
        if not self._chunks:
            return b""
        chunk = self._chunks.popleft()
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
        return chunk

    @property
    def has_unread(self) -> bool:
        """Whether a read would return at once."""
        return bool(self._chunks) or self._at_end

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Hand `data` to the socket in one send where it fits; follow with :meth:`drain`."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def write_joined(self, parts: Sequence[bytes | memoryview]) -> None:
        """The same for several pieces that belong in one segment (a PDU header and its payload)."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.writelines(parts)

    async def drain(self) -> None:
        """Wait until the peer took enough of what was written.

        Raises
        ------
        ConnectionResetError
            The connection is gone.
        """
        if self._closed.done() or self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("connection closed")
        if self._write_paused:
            self._writer = asyncio.get_running_loop().create_future()
            try:
                await self._writer
            finally:
                self._writer = None

    async def close(self, *, timeout: float = 1.0) -> None:
        """Send what is queued, close, and wait at most `timeout` seconds for it; then cut."""
        if self._transport is None:
            return
        self._transport.close()
        try:
            async with asyncio.timeout(timeout):
                await asyncio.shield(self._closed)
        except TimeoutError:
            self._transport.abort()
        except asyncio.CancelledError:
            self._transport.abort()
            raise

    def close_soon(self) -> None:
        """Send what is queued and close, without waiting; a peer that takes nothing is cut after a second."""
        if self._transport is None or self._closed.done():
            return
        self._transport.close()
        asyncio.get_running_loop().call_later(1.0, self.abort)

    def abort(self) -> None:
        """Cut the connection now."""
        if self._transport is not None:
            self._transport.abort()

    # --- what the event loop calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        self._socket = self._transport.get_extra_info("socket")
        if self._socket is not None and self._socket.family in (socket.AF_INET, socket.AF_INET6):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._arm_quickack()
        if self._on_connected is not None:
            self._on_connected(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        self._arm_quickack()
        self.bytes_received += nbytes
        self._chunks.append(bytes(self._view[:nbytes]))
        if len(self._chunks) >= MAX_UNREAD_CHUNKS and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake_reader()

    def eof_received(self) -> bool:
        self._at_end = True
        self._wake_reader()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._at_end = True
        if not self._closed.done():
            self._closed.set_result(None)
        self._wake_reader()
        if self._writer is not None and not self._writer.done():
            self._writer.set_exception(ConnectionResetError("connection lost"))

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    def _wake_reader(self) -> None:
        if self._reader is not None:
            if not self._reader.done():
                self._reader.set_result(None)
        elif self.on_activity is not None:
            self.on_activity()

    def _arm_quickack(self) -> None:
        if _QUICKACK is not None and self._socket is not None:
            try:
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
            except OSError:
                self._socket = None  # closed under us, or not TCP: nothing left to tune


async def connect(host: str, port: int, *, tls: ssl.SSLContext | None = None) -> Transport:
    """Open a connection; the name is resolved anew each time. Waits without limit; the caller bounds it.

    Raises
    ------
    OSError
        Resolution failed, refused, unreachable.
    """
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(Transport, host, port, ssl=tls)
    return protocol
