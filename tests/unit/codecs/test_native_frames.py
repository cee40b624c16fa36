"""Native frames by position, down to the bit."""

from __future__ import annotations

import pytest

from gateway.codecs.frame_events import FrameChunk, FrameEnd, FrameEvent, FrameStart
from gateway.codecs.native_frames import NativeFrames
from gateway.errors import DecodeError


def _bytes(events: list[FrameEvent]) -> bytes:
    return b"".join(bytes(event.data) for event in events if isinstance(event, FrameChunk))


def test_frames_between_are_passed_over() -> None:
    frames = NativeFrames(16, [2, 4], 8)
    assert frames.take(b"AA") == []
    assert frames.take(b"B") == [FrameStart(2), FrameChunk(memoryview(b"B"))]
    assert not frames.is_complete
    assert frames.take(b"BCC") == [FrameChunk(memoryview(b"B")), FrameEnd()]
    assert frames.take(b"DD") == [FrameStart(4), FrameChunk(memoryview(b"DD")), FrameEnd()]
    assert frames.is_complete
    assert frames.take(b"rest") == []


def test_chunks_are_views() -> None:
    data = b"AABB"
    event = NativeFrames(16, [2], 4).take(data)[1]
    assert isinstance(event, FrameChunk)
    assert isinstance(event.data, memoryview)
    assert event.data.obj is data


def test_several_frames_in_one_byte() -> None:
    frames = NativeFrames(3, [1, 2, 3], 2)
    events = frames.take(bytes([0b11_010_101, 0b0]))
    assert _bytes(events) == bytes([0b101, 0b010, 0b011])
    assert [event for event in events if not isinstance(event, FrameChunk)] == [
        *(FrameStart(1), FrameEnd()),
        *(FrameStart(2), FrameEnd()),
        *(FrameStart(3), FrameEnd()),
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_frame_inside_bytes_is_moved_to_the_boundary(size: int) -> None:
    # 25 bits a frame; the second from bit 25 to 49
    value = (0x1ABCDEF << 25 | 0x0123456).to_bytes(8, "little")
    frames = NativeFrames(25, [1, 2], 8)
    events = [event for start in range(0, 8, size) for event in frames.take(value[start : start + size])]
    assert _bytes(events) == (0x0123456).to_bytes(4, "little") + (0x1ABCDEF).to_bytes(4, "little")
    assert all(len(event.data) for event in events if isinstance(event, FrameChunk))


@pytest.mark.parametrize(("wanted", "length"), [([1, 4], 7), ([4], 0)])
def test_value_too_short(wanted: list[int], length: int) -> None:
    with pytest.raises(DecodeError, match="too short"):
        NativeFrames(16, wanted, length)


def test_last_wanted_frame_decides_whether_the_value_is_long_enough() -> None:
    assert not NativeFrames(16, range(1, 4), 6).is_complete
