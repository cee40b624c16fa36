from __future__ import annotations

import zlib
from struct import pack

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs.frames import FrameChunk, FrameEnd, FrameStart
from gateway.errors import DecodeError, ImagingFailed
from gateway.services.transcode.splitter import Head, InstanceSplitter, Part, Tail
from tests.support.converting import make_data_set, write
from tests.support.images import describe, draw

NATIVE, RLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"
FRAMES = [draw((12, 15), seed=seed) for seed in range(3)]


def split(data: bytes, syntax: str, size: int, limit: int = 100_000) -> list[Part]:
    splitter = InstanceSplitter(syntax, limit)
    steps = [step for start in range(0, len(data), size) for step in splitter.feed(data[start : start + size])]
    return [part for step in [*steps, *splitter.finish()] for part in step]


def join(parts: list[Part]) -> tuple[list[bytes], bytes]:
    frames: list[bytes] = []
    tail = b""
    for part in parts:
        match part:
            case FrameStart():
                frames.append(b"")
            case FrameChunk(data=data):
                frames[-1] += bytes(data)
            case Tail(data=data):
                tail += data
    return frames, tail


@pytest.mark.parametrize("size", [1, 3, 64, 100_000])
def test_head_frames_and_tail_come_in_this_order(size: int) -> None:
    data_set = make_data_set(FRAMES, describe((12, 15)))
    data_set.DataSetTrailingPadding = bytes(10)
    parts = split(write(data_set), NATIVE, size)
    head = parts[0]
    assert isinstance(head, Head)
    assert head.pixel_tag == 0x7FE00010
    assert [one.tag for one in head.elements] == [element.tag for element in data_set if element.tag < 0x7FE00010]
    assert (
        b"".join(one.encoded for one in head.elements) == write(data_set)[: sum(len(e.encoded) for e in head.elements)]
    )
    assert head.values[0x00280010] == b"\x0c\x00"
    frames, tail = join(parts)
    assert frames == [frame.tobytes() for frame in FRAMES]
    assert len(tail) == 22
    kinds = [type(part) for part in parts]
    assert kinds.index(Tail) > len(kinds) - 1 - kinds[::-1].index(FrameEnd)


def test_sequences_with_compressed_pixel_data_are_marked() -> None:
    icon = make_data_set([draw((8, 8))], describe((8, 8), syntax=RLE))
    plain = pydicom.Dataset()
    plain.CodeValue = "1"
    data_set = make_data_set(
        FRAMES, describe((12, 15), syntax=RLE), IconImageSequence=[icon], ProcedureCodeSequence=[plain]
    )
    head = split(write(data_set), RLE, 50)[0]
    assert isinstance(head, Head)
    assert [one.tag for one in head.elements if one.holds_compressed] == [0x00880200]


def test_without_pixel_data_all_is_head() -> None:
    data_set = pydicom.Dataset()
    data_set.PatientName, data_set.TextValue = "Doe", "x" * 6000
    (head,) = split(write(data_set), NATIVE, 100)
    assert isinstance(head, Head)
    assert (head.pixel_tag, len(head.elements)) == (0, 2)


def test_empty_pixel_data_is_an_element_like_others() -> None:
    data_set = pydicom.Dataset()
    data_set.PatientName, data_set.PixelData = "Doe", b""
    data_set["PixelData"].VR = "OB"
    (head,) = split(write(data_set), NATIVE, 100)
    assert isinstance(head, Head)
    assert [one.tag for one in head.elements] == [0x00100010, 0x7FE00010]


def test_the_head_has_a_limit() -> None:
    data_set = make_data_set(FRAMES, describe((12, 15)), TextValue="x" * 6000)
    with pytest.raises(ImagingFailed, match="precede"):
        split(write(data_set), NATIVE, 100, limit=5000)


def test_the_elements_of_the_head_have_a_limit() -> None:
    data = b"".join(pack("<HH2sH", 9 + 2 * (number >> 12), number & 0xFFF, b"SH", 0) for number in range(16_385))
    assert len(split(data[:-8], NATIVE, 100_000, limit=1 << 24)) == 1
    with pytest.raises(ImagingFailed, match="16384 elements precede"):
        split(data, NATIVE, 100_000, limit=1 << 24)


@pytest.mark.parametrize("syntax", [NATIVE, "1.2.840.10008.1.2.1.99"])
def test_one_piece_with_many_elements_is_taken_in_many_steps(syntax: str) -> None:
    items = b"\xfe\xff\x00\xe0\0\0\0\0" * 50_000
    data = pack("<HH2sHI", 9, 0x1000, b"SQ", 0, len(items)) + items
    expected = split(data, NATIVE, len(data), limit=1 << 24)
    fed = data if syntax == NATIVE else zlib.compress(data, wbits=-15)
    splitter = InstanceSplitter(syntax, 1 << 24)
    steps = list(splitter.feed(fed))
    assert len(steps) > len(data) // 10_000
    assert list(splitter.finish()) == [expected]


@given(garbage=st.binary(max_size=200), cut=st.integers(0, 900))
def test_garbage_fails_in_known_ways(garbage: bytes, cut: int) -> None:
    data = write(make_data_set(FRAMES, describe((12, 15))))[:cut] + garbage
    try:
        split(data, NATIVE, 64)
    except (DecodeError, ImagingFailed):
        pass
