"""The scanner of heads against the samples: UIDs as pydicom reads them, and where a data set may end."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs.head_scanner import UID_NAMES, HeadScanner
from gateway.codecs.scanner import Scanner
from gateway.errors import DecodeError


def test_a_data_set_may_end_between_elements_only() -> None:
    explicit = "1.2.840.10008.1.2.1"
    element = b"\x08\0\x60\0CS\x02\0CT"
    for size in range(len(element) + 1):
        scanner = HeadScanner(explicit, max_inflated=1_000)
        scanner.feed(element[:size])
        if size in (0, len(element)):
            scanner.finish()
        else:
            with pytest.raises(DecodeError):
                scanner.finish()


# --- several elements at a time, beside one at a time ---


class PlainScanner(HeadScanner):
    """The same without its shortcut."""

    _read_whole = Scanner._read_whole


def scan(kind: type[HeadScanner], syntax: str, pieces: list[bytes]) -> tuple[object, ...]:
    """UIDs found, and how it ended: with what reason, where."""
    scanner = kind(syntax, max_inflated=1_000)
    try:
        for piece in pieces:
            scanner.feed(piece)
        scanner.finish()
    except DecodeError as error:
        return scanner.uids, error.reason, error.offset, error.path
    return scanner.uids, scanner.is_complete


VALUES = st.binary(max_size=12).map(lambda value: value + b" " * (len(value) % 2))
TAGS = st.sampled_from([*UID_NAMES, 0x00080060, 0x00090010, 0x00091001, 0x00280103, 0x00283002, 0x00283006, 0x00400275])


@st.composite
def write_elements(draw: st.DrawFn, depth: int = 0) -> bytes:
    out = b""
    for tag in sorted(draw(st.lists(TAGS, max_size=8, unique=True))):
        place, kind = pack("<HH", tag >> 16, tag & 0xFFFF), draw(st.sampled_from(["short", "long", "SQ", "implicit"]))
        value = b"1.2.3.44" if tag in UID_NAMES else draw(VALUES)
        if kind == "SQ" and depth < 2:
            item = draw(write_elements(depth + 1))
            out += place + b"SQ\0\0" + pack("<I", len(item) + 8) + b"\xfe\xff\x00\xe0" + pack("<I", len(item)) + item
        elif kind == "long":
            out += place + b"OB\0\0" + pack("<I", len(value)) + value
        elif kind == "implicit":
            out += place + pack("<I", len(value)) + value
        else:
            out += place + draw(st.sampled_from([b"UI", b"LO", b"US", b"AT"])) + pack("<H", len(value)) + value
    return out


@given(st.data())
def test_the_same_as_one_element_at_a_time(data: st.DataObject) -> None:
    whole = data.draw(write_elements())
    syntax = data.draw(st.sampled_from(["1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"]))
    for place in data.draw(st.lists(st.integers(0, max(len(whole) - 1, 0)), max_size=3)):
        whole = whole[:place] + data.draw(st.binary(min_size=1, max_size=2)) + whole[place + 1 :]
    cuts = sorted({0, len(whole), *data.draw(st.lists(st.integers(0, len(whole)), max_size=4))})
    pieces = [whole[start:stop] for start, stop in zip(cuts, cuts[1:], strict=False)]
    assert scan(HeadScanner, syntax, pieces) == scan(PlainScanner, syntax, pieces)


def test_a_delimiter_is_none_of_the_elements_passed_over() -> None:
    uids = b"".join(
        pack("<HH", tag >> 16, tag & 0xFFFF) + b"UI" + pack("<H", 8) + b"1.2.3.44" for tag in sorted(UID_NAMES)
    )
    for number in (0xE000, 0xE00D, 0xE0DD):
        odd = uids + pack("<HH", 0xFFFE, number) + b"LO" + pack("<H", 300) + bytes(300)
        explicit = "1.2.840.10008.1.2.1"
        assert scan(HeadScanner, explicit, [odd]) == scan(PlainScanner, explicit, [odd])
