"""What the worker processes do for ``pipeline``: frames from shared bytes into shared bytes."""

from __future__ import annotations

from gateway.imaging.conversion import ConvertedFrame, convert_frame
from gateway.imaging.description import ImageDescription
from gateway.imaging.shared_bytes import Place, write_all

__all__ = ["convert_shared_frame"]


def convert_shared_frame(source: ImageDescription, target: ImageDescription, given: Place, made: str) -> ConvertedFrame:
    """As ``convert_frame``; the frame is read where it is `given` and written to `made`, and returned without data."""
    frame = convert_frame(source, target, given.read())
    write_all(made, frame.data)
    return ConvertedFrame(b"", frame.is_lossy, frame.native_bytes)
