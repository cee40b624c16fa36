"""What worker processes are asked to do; each imports there what it needs.

The gateway's own process never loads a codec, nor numpy: it starts faster, is smaller, and nothing that reads pixels of
strangers runs in it. ``service.py`` passes these functions to ``ImagingWorkers.run``.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.imaging.rendering.parameters import FrameSource, RenderedPicture, RenderParameters

__all__ = ["make_animation", "make_document", "make_picture"]


def make_picture(source: FrameSource, parameters: RenderParameters) -> RenderedPicture:
    """Render one frame; as ``render_frame``."""
    from gateway.imaging.rendering.render import render_frame

    return render_frame(source, parameters)


def make_animation(
    header: bytes, transfer_syntax_uid: str, frames: Sequence[bytes], parameters: RenderParameters
) -> RenderedPicture:
    """Render all frames as one animation or video; as ``render_animation``."""
    from gateway.imaging.rendering.animation import render_animation

    return render_animation(header, transfer_syntax_uid, frames, parameters)


def make_document(header: bytes, media_type: str) -> bytes:
    """Render a report, or take out an encapsulated document; as ``render_document``."""
    from gateway.imaging.documents.render import render_document

    return render_document(header, media_type)
