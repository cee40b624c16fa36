"""A frame made ready for rendering: header parsed, described, decoded.

The seam to ``gateway/imaging/decode.py`` and, for video, to ``video``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from gateway.codecs.transfer_syntax import get_transfer_syntax
from gateway.imaging.decode import decode_frame
from gateway.imaging.description import ImageDescription, describe_image
from gateway.imaging.pixels import DecodedFrame
from gateway.imaging.rendering.attributes import read_header
from gateway.imaging.rendering.parameters import FrameSource
from gateway.imaging.rendering.video import decode_video_frame

__all__ = ["LoadedFrame", "load_frame"]


@dataclass(frozen=True, slots=True)
class LoadedFrame:
    """One frame and everything known of it; `stored` is the frame as it came."""

    header: Dataset = field(repr=False)
    description: ImageDescription
    frame_number: int
    decoded: DecodedFrame = field(repr=False)
    stored: bytes = field(repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.description.rows, self.description.columns


def load_frame(source: FrameSource) -> LoadedFrame:
    """Parse, describe and decode.

    Raises
    ------
    ImagingFailed
        Any of the three is not possible.
    """
    header = read_header(source.header)
    description = describe_image(header, source.transfer_syntax_uid)
    if get_transfer_syntax(source.transfer_syntax_uid).video:
        decoded = decode_video_frame(source.frame, source.frame_number, description)
    else:
        decoded = decode_frame(description, source.frame)
    return LoadedFrame(header, description, source.frame_number, decoded, source.frame)
