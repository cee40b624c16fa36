"""Bulk values by path: at the top, in items, in every form they may be written."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread

from gateway.codecs.bulkdata import BulkdataExtractor
from gateway.codecs.transfer_syntax import DEFLATED, EXPLICIT_VR_BE, EXPLICIT_VR_LE
from gateway.errors import DecodeError, UnknownResource
from tests.support.data_sets import read_sample, sample_names
from tests.support.elements import element, encapsulated, sequence
from tests.support.encoding import JsonModelBuilder

_WAVEFORM = sequence(
    0x54000100,
    element(0x54001010, "OW", b"first "),
    element(0x54001010, "OW", bytes(range(200))) + sequence(0x00081199, element(0x54001010, "OW", b"deeper")),
)
_ICON = sequence(0x00880200, encapsulated(0x7FE00010, b"abc", b"de", table=bytes(4)))
_DATA = (
    _ICON
    + element(0x00420011, "OB", b"short")
    + element(0x00420012, "LO", b"")
    + _WAVEFORM
    + element(0x54001010, "OW", b"top")
)


def _extract(path: str, data: bytes = _DATA, syntax: str = EXPLICIT_VR_LE, size: int = 65536) -> bytes:
    extractor = BulkdataExtractor(syntax, path)
    pieces = []
    for start in range(0, len(data), size):
        pieces += extractor.feed(data[start : start + size])
    pieces += extractor.finish()
    assert extractor.is_complete
    assert all(len(piece) for piece in pieces)
    return b"".join(pieces)


@pytest.mark.parametrize("size", [1, 3, 50, 65536])
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("54001010", b"top"),
        ("00420011", b"short"),
        ("00420012", b""),
        ("54000100/1/54001010", b"first "),
        ("54000100/2/54001010", bytes(range(200))),
        ("54000100/2/00081199/1/54001010", b"deeper"),
        ("00880200/1/7FE00010", b"abcde"),
    ],
)
def test_values_by_path(path: str, expected: bytes, size: int) -> None:
    assert _extract(path, size=size) == expected


@pytest.mark.parametrize(
    "path",
    [
        "00420013",
        "54000100/3/54001010",
        "54000100/1/00081199/1/54001010",
        "54000100",
        "54000100/1/00081199",
        "7FE00010",
    ],
)
def test_no_such_value(path: str) -> None:
    with pytest.raises(UnknownResource, match="bulk data"):
        _extract(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "PixelData",
        "7fe00010",
        "54000100/54001010",
        "54000100/0/54001010",
        "54000100/1",
        "/7FE00010",
        "7FE00010/",
        "7FE00010\n",
    ],
)
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(UnknownResource):
        BulkdataExtractor(EXPLICIT_VR_LE, path)


def test_nothing_is_read_after_the_value() -> None:
    extractor = BulkdataExtractor(EXPLICIT_VR_LE, "00420011")
    assert extractor.feed(_DATA) == [b"short"]
    assert extractor.feed(b"not DICOM") == []
    assert extractor.finish() == []


def test_data_set_cut_off() -> None:
    extractor = BulkdataExtractor(EXPLICIT_VR_LE, "54001010")
    extractor.feed(_DATA[:-1])
    with pytest.raises(DecodeError):
        extractor.finish()


def test_big_endian_words_come_out_little_endian() -> None:
    value = bytes.fromhex("5400 1010") + b"OW\0\0" + (200).to_bytes(4, "big") + b"\1\2" * 100
    assert _extract("54001010", value, EXPLICIT_VR_BE, 7) == b"\2\1" * 100


@given(st.lists(st.integers(0, len(_DATA)), max_size=6))
def test_any_split(cuts: list[int]) -> None:
    extractor = BulkdataExtractor(EXPLICIT_VR_LE, "54000100/2/54001010")
    bounds = [0, *sorted(cuts), len(_DATA)]
    pieces = [extractor.feed(memoryview(_DATA)[start:stop]) for start, stop in zip(bounds, bounds[1:], strict=False)]
    assert b"".join(part for piece in pieces for part in piece) == bytes(range(200))


# --- every URI that the metadata of a sample holds leads to its value ---


def _value_at(data_set: Dataset, path: str) -> bytes:
    *parents, last = path.split("/")
    for tag, number in zip(parents[::2], parents[1::2], strict=True):
        data_set = data_set[int(tag, 16)].value[int(number) - 1]
    return bytes(data_set.get_item(int(last, 16)).value)  # raw, as it was written


_LITTLE_ENDIAN = [
    name for name in sample_names() if read_sample(name).transfer_syntax_uid not in (EXPLICIT_VR_BE, DEFLATED)
]


@pytest.mark.parametrize("name", _LITTLE_ENDIAN)
def test_every_bulk_uri_of_a_sample_leads_to_its_value(name: str) -> None:
    sample = read_sample(name)
    paths: list[str] = []
    builder = JsonModelBuilder(sample.transfer_syntax_uid, bulkdata_uri=lambda path: paths.append(path) or path)
    try:
        builder.feed(sample.data_set)
        builder.finish()
    except DecodeError:
        return
    data_set = dcmread(BytesIO(sample.content), force=True)
    for path in paths:
        value = _extract(path, sample.data_set, sample.transfer_syntax_uid, 5000)
        if not path.endswith("7FE00010"):
            assert value == _value_at(data_set, path), path


def test_compressed_images_are_told_from_other_values() -> None:
    data = element(0x00080018, "UI", b"1.2\0") + encapsulated(0x7FE00010, b"\xff\xd8\xff\xd9")
    for path, expected in (("00080018", False), ("7FE00010", True)):
        extractor = BulkdataExtractor("1.2.840.10008.1.2.4.50", path)
        extractor.feed(data)
        assert (extractor.is_complete, extractor.is_encapsulated) == (True, expected)
