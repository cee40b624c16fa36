"""Re-encoding into Explicit VR Little Endian: pydicom reads the same values before and after."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from gateway.codecs.part10 import encode_file_meta
from gateway.codecs.reencode import ExplicitLittleEndianEncoder, encode_element_header
from gateway.codecs.transfer_syntax import (
    DEFLATED,
    EXPLICIT_VR_BE,
    EXPLICIT_VR_LE,
    IMPLICIT_VR_LE,
    UNCOMPRESSED,
)
from gateway.codecs.value_representations import swap_words
from gateway.errors import DecodeError
from tests.support.samples import sample_files
from tests.support.tokens import (
    UNDEFINED,
    explicit,
    explicit_header,
    fragment,
    implicit,
    item,
    pieces_of,
    read_sample,
)

_CUT = frozenset(
    {
        "DICOMDIR-nooffset",
        "GH179A.dcm",
        "GH179B.dcm",
        "MR_truncated.dcm",
        "rtplan_truncated.dcm",
        "truncated_pixeldata.dcm",
    }
)


def encode(uid: str, pieces: Iterable[bytes]) -> bytes:
    encoder = ExplicitLittleEndianEncoder(uid)
    written = [bytes(part) for piece in pieces for part in encoder.feed(piece)]
    written += map(bytes, encoder.finish())
    assert all(written)
    return b"".join(written)


def assert_same_values(before: Dataset, after: Dataset, *, big_endian: bool) -> None:
    tags = [tag for tag in before.keys() if tag.element]
    assert set(after.keys()) == set(tags)
    for tag in tags:
        old, new = before[tag], after[tag]
        if old.VR == "SQ" and new.VR == "SQ":
            assert len(old.value) == len(new.value)
            for old_item, new_item in zip(old.value, new.value, strict=True):
                assert_same_values(old_item, new_item, big_endian=big_endian)
        elif old.VR == "OW" and big_endian:
            assert new.value == swap_words(old.value, 2)  # pydicom leaves words as they are
        elif tag != 0x0040A170 or old.VR == new.VR:  # named in the test of sequences that do not hold items
            assert (new.VR, new.value) == (old.VR, old.value), tag


@pytest.mark.parametrize("path", sample_files(), ids=lambda path: path.name)
def test_samples_have_the_same_values_afterwards(path: Path) -> None:
    sample = read_sample(path)
    if sample is None or sample[0] not in UNCOMPRESSED:
        return
    uid, data = sample
    if path.name in _CUT:
        with pytest.raises(DecodeError):
            encode(uid, [data])
        return
    written = encode(uid, [data])
    assert encode(uid, pieces_of(data, 1021)) == written
    after = pydicom.dcmread(BytesIO(encode_file_meta("1.1", "1.2", EXPLICIT_VR_LE) + written))
    assert_same_values(pydicom.dcmread(path, force=True), after, big_endian=uid == EXPLICIT_VR_BE)
    assert encode(EXPLICIT_VR_LE, [written]) == written


ITEM_END, SEQUENCE_END = implicit(0xFFFEE00D), implicit(0xFFFEE0DD)
OPEN_ITEM = implicit(0xFFFEE000, length=UNDEFINED)
CASES = {
    "group lengths go": (
        IMPLICIT_VR_LE,
        implicit(0x00080000, b"\4\0\0\0") + implicit(0x00080016, b"1.2\0"),
        explicit(0x00080016, "UI", b"1.2\0"),
    ),
    "lengths become undefined": (
        IMPLICIT_VR_LE,
        implicit(0x00081115, item(implicit(0x00100020, b"ID"))) + implicit(0x00081199),
        explicit(0x00081115, "SQ", length=UNDEFINED)
        + OPEN_ITEM
        + explicit(0x00100020, "LO", b"ID")
        + ITEM_END
        + SEQUENCE_END
        + explicit(0x00081199, "SQ", length=UNDEFINED)
        + SEQUENCE_END,
    ),
    "UN of undefined length becomes a sequence": (
        EXPLICIT_VR_BE,
        explicit(0x00091010, "UN", length=UNDEFINED, order=">") + item(implicit(0x00100020, b"ID")) + SEQUENCE_END,
        explicit(0x00091010, "SQ", length=UNDEFINED)
        + OPEN_ITEM
        + explicit(0x00100020, "LO", b"ID")
        + ITEM_END
        + SEQUENCE_END,
    ),
    "too long for 16 bits": (
        IMPLICIT_VR_LE,
        implicit(0x00283006, bytes(65536))
        + implicit(0x30060050, b"1\\" * 32768)
        + implicit(0x30060050, b"1\\" * 32767),
        explicit(0x00283006, "OW", bytes(65536))
        + explicit(0x30060050, "UN", b"1\\" * 32768)
        + explicit(0x30060050, "DS", b"1\\" * 32767),
    ),
    "words are swapped": (
        EXPLICIT_VR_BE,
        explicit(0x7FE00010, "OW", bytes(range(256)) * 20, order=">"),
        explicit(0x7FE00010, "OW", swap_words(bytes(range(256)) * 20, 2)),
    ),
    "fragments stay": (
        EXPLICIT_VR_LE,
        explicit(0x7FE00010, "OB", fragment(b"") + fragment(b"ABCD") + SEQUENCE_END, length=UNDEFINED),
        explicit(0x7FE00010, "OB", fragment(b"") + fragment(b"ABCD") + SEQUENCE_END, length=UNDEFINED),
    ),
    "odd lengths stay": (IMPLICIT_VR_LE, implicit(0x00100020, b"ODD"), explicit(0x00100020, "LO", b"ODD")),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_written(name: str) -> None:
    uid, data, expected = CASES[name]
    assert encode(uid, [data]) == expected
    if len(data) < 1000:
        assert encode(uid, pieces_of(data, 1)) == expected
        for split in range(1, len(data)):
            assert encode(uid, [data[:split], data[split:]]) == expected


def test_a_deflated_data_set_is_inflated_and_left_alone() -> None:
    data = explicit(0x00080000, "UL", b"\4\0\0\0") + explicit(0x00081115, "SQ", item())
    assert encode(DEFLATED, pieces_of(zlib.compress(data, wbits=-15), 3)) == data
    with pytest.raises(DecodeError, match="ends inside the deflate"):
        encode(DEFLATED, [zlib.compress(data, wbits=-15)[:-2]])


def test_long_values_are_not_copied() -> None:
    piece = bytes(1 << 16)
    encoder = ExplicitLittleEndianEncoder(IMPLICIT_VR_LE)
    assert list(encoder.feed(implicit(0x7FE00010, length=1 << 20))) == [explicit_header(0x7FE00010, "OW", 1 << 20)]
    for _ in range(16):
        (written,) = encoder.feed(piece)
        assert written is piece
    assert list(encoder.finish()) == []


def test_a_data_set_that_ends_early_is_refused() -> None:
    with pytest.raises(DecodeError, match="ends too early"):
        encode(IMPLICIT_VR_LE, [implicit(0x00100020, b"ID", length=4)])


@pytest.mark.parametrize(
    ("vr", "length", "written"),
    [
        ("US", 2, b"US\2\0"),
        ("LT", 65534, b"LT\xfe\xff"),
        ("LT", 65535, b"UN\0\0\xff\xff\0\0"),
        ("OW", 2, b"OW\0\0\2\0\0\0"),
        ("SQ", UNDEFINED, b"SQ\0\0\xff\xff\xff\xff"),
    ],
)
def test_element_headers(vr: str, length: int, written: bytes) -> None:
    assert encode_element_header(0x00091010, vr, length) == b"\x09\0\x10\x10" + written
