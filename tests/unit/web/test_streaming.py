"""Responses as a real client sees them: complete, or visibly broken."""

from __future__ import annotations

import asyncio
import gzip
import json
import zipfile
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from io import BytesIO

import aiohttp
import pytest
from aiohttp import web

from gateway.codecs import Buffer
from gateway.codecs.media_types import parse_media_type
from gateway.codecs.multipart import MultipartReader, PartChunk, PartStart
from gateway.config import HttpSettings
from gateway.errors import ConnectionLost, UnknownResource
from gateway.web.middleware import install
from gateway.web.retry_after import RetryAfter
from gateway.web.streaming import (
    ArchivedFile,
    Part,
    ResponseHead,
    first_of,
    stream_json_array,
    stream_multipart,
    stream_single,
    stream_zip,
)
from tests.support.http_server import serve

Writer = Callable[[web.Request], Awaitable[web.StreamResponse]]
STALL_S = 60.0


class Source:
    """An asynchronous source of given items that notes what was taken of it and that it was closed."""

    def __init__(self, *items: object) -> None:
        self.items = items
        self.taken = 0
        self.closed = asyncio.Event()

    async def __call__(self) -> AsyncIterator:  # type: ignore[type-arg]
        try:
            for item in self.items:
                if isinstance(item, Exception):
                    raise item
                if isinstance(item, asyncio.Event):
                    await item.wait()
                    continue
                self.taken += 1
                yield item
        finally:
            self.closed.set()


async def pieces(*items: Buffer) -> AsyncIterator[Buffer]:
    for item in items:
        yield item


def make_app(writer: Writer) -> web.Application:
    app = web.Application()
    install(app, HttpSettings(), RetryAfter())
    app.router.add_get("/", writer)
    return app


def read_parts(content_type: str, body: bytes) -> list[tuple[dict[str, str], bytes]]:
    reader = MultipartReader(parse_media_type(content_type).parameter("boundary") or "")
    parts: list[tuple[dict[str, str], bytes]] = []
    for token in reader.feed(body):
        if isinstance(token, PartStart):
            parts.append((dict(token.headers), b""))
        elif isinstance(token, PartChunk):
            parts[-1] = (parts[-1][0], parts[-1][1] + token.data)
    reader.finish()
    return parts


DICOM = "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"


async def test_a_multipart_of_large_small_and_empty_parts() -> None:
    bodies = [[b"a" * 300_000, memoryview(b"b" * 10)], [], [b"c"] * 1000, [b"d" * 70_000] * 3]
    source = Source(*(Part(DICOM, f"/instances/{n}", pieces(*body)) for n, body in enumerate(bodies)))

    async def handler(request: web.Request) -> web.StreamResponse:
        return await stream_multipart(request, source(), ResponseHead(), stall_s=STALL_S)

    async with serve(make_app(handler)) as url, aiohttp.ClientSession() as client, client.get(url) as response:
        assert response.status == 200
        assert "Content-Encoding" not in response.headers  # the client accepts gzip, but this is pixel data
        content_type = response.headers["Content-Type"]
        parts = read_parts(content_type, await response.read())
    assert content_type.startswith('multipart/related; type="application/dicom"; boundary=')
    assert parts == [
        ({"content-type": DICOM, "content-location": f"/instances/{n}"}, b"".join(body))
        for n, body in enumerate(bodies)
    ]
    assert source.closed.is_set()


async def test_each_response_has_a_boundary_of_its_own() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return await stream_multipart(
            request, Source(Part(DICOM, None, pieces(b"x")))(), ResponseHead(), stall_s=STALL_S
        )

    boundaries = set()
    async with serve(make_app(handler)) as url, aiohttp.ClientSession() as client:
        for _ in range(3):
            async with client.get(url) as response:
                boundaries.add(response.headers["Content-Type"])
    assert len(boundaries) == 3


@pytest.mark.parametrize(
    "source",
    [
        (UnknownResource("study"),),
        (Part(DICOM, None, Source(UnknownResource("study"))()),),
    ],
    ids=["before the first part", "before its first byte"],
)
async def test_a_failure_before_the_first_byte_has_its_own_status(source: tuple[object, ...]) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return await stream_multipart(request, Source(*source)(), ResponseHead(), stall_s=STALL_S)

    async with serve(make_app(handler)) as url, aiohttp.ClientSession() as client, client.get(url) as response:
        assert response.status == 404


async def test_status_and_headers_may_be_set_until_the_first_item() -> None:
    head = ResponseHead()

    async def parts() -> AsyncIterator[Part]:
        head.status = 206
        head.headers.add("Warning", '299 x "one"')
        head.headers.add("Warning", '299 x "two"')
        yield Part(DICOM, None, pieces(b"x"))

    async def handler(request: web.Request) -> web.StreamResponse:
        return await stream_multipart(request, parts(), head, stall_s=STALL_S)

    async with serve(make_app(handler)) as url, aiohttp.ClientSession() as client, client.get(url) as response:
        assert response.status == 206
        assert response.headers.getall("Warning") == ['299 x "one"', '299 x "two"']


async def test_no_part_is_an_empty_body() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return await stream_multipart(request, Source()(), ResponseHead(), stall_s=STALL_S)

    async with serve(make_app(handler)) as url, aiohttp.ClientSession() as client, client.get(url) as response:
        assert (response.status, await response.read()) == (200, b"")


FAILURE = ConnectionLost("PACS", "gone")


async def multipart_that_fails(request: web.Request) -> web.StreamResponse:
    parts = Source(Part(DICOM, None, pieces(b"x")), Part(DICOM, None, Source(b"half", FAILURE)()))
    return await stream_multipart(request, parts(), ResponseHead(), stall_s=STALL_S)


async def multipart_that_fails_between_parts(request: web.Request) -> web.StreamResponse:
    parts = Source(Part(DICOM, None, pieces(b"x")), FAILURE)
    return await stream_multipart(request, parts(), ResponseHead(), stall_s=STALL_S)


async def array_that_fails(request: web.Request) -> web.StreamResponse:
    items = Source(b"{}", FAILURE)
    return await stream_json_array(
        request, items(), ResponseHead(), content_type="application/dicom+json", stall_s=STALL_S
    )


async def single_that_fails(request: web.Request) -> web.StreamResponse:
    part = Part(DICOM, None, Source(b"half", FAILURE)())
    return await stream_single(request, part, ResponseHead(), stall_s=STALL_S)


async def single_that_is_too_short(request: web.Request) -> web.StreamResponse:
    part = Part(DICOM, None, pieces(b"half"))
    return await stream_single(request, part, ResponseHead(), stall_s=STALL_S, length=8)


async def zip_that_fails(request: web.Request) -> web.StreamResponse:
    files = Source(ArchivedFile("a", pieces(b"x")), ArchivedFile("b", Source(b"half", FAILURE)()))
    return await stream_zip(request, files(), ResponseHead(), stall_s=STALL_S)


BROKEN = [
    zip_that_fails,
    multipart_that_fails,
    multipart_that_fails_between_parts,
    array_that_fails,
    single_that_fails,
    single_that_is_too_short,
]


@pytest.mark.parametrize("handler", BROKEN)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_failure_after_the_first_byte_is_seen_by_the_client(handler: Writer, encoding: str) -> None:
    async with serve(make_app(handler)) as url, aiohttp.ClientSession() as client:
        async with client.get(url, headers={"Accept-Encoding": encoding}) as response:
            assert response.status == 200
            with pytest.raises(aiohttp.ClientError):
                await response.read()


async def test_a_zip_archive() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        files = Source(ArchivedFile("a/b", pieces(b"x", b"y" * 300_000)), ArchivedFile("c", pieces()))
        return await stream_zip(request, files(), ResponseHead(), stall_s=STALL_S)

    async with serve(make_app(handler)) as url, aiohttp.ClientSession() as client, client.get(url) as response:
        assert response.headers["Content-Type"] == "application/zip"
        with zipfile.ZipFile(BytesIO(await response.read())) as archive:
            assert {name: archive.read(name) for name in archive.namelist()} == {"a/b": b"x" + b"y" * 300_000, "c": b""}


async def test_curl_sees_the_failure_too() -> None:
    async with serve(make_app(multipart_that_fails)) as url:
        curl = await asyncio.create_subprocess_exec(
            "curl", "--silent", "--output", "-", url, stdout=asyncio.subprocess.PIPE
        )
        body, _ = await curl.communicate()
    assert curl.returncode in (18, 56)  # partial transfer, or connection reset while receiving
    assert not body.endswith(b"--\r\n")


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("encoding", ["identity", "gzip", "gzip;q=0", "br, gzip;q=0.5"])
async def test_a_json_array(count: int, encoding: str) -> None:
    documents = [{"00100010": {"vr": "PN"}, "n": n} for n in range(count)]

    async def handler(request: web.Request) -> web.StreamResponse:
        items = Source(*(json.dumps(document).encode() for document in documents))
        return await stream_json_array(
            request, items(), ResponseHead(), content_type="application/dicom+json", stall_s=STALL_S
        )

    async with (
        serve(make_app(handler)) as url,
        aiohttp.ClientSession(auto_decompress=False) as client,
        client.get(url, headers={"Accept-Encoding": encoding}) as response,
    ):
        assert response.headers["Content-Type"] == "application/dicom+json"
        body = await response.read()
        compressed = encoding in ("gzip", "br, gzip;q=0.5")
        assert response.headers.get("Content-Encoding") == ("gzip" if compressed else None)
    assert json.loads(gzip.decompress(body) if compressed else body) == documents


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_the_first_result_is_readable_while_the_second_is_not_there(encoding: str) -> None:
    go_on = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        items = Source(b'{"n":1}', go_on, b'{"n":2}')
        return await stream_json_array(
            request, items(), ResponseHead(), content_type="application/dicom+json", stall_s=STALL_S
        )

    async with (
        serve(make_app(handler)) as url,
        aiohttp.ClientSession(auto_decompress=False) as client,
        client.get(url, headers={"Accept-Encoding": encoding}) as response,
    ):
        inflate = zlib.decompressobj(wbits=31).decompress if encoding == "gzip" else bytes
        text = b""
        while text != b'[{"n":1}':
            text += inflate(await response.content.readany())
        go_on.set()
        async for chunk in response.content.iter_any():
            text += inflate(chunk)
    assert json.loads(text) == [{"n": 1}, {"n": 2}]


async def test_xml_parts_are_compressed() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        parts = Source(*(Part("application/dicom+xml", None, pieces(b"<x/>" * 100)) for _ in range(2)))
        return await stream_multipart(request, parts(), ResponseHead(), stall_s=STALL_S)

    async with serve(make_app(handler)) as url, aiohttp.ClientSession() as client, client.get(url) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        parts = read_parts(response.headers["Content-Type"], await response.read())
    assert [body for _, body in parts] == [b"<x/>" * 100] * 2


@pytest.mark.parametrize("length", [None, 6])
async def test_a_single_part(length: int | None) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        part = Part("application/octet-stream", "/frames/1", pieces(b"abc", b"def"))
        return await stream_single(request, part, ResponseHead(), stall_s=STALL_S, length=length)

    async with serve(make_app(handler)) as url, aiohttp.ClientSession() as client:
        async with client.get(url) as response:
            assert response.headers["Content-Type"] == "application/octet-stream"
            assert response.headers["Content-Location"] == "/frames/1"
            assert response.headers.get("Content-Length") == (str(length) if length else None)
            assert await response.read() == b"abcdef"


async def test_head_sends_no_body_and_closes_the_source() -> None:
    sources = [Source(b"{}", b"{}"), Source(Part(DICOM, None, pieces(b"x"))), Source(b"x")]

    async def handler(request: web.Request) -> web.StreamResponse:
        head = ResponseHead()
        match request.query_string:
            case "array":
                return await stream_json_array(
                    request, sources[0](), head, content_type="application/json", stall_s=STALL_S
                )
            case "multipart":
                return await stream_multipart(request, sources[1](), head, stall_s=STALL_S)
            case _:
                return await stream_single(request, Part(DICOM, None, sources[2]()), head, stall_s=STALL_S)

    async with serve(make_app(handler)) as url, aiohttp.ClientSession() as client:
        for query in ("array", "multipart", "single"):
            async with client.head(f"{url}/?{query}") as response:
                assert (response.status, await response.read()) == (200, b"")
    for source in sources:
        assert source.closed.is_set()
        assert source.taken == 1


async def test_a_client_that_leaves_closes_the_source() -> None:
    inner = Source(b"x", asyncio.Event())
    outer = Source(Part(DICOM, None, inner()))

    async def handler(request: web.Request) -> web.StreamResponse:
        return await stream_multipart(request, outer(), ResponseHead(), stall_s=STALL_S)

    async with serve(make_app(handler)) as url, aiohttp.ClientSession() as client:
        async with client.get(url) as response:
            await response.content.readany()
            response.close()
        await asyncio.wait_for(inner.closed.wait(), 10)
        await asyncio.wait_for(outer.closed.wait(), 10)


async def test_the_next_part_is_asked_for_when_the_one_before_is_closed() -> None:
    order: list[str] = []

    async def noted(name: str) -> AsyncIterator[Buffer]:
        try:
            yield name.encode()
        finally:
            order.append(f"closed {name}")

    async def parts() -> AsyncIterator[Part]:
        for name in ("one", "two"):
            order.append(f"asked {name}")
            yield Part(DICOM, None, noted(name))

    async def handler(request: web.Request) -> web.StreamResponse:
        return await stream_multipart(request, parts(), ResponseHead(), stall_s=STALL_S)

    async with serve(make_app(handler)) as url, aiohttp.ClientSession() as client, client.get(url) as response:
        await response.read()
    assert order == ["asked one", "closed one", "asked two", "closed two"]


async def test_the_first_item_can_be_looked_at() -> None:
    source = Source(1, 2, 3)
    first, items = await first_of(source())
    assert (first, source.taken) == (1, 1)
    assert [item async for item in items] == [1, 2, 3]
    assert source.closed.is_set()
    first, items = await first_of(Source()())
    assert first is None
    assert [item async for item in items] == []


async def test_a_head_request_closes_what_it_began_to_read() -> None:
    inner = Source(b"x", b"y")
    parts = Source(Part(DICOM, None, inner()))

    async def handler(request: web.Request) -> web.StreamResponse:
        return await stream_multipart(request, parts(), ResponseHead(), stall_s=STALL_S)

    app = make_app(handler)
    async with serve(app) as url, aiohttp.ClientSession() as client, client.head(url) as response:
        assert (response.status, await response.read()) == (200, b"")
        async with asyncio.timeout(10):
            await inner.closed.wait()
            await parts.closed.wait()
    assert inner.taken == 1
