"""VR tables against pydicom's, implicit VRs by dictionary, and byte swapping."""

from __future__ import annotations

import pytest
from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

from gateway.codecs.value_representations import (
    LONG_VRS,
    SHORT_VRS,
    WORD_SIZES,
    choose_ambiguous_vr,
    look_up_vr,
    swap_words,
)


def test_every_vr_has_a_length_field_of_the_size_pydicom_says() -> None:
    assert set(SHORT_VRS.values()) == set(EXPLICIT_VR_LENGTH_16)
    assert set(LONG_VRS.values()) == set(EXPLICIT_VR_LENGTH_32)
    assert all(raw.decode() == vr for raw, vr in (SHORT_VRS | LONG_VRS).items())
    assert set(WORD_SIZES) <= set((SHORT_VRS | LONG_VRS).values())


@pytest.mark.parametrize(
    ("tag", "creator", "vr"),
    [
        (0x00100010, None, "PN"),
        (0x00090000, None, "UL"),
        (0x00100000, None, "UL"),
        (0x60020010, None, "US"),
        (0x60013000, None, "UN"),
        (0x00100002, None, "UN"),
        (0xFFFEE000, None, "UN"),
        (0x00280106, None, "US or SS"),
        (0x00090010, None, "LO"),
        (0x000900FF, "ACUSON", "LO"),
        (0x00091000, None, "UN"),
        (0x00091000, "ACUSON", "IS"),
        (0x00095500, "ACUSON", "IS"),
        (0x000910FF, "ACUSON", "UN"),
        (0x00091000, "NOBODY", "UN"),
    ],
)
def test_vr_by_dictionary(tag: int, creator: str | None, vr: str) -> None:
    assert look_up_vr(tag, creator) == vr


def test_every_private_vr_is_two_letters_or_ambiguous() -> None:
    from pydicom._private_dict import private_dictionaries

    found = set()
    for creator, entries in private_dictionaries.items():
        for key in entries:
            vr = look_up_vr(int(key.replace("x", "1"), 16), creator)
            found.add(vr)
    assert found - set((SHORT_VRS | LONG_VRS).values()) <= {"US or SS", "OB or OW"}
    assert "OB or OW" in found


@pytest.mark.parametrize(
    ("vr", "tag", "pixel_representation", "lut_entries", "chosen"),
    [
        ("US or SS", 0x00280106, None, None, "US"),
        ("US or SS", 0x00280106, 0, None, "US"),
        ("US or SS", 0x00280106, 1, None, "SS"),
        ("OB or OW", 0x7FE00010, 1, None, "OW"),
        ("OB or OW", 0x60003000, None, None, "OW"),
        ("OB or OW", 0x54001010, None, None, "OW"),
        ("US or OW", 0x00283006, None, None, "OW"),
        ("US or OW", 0x00283006, None, 1, "US"),
        ("US or OW", 0x00283006, None, 256, "OW"),
        ("US or SS or OW", 0x00281200, 1, 1, "OW"),
    ],
)
def test_ambiguous_vrs(
    vr: str, tag: int, pixel_representation: int | None, lut_entries: int | None, chosen: str
) -> None:
    assert choose_ambiguous_vr(vr, tag, pixel_representation=pixel_representation, lut_entries=lut_entries) == chosen


@pytest.mark.parametrize(("size", "swapped"), [(2, b"1032547698A"), (4, b"3210765498A"), (8, b"7654321098A")])
def test_words_are_swapped_and_a_rest_stays(size: int, swapped: bytes) -> None:
    whole = 10 - 10 % size
    assert swap_words(b"0123456789A", size) == swapped[:whole] + b"0123456789A"[whole:]
    assert swap_words(memoryview(b"0123456789A"), size) == swap_words(b"0123456789A", size)
    assert swap_words(b"", size) == b""
