"""Inflating, in steps of bounded size."""

from __future__ import annotations

import zlib

import pytest

from gateway.codecs.inflate import Inflater
from gateway.errors import DecodeError
from tests.support.tokens import pieces_of

TEXT = bytes(range(256)) * 300


def inflate(pieces: list[bytes]) -> bytes:
    inflater = Inflater()
    steps = [step for piece in pieces for step in inflater.feed(piece)]
    steps += inflater.finish()
    assert all(0 < len(step) <= 65536 for step in steps)
    return b"".join(steps)


@pytest.mark.parametrize("window_bits", [-15, 15])
@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("size", [1, 4, 5, 1000, 1 << 20])
def test_streams_with_and_without_zlib_header(window_bits: int, level: int, size: int) -> None:
    deflate = zlib.compressobj(level, wbits=window_bits)
    data = deflate.compress(TEXT) + deflate.flush()
    assert inflate(list(pieces_of(data, size))) == TEXT
    assert inflate(list(pieces_of(data + b"\0", size))) == TEXT


def test_a_stored_block_that_looks_like_a_zlib_header_is_raw() -> None:
    # first byte: not final, stored, and the five bits of padding that make it 0x78; the next two are LEN, then NLEN
    length = 0x9C | 0x01 << 8
    stored = b"\x78" + length.to_bytes(2, "little") + (length ^ 0xFFFF).to_bytes(2, "little") + TEXT[:length]
    assert int.from_bytes(stored[:2], "big") % 31 == 0
    assert inflate([stored + b"\x03\0"]) == TEXT[:length]


def test_a_very_short_stream() -> None:
    deflate = zlib.compressobj(wbits=-15)
    data = deflate.compress(b"A") + deflate.flush()
    assert len(data) < 5
    assert inflate([data]) == b"A"
    assert inflate([]) == b""


def test_steps_left_alone_come_with_the_next_call() -> None:
    data = zlib.compress(bytes(1 << 20), wbits=-15)
    inflater = Inflater()
    assert next(inflater.feed(data)) == bytes(65536)
    assert sum(map(len, inflater.finish())) == (1 << 20) - 65536


@pytest.mark.parametrize("data", [b"\xff" * 8, zlib.compress(TEXT)[:-2] + b"\0\0", b"\x06"])
def test_what_is_no_stream_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError, match="not a deflate stream"):
        inflate([data])


@pytest.mark.parametrize("length", [2, 20, 200])
def test_a_cut_stream_is_refused(length: int) -> None:
    with pytest.raises(DecodeError, match="ends inside"):
        inflate([zlib.compress(TEXT, wbits=-15)[:length]])
