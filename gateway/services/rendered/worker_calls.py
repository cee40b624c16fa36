"""What worker processes are asked to do; each imports there what it needs.

The gateway's own process never loads a codec, nor numpy: it starts faster, is smaller, and nothing that reads pixels of
strangers runs in it. ``service.py`` passes these functions to ``ImagingWorkers.run``.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.imaging.rendering.parameters import FrameSource, RenderParameters
from gateway.imaging.shared_bytes import Address, Place

if TYPE_CHECKING:
    pass

__all__ = ["Handover", "SharedFrames", "find_frames_over", "make_animation", "make_document", "make_picture"]


@dataclass(frozen=True, slots=True)
class SharedFrames:
    """Frames of one instance that are drawn over others.

    Parameters
    ----------
    header
        Its attributes, a data set in Explicit VR Little Endian.
    transfer_syntax_uid
        Of the frames.
    frames
        Their numbers, and where they stand.
    """

    header: Place
    transfer_syntax_uid: str
    frames: tuple[tuple[int, Place], ...]

    def read(self) -> tuple[FrameSource, ...]:
        """The frames, which have one header in common."""
        header = self.header.read()
        return tuple(
            FrameSource(header, self.transfer_syntax_uid, frame.read(), number) for number, frame in self.frames
        )


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
    segmentations, superimposed
        What ``RenderParameters`` has under these names, of the second one frame.
    """

    made: Address
    header: Place
    frames: tuple[Place, ...]
    transfer_syntax_uid: str
    frame_number: int
    segmentations: SharedFrames | None = None
    superimposed: SharedFrames | None = None

    def read_frames(self) -> list[bytes]:
        """The frames."""
        return [frame.read() for frame in self.frames]

    def complete(self, parameters: RenderParameters) -> RenderParameters:
        """The parameters with the frames that are drawn over these."""
        segmentations = () if self.segmentations is None else self.segmentations.read()
        [superimposed] = (None,) if self.superimposed is None else self.superimposed.read()
        return replace(parameters, segmentations=segmentations, superimposed=superimposed)


def make_picture(handover: Handover, parameters: RenderParameters) -> None:
    """Render one frame; raises as ``render_frame``."""
    from gateway.imaging.rendering.render import render_frame

    [frame] = handover.read_frames()
    source = FrameSource(handover.header.read(), handover.transfer_syntax_uid, frame, handover.frame_number)
    handover.made.write(render_frame(source, handover.complete(parameters)).data)


def make_animation(handover: Handover, parameters: RenderParameters) -> None:
    """Render all frames as one animation or video; raises as ``render_animation``."""
    from gateway.imaging.rendering.animation import render_animation

    header, frames = handover.header.read(), handover.read_frames()
    picture = render_animation(header, handover.transfer_syntax_uid, frames, handover.complete(parameters))
    handover.made.write(picture.data)


def make_document(handover: Handover, parameters: RenderParameters) -> None:
    """Render a report, or take out an encapsulated document; raises as ``render_document``."""
    from gateway.imaging.documents.render import render_document

    handover.made.write(render_document(handover.header.read(), parameters.media_type))


def find_frames_over(header: Place, instance_uid: str, frame_numbers: Collection[int]) -> dict[int, frozenset[int]]:
    """Which frames of a segmentation were drawn on frames of an image; as ``find_segmentation_frames``."""
    from gateway.imaging.rendering.segmentation import find_segmentation_frames

    return find_segmentation_frames(header.read(), instance_uid, frame_numbers)
