"""A slow client slows the source down, a stalled one is cut off, and little is held for either."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import Awaitable, Callable
from unittest.mock import AsyncMock, Mock

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.web.response_writer import ClientStalled, ResponseWriter
from tests.support.http_server import serve

PIECE = bytes(1 << 17)


class Flood:
    """A handler that writes far more than all buffers hold, and notes how far it came."""

    def __init__(self, *, stall_s: float, total: int) -> None:
        self.stall_s = stall_s
        self.total = total
        self.written = 0
        self.most_unsent = 0
        self.outcome: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            async with ResponseWriter(request, response, stall_s=self.stall_s, gzip=False) as writer:
                while self.written < self.total:
                    await writer.write(PIECE)
                    self.written += len(PIECE)
                    if request.transport is not None:
                        unsent = request.transport.get_write_buffer_size()
                        self.most_unsent = max(self.most_unsent, unsent)
        except BaseException as error:
            self.outcome.set_result(error)
            raise
        self.outcome.set_result(None)
        return response

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/", self.handle)
        return app


async def connect(url: str, *, receive_buffer: int) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, (host, int(port)))
    await loop.sock_sendall(sock, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    return sock


async def test_a_client_that_takes_nothing_is_cut_off() -> None:
    flood = Flood(stall_s=0.2, total=1 << 30)
    async with serve(flood.app()) as url:
        with await connect(url, receive_buffer=4096):
            error = await asyncio.wait_for(flood.outcome, 20)
    assert isinstance(error, ClientStalled | asyncio.CancelledError)
    assert flood.written < 1 << 26
    assert flood.most_unsent <= len(PIECE) + (1 << 16)


async def test_a_slow_client_is_not_a_stalled_one() -> None:
    """The whole transfer takes many times the limit, but something moves within each."""
    flood = Flood(stall_s=0.4, total=1 << 23)
    loop = asyncio.get_running_loop()
    async with serve(flood.app()) as url:
        began = loop.time()
        with await connect(url, receive_buffer=65_536) as sock:
            received = 0
            while not flood.outcome.done() or received < flood.total:
                received += len(await loop.sock_recv(sock, 1 << 18))
                if loop.time() - began < 1.2:
                    await asyncio.sleep(0.05)
        assert flood.outcome.result() is None
    assert received > flood.total


async def test_a_client_that_left_ends_the_writing() -> None:
    flood = Flood(stall_s=60, total=1 << 30)
    async with serve(flood.app()) as url:
        sock = await connect(url, receive_buffer=4096)
        await asyncio.get_running_loop().sock_recv(sock, 100)
        sock.close()
        error = await asyncio.wait_for(flood.outcome, 20)
    assert isinstance(error, ConnectionError | asyncio.CancelledError)


def fake_exchange() -> tuple[Mock, Mock]:
    request, response = Mock(), Mock()
    request.transport.get_write_buffer_size.return_value = 0
    request.transport.get_extra_info.return_value = None
    response.write = AsyncMock()
    response.write_eof = AsyncMock()
    return request, response


async def test_small_pieces_are_gathered() -> None:
    request, response = fake_exchange()
    async with ResponseWriter(request, response, stall_s=60, gzip=False) as writer:
        for _ in range(10):
            await writer.write(bytes(10_000))
        await writer.write(memoryview(PIECE))
        await writer.write(b"rest")
        await writer.flush()
        await writer.flush()
        await writer.write(PIECE)
    sizes = [len(call.args[0]) for call in response.write.await_args_list]
    assert sizes == [100_000 + len(PIECE), 4, len(PIECE)]
    assert response.write.await_args.args[0] is PIECE  # a large piece is not copied
    response.write_eof.assert_awaited_once()
    request.transport.abort.assert_not_called()


async def fetch(handler: Callable[[web.Request], Awaitable[web.StreamResponse]], version: str) -> tuple[bytes, bytes]:
    """Head and body, chunked or not, as they were sent."""
    app = web.Application()
    app.router.add_get("/", handler)
    async with serve(app) as url:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET / HTTP/{version}\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        return head, body


def join_chunks(body: bytes) -> bytes:
    """The payload of a chunked body, to whose last byte it must keep (RFC 9112 §7.1)."""
    payload = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        payload, end, body = payload + body[:length], body[length : length + 2], body[length + 2 :]
        assert end == b"\r\n"
        if length == 0:
            assert body == b""
            return payload


@pytest.mark.parametrize("compressed", [False, True], ids=["as it is", "gzip"])
@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, 15, 16, 65_535, 100_000, 200_000, 3_000_000]), st.sampled_from("-fw")),
        max_size=12,
    )
)
def test_framed_here_or_by_aiohttp_the_body_is_the_same(compressed: bool, steps: list[tuple[int, str]]) -> None:
    """Pieces of any size from a source that flushes, waits or does neither; HTTP/1.0 has no chunks."""
    pieces = [bytes([number + 1]) * size for number, (size, _) in enumerate(steps)]

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async with ResponseWriter(request, response, stall_s=60, gzip=compressed) as writer:
            for piece, (_, then) in zip(pieces, steps, strict=True):
                await writer.write(memoryview(piece) if len(piece) % 2 else piece)
                if then == "f":
                    await writer.flush()
                elif then == "w":
                    await asyncio.sleep(0)
        return response

    async def compare() -> None:
        head, body = await fetch(handle, "1.1")
        plain_head, plain = await fetch(handle, "1.0")
        assert b"chunked" in head
        assert b"chunked" not in plain_head
        bodies = [join_chunks(body), plain]
        if compressed:
            bodies = [gzip.decompress(each) for each in bodies]
        assert bodies == [b"".join(pieces)] * 2

    asyncio.run(compare())


async def test_what_was_written_leaves_when_its_source_waits() -> None:
    arrived = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async with ResponseWriter(request, response, stall_s=60, gzip=False) as writer:
            await writer.write(b"a few")
            await writer.write(b" bytes")
            await arrived.wait()
        return response

    app = web.Application()
    app.router.add_get("/", handle)
    async with serve(app) as url:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(20):
            await reader.readuntil(b"b\r\na few bytes\r\n")
            arrived.set()
            await reader.readuntil(b"0\r\n\r\n")
        writer.close()


async def test_a_source_that_waits_after_each_piece_does_not_outrun_the_client() -> None:
    written = 0
    over = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            async with ResponseWriter(request, response, stall_s=0.2, gzip=False) as writer:
                while written < 1 << 28:
                    await writer.write(PIECE)
                    await asyncio.sleep(0)
                    written += len(PIECE)
        finally:
            over.set()
        return response

    app = web.Application()
    app.router.add_get("/", handle)
    async with serve(app) as url:
        with await connect(url, receive_buffer=4096):
            await asyncio.wait_for(over.wait(), 20)
    assert written < 1 << 26


@pytest.mark.parametrize("kind", [ValueError, asyncio.CancelledError])
async def test_leaving_by_an_exception_cuts_the_connection(kind: type[BaseException]) -> None:
    request, response = fake_exchange()
    with pytest.raises(kind):
        async with ResponseWriter(request, response, stall_s=60, gzip=False) as writer:
            await writer.write(b"never sent")
            raise kind
    response.write.assert_not_awaited()
    response.write_eof.assert_not_awaited()
    request.transport.abort.assert_called_once()


async def test_a_failure_of_the_last_write_cuts_the_connection() -> None:
    request, response = fake_exchange()
    response.write_eof.side_effect = ConnectionResetError
    with pytest.raises(ConnectionResetError):
        async with ResponseWriter(request, response, stall_s=60, gzip=False):
            pass
    request.transport.abort.assert_called_once()


async def test_a_stall_is_told_apart_from_a_client_that_left() -> None:
    request, response = fake_exchange()
    aborted = asyncio.Event()
    request.transport.abort.side_effect = aborted.set

    async def write(data: bytes) -> None:
        await aborted.wait()
        raise ConnectionResetError

    response.write.side_effect = write
    with pytest.raises(ClientStalled):
        async with ResponseWriter(request, response, stall_s=0.02, gzip=False) as writer:
            await writer.write(PIECE)


async def test_a_write_that_ends_quietly_after_the_cut_is_a_stall_too() -> None:
    request, response = fake_exchange()
    aborted = asyncio.Event()
    request.transport.abort.side_effect = aborted.set

    async def write(data: bytes) -> None:
        await aborted.wait()

    response.write.side_effect = write
    with pytest.raises(ClientStalled):
        async with ResponseWriter(request, response, stall_s=0.02, gzip=False) as writer:
            await writer.write(PIECE)


async def test_a_request_without_transport_is_left_alone() -> None:
    request, response = fake_exchange()
    request.transport = None
    response.write.side_effect = ConnectionResetError
    with pytest.raises(ConnectionResetError):
        async with ResponseWriter(request, response, stall_s=60, gzip=False) as writer:
            await writer.write(PIECE)
