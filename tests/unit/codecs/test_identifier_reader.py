"""Identifiers read with what repeats remembered: the same as the general reader, value for value, whatever comes."""

from __future__ import annotations

from collections.abc import Callable
from struct import pack
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.codecs import identifier_reader
from gateway.codecs.dicom_json import read_data_set
from gateway.codecs.identifier_reader import IdentifierReader
from gateway.codecs.transfer_syntax import DEFLATED, EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE
from gateway.codecs.value_representations import LONG_VRS
from gateway.errors import DecodeError

SYNTAXES = (EXPLICIT_VR_LE, IMPLICIT_VR_LE)
CHARACTER_SETS = (
    "",
    "ISO_IR 100",
    "ISO_IR 192",
    "\\ISO 2022 IR 87",
    "GB18030",
    "ISO_IR 999",
    "ISO_IR 13\\ISO 2022 IR 87",
)
DEFAULTS = ("ISO_IR 6", "ISO_IR 192", "ISO_IR 100")
# tags with the VR of the dictionary; some of each kind that an answer holds, and some odd ones
TAGS = {
    0x00080001: "UL",
    0x00080018: "UI",
    0x00080020: "DA",
    0x00080050: "SH",
    0x00080056: "CS",
    0x00080061: "CS",
    0x00081030: "LO",
    0x00081190: "UR",
    0x00090010: "LO",
    0x00091001: "DS",
    0x00100000: "UL",
    0x00100010: "PN",
    0x00101020: "DS",
    0x00201208: "IS",
    0x00280010: "US",
    0x00280103: "US",
    0x00280106: "SS",
    0x00281052: "DS",
    0x00282110: "CS",
    0x0040A730: "SQ",
    0x0040DB73: "UL",
    0x00420011: "OB",
    0x00720078: "UL",
    0x0074100A: "UR",
    0x00760001: "UN",
}

texts = st.one_of(
    st.sampled_from(
        [b"", b" ", b"\0", b"1.2.3\0", b"CT\\MR ", b"20260102", b"Doe^John=\xe5\xb1\xb1=x", b"-7 ", b"1e400"]
    ),
    st.sampled_from([b"\x1b$B;3\x1b(B^a", b"\xc4\xe4 ", b"\xff\xfe", b"\\", b"a\\\\b ", b"12345678901234567890"]),
    st.binary(max_size=12),
)


def element(tag: int, vr: str, value: bytes, syntax: str) -> bytes:
    head = pack("<HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT_VR_LE:
        return head + pack("<I", len(value)) + value
    if vr.encode() in LONG_VRS:
        return head + pack("<2sHI", vr.encode(), 0, len(value)) + value
    return head + pack("<2sH", vr.encode(), len(value)) + value


def write(elements: dict[int, bytes], syntax: str, **others: Any) -> bytes:
    vrs = others.get("vrs", TAGS)
    return b"".join(element(tag, vrs.get(tag, "CS"), value, syntax) for tag, value in sorted(elements.items()))


@st.composite
def answers(draw: Any) -> tuple[str, str, list[bytes]]:
    """Answers to one query: some elements common to all, some of their own, a sequence, perhaps another set."""
    syntax = draw(st.sampled_from(SYNTAXES))
    plain = st.sampled_from([tag for tag, vr in TAGS.items() if vr != "SQ"])
    common = draw(st.dictionaries(plain, texts, max_size=8))
    written = []
    for _ in range(draw(st.integers(1, 4))):
        own = {**common, **draw(st.dictionaries(plain, texts, max_size=3))}
        if draw(st.booleans()):
            own[0x00080005] = draw(st.sampled_from(CHARACTER_SETS)).encode()
        if draw(st.booleans()):
            item = write(draw(st.dictionaries(plain, texts, max_size=3)), syntax)
            items = pack("<HHI", 0xFFFE, 0xE000, len(item)) + item
            own[0x0040A730] = items * draw(st.integers(0, 2))
        written.append(write(own, syntax))
    return syntax, draw(st.sampled_from(DEFAULTS)), written


def outcome(read: Callable[[], Any]) -> Any:
    try:
        return list(read().items())
    except DecodeError as failure:
        return str(failure)


def assert_same(syntax: str, default: str, written: list[bytes]) -> None:
    reader = IdentifierReader(syntax, default)
    for data in (*written, *written):  # the second time from what is remembered
        expected = outcome(lambda data=data: read_data_set(data, syntax, default))  # type: ignore[misc]
        assert outcome(lambda data=data: reader.read(data)) == expected  # type: ignore[misc]


@given(answers())
def test_the_same_as_the_general_reader(case: tuple[str, str, list[bytes]]) -> None:
    assert_same(*case)


@given(answers(), st.data())
def test_the_same_when_damaged(case: tuple[str, str, list[bytes]], data: Any) -> None:
    syntax, default, written = case
    damaged = bytearray(written[0] or b"\0")
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    assert_same(
        syntax, default, [written[0], bytes(damaged), bytes(damaged[: data.draw(st.integers(0, len(damaged)))])]
    )


@given(st.sampled_from((*SYNTAXES, EXPLICIT_VR_BE, DEFLATED)), st.binary(max_size=60))
@example(EXPLICIT_VR_LE, b"\x08\0\x05\0CS\xff\xffISO")
def test_the_same_for_garbage(syntax: str, garbage: bytes) -> None:
    assert_same(syntax, "ISO_IR 6", [garbage])


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    "elements",
    [
        {0x00080016: b"1", 0x00020010: b"1.2"},
        {0x00080018: b"1.2", 0xFFFCFFFC: b"\0\0"},
        {0x00280103: b"\1\0", 0x00280106: b"\xff\xff"},
        {0x00090010: b"ACME 1.1", 0x00091001: b"12"},
        {0x00080018: b"1.2" + b"3" * 400},
        {0x0040A730: b"nothing of items"},
        {0x0040A730: b"\xfe\xff\x00\xe0\xff\xff\xff\xff\xfe\xff\x0d\xe0\0\0\0\0"},
    ],
)
def test_the_same_for_what_is_odd(syntax: str, elements: dict[int, bytes]) -> None:
    assert_same(syntax, "ISO_IR 6", [write(elements, syntax)])


@pytest.mark.parametrize("other", SYNTAXES)
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_same_where_another_syntax_was_promised(syntax: str, other: str) -> None:
    assert_same(syntax, "ISO_IR 6", [write({0x00080020: b"20260102", 0x00100010: b"Doe^J "}, other)])


def test_the_same_text_in_another_character_set_is_another_value() -> None:
    reader = IdentifierReader(EXPLICIT_VR_LE)
    names = []
    for character_set in (b"ISO_IR 100", b"ISO_IR 192", b"ISO_IR 100"):
        model = reader.read(write({0x00080005: character_set, 0x00100010: b"\xc3\xa4"}, EXPLICIT_VR_LE))
        names.append(model["00100010"]["Value"][0]["Alphabetic"])
    assert names == ["Ã¤", "ä", "Ã¤"]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_plain_answers_are_read_without_the_general_reader(syntax: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write({0x00080018: b"1.2\0", 0x00080050: b"", 0x0040A730: b"", 0x00280010: b"\0\2"}, syntax)
    expected = read_data_set(data, syntax)
    monkeypatch.setattr(identifier_reader, "read_data_set", None)
    reader = IdentifierReader(syntax)
    first, second = reader.read(data), reader.read(data)
    assert first == second == expected
    assert first["00080018"] is second["00080018"], "decoded once"


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identifier_reader, "_MAX_REMEMBERED", 3)
    reader = IdentifierReader(EXPLICIT_VR_LE)
    written = [write({0x00080018: f"1.{number}".encode()}, EXPLICIT_VR_LE) for number in range(10)]
    assert [reader.read(data) for data in written] == [read_data_set(data, EXPLICIT_VR_LE) for data in written]
    assert sum(map(len, reader._remembered.values())) == 3
