"""Headers of elements in every way they are written."""

from __future__ import annotations

import pytest

from gateway.codecs.element_headers import Header, find_element_end, read_header, read_tag
from gateway.codecs.levels import UNBOUNDED, Kind, Level
from tests.support.tokens import explicit, implicit


def _level(*, vrs: bool = True, little: bool = True) -> Level:
    return Level(Kind.DATA_SET, UNBOUNDED, explicit=vrs, little=little)


@pytest.mark.parametrize(("order", "little"), [("<", True), (">", False)])
def test_headers_of_every_form(order: str, little: bool) -> None:
    short = explicit(0x00080060, "CS", b"CT", order=order)
    long = explicit(0x00420011, "OB", b"PDF ", order=order)
    bare = implicit(0x00080060, b"CT", order=order)
    level = _level(little=little)
    assert read_tag(short, 0, little=little) == 0x00080060
    assert read_header(0x00080060, short, 0, level) == Header(0x00080060, "CS", 2, 8, implicit=False)
    assert read_header(0x00420011, long, 0, level) == Header(0x00420011, "OB", 4, 12, implicit=False)
    assert read_header(0x00420011, long[:11], 0, level) is None
    expected = Header(0x00080060, "CS", 2, 8, implicit=True)
    assert read_header(0x00080060, bare, 0, _level(vrs=False, little=little)) == expected
    # without a VR among elements with one
    assert read_header(0x00080060, bare, 0, level) == expected


def test_letters_that_are_no_vr_are_un() -> None:
    assert read_header(0x00080060, explicit(0x00080060, "ZZ", b"CT"), 0, _level()) == Header(
        0x00080060, "UN", 2, 8, implicit=False
    )


@pytest.mark.parametrize(("order", "little"), [("<", True), (">", False)])
def test_ends_of_elements(order: str, little: bool) -> None:
    short = explicit(0x00080060, "CS", b"CT", order=order)
    long = explicit(0x00420011, "OB", b"PDF ", order=order)
    bare = implicit(0x00080060, b"CT", order=order)
    for data, vrs in ((short, True), (long, True), (bare, False)):
        assert find_element_end(b"\0\0" + data + b"rest", 2, explicit=vrs, little=little) == 2 + len(data)
    for cut in (long[:11], bare + bytes(4)):
        assert find_element_end(cut, 0, explicit=True, little=little) > len(cut)


def test_undefined_lengths_end_beyond_any_data() -> None:
    assert find_element_end(explicit(0x00081140, "SQ", length=0xFFFFFFFF), 0, explicit=True, little=True) > 1 << 31
    assert find_element_end(implicit(0x00081140, length=0xFFFFFFFF), 0, explicit=False, little=True) > 1 << 31
