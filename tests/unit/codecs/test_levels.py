"""What one level of a data set knows."""

from __future__ import annotations

import pytest

from gateway.codecs.levels import PIXEL_REPRESENTATION, UNBOUNDED, Kind, Level, is_letters, is_noted


def open_data_set(*, explicit: bool = False) -> Level:
    return Level(Kind.DATA_SET, UNBOUNDED, explicit=explicit, little=True, detects=True)


@pytest.mark.parametrize(
    ("said", "raw_vr", "found"),
    [
        (True, b"CS", True),
        (False, b"CS", True),
        (False, b"OB", True),
        (True, b"\x04\x00", False),
        (False, b"\x04\x00", False),
        (True, b"ZZ", True),
        (False, b"ZZ", False),
        (True, b"cs", False),
    ],
)
def test_the_first_element_says_whether_vrs_are_written(said: bool, raw_vr: bytes, found: bool) -> None:
    level = open_data_set(explicit=said)
    level.detect_vr_encoding(raw_vr)
    assert level.explicit is found


def test_letters() -> None:
    assert is_letters(b"AZ")
    assert not any(is_letters(raw) for raw in (b"A\0", b"\0A", b"Az", b"@A", b"[A", b"A?"))


@pytest.mark.parametrize(
    ("tag", "noted"),
    [
        (PIXEL_REPRESENTATION, True),
        (0x00283002, True),
        (0x00090010, True),
        (0x000900FF, True),
        (0x0009000F, False),
        (0x00090100, False),
        (0x00080010, False),
    ],
)
def test_what_is_noted(tag: int, noted: bool) -> None:
    assert is_noted(tag) is noted


def test_notes_decide_later_vrs() -> None:
    level = open_data_set()
    assert (level.find_implicit_vr(0x00280106), level.find_implicit_vr(0x00091000)) == ("US", "UN")
    level.note(PIXEL_REPRESENTATION, b"\1\0")
    level.note(0x00283002, b"\1\0\0\0\x08\0")
    level.note(0x00090010, b"ACUSON\0 ")
    assert level.find_implicit_vr(0x00280106) == "SS"
    assert level.find_implicit_vr(0x00283006) == "US"
    assert level.find_implicit_vr(0x00091000) == "IS"
    assert level.find_implicit_vr(0x00091100) == "UN"


def test_creators_beyond_the_limit_are_forgotten() -> None:
    level = open_data_set()
    tags = [group << 16 | block for group in range(0x0009, 0x0019, 2) for block in range(0x10, 0x100)]
    for tag in tags:
        level.note(tag, b"ACUSON")
    assert level.find_implicit_vr(0x00091000) == "IS"
    last = tags[-1]
    assert level.find_implicit_vr(last & 0xFFFF0000 | (last & 0xFF) << 8) == "UN"
