"""The listening side of HTTP: request heads have limits, what is no request is told so, and stopping has a limit too.

aiohttp limits how long a connection may be idle, but not how long a client may take over a request head, and at
shutdown it waits twice for a stream that does not end. :class:`Site` puts a :class:`HeadGuard` between each
connection and aiohttp's protocol, and :func:`shut_down` cuts what outlives the grace time. `gateway/app.py` uses both.
"""

from __future__ import annotations

import asyncio

import structlog
from aiohttp import hdrs, web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.typedefs import Handler

from gateway.web.errors import encode_report, report_status

__all__ = ["CLEANUP_S", "HeadGuard", "Site", "guard_heads", "shut_down"]

CLEANUP_S = 10.0
"""What handlers that were cut have for giving back what they hold; several times the longest cancel."""

_log = structlog.get_logger(__name__)


class HeadGuard(asyncio.Protocol):
    """Passes everything on to aiohttp's protocol, and closes a connection whose request head takes too long.

    The time runs from the connection, or from the first byte after a finished request, until
    :func:`guard_heads` reports that the head is complete. It does not run between requests: there aiohttp's
    keep-alive limit holds.

    Parameters
    ----------
    protocol
        aiohttp's, of this connection.
    limit_s
        Longest time for a head, in seconds.
    """

    def __init__(self, protocol: asyncio.Protocol, limit_s: float) -> None:
        self._protocol = protocol
        self._limit_s = limit_s
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_serving = False
        # what asyncio calls most often goes straight through
        self.eof_received = protocol.eof_received  # type: ignore[method-assign]
        self.pause_writing = protocol.pause_writing  # type: ignore[method-assign]
        self.resume_writing = protocol.resume_writing  # type: ignore[method-assign]

    def begin_request(self) -> None:
        """A head is complete: what comes from now on is body."""
        self._is_serving = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end_request(self) -> None:
        """A request is over, its body read: what comes from now on is the next head."""
        self._is_serving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._start_timer()
        self._protocol.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if not self._is_serving and self._timer is None:
            self._start_timer()
        self._protocol.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._protocol.connection_lost(exc)

    def _start_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._limit_s, self._close)

    def _close(self) -> None:
        _log.info("request_head_timeout", limit_s=self._limit_s)
        if self._transport is not None:
            self._transport.abort()


@web.middleware
async def guard_heads(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell the connection's guard when a request begins and ends; the outermost middleware."""
    guard = request.transport.get_protocol() if request.transport is not None else None
    if not isinstance(guard, HeadGuard):
        return await handler(request)
    guard.begin_request()
    try:
        return await handler(request)
    finally:
        if request.content.is_eof():  # else the rest of the body is still to come, and aiohttp limits that
            guard.end_request()


class _Protocol(web.RequestHandler):
    """aiohttp's protocol, whose answer to what is no request quotes nothing of it: a query may name a patient."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that cannot be read with a Status Report, and close the connection."""
        status = 431 if isinstance(exc, LineTooLong) else status
        _log.info("request_unreadable", status=status, error=type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun")
        content_type, body = encode_report(report_status(status), None)
        headers = {hdrs.CONTENT_TYPE: content_type, hdrs.CACHE_CONTROL: "no-store"}
        response = web.Response(status=status, headers=headers, body=body)
        response.force_close()
        return response


class Site(web.TCPSite):
    """A TCP site whose connections have a :class:`HeadGuard`."""

    def __init__(self, runner: web.AppRunner, host: str, port: int, *, header_timeout_s: float) -> None:
        super().__init__(runner, host, port)
        self._header_timeout_s = header_timeout_s

    async def start(self) -> None:
        """Listen.

        Raises
        ------
        OSError
            The address is taken or not ours.
        """
        await web.BaseSite.start(self)
        server, loop = self._runner.server, asyncio.get_running_loop()
        assert server is not None

        def make_protocol() -> HeadGuard:
            return HeadGuard(_Protocol(server, loop=loop, **server._kwargs), self._header_timeout_s)

        self._server = await loop.create_server(make_protocol, self._host, self._port, backlog=self._backlog)


async def shut_down(runner: web.AppRunner, grace_s: float) -> None:
    """Accept no more connections, let requests under way end within `grace_s`, cut the others, and clean up.

    `runner` must have been made with ``handler_cancellation`` and a ``shutdown_timeout`` of `grace_s` +
    `CLEANUP_S`, so that it waits for what the handlers of cut connections still have to give back.
    """
    timer = asyncio.get_running_loop().call_later(grace_s, _cut, runner, grace_s)
    try:
        await runner.cleanup()
    finally:
        timer.cancel()


def _cut(runner: web.AppRunner, grace_s: float) -> None:
    """Abort every connection, which cancels its handler."""
    connections = runner.server.connections if runner.server is not None else []
    _log.warning("shutdown_grace_over", limit_s=grace_s, cut=len(connections))
    for connection in connections:
        if connection.transport is not None:
            connection.transport.abort()
