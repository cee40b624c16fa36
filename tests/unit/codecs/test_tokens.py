"""The tokenizer on data sets written by hand, fed whole, one byte at a time and at every split."""

from __future__ import annotations

import struct
import zlib

import pytest

from gateway.codecs.tokens import (
    Element,
    EncapsulatedEnd,
    EncapsulatedStart,
    FragmentChunk,
    FragmentEnd,
    FragmentStart,
    ItemEnd,
    ItemStart,
    SequenceEnd,
    SequenceStart,
    Token,
    Tokenizer,
    ValueChunk,
    ValueEnd,
    ValueStart,
)
from gateway.codecs.transfer_syntax import DEFLATED, EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE
from gateway.errors import DecodeError
from tests.support.tokens import (
    UNDEFINED,
    explicit,
    explicit_header,
    fragment,
    implicit,
    item,
    pieces_of,
    tokenize,
)

ITEM_DELIMITER, SEQUENCE_DELIMITER = implicit(0xFFFEE00D), implicit(0xFFFEE0DD)
PATIENT_ID = explicit(0x00100020, "LO", b"ID")
PATIENT_ID_TOKEN = Element(0x00100020, "LO", b"ID")
RLE, DEFLATED_FRAMES = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.8.1"
ONE_ITEM: list[Token] = [ItemStart(), PATIENT_ID_TOKEN, ItemEnd()]
LONG = bytes(range(256))


def sequence(tag: int, *tokens: Token, vr: str = "SQ") -> list[Token]:
    return [SequenceStart(tag, vr), *tokens, SequenceEnd()]


def passed(tag: int, vr: str, value: bytes) -> list[Token]:
    chunk: list[Token] = [ValueChunk(value)] if value else []
    return [ValueStart(tag, vr, len(value)), *chunk, ValueEnd()]


CASES: dict[str, tuple[str, bytes, list[Token]]] = {
    "nothing": (EXPLICIT_VR_LE, b"", []),
    "explicit, short and long headers": (
        EXPLICIT_VR_LE,
        explicit(0x00080005, "CS", b"ISO_IR 100") + explicit(0x00189810, "US", b"\1\0") + explicit(0x0040A160, "UT"),
        [
            Element(0x00080005, "CS", b"ISO_IR 100"),
            Element(0x00189810, "US", b"\1\0"),
            Element(0x0040A160, "UT", b""),
        ],
    ),
    "a value over the limit is passed on": (
        EXPLICIT_VR_LE,
        explicit(0x7FE00010, "OW", LONG) + explicit(0x7FE10010, "LO", b"X "),
        [*passed(0x7FE00010, "OW", LONG), Element(0x7FE10010, "LO", b"X ")],
    ),
    "odd lengths": (
        EXPLICIT_VR_LE,
        explicit(0x00100020, "LO", b"ODD") + explicit(0x7FE00010, "OB", LONG[:255]),
        [Element(0x00100020, "LO", b"ODD"), *passed(0x7FE00010, "OB", LONG[:255])],
    ),
    "big endian words": (
        EXPLICIT_VR_BE,
        explicit(0x00280010, "US", b"\1\0", order=">")
        + explicit(0x00280009, "AT", b"\0\x18\x10\x63", order=">")
        + explicit(0x00409096, "FD", LONG[:8], order=">")
        + explicit(0x00409210, "SH", b"AB", order=">")
        + explicit(0x00660016, "OF", LONG[:8], order=">")
        + explicit(0x7FE00010, "OW", LONG + b"Z", order=">"),
        [
            Element(0x00280010, "US", b"\0\1"),
            Element(0x00280009, "AT", b"\x18\0\x63\x10"),
            Element(0x00409096, "FD", LONG[7::-1]),
            Element(0x00409210, "SH", b"AB"),
            Element(0x00660016, "OF", LONG[3::-1] + LONG[7:3:-1]),
            *passed(0x7FE00010, "OW", struct.pack("<128H", *struct.unpack(">128H", LONG)) + b"Z"),
        ],
    ),
    "big endian, undefined lengths": (
        EXPLICIT_VR_BE,
        explicit(0x00081115, "SQ", order=">", length=UNDEFINED)
        + item(explicit(0x00100020, "LO", b"ID", order=">"), order=">", undefined=True)
        + implicit(0xFFFEE0DD, order=">"),
        sequence(0x00081115, *ONE_ITEM),
    ),
    "sequences of defined length": (
        EXPLICIT_VR_LE,
        explicit(0x00081115, "SQ", item(PATIENT_ID) + item()) + explicit(0x00081199, "SQ"),
        [*sequence(0x00081115, *ONE_ITEM, ItemStart(), ItemEnd()), *sequence(0x00081199)],
    ),
    "sequences of undefined length, items mixed": (
        EXPLICIT_VR_LE,
        explicit(0x00081115, "SQ", length=UNDEFINED)
        + item(PATIENT_ID, undefined=True)
        + item(explicit(0x00081199, "SQ", item(PATIENT_ID, undefined=True)), undefined=True)
        + item(PATIENT_ID)
        + implicit(0xFFFEE0DD, length=7)
        + PATIENT_ID,
        [
            *sequence(0x00081115, *ONE_ITEM, ItemStart(), *sequence(0x00081199, *ONE_ITEM), ItemEnd(), *ONE_ITEM),
            PATIENT_ID_TOKEN,
        ],
    ),
    "a sequence of undefined length in an item of defined length": (
        EXPLICIT_VR_LE,
        explicit(
            0x00081115, "SQ", item(explicit(0x00081199, "SQ", item(PATIENT_ID) + SEQUENCE_DELIMITER, length=UNDEFINED))
        ),
        sequence(0x00081115, ItemStart(), *sequence(0x00081199, *ONE_ITEM), ItemEnd()),
    ),
    "needless delimiters": (
        EXPLICIT_VR_LE,
        explicit(
            0x00081115, "SQ", item(PATIENT_ID) + ITEM_DELIMITER + item(PATIENT_ID + ITEM_DELIMITER) + SEQUENCE_DELIMITER
        )
        + ITEM_DELIMITER
        + SEQUENCE_DELIMITER
        + PATIENT_ID,
        [*sequence(0x00081115, *ONE_ITEM, *ONE_ITEM), PATIENT_ID_TOKEN],
    ),
    "a sequence that does not hold items": (
        EXPLICIT_VR_LE,
        explicit(0x00081115, "SQ", b"NAMED TYPE") + explicit(0x00081199, "SQ", b"AB"),
        [Element(0x00081115, "UN", b"NAMED TYPE"), Element(0x00081199, "UN", b"AB")],
    ),
    "UN of undefined length is implicit (CP-246)": (
        EXPLICIT_VR_LE,
        explicit(0x00091010, "UN", length=UNDEFINED)
        + item(implicit(0x00100020, b"ID"), implicit(0x00081115, item(implicit(0x00100020, b"ID"))), undefined=True)
        + item(PATIENT_ID)
        + SEQUENCE_DELIMITER,
        sequence(
            0x00091010,
            ItemStart(),
            PATIENT_ID_TOKEN,
            *sequence(0x00081115, *ONE_ITEM),
            ItemEnd(),
            *ONE_ITEM,
            vr="UN",
        ),
    ),
    "UN of undefined length in big endian, content in either order": (
        EXPLICIT_VR_BE,
        explicit(0x00091010, "UN", order=">", length=UNDEFINED)
        + item(implicit(0x00100020, b"ID"))
        + SEQUENCE_DELIMITER
        + explicit(0x00091011, "UN", order=">", length=UNDEFINED)
        + item(implicit(0x00100020, b"ID", order=">"), order=">")
        + implicit(0xFFFEE0DD, order=">"),
        [*sequence(0x00091010, *ONE_ITEM, vr="UN"), *sequence(0x00091011, *ONE_ITEM, vr="UN")],
    ),
    "UN of a known tag stays UN": (
        EXPLICIT_VR_LE,
        explicit(0x00100020, "UN", b"ID"),
        [Element(0x00100020, "UN", b"ID")],
    ),
    "letters that are no VR": (
        EXPLICIT_VR_LE,
        PATIENT_ID + explicit(0x00100030, "ZZ", b"AB"),
        [PATIENT_ID_TOKEN, Element(0x00100030, "UN", b"AB")],
    ),
    "an element without VR among others": (
        EXPLICIT_VR_LE,
        PATIENT_ID + implicit(0x00100030, b"20200101") + PATIENT_ID,
        [PATIENT_ID_TOKEN, Element(0x00100030, "DA", b"20200101"), PATIENT_ID_TOKEN],
    ),
    "implicit items in an explicit data set": (
        EXPLICIT_VR_LE,
        explicit(0x00081115, "SQ", item(implicit(0x00100020, b"ID")) + item(PATIENT_ID)),
        sequence(0x00081115, *ONE_ITEM, *ONE_ITEM),
    ),
    "labelled explicit but implicit": (EXPLICIT_VR_LE, implicit(0x00100020, b"ID"), [PATIENT_ID_TOKEN]),
    "labelled implicit but explicit": (
        IMPLICIT_VR_LE,
        PATIENT_ID + explicit(0x00189810, "SS", b"\1\0"),
        [PATIENT_ID_TOKEN, Element(0x00189810, "SS", b"\1\0")],
    ),
    "implicit": (
        IMPLICIT_VR_LE,
        implicit(0x00080000, b"\4\0\0\0")
        + implicit(0x00080005, b"ISO_IR 6")
        + implicit(0x00081115, item(implicit(0x00100020, b"ID")))
        + implicit(0x00081199)
        + implicit(0x00107FFF, b"??")
        + implicit(0x60000010, b"\1\0")
        + implicit(0x60003000, LONG)
        + implicit(0x7FE00010, LONG),
        [
            Element(0x00080000, "UL", b"\4\0\0\0"),
            Element(0x00080005, "CS", b"ISO_IR 6"),
            *sequence(0x00081115, *ONE_ITEM),
            *sequence(0x00081199),
            Element(0x00107FFF, "UN", b"??"),
            Element(0x60000010, "US", b"\1\0"),
            *passed(0x60003000, "OW", LONG),
            *passed(0x7FE00010, "OW", LONG),
        ],
    ),
    "implicit, undefined length of what is no known sequence": (
        IMPLICIT_VR_LE,
        implicit(0x00091010, length=UNDEFINED)
        + item(implicit(0x00100020, b"ID"), undefined=True)
        + SEQUENCE_DELIMITER
        + implicit(0x00100010, length=UNDEFINED)
        + SEQUENCE_DELIMITER,
        [*sequence(0x00091010, *ONE_ITEM), *sequence(0x00100010)],
    ),
    "private elements": (
        IMPLICIT_VR_LE,
        implicit(0x00090010, b"ACUSON")
        + implicit(0x00091000, b"1 ")
        + implicit(0x00091100, b"1 ")
        + implicit(0x00090001, b"AB")
        + implicit(0x000910FF, b"AB")
        + implicit(0x00191000, b"1 "),
        [
            Element(0x00090010, "LO", b"ACUSON"),
            Element(0x00091000, "IS", b"1 "),
            Element(0x00091100, "UN", b"1 "),
            Element(0x00090001, "UN", b"AB"),
            Element(0x000910FF, "UN", b"AB"),
            Element(0x00191000, "UN", b"1 "),
        ],
    ),
    "private creators hold for their own data set only": (
        IMPLICIT_VR_LE,
        implicit(0x00090010, b"ACUSON ") + implicit(0x00400275, item(implicit(0x00091000, b"1 "))),
        [
            Element(0x00090010, "LO", b"ACUSON "),
            *sequence(0x00400275, ItemStart(), Element(0x00091000, "UN", b"1 "), ItemEnd()),
        ],
    ),
    "signed by the Pixel Representation of the root": (
        IMPLICIT_VR_LE,
        implicit(0x00189810, b"\1\0")
        + implicit(0x00280103, b"\1\0")
        + implicit(0x00280106, b"\1\0")
        + implicit(0x00283000, item(implicit(0x00283002, b"\2\0\0\0\x10\0"), implicit(0x00283006, b"\1\0\2\0")))
        + implicit(0x00283010, item(implicit(0x00280103, b"\0\0"), implicit(0x00280106, b"\1\0"))),
        [
            Element(0x00189810, "US", b"\1\0"),
            Element(0x00280103, "US", b"\1\0"),
            Element(0x00280106, "SS", b"\1\0"),
            *sequence(
                0x00283000,
                ItemStart(),
                Element(0x00283002, "SS", b"\2\0\0\0\x10\0"),
                Element(0x00283006, "OW", b"\1\0\2\0"),
                ItemEnd(),
            ),
            *sequence(
                0x00283010,
                ItemStart(),
                Element(0x00280103, "US", b"\0\0"),
                Element(0x00280106, "US", b"\1\0"),
                ItemEnd(),
            ),
        ],
    ),
    "signed in UN by the Pixel Representation of an explicit root": (
        EXPLICIT_VR_BE,
        explicit(0x00280103, "US", b"\0\1", order=">")
        + explicit(0x00291010, "UN", length=UNDEFINED, order=">")
        + item(implicit(0x00280106, b"\1\0"))
        + SEQUENCE_DELIMITER,
        [
            Element(0x00280103, "US", b"\1\0"),
            *sequence(0x00291010, ItemStart(), Element(0x00280106, "SS", b"\1\0"), ItemEnd(), vr="UN"),
        ],
    ),
    "LUT Data of one entry": (
        IMPLICIT_VR_LE,
        implicit(0x00283002, b"\1\0\0\0\x10\0") + implicit(0x00283006, b"\1\0"),
        [Element(0x00283002, "US", b"\1\0\0\0\x10\0"), Element(0x00283006, "US", b"\1\0")],
    ),
    "encapsulated": (
        RLE,
        explicit(0x7FE00010, "OB", length=UNDEFINED)
        + fragment(b"\0\0\0\0")
        + fragment(LONG)
        + fragment(b"")
        + SEQUENCE_DELIMITER
        + explicit(0xFFFCFFFC, "OB", bytes(4)),
        [
            EncapsulatedStart(0x7FE00010, "OB"),
            FragmentStart(0, 4),
            FragmentChunk(b"\0\0\0\0"),
            FragmentEnd(),
            FragmentStart(1, 256),
            FragmentChunk(LONG),
            FragmentEnd(),
            FragmentStart(2, 0),
            FragmentEnd(),
            EncapsulatedEnd(),
            Element(0xFFFCFFFC, "OB", bytes(4)),
        ],
    ),
    "deflated frames are encapsulated, not inflated": (
        DEFLATED_FRAMES,
        explicit(0x7FE00010, "OB", length=UNDEFINED) + fragment(b"") + SEQUENCE_DELIMITER,
        [EncapsulatedStart(0x7FE00010, "OB"), FragmentStart(0, 0), FragmentEnd(), EncapsulatedEnd()],
    ),
    "an icon in fragments, and pixel data labelled UN": (
        RLE,
        explicit(
            0x00880200,
            "SQ",
            item(explicit(0x7FE00010, "OB", fragment(b"") + fragment(b"AB") + SEQUENCE_DELIMITER, length=UNDEFINED)),
        )
        + explicit(0x7FE00010, "UN", fragment(b"") + SEQUENCE_DELIMITER, length=UNDEFINED),
        [
            *sequence(
                0x00880200,
                ItemStart(),
                EncapsulatedStart(0x7FE00010, "OB"),
                FragmentStart(0, 0),
                FragmentEnd(),
                FragmentStart(1, 2),
                FragmentChunk(b"AB"),
                FragmentEnd(),
                EncapsulatedEnd(),
                ItemEnd(),
            ),
            EncapsulatedStart(0x7FE00010, "OB"),
            FragmentStart(0, 0),
            FragmentEnd(),
            EncapsulatedEnd(),
        ],
    ),
    "a stray delimiter first says nothing of the VRs": (
        EXPLICIT_VR_LE,
        SEQUENCE_DELIMITER + PATIENT_ID,
        [PATIENT_ID_TOKEN],
    ),
    "nor does it where the label is wrong": (
        IMPLICIT_VR_LE,
        SEQUENCE_DELIMITER + explicit(0x00100020, "LO") + implicit(0x00100020, bytes(0x4F4C - 8)),
        passed(0x00100020, "LO", implicit(0x00100020, bytes(0x4F4C - 8))),
    ),
    "zeros after the end": (EXPLICIT_VR_LE, PATIENT_ID + bytes(21), [PATIENT_ID_TOKEN]),
    "a syntax nobody knows": ("1.2.3.4", PATIENT_ID, [PATIENT_ID_TOKEN]),
}


@pytest.mark.parametrize("name", CASES)
def test_tokens_are_the_same_however_the_data_set_is_fed(name: str) -> None:
    uid, data, expected = CASES[name]
    assert tokenize(uid, [data]) == expected
    assert tokenize(uid, [memoryview(data)]) == expected
    assert tokenize(uid, pieces_of(data, 1)) == expected
    assert tokenize(uid, [memoryview(data)[at : at + 1] for at in range(len(data))]) == expected
    for split in range(1, len(data)):
        assert tokenize(uid, [data[:split], data[split:]]) == expected, split


@pytest.mark.parametrize("window_bits", [-15, 15])
def test_a_deflated_data_set_is_inflated(window_bits: int) -> None:
    deflate = zlib.compressobj(wbits=window_bits)
    data = deflate.compress(PATIENT_ID * 3) + deflate.flush() + b"\0"
    for size in (1, 2, 5, len(data)):
        assert tokenize(DEFLATED, pieces_of(data, size)) == [PATIENT_ID_TOKEN] * 3
    assert tokenize(DEFLATED, []) == []


ERRORS: dict[str, tuple[str, bytes, str, int, str]] = {
    "cut in a header": (EXPLICIT_VR_LE, PATIENT_ID + b"\x10\0\x30", "ends too early", 13, ""),
    "cut in a long header": (EXPLICIT_VR_LE, explicit_header(0x7FE00010, "OW", 4)[:10], "ends too early", 10, ""),
    "cut in a gathered value": (EXPLICIT_VR_LE, PATIENT_ID[:-1], "ends too early", 9, ""),
    "cut in a value passed on": (EXPLICIT_VR_LE, explicit(0x7FE00010, "OW", LONG)[:-1], "ends too early", 267, ""),
    "cut in a sequence": (
        EXPLICIT_VR_LE,
        explicit(0x00081115, "SQ", length=UNDEFINED) + item(PATIENT_ID),
        "ends too early",
        30,
        "00081115/1",
    ),
    "cut in encapsulated data": (
        RLE,
        explicit(0x7FE00010, "OB", length=UNDEFINED) + fragment(b""),
        "ends too early",
        20,
        "7FE00010/1",
    ),
    "item outside a sequence": (EXPLICIT_VR_LE, PATIENT_ID + item(), r"\(FFFE,E000\) instead", 10, ""),
    "sequence delimiter in an item": (
        EXPLICIT_VR_LE,
        explicit(0x00081115, "SQ", length=UNDEFINED)
        + implicit(0xFFFEE000, length=UNDEFINED)
        + PATIENT_ID
        + SEQUENCE_DELIMITER,
        r"\(FFFE,E0DD\) instead",
        30,
        "00081115/1",
    ),
    "element instead of an item": (
        EXPLICIT_VR_LE,
        explicit(0x00081115, "SQ", length=UNDEFINED) + PATIENT_ID,
        r"\(0010,0020\) instead of an item",
        12,
        "00081115",
    ),
    "element longer than its item": (
        EXPLICIT_VR_LE,
        explicit(0x00081115, "SQ", item(explicit(0x00100020, "LO", b"ID", length=3))) + b"ABC",
        "longer than its item",
        20,
        "00081115/1",
    ),
    "item too short for an element": (
        EXPLICIT_VR_LE,
        explicit(0x00081115, "SQ", item(PATIENT_ID[:6])) + PATIENT_ID,
        "ends inside an element",
        20,
        "00081115/1",
    ),
    "item longer than its sequence": (
        EXPLICIT_VR_LE,
        explicit(0x00081115, "SQ", implicit(0xFFFEE000, PATIENT_ID, length=20)),
        "item is longer",
        12,
        "00081115",
    ),
    "fragment of undefined length": (
        RLE,
        explicit(0x7FE00010, "OB", length=UNDEFINED) + implicit(0xFFFEE000, length=UNDEFINED),
        "fragment of undefined length",
        12,
        "7FE00010",
    ),
    "fragments without delimiter in an item": (
        RLE,
        explicit(0x00880200, "SQ", item(explicit(0x7FE00010, "OB", fragment(b""), length=UNDEFINED))),
        "without its delimiter",
        40,
        "00880200/1/7FE00010/1",
    ),
    "nesting": (
        EXPLICIT_VR_LE,
        (explicit(0x00081115, "SQ", length=UNDEFINED) + implicit(0xFFFEE000, length=UNDEFINED)) * 65,
        "nested deeper than 64",
        64 * 20,
        "/".join(["00081115/1"] * 64),
    ),
    "not deflated": (DEFLATED, PATIENT_ID + b"\xff" * 20, "deflate stream", -1, ""),
    "deflated and cut": (DEFLATED, zlib.compress(PATIENT_ID, wbits=-15)[:-1], "ends inside the deflate", -1, ""),
    "deflated and cut at once": (DEFLATED, zlib.compress(PATIENT_ID, wbits=-15)[:3], "ends inside", -1, ""),
    "deflated, cut before": (DEFLATED, zlib.compress(PATIENT_ID[:-1], wbits=-15), "ends too early", 9, ""),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_cannot_be_read_is_a_decode_error_with_offset_and_path(name: str) -> None:
    uid, data, reason, offset, path = ERRORS[name]
    for size in (1, 3, len(data)):
        with pytest.raises(DecodeError, match=reason) as raised:
            tokenize(uid, pieces_of(data, size))
        assert (raised.value.offset, raised.value.path) == (offset, path)


def test_sixty_four_levels_are_read() -> None:
    data = b""
    for _ in range(64):
        data = explicit(0x00081115, "SQ", item(data))
    tokens = tokenize(EXPLICIT_VR_LE, [data])
    assert tokens == [SequenceStart(0x00081115, "SQ"), ItemStart()] * 64 + [ItemEnd(), SequenceEnd()] * 64


def test_a_value_passed_on_is_not_copied() -> None:
    tokenizer = Tokenizer(EXPLICIT_VR_LE, gather_limit=0)
    header = explicit_header(0x7FE00010, "OW", 3 * 65536)
    first, middle, last = header + bytes(65536), bytes(65536), bytes(65536) + PATIENT_ID
    start, chunk = tokenizer.feed(first)
    assert start == ValueStart(0x7FE00010, "OW", 3 * 65536)
    assert isinstance(chunk, ValueChunk) and isinstance(chunk.data, memoryview) and chunk.data.obj is first
    (chunk,) = tokenizer.feed(middle)
    assert isinstance(chunk, ValueChunk) and chunk.data is middle
    chunk, *rest = tokenizer.feed(last)
    assert isinstance(chunk, ValueChunk) and isinstance(chunk.data, memoryview) and chunk.data.obj is last
    assert rest == [ValueEnd(), *passed(0x00100020, "LO", b"ID")]


def test_a_callable_chooses_what_is_gathered() -> None:
    asked: set[tuple[int, str, int]] = set()

    def is_name(tag: int, vr: str, length: int) -> bool:
        asked.add((tag, vr, length))
        return vr == "PN"

    data = explicit(0x00100010, "PN", b"A^B ") + PATIENT_ID + explicit(0x00420011, "OB", b"AB")
    assert tokenize(EXPLICIT_VR_LE, [data], is_name) == [
        Element(0x00100010, "PN", b"A^B "),
        *passed(0x00100020, "LO", b"ID"),
        *passed(0x00420011, "OB", b"AB"),
    ]
    assert asked == {(0x00100010, "PN", 4), (0x00100020, "LO", 2), (0x00420011, "OB", 2)}


def test_what_later_vrs_depend_on_is_gathered_in_any_case() -> None:
    data = implicit(0x00090010, b"ACUSON") + implicit(0x00091000, b"1 ") + implicit(0x00190010, bytes(300))
    assert tokenize(IMPLICIT_VR_LE, [data], lambda tag, vr, length: False) == [
        Element(0x00090010, "LO", b"ACUSON"),
        *passed(0x00091000, "IS", b"1 "),
        *passed(0x00190010, "LO", bytes(300)),
    ]


def test_creators_are_remembered_up_to_a_number() -> None:
    blocks = [group << 16 | block for group in range(0x1001, 0x1011, 2) for block in range(0x10, 0x100)]
    data = b"".join(implicit(tag, b"ACUSON") for tag in blocks)
    assert len(tokenize(IMPLICIT_VR_LE, [data])) == len(blocks) > 1024


def test_a_value_too_long_to_be_held_is_refused() -> None:
    tokenizer = Tokenizer(EXPLICIT_VR_LE, gather_limit=1 << 32)
    with pytest.raises(DecodeError, match="too long to be held") as raised:
        tokenizer.feed(PATIENT_ID + explicit_header(0x0040A160, "UT", 4 * 1024 * 1024 + 1))
    assert raised.value.offset == 10
    assert tokenize(EXPLICIT_VR_LE, [explicit(0x0040A160, "UT", bytes(4 * 1024 * 1024))], 1 << 32)


def test_a_deflate_bomb_is_inflated_no_faster_than_it_is_read() -> None:
    bomb = zlib.compress(explicit(0x7FE00010, "OB", bytes(64 * 1024 * 1024)), wbits=-15)
    tokenizer = Tokenizer(DEFLATED, gather_limit=64)
    tokens = iter(tokenizer.feed(bomb))
    assert next(tokens) == ValueStart(0x7FE00010, "OB", 64 * 1024 * 1024)
    assert tokenizer.offset == 65536
    # left where it is, it goes on with the next feeding
    assert sum(len(token.data) for token in tokenizer.feed(b"") if isinstance(token, ValueChunk)) == (
        64 * 1024 * 1024 + 12 - 65536
    )
    assert list(tokenizer.finish()) == []
