"""A request head has a time limit, a body and an idle connection have others, and stopping has one too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from gateway.web.server import CLEANUP_S, Site, guard_heads, shut_down

LIMIT_S = 0.2
"""Of a head; everything else in these tests that must not be cut lasts several times as long."""

HEAD = b"GET /quick HTTP/1.1\r\nHost: h\r\n"
PROTECT_S = 20.0


class Handlers:
    """What the server under test answers, and what became of the handlers."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.go_on = asyncio.Event()
        self.ended: list[str] = []

    async def quick(self, request: web.Request) -> web.Response:
        return web.Response(text="done")

    async def slow(self, request: web.Request) -> web.Response:
        """Waits until it is let go on; cleans up a little when cut."""
        self.began.set()
        try:
            await self.go_on.wait()
            self.ended.append("finished")
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)  # as an archive takes a moment to answer C-CANCEL
            self.ended.append("cut")
            raise
        return web.Response(text="done")

    async def upload(self, request: web.Request) -> web.Response:
        return web.Response(text=str(len(await request.read())))


@asynccontextmanager
async def run(handlers: Handlers, *, limit_s: float = LIMIT_S) -> AsyncIterator[tuple[web.AppRunner, int]]:
    app = web.Application(middlewares=[guard_heads])
    app.router.add_get("/quick", handlers.quick)
    app.router.add_get("/slow", handlers.slow)
    app.router.add_post("/upload", handlers.upload)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=CLEANUP_S)
    await runner.setup()
    await Site(runner, "127.0.0.1", 0, header_timeout_s=limit_s).start()
    try:
        yield runner, runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def connect(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    """Send `request` and read the response, whose body is ``done``."""
    writer.write(request)
    await writer.drain()
    return await reader.readuntil(b"done")


@pytest.mark.parametrize("sent", [b"", b"G", HEAD])
async def test_a_head_that_is_never_finished_is_cut(sent: bytes) -> None:
    async with asyncio.timeout(PROTECT_S), run(Handlers()) as (_, port), connect(port) as (reader, writer):
        writer.write(sent)
        with pytest.raises(ConnectionResetError):
            await read_to_end(reader)


async def read_to_end(reader: asyncio.StreamReader) -> None:
    """Read until the connection is cut; a connection that ends in order counts as cut too."""
    if await reader.read() == b"":
        raise ConnectionResetError


async def test_a_byte_now_and_then_does_not_help() -> None:
    async with asyncio.timeout(PROTECT_S), run(Handlers()) as (_, port), connect(port) as (reader, writer):

        async def drip() -> None:
            writer.write(HEAD)
            while True:
                writer.write(b"X: y\r\n")
                await writer.drain()
                await asyncio.sleep(LIMIT_S / 10)

        dripping = asyncio.create_task(drip())
        with pytest.raises(ConnectionResetError):
            await read_to_end(reader)
        dripping.cancel()
        await asyncio.wait([dripping])


async def test_the_next_head_on_the_same_connection_is_limited_too() -> None:
    async with asyncio.timeout(PROTECT_S), run(Handlers()) as (_, port), connect(port) as (reader, writer):
        await ask(reader, writer, HEAD + b"\r\n")
        writer.write(HEAD)
        with pytest.raises(ConnectionResetError):
            await read_to_end(reader)


async def test_idle_connections_slow_handlers_and_slow_bodies_are_not_cut() -> None:
    handlers = Handlers()
    async with asyncio.timeout(PROTECT_S), run(handlers) as (_, port), connect(port) as (reader, writer):
        await ask(reader, writer, HEAD + b"\r\n")
        await asyncio.sleep(2 * LIMIT_S)  # idle
        asyncio.get_running_loop().call_later(2 * LIMIT_S, handlers.go_on.set)
        await ask(reader, writer, HEAD.replace(b"quick", b"slow") + b"\r\n")
        upload = b"POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n"
        for piece in (upload, b"abc", b"def", b"ghi"):
            writer.write(piece)
            await asyncio.sleep(LIMIT_S)
        assert (await reader.readuntil(b"\r\n\r\n9")).startswith(b"HTTP/1.1 200")
        await ask(reader, writer, HEAD + b"\r\n")


UNREADABLE = [
    (b"GET /quick?PatientName=SECRET NAME HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    (b"GET /quick HTTP/1.1\r\nHost: h\r\nX: " + b"SECRET" * 3_000 + b"\r\n\r\n", 431),
    (b"GET /quick?PatientName=" + b"SECRET" * 3_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 431),
    (b"\x16\x03\x01SECRET\r\n\r\n", 400),
    (b"GET /quick HTTP/1.1\r\nHost: h\r\nSECRET\r\n\r\n", 400),
]


@pytest.mark.parametrize(("sent", "status"), UNREADABLE)
async def test_what_is_no_request_is_told_so_and_not_repeated(
    sent: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with capture_logs() as logs:
        async with run(Handlers(), limit_s=PROTECT_S) as (_, port), connect(port) as (reader, writer):
            writer.write(sent)
            answer = await asyncio.wait_for(reader.read(), PROTECT_S)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()) or answer.startswith(f"HTTP/1.0 {status} ".encode())
    assert f'"status":{status}'.encode() in answer
    assert b"SECRET" not in answer
    assert [(line["event"], line["status"]) for line in logs] == [("request_unreadable", status)]
    assert "SECRET" not in f"{logs} {caplog.text}"


async def test_stopping_lets_what_runs_end_and_takes_nothing_new() -> None:
    handlers = Handlers()
    async with asyncio.timeout(PROTECT_S), run(handlers) as (runner, port), connect(port) as (reader, writer):
        answer = asyncio.create_task(ask(reader, writer, HEAD.replace(b"quick", b"slow") + b"\r\n"))
        await handlers.began.wait()
        stopping = asyncio.create_task(shut_down(runner, PROTECT_S))
        while await is_listening(port):
            await asyncio.sleep(0)
        handlers.go_on.set()
        await stopping
        assert (await answer).endswith(b"done")
        assert handlers.ended == ["finished"]


async def is_listening(port: int) -> bool:
    try:
        async with connect(port):
            return True
    except ConnectionError:
        return False


async def test_what_outlives_the_grace_is_cut_and_may_clean_up() -> None:
    handlers = Handlers()
    async with asyncio.timeout(PROTECT_S), run(handlers) as (runner, port), connect(port) as (reader, writer):
        writer.write(HEAD.replace(b"quick", b"slow") + b"\r\n")
        await handlers.began.wait()
        await shut_down(runner, 0.05)
        assert handlers.ended == ["cut"]
        with pytest.raises(ConnectionResetError):
            await read_to_end(reader)
