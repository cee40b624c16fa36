"""Which fragments make a frame: offset tables, end of image markers, one fragment a frame (PS3.5 §A.4)."""

from __future__ import annotations

from struct import pack

import pytest

from gateway.codecs.encapsulated_frames import MAX_OFFSET_TABLE, EncapsulatedFrames, read_offsets
from gateway.codecs.frame_events import FrameChunk, FrameEnd, FrameEvent, FrameStart
from gateway.codecs.tokens import FragmentChunk, FragmentStart
from gateway.codecs.transfer_syntax import get_transfer_syntax
from gateway.errors import DecodeError

_EOI = b"\xff\xd9"
_JPEG = "1.2.840.10008.1.2.4.50"
_RLE = "1.2.840.10008.1.2.5"
_MARKED = [
    _JPEG,
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.92",
    "1.2.840.10008.1.2.4.201",
]


def _table(*offsets: int) -> bytes:
    return pack(f"<{len(offsets)}I", *offsets)


def _frames(
    syntax: str,
    count: int,
    fragments: list[bytes],
    *,
    table: bytes = b"",
    extended: tuple[int, ...] = (),
    wanted: list[int] | None = None,
) -> dict[int, bytes]:
    frames = EncapsulatedFrames(get_transfer_syntax(syntax), count, wanted or range(1, count + 1), extended)
    events: list[FrameEvent] = []
    for index, fragment in enumerate([table, *fragments]):
        events += frames.start_fragment(FragmentStart(index, len(fragment)))
        for start in range(0, len(fragment), 3):
            events += frames.take(FragmentChunk(fragment[start : start + 3]))
        events += frames.end_fragment()
        if frames.is_complete:
            break
    if not frames.is_complete:
        events += frames.finish()
    found: dict[int, bytes] = {}
    number = 0
    for event in events:
        match event:
            case FrameStart():
                number = event.number
                found[number] = b""
            case FrameChunk():
                found[number] += event.data
            case FrameEnd():
                number = 0
    assert number == 0
    return found


def test_single_frame_has_all_fragments() -> None:
    assert _frames(_JPEG, 1, [b"ab" + _EOI, b"cd", b"ef"]) == {1: b"ab" + _EOI + b"cdef"}
    assert _frames(_RLE, 1, [b"ab", b"cd"], table=_table(0, 10)) == {1: b"abcd"}


def test_one_fragment_a_frame() -> None:
    assert _frames(_RLE, 3, [b"ab", b"cd", b"ef"]) == {1: b"ab", 2: b"cd", 3: b"ef"}
    assert _frames(_RLE, 3, [b"ab", b"cd", b"ef"], wanted=[2]) == {2: b"cd"}


@pytest.mark.parametrize("syntax", _MARKED)
@pytest.mark.parametrize("padding", [b"", b"\0", b"\xff", b"\0\0\0"])
def test_end_of_image_marker(syntax: str, padding: bytes) -> None:
    end = _EOI + padding
    fragments = [b"ab", b"cdefgh" + end, b"ij" + end, b"kl", b"", b"mn" + end]
    assert _frames(syntax, 3, fragments) == {1: b"abcdefgh" + end, 2: b"ij" + end, 3: b"klmn" + end}


def test_marker_split_between_pieces_of_a_fragment() -> None:
    assert _frames(_JPEG, 2, [b"ab" + _EOI, b"c" + _EOI]) == {1: b"ab" + _EOI, 2: b"c" + _EOI}


def test_marker_split_between_fragments_is_none() -> None:
    with pytest.raises(DecodeError, match="frame 1 of 2"):
        _frames(_JPEG, 2, [b"ab\xff", b"\xd9"])


def test_last_frame_ends_with_the_pixel_data_even_without_marker() -> None:
    assert _frames(_JPEG, 2, [b"ab" + _EOI, b"cd"]) == {1: b"ab" + _EOI, 2: b"cd"}


def test_basic_offset_table() -> None:
    fragments = [b"ab", b"cd", b"ef", b"gh", b"ij"]
    expected = {1: b"abcd", 2: b"ef", 3: b"ghij"}
    assert _frames(_JPEG, 3, fragments, table=_table(0, 20, 30)) == expected
    assert _frames(_JPEG, 3, fragments, table=_table(0, 20, 30), wanted=[2]) == {2: b"ef"}


def test_extended_offset_table_comes_first() -> None:
    fragments = [b"ab", b"cd", b"ef"]
    assert _frames(_JPEG, 2, fragments, table=_table(0, 10), extended=(0, 20)) == {1: b"abcd", 2: b"ef"}


@pytest.mark.parametrize(
    "table",
    [
        _table(0),
        _table(0, 10, 20),
        _table(8, 10),
        _table(0, 0),
        _table(10, 0),
        _table(0, 10)[:-1],
    ],
)
def test_implausible_table_is_left_aside(table: bytes) -> None:
    assert _frames(_RLE, 2, [b"ab", b"cd"], table=table) == {1: b"ab", 2: b"cd"}
    assert _frames(_JPEG, 2, [b"ab", b"cd" + _EOI, b"ef" + _EOI], table=table) == {1: b"abcd" + _EOI, 2: b"ef" + _EOI}


def test_offsets_counted_without_item_headers() -> None:
    fragments = [bytes(20), bytes(20), bytes(20)]
    assert _frames(_JPEG, 3, fragments, table=_table(0, 20, 40)) == dict.fromkeys((1, 2, 3), bytes(20))


def test_table_that_puts_two_frames_into_one_fragment() -> None:
    with pytest.raises(DecodeError, match="disagree"):
        _frames(_JPEG, 3, [bytes(20), bytes(20)], table=_table(0, 4, 8))


def test_table_beyond_the_pixel_data() -> None:
    with pytest.raises(DecodeError, match="frame 1 of 2"):
        _frames(_JPEG, 2, [b"ab", b"cd"], table=_table(0, 1000))


def test_frames_that_do_not_come() -> None:
    with pytest.raises(DecodeError, match="frame 3 of 3"):
        _frames(_RLE, 3, [b"ab", b"cd"])
    with pytest.raises(DecodeError, match="frame 2 of 3"):
        _frames(_RLE, 3, [b"ab"], wanted=[2, 3])
    with pytest.raises(DecodeError, match="frame 1 of 1"):
        _frames(_RLE, 1, [])


def test_fragments_after_the_last_frame_are_ignored() -> None:
    frames = EncapsulatedFrames(get_transfer_syntax(_RLE), 2, [2], ())
    events: list[FrameEvent] = []
    for index in range(5):
        events += frames.start_fragment(FragmentStart(index, 2))
        events += frames.take(FragmentChunk(b"ab")) + frames.end_fragment()
    assert events == [FrameStart(2), FrameChunk(b"ab"), FrameEnd()]
    assert frames.finish() == []


def test_overlong_table_is_not_kept() -> None:
    frames = EncapsulatedFrames(get_transfer_syntax(_RLE), 2, [1], ())
    frames.start_fragment(FragmentStart(0, 1 << 30))
    chunk = bytes(1 << 20)
    for _ in range(64):
        frames.take(FragmentChunk(chunk))
    assert frames._table is not None
    assert len(frames._table) <= MAX_OFFSET_TABLE + len(chunk)
    assert frames.end_fragment() == []


def test_read_offsets() -> None:
    assert read_offsets(pack("<II", 0, 7) + b"\1", 4) == (0, 7)
    assert read_offsets(pack("<QQ", 0, 2**40), 8) == (0, 2**40)
    assert read_offsets(b"", 8) == ()


MPEG2, FRAGMENTABLE = "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.100.1"


@pytest.mark.parametrize(
    ("syntax", "count", "table", "expected"),
    [
        (_RLE, 2, b"", [4, 6]),  # one fragment a frame
        (_JPEG, 2, _table(0, 12), [4, None]),  # the table says where the second begins, not where it ends
        (_JPEG, 2, _table(0, 100), [None]),  # more fragments may follow
        (_JPEG, 2, b"", [None]),
        (_JPEG, 1, b"", [None]),
        (MPEG2, 1, b"", [4]),  # the syntax allows one fragment only
        (FRAGMENTABLE, 1, b"", [None]),
    ],
)
def test_lengths_that_are_known_at_the_first_fragment(
    syntax: str, count: int, table: bytes, expected: list[int | None]
) -> None:
    frames = EncapsulatedFrames(get_transfer_syntax(syntax), count, range(1, count + 1), ())
    events: list[FrameEvent] = []
    for index, fragment in enumerate([table, b"abcd", b"abcdef"]):
        events += frames.start_fragment(FragmentStart(index, len(fragment)))
        if fragment:
            frames.take(FragmentChunk(fragment))
        frames.end_fragment()
    assert [event.length for event in events if isinstance(event, FrameStart)] == expected
