"""One response body on its way to a client that may be slow, stalled or gone.

Sits between the writers of ``gateway/web/streaming.py`` and aiohttp's StreamResponse, and adds what they share:
pieces are gathered as long as their source has more of them at hand, JSON and XML are compressed where the client
wants it, and a client that takes nothing for too long is cut off. Nothing else writes to the client.

A body of unknown length is sent in chunks (RFC 9112 §7.1), as nearly all are. These are framed here, around the
pieces where they lie: aiohttp would join each piece with its frame, and asyncio once more. Its own way is left for
the rest, which is HTTP/1.0 and a known length.

What one response holds: less than 192 KiB of gathered pieces and one more, here or on their way into the socket;
``write`` waits until all that was sent is in the socket. Everything else stays in the socket of the archive.
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
from aiohttp.http_writer import StreamWriter

from gateway.codecs import Buffer
from gateway.vectored import write_vector

__all__ = ["ClientStalled", "ResponseWriter"]

_GATHER_BYTES = 196_608  # what one read from an archive brings goes out in one write
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
        self._loop = asyncio.get_running_loop()
        self._chunked = _find_chunked(request.writer)
        self._soon: asyncio.Handle | None = None
        self._undrained = False

    async def write(self, data: Buffer) -> None:
        """Send `data`, together with what its source gives before it waits.

        Waits until the transport has room, so the caller's source is not read faster than the client reads.

        Raises
        ------
        ClientStalled
            The client took nothing for too long.
        ConnectionResetError
            The client has left.
        """
        if self._undrained:
            await self._drain()
        self._gathered.append(data)
        self._gathered_bytes += len(data)
        if self._gathered_bytes >= _GATHER_BYTES:
            await self.flush()
        elif self._soon is None and self._chunked is not None and self._deflater is None:
            self._soon = self._loop.call_soon(self._send_gathered, self._chunked)

    async def flush(self) -> None:
        """Send all that was given to `write`; waits and raises like it."""
        if not self._gathered:
            if self._undrained:
                await self._drain()
            return
        pieces, size = self._take_gathered()
        if self._deflater is not None:
            # The sync flush lets the client decode all that was sent, so the first result is seen at once.
            pieces = [self._deflater.compress(b"".join(pieces)) + self._deflater.flush(zlib.Z_SYNC_FLUSH)]
            size = len(pieces[0])
        await self._send(pieces, size)

    def _take_gathered(self) -> tuple[list[Buffer], int]:
        pieces, size = self._gathered, self._gathered_bytes
        self._gathered, self._gathered_bytes = [], 0
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        return pieces, size

    def _send_gathered(self, chunked: StreamWriter) -> None:
        """Called when the source waits: send what it has given so far. The next write waits for room."""
        transport = chunked.transport
        if self._gathered and transport is not None and not transport.is_closing():
            _write_chunk(chunked, transport, *self._take_gathered())
            self._undrained = True
        self._soon = None

    async def _send(self, pieces: list[Buffer], size: int) -> None:
        if self._chunked is None:
            with self._watch.writing():
                await self._response.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))
            return
        transport = self._chunked.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has left")
        _write_chunk(self._chunked, transport, pieces, size)
        if transport.get_write_buffer_size():  # the socket did not take all
            await self._drain()

    async def _drain(self) -> None:
        self._undrained = False
        assert self._chunked is not None
        with self._watch.writing():
            await self._chunked.drain()

    async def __aenter__(self) -> Self:
        self._watch.start()
        if self._chunked is not None and self._chunked.transport is not None:
            self._chunked.transport.set_write_buffer_limits(high=0)  # room is when the socket has taken everything
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
            self._take_gathered()
        if error is not None:
            self._cut()

    async def _finish(self) -> None:
        await self.flush()
        if self._deflater is not None:
            rest = self._deflater.flush(zlib.Z_FINISH)
            await self._send([rest], len(rest))
        with self._watch.writing():
            await self._response.write_eof()

    def _cut(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()


def _find_chunked(stream: object) -> StreamWriter | None:
    """`stream` if it is aiohttp's and frames a body of unknown length, with no coding of its own."""
    if isinstance(stream, StreamWriter) and stream.chunked and stream.length is None and stream._compress is None:
        return stream
    return None


def _write_chunk(stream: StreamWriter, transport: asyncio.Transport, pieces: list[Buffer], size: int) -> None:
    """Send one chunk made of `pieces`; an empty one would end the body, so it is not sent."""
    if size:
        stream.send_headers()
        write_vector(transport, [b"%x\r\n" % size, *pieces, b"\r\n"])
        stream.output_size += size


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
