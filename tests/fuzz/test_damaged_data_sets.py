"""Tokenizer, re-encoder and head reader on pieces of any size, on damaged data sets and on garbage."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs.head import HeadReader
from gateway.codecs.reencode import ExplicitLittleEndianEncoder
from gateway.codecs.tokens import Element, SequenceStart, Token
from gateway.codecs.transfer_syntax import UNCOMPRESSED
from gateway.errors import DecodeError
from tests.support.samples import sample_files
from tests.support.tokens import explicit, implicit, item, read_sample, tokenize

_LIMIT = 60_000
_FILES = [path for path in sample_files() if path.stat().st_size < _LIMIT]
_SAMPLES = [sample for path in _FILES if (sample := read_sample(path)) is not None]

syntaxes = st.sampled_from([*UNCOMPRESSED, "1.2.840.10008.1.2.5"])
# parts that make damage likely to be met by the reader rather than to be a value
parts = st.one_of(
    st.binary(max_size=24),
    st.sampled_from(
        [
            explicit(0x00100020, "LO", b"ID"),
            explicit(0x00081115, "SQ", length=0xFFFFFFFF),
            explicit(0x00081115, "SQ", item(explicit(0x00100020, "LO", b"ID"))),
            explicit(0x00091010, "UN", length=0xFFFFFFFF),
            explicit(0x7FE00010, "OB", length=0xFFFFFFFF),
            implicit(0x00100020, b"ID"),
            implicit(0x00081115, length=0xFFFFFFFF),
            implicit(0x00081115, item(implicit(0x00090010, b"ACUSON"))),
            implicit(0xFFFEE000, length=0xFFFFFFFF),
            implicit(0xFFFEE000, length=10),
            implicit(0xFFFEE00D),
            implicit(0xFFFEE0DD),
        ]
    ),
)


def cut(data: bytes, positions: list[int]) -> list[bytes]:
    ends = [0, *sorted(position % (len(data) + 1) for position in positions), len(data)]
    return [data[start:end] for start, end in pairwise(ends)]


def outcome(uid: str, pieces: list[bytes]) -> object:
    try:
        return tokenize(uid, pieces)
    except DecodeError as error:
        return error.reason


@given(st.sampled_from(_SAMPLES), st.lists(st.integers(0, _LIMIT), max_size=12))
def test_samples_give_the_same_tokens_however_they_are_cut(sample: tuple[str, bytes], positions: list[int]) -> None:
    uid, data = sample
    assert outcome(uid, cut(data, positions)) == outcome(uid, [data])


@given(syntaxes, st.lists(parts, max_size=12).map(b"".join), st.lists(st.integers(0, 400), max_size=6))
def test_garbage_gives_tokens_or_a_decode_error_and_always_the_same(
    uid: str, data: bytes, positions: list[int]
) -> None:
    assert outcome(uid, cut(data, positions)) == outcome(uid, [data])


@given(st.sampled_from(_SAMPLES), st.lists(st.tuples(st.integers(0, _LIMIT), st.integers(0, 255)), max_size=8))
def test_damaged_samples_give_tokens_or_a_decode_error(
    sample: tuple[str, bytes], damage: list[tuple[int, int]]
) -> None:
    uid, data = sample[0], bytearray(sample[1])
    for position, value in damage:
        if data:
            data[position % len(data)] = value
    outcome(uid, [bytes(data)])


def without_writing(tokens: list[Token]) -> list[Token]:
    """Tokens without what re-encoding changes: group lengths, and UN of undefined length."""
    kept = [token for token in tokens if not isinstance(token, Element) or token.tag & 0xFFFF]
    return [SequenceStart(token.tag, "SQ") if isinstance(token, SequenceStart) else token for token in kept]


@given(syntaxes, st.lists(parts, max_size=12).map(b"".join))
def test_what_is_re_encoded_has_the_same_tokens(uid: str, data: bytes) -> None:
    encoder = ExplicitLittleEndianEncoder(uid)
    try:
        tokens = tokenize(uid, [data])
        written = b"".join([*encoder.feed(data), *encoder.finish()])
    except DecodeError:
        return
    again = tokenize("1.2.840.10008.1.2.1", [written])
    assert without_writing(again) == without_writing(tokens)


@given(st.sampled_from(_FILES), st.binary(max_size=40), st.integers(0, 2000))
def test_the_head_of_damaged_files_is_read_or_refused(path: Path, damage: bytes, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position : position + len(damage)] = damage
    reader = HeadReader(1 << 16)
    try:
        if (head := reader.feed(bytes(data))) is None:
            reader.finish()
    except DecodeError:
        return
    assert head is not None
    assert bytes(data).endswith(b"".join(head.data_set))
