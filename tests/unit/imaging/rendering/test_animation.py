"""All frames as one moving picture."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from gateway.errors import BadParameter, ImagingFailed, NotAcceptable
from gateway.imaging.description import ImageDescription
from gateway.imaging.rendering import video
from gateway.imaging.rendering.animation import find_frame_duration, render_animation
from gateway.imaging.rendering.parameters import IccProfile, RenderedPicture, RenderParameters, Viewport, Window
from tests.support.pictures import encode_header, make_header, make_item

NATIVE, H264 = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.102"
FRAMES = [np.full((6, 8), 100 * number, np.uint16) for number in range(1, 4)]
for _frame in FRAMES:
    _frame[0, 0] = 0  # so that each frame has a range of its own


def animate(media_type: str, frames: list[np.ndarray] = FRAMES, header: Dataset | None = None,
            **parameters: object) -> RenderedPicture:  # fmt: skip
    data_set = header or make_header(frames[0], NumberOfFrames=len(frames), FrameTime="50")
    wanted = RenderParameters(media_type, **parameters)
    return render_animation(encode_header(data_set), NATIVE, [frame.tobytes() for frame in frames], wanted)


def read_gif(data: bytes) -> tuple[list[np.ndarray], float]:
    with Image.open(io.BytesIO(data)) as image:
        found = []
        for number in range(image.n_frames):
            image.seek(number)
            found.append(np.asarray(image.convert("L")))
        return found, image.info["duration"]


def describe(columns: int, rows: int) -> ImageDescription:
    return ImageDescription(rows, columns, 3, "RGB", 0, 8, 8, 7, False, 3, H264)


def test_gif_with_one_range_for_all_frames() -> None:
    picture = animate("image/gif")
    frames, duration = read_gif(picture.data)
    assert [int(frame[3, 3]) for frame in frames] == [85, 170, 255]
    assert (picture.width, picture.height, duration) == (8, 6, 50)


def test_gif_by_a_window_and_to_a_viewport() -> None:
    picture = animate("image/gif", window=Window(200, 1), viewport=Viewport(4, 4))
    assert [int(frame[1, 2]) for frame in read_gif(picture.data)[0]] == [0, 255]  # equal frames are one, shown longer
    assert (picture.width, picture.height) == (4, 3)


def test_mp4_of_even_size() -> None:
    frames = [np.full((33, 31), 80 * number, np.uint8) for number in (1, 2)]
    picture = animate("video/mp4", frames)
    assert (picture.width, picture.height) == (30, 32)
    levels = [int(frame.mean()) for frame in video.iter_video_frames(picture.data, describe(30, 32))]
    assert levels == pytest.approx([80, 160], abs=4)


@pytest.fixture(scope="module")
def stored() -> tuple[bytes, bytes]:
    """Header and stream of a stored video."""
    pixels = np.zeros((32, 32, 3), np.uint8)
    header = make_header(pixels, NumberOfFrames=3, PhotometricInterpretation="YBR_PARTIAL_420", CineRate=25)
    return encode_header(header), video.encode_mp4([pixels + 60 * n for n in range(1, 4)], (32, 32), 40, None)


def test_stored_video_goes_out_as_it_is(stored: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "ENCODERS", ())
    picture = render_animation(stored[0], H264, [stored[1]], RenderParameters("video/mp4"))
    assert len(list(video.iter_video_frames(picture.data, describe(32, 32)))) == 3


def test_stored_video_is_decoded_where_it_is_changed(stored: tuple[bytes, bytes]) -> None:
    wanted = RenderParameters("video/mp4", viewport=Viewport(16, 16))
    picture = render_animation(stored[0], H264, [stored[1]], wanted)
    levels = [int(frame.mean()) for frame in video.iter_video_frames(picture.data, describe(16, 16))]
    assert levels == pytest.approx([60, 120, 180], abs=8)
    gif = render_animation(stored[0], H264, [stored[1]], RenderParameters("image/gif"))
    assert len(read_gif(gif.data)[0]) == 3


@pytest.mark.parametrize(
    ("attributes", "duration"),
    [
        ({}, 100),
        ({"FrameTime": "40"}, 40),
        ({"RecommendedDisplayFrameRate": 20, "FrameTime": "40"}, 50),
        ({"CineRate": 10, "FrameTime": "40"}, 100),
        ({"FrameTimeVector": ["0", "30", "50"]}, 40),
        ({"FrameTime": "1e-9"}, 10),
        ({"FrameTime": "-5"}, 100),
        ({"CineRate": 0}, 100),
        ({"FrameTime": "1e30"}, 10_000),
    ],
)
def test_durations(attributes: dict[str, object], duration: float) -> None:
    assert find_frame_duration(make_item(**attributes)) == duration


def test_mp4_is_not_available_without_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(NotAcceptable) as raised:
        animate("video/mp4")
    assert raised.value.available == ("image/gif",)
    assert animate("image/gif").data


def test_what_is_refused() -> None:
    with pytest.raises(NotAcceptable):
        animate("image/jpeg")
    with pytest.raises(BadParameter):
        animate("image/gif", iccprofile=IccProfile.YES)
    with pytest.raises(ImagingFailed):
        render_animation(encode_header(make_header(FRAMES[0])), NATIVE, [], RenderParameters("image/gif"))
    with pytest.raises(ImagingFailed):
        render_animation(encode_header(make_header(FRAMES[0])), NATIVE, [b"short"], RenderParameters("image/gif"))
