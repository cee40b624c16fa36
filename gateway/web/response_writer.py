"""One response body on its way to a client that may be slow, stalled or gone.

Sits between the writers of ``gateway/web/streaming.py`` and aiohttp's StreamResponse, and adds what they share:
small pieces are gathered, JSON and XML are compressed where the client wants it, and a client that takes nothing
for too long is cut off. It is the only caller of ``response.write``.

What one response holds: at most 64 KiB of small pieces here, one piece being written, and 64 KiB in the
transport, above which ``write`` waits. Everything else stays in the socket of the archive.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import struct
import termios
import zlib
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from aiohttp import web

from gateway.codecs import Buffer

__all__ = ["ClientStalled", "ResponseWriter"]

_GATHER_BYTES = 65_536  # archives with 16 KiB PDUs would else cost a system call for each
_CHECKS_PER_LIMIT = 4  # a stall is noticed at the latest a quarter of the limit late
_GZIP_WINDOW = 31  # zlib: 32 KiB window, gzip frame
_GZIP_LEVEL = 5  # metadata shrinks ten times either way; higher levels cost more than the network saves


class ClientStalled(ConnectionError):
    """The client took no byte for longer than the limit; its connection is cut already."""


class ResponseWriter:
    """Writes one body; an async context manager that ends it, or cuts the connection on any exception.

    Entering sends nothing; the response must be prepared. Leaving normally sends what is gathered and the end of
    the body. Leaving by an exception, cancellation included, aborts the transport: the client sees a broken
    response, never a complete one.

    Parameters
    ----------
    request : web.Request
    response : web.StreamResponse
        Prepared on `request`.
    stall_s : float
        Longest time in which the client may take nothing, in seconds. Slow progress is progress.
    gzip : bool
        Compress; the caller has set Content-Encoding.
    """

    def __init__(self, request: web.Request, response: web.StreamResponse, *, stall_s: float, gzip: bool) -> None:
        self._request = request
        self._response = response
        self._watch = _StallWatch(request.transport, stall_s)
        self._deflater = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_WINDOW) if gzip else None
        self._gathered: list[Buffer] = []
        self._gathered_bytes = 0

    async def write(self, data: Buffer) -> None:
        """Send `data`, perhaps together with what follows.

        Waits until the transport has room, so the caller's source is not read faster than the client reads.

        Raises
        ------
        ClientStalled
            The client took nothing for too long.
        ConnectionResetError
            The client has left.
        """
        self._gathered.append(data)
        self._gathered_bytes += len(data)
        if self._gathered_bytes >= _GATHER_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Send all that was given to `write`; waits and raises like it."""
        if not self._gathered:
            return
        data = self._gathered[0] if len(self._gathered) == 1 else b"".join(self._gathered)
        self._gathered, self._gathered_bytes = [], 0
        if self._deflater is not None:
            # The sync flush lets the client decode all that was sent, so the first result is seen at once.
            data = self._deflater.compress(data) + self._deflater.flush(zlib.Z_SYNC_FLUSH)
        await self._send(data)

    async def _send(self, data: Buffer) -> None:
        with self._watch.writing():
            await self._response.write(data)

    async def __aenter__(self) -> Self:
        self._watch.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                await self._finish()
        except BaseException:
            self._cut()
            raise
        finally:
            self._watch.stop()
        if error is not None:
            self._cut()

    async def _finish(self) -> None:
        await self.flush()
        if self._deflater is not None:
            await self._send(self._deflater.flush(zlib.Z_FINISH))
        with self._watch.writing():
            await self._response.write_eof()

    def _cut(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()


class _StallWatch:
    """Aborts a transport whose peer takes nothing while somebody waits to write.

    One timer for a whole response instead of one for each write. Progress is what leaves for the peer: bytes
    are counted in the transport and, where the system tells, in the socket, whose buffer of megabytes may hide a
    slow reader from the transport for minutes.
    """

    def __init__(self, transport: asyncio.Transport | None, stall_s: float) -> None:
        self._transport = transport
        self._stall_s = stall_s
        self._waiting = False
        self._stalled = False
        self._unsent = 0
        self._moved_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._moved_at = asyncio.get_running_loop().time()
        self._timer = asyncio.get_running_loop().call_later(self._stall_s / _CHECKS_PER_LIMIT, self._check)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Mark a write as under way; raises ClientStalled where it ended because of this watch."""
        self._waiting = True
        try:
            yield
        except ConnectionError as error:
            if self._stalled:
                raise ClientStalled from error
            raise
        finally:
            self._waiting = False
        if self._stalled:
            raise ClientStalled

    def _check(self) -> None:
        now = asyncio.get_running_loop().time()
        unsent = self._count_unsent()
        if not self._waiting or unsent != self._unsent:
            self._unsent, self._moved_at = unsent, now
        elif now - self._moved_at >= self._stall_s and self._transport is not None:
            self._stalled = True
            self._transport.abort()
            return
        self._timer = asyncio.get_running_loop().call_later(self._stall_s / _CHECKS_PER_LIMIT, self._check)

    def _count_unsent(self) -> int:
        if self._transport is None:
            return 0
        in_socket = 0
        sock = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError, ValueError, AttributeError):
            answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
            in_socket = struct.unpack("i", answer)[0]
        return self._transport.get_write_buffer_size() + in_socket
