"""Every bulk value of a data set: those that its metadata refers to, under the same paths."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs.bulk_values import BulkStart, BulkValues
from gateway.codecs.bulkdata import BulkdataExtractor
from gateway.codecs.data_set_encoder import DataSetEncoder
from gateway.codecs.dicom_json import JSON
from gateway.codecs.fragment_memo import FragmentMemo
from gateway.codecs.frame_events import FrameChunk, FrameEnd
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE
from gateway.errors import DecodeError
from tests.support.data_sets import read_sample, sample_names
from tests.support.elements import element, encapsulated, sequence

JPEG = "1.2.840.10008.1.2.4.50"
LONG = bytes(range(256)) * 5
Found = list[tuple[str, int | None, bytes]]


def take(
    data: bytes, syntax: str = EXPLICIT_VR_LE, *, size: int = 65536, pixels_only: bool = False, inline_bytes: int = 1024
) -> Found:
    """Path, frame and bytes of each value."""
    values = BulkValues(syntax, inline_bytes=inline_bytes, pixels_only=pixels_only)
    found: Found = []
    pieces: list[bytes] | None = None
    pieces_of = [data[start : start + size] for start in range(0, len(data), size)]
    for events in (*map(values.feed, pieces_of), values.finish()):
        for event in events:
            match event:
                case BulkStart(path=path, frame=frame):
                    assert pieces is None
                    pieces, name = [], (path, frame)
                case FrameChunk(data=piece):
                    assert pieces is not None and len(piece)
                    pieces.append(bytes(piece))
                case FrameEnd():
                    assert pieces is not None
                    found.append((*name, b"".join(pieces)))
                    pieces = None
    assert pieces is None
    return found


def list_referenced(data: bytes, syntax: str) -> list[str]:
    """Paths of the Bulkdata URIs in the metadata of `data`."""
    paths: list[str] = []

    def note(path: str) -> str:
        paths.append(path)
        return path

    encoder = DataSetEncoder(syntax, FragmentMemo(JSON), bulkdata_uri=note, inline_limit=1024)
    encoder.feed(data)
    json.loads(encoder.finish())
    return paths


HEADER = (
    element(0x00280008, "IS", b"2 ")
    + element(0x00280010, "US", b"\x02\0")
    + element(0x00280011, "US", b"\x02\0")
    + element(0x00280100, "US", b"\x08\0")
)
NATIVE = (
    element(0x00080005, "CS", b"ISO_IR 100")
    + element(0x00082112, "LT", LONG)
    + element(0x00100010, "PN", LONG)
    + HEADER
    + element(0x00281201, "OW", LONG)
    + element(0x00409225, "FD", bytes.fromhex("000000000000f87f"))  # not a number: no JSON for it
    + sequence(0x54000100, element(0x54001010, "OW", b"short "), element(0x54001010, "OW", LONG))
    + element(0x7FE00010, "OW", b"12345678")
    + element(0xFFFCFFFC, "OB", LONG)
)
COMPRESSED = (
    sequence(0x00880200, element(0x00280008, "IS", b"7 ") + encapsulated(0x7FE00010, b"ic", b"on", table=b""))
    + HEADER
    + encapsulated(0x7FE00010, b"one\xff\xd9\0", b"two\xff\xd9\0", table=b"")
    + element(0xFFFCFFFC, "OB", LONG)
)


@pytest.mark.parametrize("size", [1, 7, 65536])
def test_what_is_bulk_comes_under_its_path(size: int) -> None:
    assert take(NATIVE, size=size) == [
        ("00281201", None, LONG),
        ("00409225", None, bytes.fromhex("000000000000f87f")),
        ("54000100/2/54001010", None, LONG),
        ("7FE00010", None, b"12345678"),
    ]


@pytest.mark.parametrize("size", [1, 7, 65536])
def test_compressed_pixel_data_comes_frame_by_frame(size: int) -> None:
    frames = [("7FE00010", 1, b"one\xff\xd9\0"), ("7FE00010", 2, b"two\xff\xd9\0")]
    assert take(COMPRESSED, JPEG, size=size) == [("00880200/1/7FE00010", None, b"icon"), *frames]
    assert take(COMPRESSED, JPEG, size=size, pixels_only=True) == frames


def test_pixel_data_alone_and_nothing_without_any() -> None:
    assert take(NATIVE, pixels_only=True) == [("7FE00010", None, b"12345678")]
    assert take(element(0x00420011, "OB", LONG), pixels_only=True) == []
    assert take(element(0x7FE00010, "OW", b"")) == []


def test_float_pixel_data_is_pixel_data() -> None:
    assert take(element(0x7FE00009, "OD", bytes(16)), pixels_only=True) == [("7FE00009", None, bytes(16))]


@pytest.mark.parametrize("data", [NATIVE[:-700], COMPRESSED[:-1300]])
def test_a_data_set_cut_short_is_told(data: bytes) -> None:
    with pytest.raises(DecodeError):
        take(data, EXPLICIT_VR_LE if data[:2] == b"\x08\0" else JPEG)


DAMAGES = (
    "data set ends too early",
    "item is longer than its sequence",
    "pixel data is not in the form of its transfer syntax",
)


@pytest.mark.parametrize("name", sample_names())
def test_samples_give_what_their_metadata_refers_to(name: str) -> None:
    sample = read_sample(name)
    try:
        found = take(sample.data_set, sample.transfer_syntax_uid)
    except DecodeError as error:
        assert error.reason in DAMAGES
        return
    paths = list(dict.fromkeys(path for path, _, _ in found))
    assert paths == list_referenced(sample.data_set, sample.transfer_syntax_uid)
    for path in paths:
        if "/" in path or path not in ("7FE00010",):
            extractor = BulkdataExtractor(sample.transfer_syntax_uid, path)
            alone = b"".join([*extractor.feed(sample.data_set), *extractor.finish()])
            assert alone == b"".join(value for found_path, _, value in found if found_path == path)


@given(st.binary(max_size=300), st.booleans())
def test_garbage_gives_one_kind_of_error(data: bytes, pixels_only: bool) -> None:
    try:
        take(data, pixels_only=pixels_only)
    except DecodeError:
        return
