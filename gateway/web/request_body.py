"""The body of an upload, piece by piece, within its limits of size and silence.

The only reader of ``request.content``. Nothing is kept: the next piece is read when the one before was dealt
with, so an archive that takes its time slows the client down through TCP. aiohttp must not undo Content-Encoding
(``auto_decompress=False``): it is undone here, in small steps. Nor must it answer ``Expect: 100-continue`` (routes are
added with `defer_invitation`): the client is invited here, when nothing in the head stands against its body any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from aiohttp import HttpVersion11, hdrs, http_exceptions, web

from gateway.errors import MalformedBody, TooLarge, UploadTimeout
from gateway.web.content_coding import BodyDecoder

__all__ = ["defer_invitation", "iter_body"]


async def iter_body(
    request: web.Request, *, max_bytes: int, timeout_s: float, max_decoded: int = 0
) -> AsyncGenerator[bytes, None]:
    """Yield the request body as it arrives.

    Parameters
    ----------
    max_bytes : int
        Longest body taken, 0 for no limit. Counted after any Content-Encoding is undone.
    max_decoded : int
        The same for a compressed body only.
    timeout_s : float
        Longest silence of the client, in seconds. Time spent by the consumer does not count.

    Yields
    ------
    bytes
        Never empty.

    Raises
    ------
    TooLarge, UploadTimeout
        A limit was passed.
    UnsupportedCoding
        A Content-Encoding that is not taken.
    MalformedBody
        The connection, the transfer coding or the compressed data broke before the end.
    """
    coding = request.headers.get(hdrs.CONTENT_ENCODING, "")
    decoder = BodyDecoder(coding, max_decoded)
    if max_bytes and not coding and (request.content_length or 0) > max_bytes:
        raise TooLarge("the request body", max_bytes)
    await _invite(request)
    received = 0
    async for raw in _iter_raw(request, timeout_s):
        for piece in decoder.decode(raw):
            received += len(piece)
            if max_bytes and received > max_bytes:
                raise TooLarge("the request body", max_bytes)
            yield piece
    decoder.finish()


async def defer_invitation(request: web.Request) -> None:
    """What routes do with an Expect header before their handler runs: nothing yet (RFC 9110 §10.1.1).

    Raises
    ------
    aiohttp.web.HTTPExpectationFailed
        Anything but 100-continue is expected.
    """
    if not _expects_invitation(request) and hdrs.EXPECT in request.headers:
        raise web.HTTPExpectationFailed


def _expects_invitation(request: web.Request) -> bool:
    return request.headers.get(hdrs.EXPECT, "").lower() == "100-continue"


async def _invite(request: web.Request) -> None:
    """Answer 100 to a client that waits for it before it sends its body."""
    if _expects_invitation(request) and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the response proper has not begun


async def _iter_raw(request: web.Request, timeout_s: float) -> AsyncGenerator[bytes, None]:
    """Yield what is received, chunks of the transfer coding undone."""
    while True:
        try:
            async with asyncio.timeout(timeout_s):
                piece = await _read_piece(request)
        except TimeoutError as error:
            raise UploadTimeout("no byte of the request body arrived in time") from error
        except (web.RequestPayloadError, http_exceptions.HttpProcessingError, ConnectionError) as error:
            raise MalformedBody("the request body ends early") from error
        if not piece:
            return
        yield piece


async def _read_piece(request: web.Request) -> bytes:
    """What is there of the body, b"" at its end; pieces as large as they came, but short chunks together."""
    if request.content_length is None:
        return await request.content.readany()
    piece, _ = await request.content.readchunk()
    return piece
