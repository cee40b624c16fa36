"""The error for a missing frame is an unknown resource, so that it becomes 404 where all those do."""

from __future__ import annotations

from gateway.codecs.frame_events import FrameChunk, FrameEnd, FrameNotFound, FrameStart
from gateway.errors import UnknownResource


def test_missing_frame_is_an_unknown_resource() -> None:
    error = FrameNotFound("frame 7")
    assert isinstance(error, UnknownResource)
    assert str(error) == "frame 7 not found"


def test_events_compare_by_value() -> None:
    assert [FrameStart(1), FrameChunk(b"a"), FrameEnd()] == [FrameStart(1), FrameChunk(memoryview(b"a")), FrameEnd()]
