"""The calls that make pictures of one instance; the whole way is in ``test_service``."""

from __future__ import annotations

from typing import Any, cast

import pytest

from gateway.codecs.frames import FrameNotFound
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE
from gateway.imaging.rendering.parameters import RenderParameters
from gateway.imaging.shared_bytes import Place, SharedBytes
from gateway.resources import ResourcePath
from gateway.services.rendered.instance_reader import Frame, ReaderLimits
from gateway.services.rendered.instance_view import InstanceView, PictureCall
from gateway.services.rendered.rendition import RenderRequest, Rendition, Showing
from gateway.services.rendered.worker_calls import make_animation, make_picture
from tests.support.elements import element

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
    """One instance of two frames."""

    path = PATH
    sop_class_uid = "1.2.840.10008.5.1.4.1.1.2"
    transfer_syntax_uid = EXPLICIT_VR_LE
    delivered_syntax = EXPLICIT_VR_LE

    def __init__(self) -> None:
        self._pieces = [DATA]

    async def read_piece(self) -> bytes | None:
        return self._pieces.pop() if self._pieces else None


def join(call: PictureCall) -> list[bytes]:
    return [frame.place.read() for frame in call.frames]


async def look(showing: Showing, frames: tuple[int, ...] = ()) -> tuple[InstanceView, list[PictureCall]]:
    request = RenderRequest(PATH, lambda _: Rendition("image/gif", showing), RenderParameters(quality=3), frames)
    view = InstanceView(cast(Any, FakeInstance()), request, ReaderLimits(), None)
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


def test_a_call_does_not_show_pixels() -> None:
    shared = SharedBytes.from_bytes(b"secret")
    frame = Frame(1, shared, Place(shared.address, 0, 6))
    call = PictureCall(PATH, 1, make_picture, b"secret", (frame,), EXPLICIT_VR_LE, RenderParameters())
    assert "secret" not in repr(call)
