"""Streams of parts and documents as HTTP responses (PS3.18 §8.6.1).

Four writers: a multipart, a ZIP archive, a JSON array, a single part. Each waits for the first item of its source
before the status line goes out, so that a failure until then still becomes a status of its own; reads the head of the
response only then; pulls the next piece when the one before was taken by the transport; and closes its source
whatever happens. A failure after the first byte cuts the connection. Handlers of ``gateway/web`` call these.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TypeVar

from aiohttp import hdrs, web
from multidict import CIMultiDict

from gateway.codecs import Buffer
from gateway.codecs.media_types import parse_media_type
from gateway.codecs.multipart import MultipartEncoder
from gateway.codecs.zip_archive import ZipEncoder
from gateway.errors import DecodeError
from gateway.web.response_writer import ResponseWriter

__all__ = [
    "ArchivedFile",
    "Part",
    "ResponseHead",
    "first_of",
    "stream_json_array",
    "stream_multipart",
    "stream_single",
    "stream_zip",
]

T = TypeVar("T")
ZIP = "application/zip"


@dataclass(frozen=True, slots=True)
class Part:
    """One representation: its headers, and its bytes as they come.

    `pieces` is read to its end, or closed, before the next part is asked for.
    """

    content_type: str
    location: str | None
    pieces: AsyncIterator[Buffer]


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """One file of an archive, under its path there; `pieces` as those of `Part`."""

    name: str
    pieces: AsyncIterator[Buffer]


@dataclass(slots=True)
class ResponseHead:
    """Status and header fields besides those of the body; read once, when the first item has come.

    A source may set them until then: 206, or a Warning that shows with the first answer of the archive.
    """

    status: int = 200
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict)


async def stream_multipart(
    request: web.Request, parts: AsyncIterator[Part], head: ResponseHead, *, stall_s: float
) -> web.StreamResponse:
    """Send `parts` as multipart/related, the type of the first one naming the whole.

    Parts of JSON and XML are compressed where the client accepts gzip, others never. Without any part the body is
    empty: a multipart has at least one.

    Parameters
    ----------
    parts : async iterator of Part
        Closed here if it is a generator. Failures until the first piece of the first part leave the response
        unsent.
    head : ResponseHead
    stall_s : float
        Longest time in seconds in which the client may take nothing.

    Raises
    ------
    ClientStalled, ConnectionResetError
        The client stopped reading, or left.
    Exception
        Whatever the source raises; the connection is cut if the response had begun.
    """
    async with AsyncExitStack() as closing:
        _close_at_exit(closing, parts)
        part = await anext(parts, None)
        if part is None:
            return await _send_empty(request, head)
        _close_at_exit(closing, part.pieces)
        _, pieces = await first_of(part.pieces)
        _close_at_exit(closing, pieces)
        encoder = MultipartEncoder(parse_media_type(part.content_type).essence, secrets.token_hex(16))
        response, gzip = await _begin(request, head, encoder.content_type, part.content_type)
        if request.method == hdrs.METH_HEAD:
            return response
        async with ResponseWriter(request, response, stall_s=stall_s, gzip=gzip) as writer:
            await writer.write(encoder.part_header(part.content_type, part.location))
            await _write_pieces(writer, pieces)
            async for part in parts:
                await writer.write(encoder.part_header(part.content_type, part.location))
                await _write_pieces(writer, part.pieces)
            await writer.write(encoder.closing())
    return response


async def stream_zip(
    request: web.Request, files: AsyncIterator[ArchivedFile], head: ResponseHead, *, stall_s: float
) -> web.StreamResponse:
    """Send `files` as one ZIP archive, none of them held; its directory comes last.

    The other arguments and the exceptions are those of `stream_multipart`; there is at least one file.
    """
    async with AsyncExitStack() as closing:
        _close_at_exit(closing, files)
        file = await anext(files)
        _close_at_exit(closing, file.pieces)
        _, pieces = await first_of(file.pieces)
        _close_at_exit(closing, pieces)
        response, _ = await _begin(request, head, ZIP, ZIP)
        if request.method == hdrs.METH_HEAD:
            return response
        encoder = ZipEncoder()
        async with ResponseWriter(request, response, stall_s=stall_s, gzip=False) as writer:
            await writer.write(encoder.begin_file(file.name))
            await _write_pieces(writer, pieces, encoder.note)
            async for file in files:
                await writer.write(encoder.end_file())
                await writer.write(encoder.begin_file(file.name))
                await _write_pieces(writer, file.pieces, encoder.note)
            await writer.write(encoder.end_file())
            for piece in encoder.finish():
                await writer.write(piece)
    return response


async def stream_single(
    request: web.Request,
    part: Part,
    head: ResponseHead,
    *,
    stall_s: float,
    length: int | None = None,
    after: AsyncIterator[Part] | None = None,
) -> web.StreamResponse:
    """Send one representation as the whole body (PS3.18 §8.6.1.1).

    `length` in bytes is announced if known; a source that ends before it is treated as broken. `after` is asked once
    more when the part has gone out and before the body ends: there the archive hears that the part was taken, while
    a client that leaves at the end of the body is still there. The other arguments and the exceptions are those of
    `stream_multipart`.
    """
    if part.location is not None:
        head.headers[hdrs.CONTENT_LOCATION] = part.location
    async with AsyncExitStack() as closing:
        _close_at_exit(closing, part.pieces)
        _, pieces = await first_of(part.pieces)
        _close_at_exit(closing, pieces)
        if length is not None:
            head.headers[hdrs.CONTENT_LENGTH] = str(length)
        response, gzip = await _begin(request, head, part.content_type, part.content_type)
        if request.method == hdrs.METH_HEAD:
            return response
        async with ResponseWriter(request, response, stall_s=stall_s, gzip=gzip) as writer:
            written = await _write_pieces(writer, pieces)
            if length is not None and written != length:
                raise DecodeError(f"{written} bytes came where {length} were announced")
            if after is not None:
                await anext(after, None)
    return response


async def stream_json_array(
    request: web.Request, items: AsyncIterator[Buffer], head: ResponseHead, *, content_type: str, stall_s: float
) -> web.StreamResponse:
    """Send encoded JSON documents as one array, each as soon as it comes; ``[]`` without any.

    The arguments and exceptions are those of `stream_multipart`. Compressed where the client accepts gzip.
    """
    async with AsyncExitStack() as closing:
        _close_at_exit(closing, items)
        item = await anext(items, None)
        response, gzip = await _begin(request, head, content_type, content_type)
        if request.method == hdrs.METH_HEAD:
            return response
        async with ResponseWriter(request, response, stall_s=stall_s, gzip=gzip) as writer:
            opening = b"["
            while item is not None:
                await writer.write(opening + item)
                await writer.flush()
                opening = b","
                item = await anext(items, None)
            await writer.write(b"]" if opening == b"," else b"[]")
    return response


async def first_of(items: AsyncIterator[T]) -> tuple[T | None, AsyncIterator[T]]:
    """Wait for the first of `items`; answer it, None if there is none, and an iterator over all including it.

    For a handler whose form of response depends on what comes first. Closing the returned iterator closes `items`.
    """
    try:
        first = await anext(items)
    except StopAsyncIteration:
        return None, items

    async def iter_all() -> AsyncIterator[T]:
        async with AsyncExitStack() as closing:
            _close_at_exit(closing, items)
            yield first
            async for item in items:
                yield item

    return first, iter_all()


async def _write_pieces(
    writer: ResponseWriter, pieces: AsyncIterator[Buffer], note: Callable[[Buffer], None] | None = None
) -> int:
    """Write the body of one part and close its source; answer its length. `note` is told of each piece.

    What is gathered goes out at the end, so that the source learns that the part was taken before the next one is
    asked for.
    """
    written = 0
    async with AsyncExitStack() as closing:
        _close_at_exit(closing, pieces)
        async for piece in pieces:
            if note is not None:
                note(piece)
            await writer.write(piece)
            written += len(piece)
        await writer.flush()
    return written


async def _begin(
    request: web.Request, head: ResponseHead, content_type: str, part_type: str
) -> tuple[web.StreamResponse, bool]:
    """Send the status line and the header; answer the response and whether its body is to be compressed."""
    response = web.StreamResponse(status=head.status, headers=head.headers)
    response.headers[hdrs.CONTENT_TYPE] = content_type
    gzip = _is_text(part_type) and hdrs.CONTENT_LENGTH not in head.headers and _accepts_gzip(request)
    if gzip:
        response.headers[hdrs.CONTENT_ENCODING] = "gzip"
    await response.prepare(request)
    return response, gzip


async def _send_empty(request: web.Request, head: ResponseHead) -> web.StreamResponse:
    response = web.Response(status=head.status, headers=head.headers)
    await response.prepare(request)
    return response


def _is_text(content_type: str) -> bool:
    return parse_media_type(content_type).essence.endswith(("json", "xml"))


def _accepts_gzip(request: web.Request) -> bool:
    for coding in ",".join(request.headers.getall(hdrs.ACCEPT_ENCODING, [])).lower().split(","):
        name, _, weight = (piece.strip() for piece in coding.partition(";"))
        if name in ("gzip", "x-gzip"):
            return weight.replace(" ", "").rstrip("0") not in ("q=", "q=0.")
    return False


def _close_at_exit(closing: AsyncExitStack, items: object) -> None:
    """Close a generator at the end: what it does at the archive ends now and not when it is collected."""
    close = getattr(items, "aclose", None)
    if close is not None:
        closing.push_async_callback(close)
