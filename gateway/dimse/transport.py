"""Bytes to and from one DIMSE peer over TCP: pulled reads, backpressure both ways, the socket options that matter.

Not a protocol: it knows no PDU. ``association.py`` and ``acceptor.py`` own a :class:`Transport` each.

Reading: who pulls reads the socket at once, without a turn of the event loop, as long as something is there. Only
then it waits, and the event loop reads for it; so it does with TLS, and after a few reads at once, so that one fast
stream leaves time to others. Chunks are views of a few buffers that are used again when no view of them is left.

Backpressure: the event loop reads no more at two chunks unread, so a peer is slowed by TCP itself. At most
``2 × READ_BYTES`` are held, besides what the user of a chunk holds on to.

Delayed ACK: DCMTK peers write a response in two small segments with Nagle's algorithm on. Without
``TCP_NODELAY`` *and* ``TCP_QUICKACK`` each DIMSE response costs 44 ms instead of 3 ms (measured). The kernel clears
the latter by itself, so it is set again before each wait: what has arrived until then is acknowledged at once. Linux
only; elsewhere it is left out.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

from gateway.vectored import open_descriptor, write_vector

__all__ = ["READ_BYTES", "Transport", "connect"]

READ_BYTES = 262_144
"""One read: large enough that a 100 MB series takes some 400 of them, small enough to stay in cache."""

MAX_UNREAD_CHUNKS = 2
READS_AT_ONCE = 4
"""Reads in a row without a turn of the event loop: 1 MiB, about half a millisecond."""

COPIED_BYTES = 16_384
"""Chunks up to this size are copied, so that a short value somebody keeps does not keep a whole buffer."""

KEPT_BUFFERS = 4
WRITE_HIGH_WATER = 262_144
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


class Transport(asyncio.BufferedProtocol):
    """One connection, pulled by one reader and fed by one writer."""

    def __init__(self, on_connected: Callable[[Transport], None] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffers: list[bytearray] = []
        self._filling = bytearray()
        self._chunks: deque[bytes | memoryview] = deque()
        self._reads_at_once = 0
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._paused = False
        self._write_paused = False
        self._at_end = False
        self._closed = self._loop.create_future()
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

    async def read(self, limit_s: float | None = None) -> bytes | memoryview:
        """Wait for the next chunk: 1 to 262,144 bytes, or ``b""`` when the peer has closed.

        Only one caller at a time. A chunk does not change as long as a view of it is held.

        Raises
        ------
        TimeoutError
            Nothing came for `limit_s` seconds; None waits without limit.
        """
        if not self._chunks and not self._at_end:
            if (chunk := self._read_at_once()) is not None:
                return chunk
            await self._wait_for_bytes(limit_s)
        return self.take_unread()

    def take_unread(self) -> bytes | memoryview:
        """The next chunk that the event loop has read; ``b""`` if there is none."""
        if not self._chunks:
            return b""
        chunk = self._chunks.popleft()
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
        return chunk

    def look(self) -> None:
        """Take what is in the socket already, or its end, so that `has_unread` tells of it; with TLS the loop does."""
        descriptor = -1 if self.has_unread or self._transport is None else open_descriptor(self._transport)
        if descriptor < 0:
            return
        buffer = self._find_free_buffer()
        try:
            count = os.readv(descriptor, [buffer])
        except BlockingIOError:
            return
        except OSError:
            count = 0  # broken, which the event loop will meet too
        if count:
            self._chunks.append(self._take_filled(buffer, count))
        else:
            self._at_end = True

    @property
    def has_unread(self) -> bool:
        """Whether the event loop has read something that nobody took, or the end."""
        return bool(self._chunks) or self._at_end

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Hand `data` to the socket in one send where it fits; follow with :meth:`drain`."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def write_joined(self, parts: Sequence[bytes | memoryview]) -> None:
        """The same for several pieces that belong in one segment (a PDU header and its payload)."""
        if self._transport is not None and not self._transport.is_closing():
            write_vector(self._transport, parts)

    async def drain(self, limit_s: float | None = None) -> None:
        """Wait until the peer took enough of what was written.

        Raises
        ------
        ConnectionResetError
            The connection is gone.
        TimeoutError
            The peer took too little for `limit_s` seconds; None waits without limit.
        """
        if self._closed.done() or self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("connection closed")
        if self._write_paused:
            self._writer = self._loop.create_future()
            try:
                await self._wait_at_most(self._writer, limit_s)
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
        self._loop.call_later(1.0, self.abort)

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

    def get_buffer(self, sizehint: int) -> bytearray:
        self._filling = self._find_free_buffer()
        return self._filling

    def buffer_updated(self, nbytes: int) -> None:
        self._chunks.append(self._take_filled(self._filling, nbytes))
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

    # --- reading ---

    def _read_at_once(self) -> bytes | memoryview | None:
        """What the socket holds; None where it holds nothing, cannot be read so, or others have waited long enough."""
        self._reads_at_once += 1
        if self._reads_at_once > READS_AT_ONCE or self._transport is None:
            return None
        descriptor = open_descriptor(self._transport)
        if descriptor < 0:
            return None
        buffer = self._find_free_buffer()
        try:
            count = os.readv(descriptor, [buffer])
        except OSError:
            return None  # nothing there; or broken, which the event loop will meet and tell
        return self._take_filled(buffer, count) if count else None

    async def _wait_for_bytes(self, limit_s: float | None) -> None:
        """Have the event loop read; return when it has read something or the connection has ended."""
        self._reads_at_once = 0
        self._arm_quickack()
        self._reader = self._loop.create_future()
        try:
            await self._wait_at_most(self._reader, limit_s)
        finally:
            self._reader = None

    async def _wait_at_most(self, event: asyncio.Future[None], limit_s: float | None) -> None:
        """Wait for `event`; cheaper than ``asyncio.timeout``, which counts for something at each message."""
        timer = None if limit_s is None else self._loop.call_later(limit_s, _expire, event)
        try:
            await event
        finally:
            if timer is not None:
                timer.cancel()

    def _find_free_buffer(self) -> bytearray:
        """A buffer of which nobody holds a view."""
        for buffer in self._buffers:
            try:
                buffer.append(buffer.pop())  # refused while there is a view, which would see its length change
            except BufferError:
                continue
            return buffer
        buffer = bytearray(READ_BYTES)
        if len(self._buffers) < KEPT_BUFFERS:
            self._buffers.append(buffer)
        return buffer

    def _take_filled(self, buffer: bytearray, count: int) -> bytes | memoryview:
        self.bytes_received += count
        view = memoryview(buffer)[:count]
        return view.toreadonly() if count > COPIED_BYTES else bytes(view)

    def _arm_quickack(self) -> None:
        if _QUICKACK is not None and self._socket is not None:
            try:
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
            except OSError:
                self._socket = None  # closed under us, or not TCP: nothing left to tune


def _expire(event: asyncio.Future[None]) -> None:
    if not event.done():
        event.set_exception(TimeoutError())


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
