"""Frames: against pydicom over every sample with pixel data, and the attributes that tell frames apart."""

from __future__ import annotations

import zlib
from functools import cache
from io import BytesIO
from pathlib import Path
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames

from gateway.codecs.frames import FrameChunk, FrameEnd, FrameEvent, FrameExtractor, FrameNotFound, FrameStart
from gateway.codecs.transfer_syntax import DEFLATED, EXPLICIT_VR_LE, get_transfer_syntax
from gateway.errors import DecodeError
from tests.support.data_sets import read_sample, sample_names
from tests.support.elements import element, encapsulated, sequence

_JPEG = "1.2.840.10008.1.2.4.50"
_RLE = "1.2.840.10008.1.2.5"

_WRONG = {
    "MR_truncated.dcm",
    "emri_small_jpeg_2k_lossless_too_short.dcm",
    "truncated_pixeldata.dcm",
    "badVR.dcm",  # Number of Frames is "1A"
    "nested_priv_SQ.dcm",  # no Rows
    "20-wrong-transfer-syntax.dcm",  # native, but said to be JPEG
}


def _join(events: list[FrameEvent]) -> dict[int, bytes]:
    """Put frames together, checking the order of events."""
    frames: dict[int, bytes] = {}
    number = 0
    for event in events:
        if isinstance(event, FrameStart):
            assert number == 0
            number = event.number
            frames[number] = b""
        elif isinstance(event, FrameChunk):
            assert len(event.data) > 0
            frames[number] += event.data
        else:
            assert isinstance(event, FrameEnd)
            assert number != 0
            number = 0
    assert number == 0
    return frames


def _extract(data: bytes, syntax: str, wanted: list[int] | None = None, size: int = 65536) -> dict[int, bytes]:
    extractor = FrameExtractor(syntax, wanted)
    events: list[FrameEvent] = []
    for start in range(0, len(data), size):
        events += extractor.feed(data[start : start + size])
    events += extractor.finish()
    assert extractor.is_complete
    return _join(events)


# --- against pydicom ---


def _expected_frames(data_set: Dataset) -> list[bytes]:
    count = int(data_set.get("NumberOfFrames") or 1)
    syntax = get_transfer_syntax(data_set.file_meta.TransferSyntaxUID)
    element = next(data_set[tag] for tag in (0x7FE00008, 0x7FE00009, 0x7FE00010) if tag in data_set)
    if syntax.encapsulated:
        tables = None
        if "ExtendedOffsetTable" in data_set:
            tables = (data_set.ExtendedOffsetTable, data_set.ExtendedOffsetTableLengths)
        return list(generate_frames(element.value, number_of_frames=count, extended_offsets=tables))
    value = bytes(element.value)
    if not syntax.little_endian and element.VR == "OW":
        swapped = bytearray(value)
        swapped[::2], swapped[1::2] = value[1::2], value[::2]
        value = bytes(swapped)
    samples = 2 if data_set.get("PhotometricInterpretation") == "YBR_FULL_422" else data_set.get("SamplesPerPixel", 1)
    bits = data_set.Rows * data_set.Columns * samples * data_set.BitsAllocated
    whole = int.from_bytes(value, "little")
    if bits % 8 == 0:
        return [value[number * bits // 8 : (number + 1) * bits // 8] for number in range(count)]
    mask = (1 << bits) - 1
    return [(whole >> number * bits & mask).to_bytes((bits + 7) // 8, "little") for number in range(count)]


@cache
def _images() -> list[str]:
    found = []
    for name in sample_names():
        data_set = dcmread(BytesIO(read_sample(name).content), force=True)
        if any(data_set.get(tag) and data_set[tag].value for tag in (0x7FE00008, 0x7FE00009, 0x7FE00010)):
            found.append(name)
    return found


@pytest.mark.parametrize("name", _images())
def test_every_image_equals_pydicom(name: str) -> None:
    sample = read_sample(name)
    if Path(name).name in _WRONG:
        with pytest.raises(DecodeError):
            _extract(sample.data_set, sample.transfer_syntax_uid)
        return
    expected = _expected_frames(dcmread(BytesIO(sample.content), force=True))
    frames = _extract(sample.data_set, sample.transfer_syntax_uid)
    if get_transfer_syntax(sample.transfer_syntax_uid).video:
        assert frames == {1: b"".join(expected)}
        return
    assert list(frames) == list(range(1, len(expected) + 1))
    for number, frame in frames.items():
        assert frame.removesuffix(b"\0") == expected[number - 1].removesuffix(b"\0"), number
    last = len(expected)
    alone = _extract(sample.data_set, sample.transfer_syntax_uid, [last], 1000)
    assert alone == {last: frames[last]}


# --- rules ---


def _header(
    rows: int = 2, columns: int = 3, bits: int = 8, frames: bytes = b"2", samples: int = 1, photometric: bytes = b""
) -> bytes:
    return (
        element(0x00280002, "US", pack("<H", samples))
        + (element(0x00280004, "CS", photometric) if photometric else b"")
        + (element(0x00280008, "IS", frames) if frames else b"")
        + element(0x00280010, "US", pack("<H", rows))
        + element(0x00280011, "US", pack("<H", columns))
        + element(0x00280100, "US", pack("<H", bits))
    )


def test_native_frames_and_header() -> None:
    extractor = FrameExtractor(EXPLICIT_VR_LE, [2])
    assert extractor.header is None
    events = extractor.feed(_header() + element(0x7FE00010, "OB", bytes(range(12))))
    assert events == [FrameStart(2), FrameChunk(memoryview(bytes(range(6, 12)))), FrameEnd()]
    assert extractor.header is not None
    assert (extractor.header.frame_count, extractor.header.frame_bits, extractor.header.bits_allocated) == (2, 48, 8)
    assert extractor.is_complete
    assert extractor.feed(b"never read") == []
    assert extractor.finish() == []


def test_what_remains_of_native_pixel_data() -> None:
    extractor = FrameExtractor(EXPLICIT_VR_LE, [1])
    data = _header() + element(0x7FE00010, "OB", bytes(12))
    extractor.feed(data[:-12])
    assert extractor.remaining_bytes in (None, 12)
    extractor.feed(data[-12:-5])
    assert (extractor.is_complete, extractor.remaining_bytes) == (True, 5)


def test_what_remains_of_encapsulated_pixel_data_is_estimated() -> None:
    extractor = FrameExtractor(_RLE, [2])
    fragments = [bytes(10), bytes(30), bytes(20), bytes(20)]
    data = _header(frames=b"4 ") + encapsulated(0x7FE00010, *fragments)
    assert extractor.remaining_bytes is None
    for number in range(len(data) - 60):
        extractor.feed(data[number : number + 1])
    assert (extractor.is_complete, extractor.remaining_bytes) == (True, 2 * (18 + 38) // 2)


@pytest.mark.parametrize(
    ("photometric", "samples", "size"),
    [
        (b"RGB ", 3, 18),
        (b"YBR_FULL_422", 3, 12),
        (b"YBR_PARTIAL_422 ", 3, 12),
        (b"MONOCHROME2", 1, 6),
        (b"", 0, 6),
    ],
)
def test_native_frame_length(photometric: bytes, samples: int, size: int) -> None:
    data = _header(photometric=photometric, samples=samples) + element(0x7FE00010, "OB", bytes(range(size * 2)))
    assert _extract(data, EXPLICIT_VR_LE, [2]) == {2: bytes(range(size, size * 2))}


@pytest.mark.parametrize(("tag", "vr", "size"), [(0x7FE00008, "OF", 24), (0x7FE00009, "OD", 48)])
def test_float_pixel_data_without_bits_allocated(tag: int, vr: str, size: int) -> None:
    data = _header(bits=0) + element(tag, vr, bytes(range(size * 2)))
    assert _extract(data, EXPLICIT_VR_LE) == {1: bytes(range(size)), 2: bytes(range(size, size * 2))}


@pytest.mark.parametrize("frames", [b"", b"0 ", b"1", b"+1", b"  "])
def test_number_of_frames_may_be_missing(frames: bytes) -> None:
    data = _header(frames=frames) + element(0x7FE00010, "OB", bytes(6))
    assert _extract(data, EXPLICIT_VR_LE) == {1: bytes(6)}


@pytest.mark.parametrize("frames", [b"1A", b"-1", b"1.5", b"9" * 13])
def test_number_of_frames_that_is_none(frames: bytes) -> None:
    with pytest.raises(DecodeError, match="Number of Frames"):
        FrameExtractor(EXPLICIT_VR_LE).feed(_header(frames=frames) + element(0x7FE00010, "OB", bytes(6)))


@pytest.mark.parametrize(
    ("header", "name"),
    [(_header(rows=0), "Rows"), (_header(columns=0), "Columns"), (_header(bits=0), "Bits Allocated"), (b"", "Rows")],
)
def test_header_without_what_a_frame_needs(header: bytes, name: str) -> None:
    with pytest.raises(DecodeError, match=name):
        FrameExtractor(EXPLICIT_VR_LE).feed(header + element(0x7FE00010, "OB", bytes(6)))


def test_icon_is_not_the_image() -> None:
    icon = sequence(0x00880200, _header(1, 1, frames=b"9") + element(0x7FE00010, "OB", b"ic"))
    compressed = sequence(0x00880200, encapsulated(0x7FE00010, b"icon"))
    image = element(0x7FE00010, "OB", bytes(range(12)))
    data = _header() + icon + compressed + element(0x54000100, "OB", bytes(100)) + image
    assert _extract(data, EXPLICIT_VR_LE, [1]) == {1: bytes(range(6))}


@pytest.mark.parametrize("pixels", [b"", element(0x7FE00010, "OB", b""), sequence(0x00880200)])
def test_no_pixel_data(pixels: bytes) -> None:
    with pytest.raises(FrameNotFound, match="pixel data"):
        _extract(_header() + pixels, EXPLICIT_VR_LE)


@pytest.mark.parametrize(
    ("syntax", "pixels"),
    [(EXPLICIT_VR_LE, element(0x7FE00010, "OB", bytes(12))), (_RLE, encapsulated(0x7FE00010, b"ab", b"cd"))],
)
def test_frame_beyond_the_last(syntax: str, pixels: bytes) -> None:
    extractor = FrameExtractor(syntax, [1, 3])
    with pytest.raises(FrameNotFound, match="frame 3"):
        extractor.feed(_header() + pixels)


@pytest.mark.parametrize("wanted", [[], [0], [2, 1], [1, 1], [-1, 1]])
def test_wanted_frames_must_ascend(wanted: list[int]) -> None:
    with pytest.raises(ValueError, match="ascend"):
        FrameExtractor(EXPLICIT_VR_LE, wanted)


def test_short_pixel_data_fails_before_any_frame() -> None:
    data = _header() + element(0x7FE00010, "OB", bytes(11))
    with pytest.raises(DecodeError, match="too short"):
        FrameExtractor(EXPLICIT_VR_LE).feed(data)
    assert _extract(data, EXPLICIT_VR_LE, [1]) == {1: bytes(6)}


def test_cut_off_inside_a_frame() -> None:
    extractor = FrameExtractor(EXPLICIT_VR_LE, [2])
    extractor.feed((_header() + element(0x7FE00010, "OB", bytes(12)))[:-1])
    with pytest.raises(DecodeError):
        extractor.finish()


@pytest.mark.parametrize(
    ("syntax", "pixels"),
    [(_JPEG, element(0x7FE00010, "OB", bytes(12))), (EXPLICIT_VR_LE, encapsulated(0x7FE00010, b"ab", b"cd"))],
)
def test_pixel_data_in_another_form_than_the_transfer_syntax_says(syntax: str, pixels: bytes) -> None:
    with pytest.raises(DecodeError, match="transfer syntax"):
        FrameExtractor(syntax).feed(_header() + pixels)


def test_frames_of_a_deflated_data_set_may_come_at_the_end() -> None:
    deflate = zlib.compressobj(wbits=-15)
    data = deflate.compress(_header() + element(0x7FE00010, "OB", bytes(range(12)))) + deflate.flush()
    assert _extract(data, DEFLATED) == {1: bytes(range(6)), 2: bytes(range(6, 12))}
    cut = FrameExtractor(DEFLATED)
    cut.feed(data[:-10])
    with pytest.raises(DecodeError):
        cut.finish()


def test_unfinished_sequence_of_fragments() -> None:
    extractor = FrameExtractor(_RLE)
    extractor.feed((_header() + encapsulated(0x7FE00010, b"ab", b"cd"))[:-20])
    with pytest.raises(DecodeError):
        extractor.finish()


def test_video_is_one_stream() -> None:
    data = _header(frames=b"30") + encapsulated(0x7FE00010, b"abcd", b"efgh")
    for wanted in (None, [1], [7, 8]):
        assert _extract(data, "1.2.840.10008.1.2.4.102", wanted) == {1: b"abcdefgh"}


_SPLIT = (
    _header(frames=b"3")
    + sequence(0x00880200, encapsulated(0x7FE00010, b"icon"))
    + encapsulated(0x7FE00010, b"ab\xff\xd9", b"cdef", b"gh\xff\xd9\0\0", b"", b"ij\xff\xd9")
)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_encapsulated_pieces_of_any_size(size: int) -> None:
    assert _extract(_SPLIT, _JPEG, None, size) == {
        1: b"ab\xff\xd9",
        2: b"cdefgh\xff\xd9\0\0",
        3: b"ij\xff\xd9",
    }


@given(
    st.integers(1, 9),
    st.sampled_from([1, 8, 12, 16]),
    st.sets(st.integers(1, 5), min_size=1),
    st.integers(1, 40),
)
def test_any_split_of_native_frames(columns: int, bits: int, wanted: set[int], size: int) -> None:
    frame_bits = columns * 3 * bits
    value = bytes(index * 37 & 0xFF for index in range((frame_bits * 5 + 7) // 8))
    data = _header(3, columns, bits, b"5") + element(0x7FE00010, "OB", value)
    number = int.from_bytes(value, "little")
    expected = {
        frame: (number >> (frame - 1) * frame_bits & (1 << frame_bits) - 1).to_bytes((frame_bits + 7) // 8, "little")
        for frame in sorted(wanted)
    }
    assert _extract(data, EXPLICIT_VR_LE, sorted(wanted), size) == expected
