"""What is to be rendered, how, and what comes of it: values that ``web`` and ``service.py`` exchange."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from gateway.imaging.rendering.parameters import RenderParameters
from gateway.imaging.shared_bytes import SharedBytes
from gateway.resources import ResourcePath
from gateway.services.rendered.facts import InstanceFacts

__all__ = ["Decide", "Picture", "RenderRequest", "Rendition", "Showing"]


class Showing(Enum):
    """How much of an instance one picture shows."""

    EACH_FRAME = "one frame; there is a picture for each"
    ONE_FRAME = "one frame, which stands for all others"
    WHOLE = "everything: an animation, a video, a document"


@dataclass(frozen=True, slots=True)
class Rendition:
    """The form that one instance is shown in."""

    media_type: str
    showing: Showing


Decide: TypeAlias = Callable[[InstanceFacts], Rendition]
"""Decides the form of an instance when it has arrived; raises NotAcceptable where it has none that the client takes.

For a presentation state, ``frame_count`` is the number of pictures it refers to.
"""


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """What a client wants to see.

    Parameters
    ----------
    path
        A study, a series or an instance.
    decide
        Asked once for each instance.
    parameters
        How pictures are made; their media type is that of the rendition.
    frames
        Numbers of frames of the instance, ascending from 1; none where the rendition decides.
    state
        Of a presentation state to be applied to the instance.
    segmentation
        Of a segmentation to be drawn over the instance, where it was drawn on it.
    """

    path: ResourcePath
    decide: Decide
    parameters: RenderParameters = RenderParameters()
    frames: tuple[int, ...] = ()
    state: ResourcePath | None = None
    segmentation: ResourcePath | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """One rendered image, animation or document.

    Parameters
    ----------
    path
        Of the instance that is shown.
    frame_number
        From 1; None where all of the instance is shown.
    content
        Its bytes; closed by whoever takes the picture, or with it.
    """

    path: ResourcePath
    frame_number: int | None
    media_type: str
    content: SharedBytes = field(repr=False)
