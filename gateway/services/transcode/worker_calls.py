"""What the worker processes do for ``pipeline``: frames from shared bytes into shared bytes."""

from __future__ import annotations

from gateway.imaging.conversion import ConvertedFrame, convert_frame
from gateway.imaging.description import ImageDescription
from gateway.imaging.shared_bytes import Address, Place

__all__ = ["convert_shared_frame"]


def convert_shared_frame(
    source: ImageDescription, target: ImageDescription, given: Place, made: Address
) -> ConvertedFrame:
    """As ``convert_frame``, from shared bytes into those to be `made`; what is returned has no data."""
    frame = convert_frame(source, target, given.read())
    made.write(frame.data)
    return ConvertedFrame(b"", frame.is_lossy, frame.native_bytes)
