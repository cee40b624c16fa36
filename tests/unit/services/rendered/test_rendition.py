"""The values of rendering: what they take for granted, and what they do not show."""

from __future__ import annotations

from gateway.imaging.rendering.parameters import RenderParameters
from gateway.imaging.shared_bytes import SharedBytes
from gateway.resources import ResourcePath
from gateway.services.rendered.rendition import Picture, RenderRequest, Rendition, Showing

PATH = ResourcePath("1", "1.1", "1.1.1")


def test_a_request_has_all_frames_and_no_state() -> None:
    request = RenderRequest(PATH, lambda _: Rendition("image/png", Showing.EACH_FRAME))
    assert (request.parameters, request.frames, request.state) == (RenderParameters(), (), None)


def test_a_picture_shows_nothing_of_its_content() -> None:
    assert "content" not in repr(Picture(PATH, 1, "image/png", SharedBytes.from_bytes(b"secret")))
