"""Data sets written by hand, and tokens made comparable by joining chunks, which are cut as the feeding goes."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.codecs.part10 import FileMetaReader
from gateway.codecs.tokens import (
    FragmentChunk,
    FragmentEnd,
    GatherRule,
    Token,
    Tokenizer,
    ValueChunk,
    ValueEnd,
)
from gateway.errors import DecodeError

__all__ = [
    "UNDEFINED",
    "explicit",
    "explicit_header",
    "fragment",
    "implicit",
    "item",
    "join_chunks",
    "pieces_of",
    "read_sample",
    "tokenize",
]

UNDEFINED = 0xFFFFFFFF
_LONG = frozenset("OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())


def explicit_header(tag: int, vr: str, length: int, order: str = "<") -> bytes:
    """Tag, VR and length; `order` is "<" or ">"."""
    if vr in _LONG:
        return struct.pack(f"{order}HH2s2xI", tag >> 16, tag & 0xFFFF, vr.encode(), length)
    return struct.pack(f"{order}HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), length)


def explicit(tag: int, vr: str, value: bytes = b"", *, order: str = "<", length: int | None = None) -> bytes:
    """An element with its VR; `length` replaces that of the value."""
    return explicit_header(tag, vr, len(value) if length is None else length, order) + value


def implicit(tag: int, value: bytes = b"", *, order: str = "<", length: int | None = None) -> bytes:
    """An element without VR, also an item or delimiter."""
    stated = len(value) if length is None else length
    return struct.pack(f"{order}HHI", tag >> 16, tag & 0xFFFF, stated) + value


def item(*elements: bytes, order: str = "<", undefined: bool = False) -> bytes:
    """An item of defined length, or of undefined length with its delimiter."""
    content = b"".join(elements)
    if not undefined:
        return implicit(0xFFFEE000, content, order=order)
    return implicit(0xFFFEE000, content, order=order, length=UNDEFINED) + implicit(0xFFFEE00D, order=order)


def fragment(data: bytes) -> bytes:
    """A fragment of encapsulated pixel data."""
    return implicit(0xFFFEE000, data)


def pieces_of(data: bytes, size: int) -> Iterator[bytes]:
    """`data` in pieces of `size` bytes."""
    return (data[start : start + size] for start in range(0, len(data), size))


def tokenize(
    transfer_syntax_uid: str, pieces: Iterable[bytes | memoryview], gather_limit: GatherRule = 64
) -> list[Token]:
    """All tokens of a data set, chunks joined."""
    tokenizer = Tokenizer(transfer_syntax_uid, gather_limit=gather_limit)
    tokens: list[Token] = []
    for piece in pieces:
        tokens += tokenizer.feed(piece)
    tokens += tokenizer.finish()
    return join_chunks(tokens)


def join_chunks(tokens: Iterable[Token]) -> list[Token]:
    """The same tokens with one chunk a value or fragment, none where it is empty."""
    joined: list[Token] = []
    data = bytearray()
    for token in tokens:
        if isinstance(token, (ValueChunk, FragmentChunk)):
            assert len(token.data) > 0
            data += token.data
            continue
        if data:
            assert isinstance(token, (ValueEnd, FragmentEnd))
            joined.append(ValueChunk(bytes(data)) if isinstance(token, ValueEnd) else FragmentChunk(bytes(data)))
            data.clear()
        joined.append(token)
    return joined


def read_sample(path: Path) -> tuple[str, bytes] | None:
    """Transfer syntax and data set of a file; None for a file without usable File Meta Information."""
    reader = FileMetaReader(1 << 20)
    try:
        meta = reader.feed(path.read_bytes())
    except DecodeError:
        return None
    return (meta.transfer_syntax_uid, reader.rest) if meta and meta.transfer_syntax_uid else None
