"""Video in and out, through PyAV."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from gateway.errors import ImagingFailed
from gateway.imaging.description import ImageDescription
from gateway.imaging.rendering import video

SIZE = (64, 48)


def make_pictures(count: int) -> list[np.ndarray]:
    """Gray, brighter from frame to frame."""
    return [np.full((SIZE[1], SIZE[0], 3), 40 + 40 * number, np.uint8) for number in range(count)]


def describe(columns: int = SIZE[0], rows: int = SIZE[1]) -> ImageDescription:
    return ImageDescription(rows, columns, 3, "YBR_PARTIAL_420", 0, 8, 8, 7, False, 4, "1.2.840.10008.1.2.4.102")


@pytest.fixture(scope="module")
def stream() -> bytes:
    return video.encode_mp4(make_pictures(4), SIZE, 40, None)


def test_pictures_come_back_in_order(stream: bytes) -> None:
    assert b"ftyp" in stream[:16]
    levels = [int(pixels.mean()) for pixels in video.iter_video_frames(stream, describe())]
    assert levels == pytest.approx([40, 80, 120, 160], abs=4)


def test_one_frame(stream: bytes) -> None:
    frame = video.decode_video_frame(stream, 3, describe())
    assert frame.photometric_interpretation == "RGB"
    assert frame.pixels.mean() == pytest.approx(120, abs=4)
    with pytest.raises(ImagingFailed):
        video.decode_video_frame(stream, 5, describe())


def test_wrapped_as_it_is(stream: bytes) -> None:
    assert len(list(video.iter_video_frames(video.wrap_mp4(stream), describe()))) == 4


def test_other_dimensions_than_the_data_set_says(stream: bytes) -> None:
    with pytest.raises(ImagingFailed):
        next(video.iter_video_frames(stream, describe(columns=32)))


@pytest.mark.parametrize("data", [b"", b"rubbish" * 50])
def test_broken_streams(data: bytes, stream: bytes) -> None:
    for broken in (data, stream[: len(stream) // 3]):
        with pytest.raises(ImagingFailed):
            list(video.iter_video_frames(broken, describe()))
        with pytest.raises(ImagingFailed):
            video.wrap_mp4(broken)


@pytest.mark.parametrize("name", video.ENCODERS[1:])
def test_encoders_one_after_the_other(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "ENCODERS", ("none", name))
    data = video.encode_mp4(make_pictures(2), SIZE, 500, 50)
    assert len(list(video.iter_video_frames(data, describe()))) == 2


def test_no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "ENCODERS", ("none",))
    with pytest.raises(ImagingFailed):
        video.encode_mp4(make_pictures(1), SIZE, 40, None)


def test_without_pyav(monkeypatch: pytest.MonkeyPatch, stream: bytes) -> None:
    assert video.has_video()
    monkeypatch.setitem(sys.modules, "av", None)
    assert not video.has_video()
    for use in (lambda: video.encode_mp4(make_pictures(1), SIZE, 40, None), lambda: video.wrap_mp4(stream)):
        with pytest.raises(ImagingFailed):
            use()
