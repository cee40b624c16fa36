"""Byte ranges: the header, and streams cut down to one."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from aiohttp import hdrs
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import DecodeError, RangeNotSatisfiable
from gateway.web.ranges import ByteRange, cut_pieces, parse_range, read_range


async def split(data: bytes, size: int) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bytes=0-0", (0, 0)),
        ("bytes=2-5", (2, 5)),
        ("bytes=2-", (2, 9)),
        ("bytes=2-99", (2, 9)),
        ("bytes=9-9", (9, 9)),
        ("bytes=-3", (7, 9)),
        ("bytes=-99", (0, 9)),
        ("Bytes = 2-5 ", (2, 5)),
        (f"bytes=0-{'9' * 5000}", (0, 9)),
        ("bytes=000000000000000000000001-2", (1, 2)),
        ("", None),
        ("bytes", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=5-2", None),
        ("bytes=a-b", None),
        ("bytes=0-1,4-5", None),  # a list may be answered with everything
        ("lines=0-1", None),
    ],
)
def test_what_a_header_means(text: str, expected: tuple[int, int] | None) -> None:
    found = parse_range(text, 10)
    assert found == (None if expected is None else ByteRange(*expected, 10))


@pytest.mark.parametrize(
    ("text", "length"), [("bytes=10-", 10), ("bytes=99-100", 10), ("bytes=-0", 10), ("bytes=0-", 0), ("bytes=-1", 0)]
)
def test_ranges_behind_the_end(text: str, length: int) -> None:
    with pytest.raises(RangeNotSatisfiable) as caught:
        parse_range(text, length)
    assert caught.value.length == length


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("GET", {hdrs.RANGE: "bytes=1-2"}, ByteRange(1, 2, 10)),
        ("HEAD", {hdrs.RANGE: "bytes=1-2"}, None),
        ("GET", {hdrs.RANGE: "bytes=1-2", hdrs.IF_RANGE: 'W/"x"'}, None),
        ("GET", {}, None),
    ],
)
def test_which_requests_have_one(method: str, headers: dict[str, str], expected: ByteRange | None) -> None:
    assert read_range(make_mocked_request(method, "/", headers=headers), 10) == expected


@given(st.binary(min_size=1, max_size=60), st.data(), st.integers(1, 70))
async def test_a_cut_is_a_slice(data: bytes, drawn: st.DataObject, size: int) -> None:
    first = drawn.draw(st.integers(0, len(data) - 1))
    last = drawn.draw(st.integers(first, len(data) - 1))
    wanted = ByteRange(first, last, len(data))
    pieces = [bytes(piece) async for piece in cut_pieces(split(data, size), wanted)]
    assert b"".join(pieces) == data[first : last + 1] and all(pieces)
    assert wanted.length == last - first + 1
    assert wanted.content_range == f"bytes {first}-{last}/{len(data)}"


async def test_reading_stops_when_the_range_is_there() -> None:
    taken: list[int] = []

    async def endless() -> AsyncGenerator[bytes, None]:
        while True:
            taken.append(len(taken))
            yield b"0123456789"

    pieces = [bytes(piece) async for piece in cut_pieces(endless(), ByteRange(5, 11, 1000))]
    assert pieces == [b"56789", b"01"] and taken == [0, 1]


@pytest.mark.parametrize("size", [1, 4, 100])
@pytest.mark.parametrize(("announced", "first"), [(8, 0), (8, 7), (12, 0), (12, 9)])
async def test_a_length_that_was_wrong_is_seen_before_the_end(announced: int, first: int, size: int) -> None:
    """The last byte is not given: the answer does not look complete."""
    wanted, given_bytes = ByteRange(first, announced - 1, announced), 0
    with pytest.raises(DecodeError):
        async for piece in cut_pieces(split(b"0123456789", size), wanted):
            given_bytes += len(piece)
    assert given_bytes < wanted.length
