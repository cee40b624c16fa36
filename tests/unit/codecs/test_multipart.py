"""multipart/related: any cut of the same bytes gives the same parts (RFC 2046 §5.1)."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs.multipart import MultipartEncoder, MultipartReader, PartChunk, PartEnd, PartStart
from gateway.errors import MalformedBody

Parts = list[tuple[dict[str, str], bytes]]

BODY = (
    b"this preamble is skipped\r\n--xyz\r\n"
    b'Content-Type: application/dicom;\r\n transfer-syntax="1.2"\r\nContent-Location: /a\r\n\r\n'
    b"one\r\n--xy\r\n-\r\r\n--two"
    b"\r\n--xyz  \t\r\n\r\n"
    b"\r\n--xyz\r\nX-Empty:\r\n\r\n"
    b"\r\n--xyz--\r\nand so is --xyz the epilogue"
)
PARTS: Parts = [
    (
        {"content-type": 'application/dicom; transfer-syntax="1.2"', "content-location": "/a"},
        b"one\r\n--xy\r\n-\r\r\n--two",
    ),
    ({}, b""),
    ({"x-empty": ""}, b""),
]


def read(pieces: Iterable[bytes], boundary: str = "xyz") -> Parts:
    reader = MultipartReader(boundary)
    parts: Parts = []
    ended = 0
    for piece in pieces:
        for token in reader.feed(piece):
            if isinstance(token, PartStart):
                assert ended == len(parts), "a part starts before the one before it has ended"
                parts.append((dict(token.headers), b""))
            elif isinstance(token, PartChunk):
                assert len(token.data) > 0
                parts[-1] = (parts[-1][0], parts[-1][1] + token.data)
            else:
                ended += 1
    reader.finish()
    assert ended == len(parts)
    return parts


def test_whole() -> None:
    assert read([BODY]) == PARTS


def test_one_byte_at_a_time() -> None:
    assert read(BODY[place : place + 1] for place in range(len(BODY))) == PARTS


@pytest.mark.parametrize("place", range(len(BODY) + 1))
def test_every_split_in_two(place: int) -> None:
    assert read([BODY[:place], BODY[place:]]) == PARTS


@given(st.lists(st.integers(0, len(BODY)), max_size=12))
def test_any_cut(places: list[int]) -> None:
    edges = [0, *sorted(places), len(BODY)]
    assert read(BODY[start:end] for start, end in zip(edges, edges[1:], strict=False)) == PARTS


@pytest.mark.parametrize("end", range(BODY.index(b"--xyz--") + len(b"--xyz--")))
def test_every_cut_before_the_closing_boundary_is_noticed(end: int) -> None:
    reader = MultipartReader("xyz")
    reader.feed(BODY[:end])
    assert not reader.is_complete
    with pytest.raises(MalformedBody):
        reader.finish()


def test_bare_line_feeds_throughout() -> None:
    body = b"--xyz\nContent-Type: a/b\n\none\r\ntwo\n--xyz\n\nthree\n--xyz--\n"
    expected: Parts = [({"content-type": "a/b"}, b"one\r\ntwo"), ({}, b"three")]
    assert read([body]) == expected
    assert read(body[place : place + 1] for place in range(len(body))) == expected


def test_a_bare_line_feed_before_dashes_is_data_where_lines_end_in_crlf() -> None:
    assert read([b"--xyz\r\n\r\none\n--xyz\r\ntwo\r\n--xyz--"]) == [({}, b"one\n--xyz\r\ntwo")]


def test_an_empty_body_may_share_the_line_end_of_its_head() -> None:
    body = b"--xyz\r\n\r\n--xyz\r\n\r\n--xy is data\r\n--xyz--"
    for size in (len(body), 1):
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        assert read(pieces) == [({}, b""), ({}, b"--xy is data")]


def test_no_part_at_all() -> None:
    assert read([b"--xyz--"]) == []


def test_the_first_of_repeated_headers_counts() -> None:
    assert read([b"--xyz\r\nA: 1\r\na: 2\r\n\r\n\r\n--xyz--"]) == [({"a": "1"}, b"")]


def test_a_body_is_handed_on_as_views_of_what_was_fed() -> None:
    reader = MultipartReader("xyz")
    reader.feed(b"--xyz\r\n\r\n")
    block = bytes(1 << 20)
    (token,) = reader.feed(block)
    assert isinstance(token, PartChunk)
    assert isinstance(token.data, memoryview)
    assert token.data.obj is block
    assert len(token.data) == len(block)


def test_no_more_than_a_delimiter_is_held_back() -> None:
    reader = MultipartReader("x" * 70)
    reader.feed(b"--" + b"x" * 70 + b"\r\n\r\n")
    fed = given_out = 0
    for block in [b"\r\n--" + b"x" * 69, b"\r\n--x", b"\r", b"\r\n", b"abc"] * 5:
        fed += len(block)
        given_out += sum(len(token.data) for token in reader.feed(block) if isinstance(token, PartChunk))
        assert fed - given_out <= 73


@pytest.mark.parametrize(
    "body",
    [
        b"--xyz\r\nno colon\r\n\r\n",
        b"--xyz\r\n: no name\r\n\r\n",
        b"--xyzzy\r\n\r\n",
        b"--xyz\r\nA: " + b"x" * 20_000,
        b"--xyz\r\n" + b"A: x\r\n" * 5_000,
        b"--xyz" + b" " * 20_000,
    ],
    ids=["no colon", "no name", "other boundary", "long line", "many lines", "long blank"],
)
def test_broken_heads_are_refused(body: bytes) -> None:
    for size in (len(body), 1000, 7):
        reader = MultipartReader("xyz")
        with pytest.raises(MalformedBody):
            for start in range(0, len(body), size):
                reader.feed(body[start : start + size])


@pytest.mark.parametrize("size", [1, 7, 50, 1000])
def test_what_comes_before_a_broken_head_is_given(size: int) -> None:
    body = b"--xyz\r\n\r\none\r\n--xyz\r\n\r\ntwo\r\n--xyz\r\nno colon\r\n\r\nthree\r\n--xyz--"
    reader, given_out = MultipartReader("xyz"), list[object]()
    with pytest.raises(MalformedBody, match="has no name"):
        for start in range(0, len(body), size):
            given_out += reader.feed(body[start : start + size])
        reader.finish()
    assert [type(token) for token in given_out].count(PartEnd) == 2
    assert b"".join(bytes(token.data) for token in given_out if isinstance(token, PartChunk)) == b"onetwo"


@pytest.mark.parametrize("boundary", ["", "a" * 71, "a\r\nb", "é"])
def test_impossible_boundaries_are_refused(boundary: str) -> None:
    with pytest.raises(MalformedBody):
        MultipartReader(boundary)


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_garbage_gives_one_kind_of_error(pieces: list[bytes]) -> None:
    reader = MultipartReader("x")
    try:
        for piece in pieces:
            reader.feed(b"--x\r\n" + piece)
        reader.finish()
    except MalformedBody:
        return


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=4))
def test_what_is_written_reads_back(bodies: list[bytes]) -> None:
    encoder = MultipartEncoder("application/dicom", "b0undary")
    written = b""
    for number, body in enumerate(bodies):
        written += encoder.part_header("application/dicom; transfer-syntax=1.2", f"/instances/{number}") + body
    written += encoder.closing()
    assert [body for _, body in read([written], "b0undary")] == bodies


def test_another_reader_understands_what_is_written() -> None:
    encoder = MultipartEncoder("application/octet-stream", "b0undary")
    written = encoder.part_header("application/octet-stream", "/frames/1") + b"one"
    written += encoder.part_header("image/jls") + b"two" + encoder.closing()
    head = f"MIME-Version: 1.0\r\nContent-Type: {encoder.content_type}\r\n\r\n".encode()
    message = email.message_from_bytes(head + written, policy=email.policy.HTTP)
    parts = list(message.iter_parts())
    assert not message.defects
    assert [(part.get_content_type(), part["Content-Location"], part.get_content()) for part in parts] == [
        ("application/octet-stream", "/frames/1", b"one"),
        ("image/jls", None, b"two"),
    ]


def test_the_content_type_quotes_the_part_type() -> None:
    encoder = MultipartEncoder("application/dicom", "b0undary")
    assert encoder.content_type == 'multipart/related; type="application/dicom"; boundary=b0undary'


def test_an_empty_response_is_a_closing_boundary() -> None:
    assert MultipartEncoder("application/dicom", "b").closing() == b"--b--\r\n"


def test_an_encoder_refuses_what_is_no_boundary() -> None:
    with pytest.raises(ValueError, match="boundary"):
        MultipartEncoder("application/dicom", "ends in a blank ")


def test_tokens_read_well() -> None:
    assert repr(PartEnd()) == "PartEnd()"
    assert repr(PartStart({"a": "b"})) == "PartStart(headers={'a': 'b'})"
