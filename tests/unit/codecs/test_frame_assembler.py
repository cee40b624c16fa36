"""What frames are put together from tokens; data sets as a whole are in test_frames.py."""

from __future__ import annotations

import pytest

from gateway.codecs.frame_assembler import PIXEL_DATA, FrameAssembler, is_gathered
from gateway.codecs.frame_events import FrameChunk, FrameEnd, FrameStart
from gateway.codecs.tokens import Element, FragmentStart, ValueChunk, ValueStart
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE

HEADER = [
    Element(0x00280008, "IS", b"2 "),
    Element(0x00280010, "US", b"\x01\0"),
    Element(0x00280011, "US", b"\x03\0"),
    Element(0x00280100, "US", b"\x08\0"),
]


def test_native_frames_know_their_length() -> None:
    assembler = FrameAssembler(EXPLICIT_VR_LE)
    assert assembler.take(HEADER) == [] and assembler.header is None
    events = assembler.take([ValueStart(0x7FE00010, "OW", 6), ValueChunk(b"abcdef")])
    assert events == [
        FrameStart(1),
        FrameChunk(b"abc"),
        FrameEnd(),
        FrameStart(2),
        FrameChunk(b"def"),
        FrameEnd(),
    ]
    assert [event.length for event in events if isinstance(event, FrameStart)] == [3, 3]
    assert assembler.is_complete and assembler.header is not None and assembler.header.frame_count == 2


def test_nothing_is_looked_at_after_the_last_frame() -> None:
    assembler = FrameAssembler(EXPLICIT_VR_LE, [1])
    assembler.take([*HEADER, ValueStart(0x7FE00010, "OW", 6), ValueChunk(b"abcdef"), FragmentStart(1, 9)])
    assert assembler.is_complete


@pytest.mark.parametrize("wanted", [[], [0], [2, 1], [1, 1]])
def test_frame_numbers_ascend(wanted: list[int]) -> None:
    with pytest.raises(ValueError, match="ascend"):
        FrameAssembler(EXPLICIT_VR_LE, wanted)


def test_what_must_be_gathered() -> None:
    assert is_gathered(0x00280010, "US", 2) and is_gathered(0x7FE00001, "OV", 1_000_000)
    assert not any(is_gathered(tag, "OW", 2) for tag in PIXEL_DATA)
    assert not is_gathered(0x00420011, "OB", 1_000_000)
