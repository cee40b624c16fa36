"""Answers in one write, in streams and compressed: the same documents, whoever reads them and however they came."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.codecs import Buffer
from gateway.codecs.dicom_json import dump_json
from gateway.config import EmptySearch, HttpSettings
from gateway.services.contracts import SearchRequest
from gateway.web import search
from gateway.web.backends import BackendServices
from gateway.web.search import SearchHandlers
from gateway.web.streaming import Part, ResponseHead, stream_json_array, stream_multipart
from tests.support.http_server import serve

DICOM = "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"
MODELS = st.lists(
    st.builds(
        lambda text, length: {"00100010": {"vr": "LO", "Value": [text * length]}},
        st.sampled_from(["a", "ß", '"\\', "\u2028", "]", ",{"]),
        st.sampled_from([1, 10, 700, 20_000]),
    ),
    max_size=8,
)
BATCHES = st.lists(st.integers(1, 4), min_size=1, max_size=8)


def divide(models: list[Any], sizes: list[int]) -> list[list[Any]]:
    """`models` in batches of these sizes; the last of them over and over."""
    batches, start = [], 0
    while start < len(models):
        size = sizes[min(len(batches), len(sizes) - 1)]
        batches.append(models[start : start + size])
        start += size
    return batches


class Results:
    """``SearchResults`` of an archive whose answers arrive in given batches."""

    warnings: tuple[str, ...] = ()

    def __init__(self, batches: list[list[Any]]) -> None:
        self.is_empty = not batches
        self.is_whole = len(batches) <= 1
        self._batches = batches

    async def __aenter__(self) -> Results:
        self._left = [*self._batches]
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def take_batch(self) -> list[Any]:
        return self._left.pop(0) if self._left else []


class Search:
    """A search service that finds what it is given."""

    empty = EmptySearch.EMPTY_ARRAY

    def __init__(self) -> None:
        self.results = Results([])

    def search(self, request: SearchRequest) -> Results:
        return self.results


async def fetch(url: str, encoding: str) -> tuple[Any, bool]:
    """What a client of another make reads, and whether the length was told."""
    headers = {"Accept": "application/dicom+json", "Accept-Encoding": encoding}
    async with aiohttp.ClientSession() as client, client.get(url, headers=headers) as response:
        assert response.status == 200
        return json.loads(await response.read()), "Content-Length" in response.headers


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@settings(max_examples=25, deadline=None)
@given(MODELS, BATCHES)
def test_a_search_is_the_same_whole_or_in_batches_compressed_or_not(
    encoding: str, models: list[Any], sizes: list[int]
) -> None:
    service = Search()
    backend = SimpleNamespace(search=service, name="main", is_default=True, http=HttpSettings())
    app = web.Application()
    app.router.add_get("/", SearchHandlers(cast(BackendServices, backend)).search_for_studies)

    async def compare() -> None:
        async with serve(app) as url:
            for batches in (divide(models, sizes), [models] if models else []):
                service.results = Results(batches)
                found, has_length = await fetch(url, encoding)
                assert found == models
                if has_length:  # in one write, which only what is whole and short may be
                    assert len(batches) <= 1 and len(dump_json(models)) <= search._ONE_WRITE

    asyncio.run(compare())


@settings(max_examples=25, deadline=None)
@given(MODELS, BATCHES, st.booleans())
def test_an_array_in_any_pieces_is_the_array(models: list[Any], sizes: list[int], compressed: bool) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        async def members() -> AsyncIterator[bytes]:
            for batch in divide(models, sizes):
                yield dump_json(batch)[1:-1]
                await asyncio.sleep(0)

        return await stream_json_array(
            request, members(), ResponseHead(), content_type="application/dicom+json", stall_s=60
        )

    app = web.Application()
    app.router.add_get("/", handler)

    async def compare() -> None:
        async with serve(app) as url:
            assert (await fetch(url, "gzip" if compressed else "identity"))[0] == models

    asyncio.run(compare())


PIECES = st.lists(
    st.sampled_from([b"", b"\r\n", b"--", b"\r\n--", b"x" * 70, bytes(65_536), b"y" * 200_000]), max_size=6
)


@settings(max_examples=40, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=5), st.booleans())
def test_a_multipart_in_any_pieces_is_read_by_another_reader(bodies: list[list[bytes]], waits: bool) -> None:
    """Python's mail parser gets the parts that went in, whether pieces come together or one by one."""

    async def give(pieces: list[bytes]) -> AsyncIterator[Buffer]:
        for piece in pieces:
            yield memoryview(piece) if len(piece) % 2 else piece
            if waits:
                await asyncio.sleep(0)

    async def parts() -> AsyncIterator[Part]:
        for number, pieces in enumerate(bodies):
            yield Part(DICOM, f"/instances/{number}", give(pieces))

    async def handler(request: web.Request) -> web.StreamResponse:
        return await stream_multipart(request, parts(), ResponseHead(), stall_s=60)

    app = web.Application()
    app.router.add_get("/", handler)

    async def compare() -> None:
        async with serve(app) as url, aiohttp.ClientSession() as client, client.get(url) as response:
            head = b"Content-Type: " + response.headers["Content-Type"].encode() + b"\r\n\r\n"
            message = email.message_from_bytes(head + await response.read(), policy=email.policy.HTTP)
        found = [(part["Content-Location"], part.get_payload(decode=True)) for part in message.iter_parts()]
        assert {part.get_content_type() for part in message.iter_parts()} == {"application/dicom"}
        assert found == [(f"/instances/{number}", b"".join(pieces)) for number, pieces in enumerate(bodies)]

    asyncio.run(compare())
