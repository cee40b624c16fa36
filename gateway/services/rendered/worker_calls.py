"""What worker processes are asked to do; each imports there what it needs.

The gateway's own process never loads a codec, nor numpy: it starts faster, is smaller, and nothing that reads pixels of
strangers runs in it. ``service.py`` passes these functions to ``ImagingWorkers.run``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.imaging.rendering.parameters import FrameSource, RenderParameters
from gateway.imaging.shared_bytes import Address, Place

if TYPE_CHECKING:
    from pydicom import Dataset

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
    """Which frames of a segmentation were drawn on frames of an image (PS3.3 §C.7.6.16.2.6).

    Parameters
    ----------
    header
        Of the segmentation.
    instance_uid
        SOP Instance UID of the image.
    frame_numbers
        Of the image, from 1; none for all of them.

    Returns
    -------
    dict
        Numbers of its frames, ascending, each with the frames of the image it was drawn on, none for all of them.

    Raises
    ------
    ImagingFailed
        The header cannot be read.
    """
    from gateway.imaging.rendering.attributes import get_items, read_header

    data_set = read_header(header.read())
    shared = get_items(data_set, "SharedFunctionalGroupsSequence")[:1]
    over = {}
    for number, group in enumerate(get_items(data_set, "PerFrameFunctionalGroupsSequence"), 1):
        drawn_on = _find_drawn_on((group, *shared), instance_uid)
        if drawn_on is not None and (not drawn_on or not frame_numbers or not drawn_on.isdisjoint(frame_numbers)):
            over[number] = drawn_on
    return over


def _find_drawn_on(groups: Iterable[Dataset], instance_uid: str) -> frozenset[int] | None:
    """The frames of an image that the first derivation of `groups` names, empty for all; None if it names another."""
    from gateway.imaging.rendering.attributes import get_items, get_numbers, get_text

    derivations = (item for group in groups for item in get_items(group, "DerivationImageSequence")[:1])
    derivation = next(derivations, None)
    sources = [] if derivation is None else get_items(derivation, "SourceImageSequence")
    named = [
        get_numbers(source, "ReferencedFrameNumber")
        for source in sources
        if get_text(source, "ReferencedSOPInstanceUID") == instance_uid
    ]
    if not named:
        return None
    return frozenset(int(number) for numbers in named for number in numbers) if all(named) else frozenset()
