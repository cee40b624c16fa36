"""Value fields of each VR to the DICOM JSON Model (PS3.18 §F.2.3 to §F.2.5)."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from struct import pack
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.valuerep import VR

from gateway.codecs.json_values import BULK_VRS, INLINE_VRS, has_unwritable_number, read_value

_LATIN_1 = ("latin_1",)


def _values(vr: str, raw: bytes, encodings: tuple[str, ...] = _LATIN_1) -> Any:
    model = read_value(vr, raw, encodings)
    assert model.pop("vr") == vr
    return model.get("Value")


@pytest.mark.parametrize("vr", sorted({str(vr.value) for vr in VR if len(vr.value) == 2} - {"SQ"}))
def test_empty_values_have_only_their_vr(vr: str) -> None:
    assert read_value(vr, b"", _LATIN_1) == {"vr": vr}


@pytest.mark.parametrize("vr", sorted(INLINE_VRS))
def test_inline_binary(vr: str) -> None:
    assert read_value(vr, b"\1\2\3\xff", _LATIN_1) == {"vr": vr, "InlineBinary": "AQID/w=="}


def test_vr_that_is_not_known() -> None:
    assert read_value("ZZ", b"\1", _LATIN_1) == {"vr": "ZZ", "InlineBinary": "AQ=="}


@pytest.mark.parametrize(
    ("vr", "raw", "expected"),
    [
        ("CS", b"MPG\\\\XR3", ["MPG", None, "XR3"]),
        ("CS", b"ORIGINAL \\PRIMARY ", ["ORIGINAL", "PRIMARY"]),
        ("LO", b" lead\\trail ", [" lead", "trail"]),
        ("LO", b"  ", None),
        ("LO", b"\\", [None, None]),
        ("AE", b" PACS \\ \\B", ["PACS", None, "B"]),
        ("AE", b"  ", None),
        ("UI", b"1.2\\1.3\0", ["1.2", "1.3"]),
        ("LT", b" a\\b\r\n ", [" a\\b\r\n"]),
        ("ST", b"a\\b", ["a\\b"]),
        ("UT", b"a\\b", ["a\\b"]),
        ("UR", b"http://h/a\\b  ", ["http://h/a\\b"]),
        ("ST", b" ", None),
        ("DA", b"2020-01-01", ["2020-01-01"]),
        ("PN", b"Doe^Jane ", [{"Alphabetic": "Doe^Jane"}]),
        ("PN", b"^Bob^^Dr.", [{"Alphabetic": "^Bob^^Dr."}]),
        ("PN", b"a=b=c=d", [{"Alphabetic": "a", "Ideographic": "b", "Phonetic": "c"}]),
        ("PN", b"a==c", [{"Alphabetic": "a", "Phonetic": "c"}]),
        ("PN", b"=b", [{"Ideographic": "b"}]),
        ("PN", b"==", None),
        ("PN", b"a\\\\c", [{"Alphabetic": "a"}, None, {"Alphabetic": "c"}]),
        ("AT", bytes.fromhex("28000900 18006310 FF"), ["00280009", "00181063"]),
        ("AT", bytes(3), None),
        ("US", pack("<HH", 1, 65535), [1, 65535]),
        ("US", b"\1\0\2", [1]),
        ("US", b"\1", None),
        ("SS", pack("<h", -1), [-1]),
        ("UL", pack("<II", 0, 2**32 - 1), [0, 2**32 - 1]),
        ("SL", pack("<i", -(2**31)), [-(2**31)]),
        ("SV", pack("<qq", -(2**53), -(2**53) - 1), [-(2**53), "-9007199254740993"]),
        ("UV", pack("<QQ", 2**53, 2**53 + 1), [2**53, "9007199254740993"]),
        ("FL", pack("<ff", 0.5, -0.0), [0.5, -0.0]),
        ("FD", pack("<d", 0.1), [0.1]),
        ("FD", pack("<ddd", math.nan, math.inf, -math.inf), ["NaN", "Infinity", "-Infinity"]),
        ("FL", pack("<ff", 1, math.inf), [1.0, "Infinity"]),
    ],
)
def test_values(vr: str, raw: bytes, expected: list[Any] | None) -> None:
    assert _values(vr, raw) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("40", 40),
        ("-7", -7),
        ("+1.5", 1.5),
        (" 80.50 ", 80.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("007", 7),
        ("1e-6", 1e-6),
        ("-1.5E+3", -1500.0),
        ("0.1234567890123456", 0.1234567890123456),
        ("1000000000000000000", 1e18),
        # no double has this value
        ("9007199254740993", "9007199254740993"),
        ("0.12345678901234567890", "0.12345678901234567890"),
        ("1e999", "1e999"),
        ("1e-999", "1e-999"),
        ("1e99999", "1e99999"),
        ("1" * 65, "1" * 65),
        # no decimals
        ("N/A", "N/A"),
        ("1,5", "1,5"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("1 2", "1 2"),
        (".", "."),
    ],
)
def test_decimal_strings(text: str, expected: object) -> None:
    (value,) = _values("DS", text.encode())
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12 ", 12),
        ("-0012", -12),
        ("+3", 3),
        ("1.0", 1),
        ("1e3", 1000),
        ("1.5", "1.5"),
        ("1A", "1A"),
        ("9007199254740992", 2**53),
        ("9007199254740993", "9007199254740993"),
        ("99999999999999999999", "99999999999999999999"),
        ("1e60", "1e60"),
    ],
)
def test_integer_strings(text: str, expected: object) -> None:
    (value,) = _values("IS", text.encode())
    assert value == expected
    assert type(value) is type(expected)


def test_empty_numbers_among_several() -> None:
    assert _values("DS", b"1\\\\2") == [1, None, 2]
    assert _values("IS", b"\\5") == [None, 5]
    assert _values("IS", b"  ") is None


def test_character_sets_are_split_after_decoding() -> None:
    assert _values("LO", "誠\\b".encode("gb18030"), ("GB18030",)) == ["誠", "b"]
    assert _values("PN", "表=表\\b".encode("shift_jis"), ("shift_jis",)) == [
        {"Alphabetic": "表", "Ideographic": "表"},
        {"Alphabetic": "b"},
    ]


def test_numbers_that_json_has_no_form_for() -> None:
    assert has_unwritable_number("FL", pack("<ff", 1, math.nan))
    assert has_unwritable_number("FD", pack("<d", math.inf))
    assert not has_unwritable_number("FD", pack("<d", 1))
    assert not has_unwritable_number("US", b"\xff\xff")


def test_vrs_that_may_be_bulk() -> None:
    assert len(BULK_VRS) == 21
    assert not BULK_VRS & {"AE", "AS", "AT", "CS", "DA", "DT", "LO", "PN", "SH", "SQ", "TM", "UI", "UR"}


@given(st.sampled_from(sorted({str(vr.value) for vr in VR if len(vr.value) == 2} - {"SQ"})), st.binary(max_size=40))
def test_any_bytes_give_strict_json(vr: str, raw: bytes) -> None:
    model = read_value(vr, raw, _LATIN_1)
    text = json.dumps(model, allow_nan=False)
    assert orjson.loads(orjson.dumps(model)) == json.loads(text)
    assert len(model) <= 2
    assert model.get("Value") not in ([], [None])


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4).map(str))
def test_numbers_keep_their_value(text: str) -> None:
    (value,) = _values("DS", text.encode())
    assert Decimal(str(value)) == Decimal(text)
