"""Uploads are read in pieces, and within their limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp import http_exceptions, web
from aiohttp.test_utils import make_mocked_request

from gateway.errors import GatewayError, MalformedBody, TooLarge, UploadTimeout
from gateway.web.request_body import defer_invitation, iter_body
from tests.support.http_server import serve


class Reader:
    """A handler that reads a body and keeps what came of it."""

    def __init__(self, *, max_bytes: int = 0, timeout_s: float = 60) -> None:
        self.limits = {"max_bytes": max_bytes, "timeout_s": timeout_s}
        self.received = b""
        self.outcome: asyncio.Future[GatewayError | None] = asyncio.get_running_loop().create_future()

    async def handle(self, request: web.Request) -> web.Response:
        try:
            async for piece in iter_body(request, **self.limits):  # type: ignore[arg-type]
                assert piece
                self.received += piece
        except GatewayError as error:
            self.outcome.set_result(error)
            return web.Response(status=400)
        self.outcome.set_result(None)
        return web.Response()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/", self.handle)
        return app


async def test_a_body_comes_whole() -> None:
    reader = Reader(max_bytes=1 << 20)
    async with serve(reader.app()) as url, aiohttp.ClientSession() as client:
        async with client.post(url, data=bytes(1 << 20)) as response:
            assert response.status == 200
    assert reader.received == bytes(1 << 20)


async def test_a_chunked_body_is_counted_as_it_arrives() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 10

    reader = Reader(max_bytes=99)
    async with serve(reader.app()) as url, aiohttp.ClientSession() as client:
        async with client.post(url, data=chunks()) as response:
            assert response.status == 400
    assert isinstance(reader.outcome.result(), TooLarge)
    assert len(reader.received) <= 99


async def test_silence_ends_an_upload() -> None:
    reader = Reader(timeout_s=0.05)
    async with serve(reader.app()) as url:
        host, port = url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        assert isinstance(await reader.outcome, UploadTimeout)
        writer.close()
        await writer.wait_closed()
    assert reader.received == b"abc"


@pytest.mark.parametrize(
    "failure",
    [
        ConnectionResetError("the client left"),
        web.RequestPayloadError("broken"),
        http_exceptions.ContentEncodingError("not gzip"),
        http_exceptions.TransferEncodingError("not a chunk"),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_a_body_that_breaks_off_is_malformed(failure: Exception) -> None:
    payload = aiohttp.StreamReader(Mock(), 2**16, loop=asyncio.get_running_loop())
    payload.feed_data(b"abc")
    pieces = iter_body(make_mocked_request("POST", "/", payload=payload), max_bytes=0, timeout_s=60)
    assert await anext(pieces) == b"abc"
    payload.set_exception(failure)
    with pytest.raises(MalformedBody):
        await anext(pieces)


@pytest.mark.parametrize("size", [0, 1])
async def test_a_body_without_limit(size: int) -> None:
    reader = Reader()
    async with serve(reader.app()) as url, aiohttp.ClientSession() as client:
        async with client.post(url, data=b"x" * size) as response:
            assert response.status == 200
    assert reader.received == b"x" * size


@pytest.mark.parametrize("expected", [None, "100-continue", "100-Continue"])
async def test_a_body_is_not_invited_before_it_is_read(expected: str | None) -> None:
    request = make_mocked_request("POST", "/", headers={} if expected is None else {"Expect": expected})
    await defer_invitation(request)
    request.writer.write.assert_not_called()  # type: ignore[attr-defined]


async def test_what_else_is_expected_fails() -> None:
    with pytest.raises(web.HTTPExpectationFailed):
        await defer_invitation(make_mocked_request("POST", "/", headers={"Expect": "a miracle"}))


async def test_what_is_announced_too_long_is_not_read() -> None:
    request = make_mocked_request("POST", "/", headers={"Content-Length": "100"}, payload=Mock())
    with pytest.raises(TooLarge):
        await anext(iter_body(request, max_bytes=99, timeout_s=1))
    assert not request.content.mock_calls  # type: ignore[attr-defined]
