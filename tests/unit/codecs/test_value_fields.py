"""Values to value fields: every VR, the forms that peers send, and what is refused."""

from __future__ import annotations

import struct
from base64 import b64encode, urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs.json_values import INLINE_VRS, read_value
from gateway.codecs.value_fields import KNOWN_VRS, encode_inline, encode_values, pad_value

WRITTEN = [
    ("AE", ["GATEWAY"], b"GATEWAY "),
    ("AS", ["042Y"], b"042Y"),
    ("AT", ["00280009", "7fe00010"], b"\x28\0\x09\0\xe0\x7f\x10\0"),
    ("CS", ["MPG", None, "XR3"], b"MPG\\\\XR3"),
    ("CS", [None, None], b"\\ "),
    ("DA", ["20240105", "1999.12.31"], b"20240105\\1999.12.31 "),
    ("DS", [40, "80.50", -0.5, 1e-20, 0.1234567890123456789], b"40\\80.50\\-0.5\\1e-20\\0.12345678901235"),
    ("DS", [" 1.5 "], b" 1.5"),
    ("DT", ["20240105101500.5+0100"], b"20240105101500.5+0100 "),
    ("FD", [0.1, "NaN"], struct.pack("<dd", 0.1, float("nan"))),
    ("FL", [1.5, "-Infinity", "2e3"], struct.pack("<fff", 1.5, float("-inf"), 2000)),
    ("IS", [4, "007", 12.0, None], b"4\\007\\12\\ "),
    ("LO", ["Müller", "a"], "Müller\\a ".encode()),
    ("LT", ["two\r\nlines \\ x"], b"two\r\nlines \\ x"),
    ("PN", [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}, None], "Yamada^Tarou=山田^太郎\\ ".encode()),
    ("PN", [{"Phonetic": "x"}], b"==x "),
    ("SH", ["a"], b"a "),
    ("SL", [-1], b"\xff\xff\xff\xff"),
    ("SS", ["-2", 3.0], b"\xfe\xff\x03\0"),
    ("SV", ["-9223372036854775808"], b"\0\0\0\0\0\0\0\x80"),
    ("TM", ["101500.25"], b"101500.25 "),
    ("UC", ["x", "y"], b"x\\y "),
    ("UI", ["1.2.3", "1.2\0"], b"1.2.3\\1.2\0"),
    ("UL", [2**32 - 1], b"\xff\xff\xff\xff"),
    ("UR", ["https://h/a?b=c"], b"https://h/a?b=c "),
    ("US", [512, 7], b"\0\2\x07\0"),
    ("UT", ["x" * 70000], b"x" * 70000),
    ("UV", ["18446744073709551615"], b"\xff" * 8),
    *((vr, values, b"") for vr in ("LO", "US", "PN", "UI", "LT", "AT") for values in ([], [None], [""], [{}])),
]


@pytest.mark.parametrize(("vr", "values", "expected"), WRITTEN)
def test_values_are_written(vr: str, values: list[Any], expected: bytes) -> None:
    written = encode_values(vr, values, "utf-8")
    assert len(written) % 2 == 0
    assert written == (expected if len(expected) % 2 == 0 else expected + b" ")


REFUSED = [
    ("AE", ["a\\b"]),
    ("AS", ["42"]),
    ("AT", ["0028"]),
    ("AT", [2621449]),
    ("CS", ["Ä"]),
    ("CS", ["A\x1b"]),
    ("DA", ["2024-01-05"]),
    ("DS", ["N/A"]),
    ("DS", [True]),
    ("DS", [float("inf")]),
    ("DT", ["now"]),
    ("FD", ["many"]),
    ("FD", [None, 1.0]),
    ("FL", [1e300]),
    ("FL", [True]),
    ("IS", ["1.5"]),
    ("IS", [1.5]),
    ("IS", [10**12]),
    ("LO", [5]),
    ("LO", ["a\nb"]),
    ("LT", ["a", "b"]),
    ("LT", ["\x1b"]),
    ("PN", ["Doe^Jane"]),
    ("PN", [{"Alphabetic": "a=b"}]),
    ("PN", [{"Alphabetic": 5}]),
    ("PN", [{"Latin": "a"}]),
    ("SL", [2**31]),
    ("TM", ["noon"]),
    ("UI", ["1.2.x"]),
    ("UI", [12]),
    ("UR", ["http://ä"]),
    ("US", [-1]),
    ("US", [1.5]),
    ("US", ["١"]),
    ("US", [{}, 1]),
    ("US", [True]),
]


@pytest.mark.parametrize(("vr", "values"), REFUSED)
def test_values_that_the_vr_does_not_have_are_refused(vr: str, values: list[Any]) -> None:
    with pytest.raises(ValueError) as caught:
        encode_values(vr, values, "utf-8")
    assert not isinstance(caught.value, UnicodeEncodeError)


def test_text_that_the_codec_does_not_have_is_told_apart() -> None:
    with pytest.raises(UnicodeEncodeError):
        encode_values("LO", ["山"], "latin_1")


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.dictionaries(st.sampled_from(["Alphabetic", "Ideographic", "x"]), st.one_of(st.text(max_size=5), st.none())),
    st.lists(st.integers(), max_size=2),
)


@given(st.sampled_from(sorted(KNOWN_VRS - INLINE_VRS - {"SQ"})), st.lists(_VALUES, max_size=3))
def test_any_value_is_written_or_refused(vr: str, values: list[Any]) -> None:
    try:
        written = encode_values(vr, values, "utf-8")
    except ValueError:
        return
    again = read_value(vr, written, ("utf-8",)).get("Value", [])
    assert pad_value(vr, encode_values(vr, again, "utf-8")).rstrip(b" \0\\") == written.rstrip(b" \0\\") or vr in (
        "DS",  # a number that JSON has is written in its shortest form
        "IS",
        "FL",
        "FD",
    )


@given(st.binary(max_size=50))
def test_base64_of_both_alphabets(data: bytes) -> None:
    for text in (b64encode(data).decode(), urlsafe_b64encode(data).decode()):
        assert encode_inline(text) == encode_inline(text.rstrip("=")) == data


@pytest.mark.parametrize("text", ["A", "?", "AA EC", "Ä", 5, None, "A=BC"])
def test_what_is_no_base64_is_refused(text: Any) -> None:
    with pytest.raises(ValueError):
        encode_inline(text)


def test_padding() -> None:
    assert [pad_value(vr, b"abc") for vr in ("OB", "UI", "US", "LT")] == [b"abc\0"] * 3 + [b"abc "]
    assert pad_value("OB", b"ab") == b"ab"
