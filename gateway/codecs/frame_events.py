"""What a frame extractor gives: frames in pieces, and the error for a frame that is not there.

Shared by ``frames``, ``native_frames`` and ``encapsulated_frames``; callers import them from ``frames``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.codecs import Buffer
from gateway.errors import UnknownResource

__all__ = ["FrameChunk", "FrameEnd", "FrameEvent", "FrameNotFound", "FrameStart"]


class FrameNotFound(UnknownResource):
    """The instance has no pixel data, or fewer frames than asked for (PS3.18 §10.4.3.3.6: 404)."""


@dataclass(slots=True)
class FrameStart:
    """Frame `number`, counted from 1, begins; `length` in bytes where it is known by then."""

    number: int
    length: int | None = field(default=None, compare=False)


@dataclass(slots=True)
class FrameChunk:
    """The next bytes of the frame, never empty."""

    data: Buffer


@dataclass(slots=True)
class FrameEnd:
    """The frame is whole."""


FrameEvent = FrameStart | FrameChunk | FrameEnd
