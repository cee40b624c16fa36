"""Byte ranges of single parts (RFC 9110 §14, PS3.18 §8.6.1.1).

Header text in, a range or None out, and a stream cut down to it. One range is answered; several in one request are
passed over as RFC 9110 §14.2 allows, and so is If-Range, since every entity tag here is weak. Called by the handlers
of values whose length is known before their first byte; nothing else has ranges.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

from aiohttp import hdrs, web

from gateway.codecs import Buffer
from gateway.errors import DecodeError, RangeNotSatisfiable

__all__ = ["ByteRange", "cut_pieces", "parse_range", "read_range"]

_RANGE = re.compile(r"bytes[ \t]*=[ \t]*([0-9]*)[ \t]*-[ \t]*([0-9]*)", re.IGNORECASE)
_MAX_DIGITS = 18  # an exabyte; what is longer is beyond every end


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `first` to `last`, both included, of `complete` in all."""

    first: int
    last: int
    complete: int

    @property
    def length(self) -> int:
        """Number of bytes."""
        return self.last - self.first + 1

    @property
    def content_range(self) -> str:
        """Value of Content-Range."""
        return f"bytes {self.first}-{self.last}/{self.complete}"


def read_range(request: web.Request, length: int) -> ByteRange | None:
    """The range that `request` asks for of a body of `length` bytes; None for all of it.

    Raises
    ------
    RangeNotSatisfiable
        It begins behind the end.
    """
    if request.method != hdrs.METH_GET or hdrs.IF_RANGE in request.headers:
        return None
    return parse_range(request.headers.get(hdrs.RANGE, ""), length)


def parse_range(text: str, length: int) -> ByteRange | None:
    """Read the value of a Range header; None where it is absent, malformed, in another unit, or a list.

    Raises
    ------
    RangeNotSatisfiable
        It names no byte of a body of `length` bytes.
    """
    match = _RANGE.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        return None
    start, end = map(_parse_number, match.groups())
    if start is None:  # so many bytes at the end
        first, last = max(length - (end or 0), 0), length - 1
    elif end is not None and end < start:
        return None
    else:
        first, last = start, length - 1 if end is None else min(end, length - 1)
    if first > last:
        raise RangeNotSatisfiable(length)
    return ByteRange(first, last, length)


def _parse_number(digits: str) -> int | None:
    if len(digits.lstrip("0")) > _MAX_DIGITS:
        return int("9" * _MAX_DIGITS)
    return int(digits) if digits else None


async def cut_pieces(pieces: AsyncIterator[Buffer], wanted: ByteRange) -> AsyncGenerator[Buffer, None]:
    """Yield the bytes of `wanted`; stops reading when it has them, and closes `pieces` if it is a generator.

    The end of a range that ends with the body is given when the body has ended: so a length that was announced too
    short is seen before the answer looks complete.

    Raises
    ------
    DecodeError
        The body is longer or shorter than was announced.
    """
    async with AsyncExitStack() as closing:
        if (close := getattr(pieces, "aclose", None)) is not None:
            closing.push_async_callback(close)
        cut = await closing.enter_async_context(aclosing(_cut(pieces, wanted)))
        async for piece in cut:
            yield piece


async def _cut(pieces: AsyncIterator[Buffer], wanted: ByteRange) -> AsyncGenerator[Buffer, None]:
    position, held = 0, b""
    async for piece in pieces:
        view = memoryview(piece)
        begin, position = position, position + len(view)
        if position > wanted.complete:
            raise DecodeError(f"more bytes came than the {wanted.complete} announced")
        part = view[max(wanted.first - begin, 0) : max(wanted.last + 1 - begin, 0)]
        if position == wanted.complete:
            held += part
        elif len(part):
            yield part
        if wanted.last < position < wanted.complete:
            return
    if position != wanted.complete:
        raise DecodeError(f"{position} bytes came where {wanted.complete} were announced")
    if held:
        yield held
