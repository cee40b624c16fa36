"""The calls that make pictures of one instance; the whole way is in ``test_service``."""

from __future__ import annotations

from typing import Any, cast

import pytest

from gateway.codecs.frames import FrameNotFound
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE
from gateway.errors import ImagingFailed
from gateway.imaging.rendering.animation import render_animation
from gateway.imaging.rendering.parameters import RenderParameters
from gateway.imaging.shared_bytes import Place, SharedBytes
from gateway.resources import ResourcePath
from gateway.services.rendered.instance_reader import Frame, ReaderLimits
from gateway.services.rendered.instance_view import MOST_FRAMES, InstanceView, PictureCall
from gateway.services.rendered.rendition import RenderRequest, Rendition, Showing
from gateway.services.rendered.worker_calls import make_animation, make_picture
from tests.support.elements import element, encapsulated

MPEG4 = "1.2.840.10008.1.2.4.102"
PATH = ResourcePath("1", "1.1", "1.1.1")
DATA = b"".join(
    (
        element(0x00280008, "IS", b"2 "),
        element(0x00280010, "US", b"\1\0"),
        element(0x00280011, "US", b"\2\0"),
        element(0x00280100, "US", b"\x08\0"),
        element(0x7FE00010, "OB", b"abcd"),
    )
)


class FakeInstance:
    """One instance, of two frames as a rule."""

    path = PATH
    sop_class_uid = "1.2.840.10008.5.1.4.1.1.2"

    def __init__(self, data: bytes, syntax: str) -> None:
        self._pieces = [data]
        self.transfer_syntax_uid = self.delivered_syntax = syntax

    async def read_piece(self) -> bytes | None:
        return self._pieces.pop() if self._pieces else None


def join(call: PictureCall) -> list[bytes]:
    return [frame.place.read() for frame in call.frames]


async def look(
    showing: Showing, frames: tuple[int, ...] = (), data: bytes = DATA, syntax: str = EXPLICIT_VR_LE
) -> tuple[InstanceView, list[PictureCall]]:
    request = RenderRequest(PATH, lambda _: Rendition("image/gif", showing), RenderParameters(quality=3), frames)
    view = InstanceView(cast(Any, FakeInstance(data, syntax)), request, ReaderLimits(), None)
    assert view.facts is None
    return view, [call async for call in view.iter_calls()]


async def test_each_frame_goes_with_the_attributes_and_the_parameters() -> None:
    view, calls = await look(Showing.EACH_FRAME)
    assert [(call.path, call.frame_number) for call in calls] == [(PATH, 1), (PATH, 2)]
    for call, data in zip(calls, (b"ab", b"cd"), strict=True):
        assert call.make is make_picture and call.transfer_syntax_uid == EXPLICIT_VR_LE
        assert (call.header, join(call)) == (DATA[:-16], [data])
        assert call.parameters == RenderParameters("image/gif", quality=3)
    assert view.header == DATA[:-16] and not view.is_cut


async def test_an_animation_is_one_call() -> None:
    _, [call] = await look(Showing.WHOLE)
    assert call.make is make_animation and call.frame_number is None
    assert (call.header, join(call)) == (DATA[:-16], [b"ab", b"cd"])


async def test_a_frame_beyond_the_last() -> None:
    with pytest.raises(FrameNotFound, match="frame 3"):
        await look(Showing.EACH_FRAME, (1, 3))


def make_dots(count: int) -> bytes:
    """`count` frames of one pixel each."""
    return b"".join(
        (
            element(0x00280008, "IS", str(count).encode()),
            element(0x00280010, "US", b"\1\0"),
            element(0x00280011, "US", b"\1\0"),
            element(0x00280100, "US", b"\x08\0"),
            element(0x7FE00010, "OB", bytes(count)),
        )
    )


async def test_an_animation_of_as_many_frames_as_there_may_be() -> None:
    _, [call] = await look(Showing.WHOLE, data=make_dots(MOST_FRAMES))
    assert len(call.frames) == MOST_FRAMES
    assert len({frame.place.address for frame in call.frames}) == 1


async def test_an_animation_of_too_many_frames_is_refused_as_a_worker_would() -> None:
    """Before they are read."""
    parameters = RenderParameters("image/gif")
    with pytest.raises(ImagingFailed) as refused:
        render_animation(b"", EXPLICIT_VR_LE, [b""] * (MOST_FRAMES + 1), parameters)
    with pytest.raises(ImagingFailed) as found:
        await look(Showing.WHOLE, data=make_dots(MOST_FRAMES + 1))
    assert str(found.value) == str(refused.value)


async def test_any_number_of_frames_is_shown_one_by_one() -> None:
    _, calls = await look(Showing.EACH_FRAME, data=make_dots(MOST_FRAMES + 1), frames=(1, MOST_FRAMES + 1))
    assert [call.frame_number for call in calls] == [1, MOST_FRAMES + 1]


def make_video(count: int) -> bytes:
    """A video that claims to have `count` frames."""
    return element(0x00280008, "IS", str(count).encode()) + encapsulated(0x7FE00010, b"stream")


async def test_a_video_that_claims_to_have_too_many_frames_is_not_shown_frame_by_frame() -> None:
    """Each would be looked for, and in a series no failure ends it."""
    with pytest.raises(ImagingFailed, match="frame by frame"):
        await look(Showing.EACH_FRAME, data=make_video(MOST_FRAMES + 1), syntax=MPEG4)


@pytest.mark.parametrize(("showing", "frames"), [("EACH_FRAME", (3,)), ("ONE_FRAME", ()), ("WHOLE", ())])
async def test_one_picture_of_a_video_that_claims_to_have_any_number(showing: str, frames: tuple[int, ...]) -> None:
    _, [call] = await look(Showing[showing], frames, make_video(999_999_999_999), MPEG4)
    assert join(call) == [b"stream"]


async def test_a_video_of_as_many_frames_as_there_may_be() -> None:
    _, calls = await look(Showing.EACH_FRAME, data=make_video(MOST_FRAMES), syntax=MPEG4)
    assert [call.frame_number for call in calls] == list(range(1, MOST_FRAMES + 1))


def test_a_call_does_not_show_pixels() -> None:
    shared = SharedBytes.from_bytes(b"secret")
    frame = Frame(1, shared, Place(shared.address, 0, 6))
    call = PictureCall(PATH, 1, make_picture, b"secret", (frame,), EXPLICIT_VR_LE, RenderParameters())
    assert "secret" not in repr(call)
