"""Specific Character Set: defined terms, code extensions, and text that is wrong (PS3.5 §6.1.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import CODES_TO_ENCODINGS, python_encoding

from gateway.codecs.charset import decode_text, find_encodings


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", ("iso8859",)),
        ("ISO_IR 100", ("latin_1",)),
        ("ISO_IR 192 ", ("UTF8",)),
        ("\\ISO 2022 IR 87", ("iso8859", "iso2022_jp")),
        ("ISO 2022 IR 13\\ISO 2022 IR 87", ("shift_jis", "iso2022_jp")),
        ("ISO_IR 192\\ISO 2022 IR 87", ("UTF8",)),
        ("ISO 2022 IR 100\\GB18030", ("latin_1",)),
        ("ISO-IR 100", ("latin_1",)),
        ("ISO IR 192", ("UTF8",)),
        ("iso_ir 144", ("iso_ir_144",)),
        ("ISO 2022-IR-149", ("euc_kr",)),
        ("ISO_IR 4711", ("iso8859",)),
        ("zlib", ("iso8859",)),
        ("rot13\\hex", ("iso8859", "iso8859")),
    ],
)
def test_terms_to_codecs(value: str, expected: tuple[str, ...]) -> None:
    assert find_encodings(value) == expected


def test_default_of_the_backend_applies_where_the_first_term_is_empty() -> None:
    assert find_encodings("", "ISO_IR 192") == ("UTF8",)
    assert find_encodings("\\ISO 2022 IR 87", "ISO_IR 100") == ("latin_1", "iso2022_jp")
    assert find_encodings("ISO_IR 144", "ISO_IR 192") == ("iso_ir_144",)


@pytest.mark.parametrize(
    ("raw", "character_set", "expected"),
    [
        # the examples of PS3.5 Annexes H, I, J, K
        (
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            "\\ISO 2022 IR 87",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        (
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
            "ISO 2022 IR 13\\ISO 2022 IR 87",
            "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
        ),
        (
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7",
            "\\ISO 2022 IR 149",
            "Hong^Gildong=洪^吉洞",
        ),
        (b"Wang^XiaoDong=\x1b$)A\xcd\xf5^\x1b$)A\xd0\xa1\xb6\xab=", "\\ISO 2022 IR 58", "Wang^XiaoDong=王^小东="),
        ("Wang^XiaoDong=王^小東".encode(), "ISO_IR 192", "Wang^XiaoDong=王^小東"),
        ("Wang^XiaoDong=王^小东".encode("gb18030"), "GB18030", "Wang^XiaoDong=王^小东"),
        # not designated again after the delimiter: the initial set has no such bytes
        (b"\x1b$)C\xfb\xf3^\xd1\xce\xd4\xd7", "\\ISO 2022 IR 149", "洪^吉洞"),
        # Greek until the delimiter, then Latin-1 again
        (b"\x1b-F\xc4^\xc4", "ISO 2022 IR 100\\ISO 2022 IR 126", "Δ^Ä"),
        (b"\x1b-F\xc4\\\xc4", "ISO 2022 IR 100\\ISO 2022 IR 126", "Δ\\Ä"),
        (b"\x1b-F\xc4\x1b-A\xc4", "ISO 2022 IR 100\\ISO 2022 IR 126", "ΔÄ"),
        (b"\x1b-F\xc4", "ISO 2022 IR 100\\ISO 2022 IR 126", "Δ"),
        # a set that was not announced, an escape that does not exist
        (b"a\x1b-F\xc4", "ISO_IR 100", "a\x1b-FÄ"),
        (b"\x1b%Zx", "ISO_IR 192", "\x1b%Zx"),
        (b"\xff\xfe", "ISO_IR 192", "��"),
    ],
)
def test_person_names(raw: bytes, character_set: str, expected: str) -> None:
    assert decode_text(raw, "PN", find_encodings(character_set)) == expected


def test_caret_resets_nothing_outside_names() -> None:
    encodings = find_encodings("ISO 2022 IR 100\\ISO 2022 IR 126")
    assert decode_text(b"\x1b-F\xc4^\xc4", "LO", encodings) == "Δ^Δ"
    assert decode_text(b"\x1b-F\xc4\r\n\xc4", "LT", encodings) == "Δ\r\nÄ"


@pytest.mark.parametrize("codec", ["gb18030", "gbk", "shift_jis"])
def test_5c_inside_a_character_is_no_delimiter(codec: str) -> None:
    term = {"gb18030": "GB18030", "gbk": "GBK", "shift_jis": "ISO_IR 13"}[codec]
    text = {"gb18030": "誠", "gbk": "誠", "shift_jis": "表"}[codec]
    raw = f"{text}\\b".encode(codec)
    assert raw.count(b"\\") == 2
    assert decode_text(raw, "LO", find_encodings(term)).split("\\") == [text, "b"]


def test_other_vrs_are_not_touched_by_the_character_set() -> None:
    assert decode_text(b"Z\xfcrich", "CS", ("UTF8",)) == "Zürich"


_RAW = st.lists(st.one_of(st.binary(max_size=6), st.sampled_from(sorted(CODES_TO_ENCODINGS)))).map(b"".join)
_TERMS = st.lists(st.sampled_from([*python_encoding, "bad"]), max_size=4).map("\\".join)


@given(_RAW, st.sampled_from(["PN", "LO", "LT", "CS"]), _TERMS)
def test_any_bytes_decode(raw: bytes, vr: str, terms: str) -> None:
    text = decode_text(raw, vr, find_encodings(terms))
    text.encode()  # no surrogates
