"""What worker processes are asked to do; each imports there what it needs.

The gateway's own process never loads a codec, nor numpy: it starts faster, is smaller, and nothing that reads pixels of
strangers runs in it. ``service.py`` passes these functions to ``ImagingWorkers.run``.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.imaging.rendering.parameters import FrameSource, RenderParameters
from gateway.imaging.shared_bytes import Address, Place

__all__ = ["Handover", "find_frames_over", "make_animation", "make_document", "make_picture"]


@dataclass(frozen=True, slots=True)
class Handover:
    """What a picture is made of, and where it is to be put.

    Parameters
    ----------
    made
        Where it is to be written.
    header
        The attributes, a data set in Explicit VR Little Endian.
    frames
        As stored, in `transfer_syntax_uid`; none for a document.
    frame_number
        Of the only frame; 0 where there are several, or none.
    """

    made: Address
    header: Place
    frames: tuple[Place, ...]
    transfer_syntax_uid: str
    frame_number: int

    def read_frames(self) -> list[bytes]:
        """The frames."""
        return [frame.read() for frame in self.frames]


def make_picture(handover: Handover, parameters: RenderParameters) -> None:
    """Render one frame; raises as ``render_frame``."""
    from gateway.imaging.rendering.render import render_frame

    [frame] = handover.read_frames()
    source = FrameSource(handover.header.read(), handover.transfer_syntax_uid, frame, handover.frame_number)
    handover.made.write(render_frame(source, parameters).data)


def make_animation(handover: Handover, parameters: RenderParameters) -> None:
    """Render all frames as one animation or video; raises as ``render_animation``."""
    from gateway.imaging.rendering.animation import render_animation

    frames = handover.read_frames()
    picture = render_animation(handover.header.read(), handover.transfer_syntax_uid, frames, parameters)
    handover.made.write(picture.data)


def make_document(handover: Handover, parameters: RenderParameters) -> None:
    """Render a report, or take out an encapsulated document; raises as ``render_document``."""
    from gateway.imaging.documents.render import render_document

    handover.made.write(render_document(handover.header.read(), parameters.media_type))


def find_frames_over(header: bytes, instance_uid: str, frame_number: int) -> list[int]:
    """Which frames of a segmentation lie over a frame of an image; as ``find_segmentation_frames``."""
    from gateway.imaging.rendering.segmentation import find_segmentation_frames

    return find_segmentation_frames(header, instance_uid, frame_number)
