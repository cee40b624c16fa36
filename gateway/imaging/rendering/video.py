"""Video: frames out of MPEG-2, H.264 and H.265 streams, pictures into MP4 (PS3.5 §8.2.5 to §8.2.8).

PyAV does it where it is installed (the extra ``video``); without it, video is refused. Only encoders without the GPL
are asked for, the first that is there: OpenH264, VP9 of libvpx, MPEG-4 Part 2.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from fractions import Fraction
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.errors import ImagingFailed
from gateway.imaging.description import ImageDescription
from gateway.imaging.pixels import DecodedFrame

__all__ = ["ENCODERS", "decode_video_frame", "encode_mp4", "has_video", "iter_video_frames", "wrap_mp4"]

ENCODERS = ("libopenh264", "libvpx-vp9", "mpeg4")
"""Names of encoders, the one of choice first."""

_OPTIONS = {"libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "row-mt": "0"}}
_BITS_A_PIXEL = 0.25  # at the default quality: visually lossless for the smooth images that are made here
_DEFAULT_QUALITY = 90
_TICKS = 1_000  # time stamps in milliseconds


def has_video() -> bool:
    """Whether PyAV is installed; it is not loaded for that."""
    return find_spec("av") is not None


def _load_av() -> Any:
    """PyAV, loaded late since it takes 100 ms and few need it."""
    try:
        av = import_module("av")
    except ImportError as error:
        raise ImagingFailed("video needs the extra 'video' to be installed") from error
    av.logging.set_level(None)
    return av


def decode_video_frame(stream: bytes, frame_number: int, description: ImageDescription) -> DecodedFrame:
    """Decode up to frame `frame_number` (from 1) and give that as RGB.

    Raises
    ------
    ImagingFailed
        PyAV is missing, the stream cannot be decoded, has other dimensions or fewer frames.
    """
    for number, pixels in enumerate(iter_video_frames(stream, description), start=1):
        if number == frame_number:
            return DecodedFrame(pixels, "RGB", 8, is_lossy=True)
    raise ImagingFailed("the video stream ends before the frame")


def iter_video_frames(stream: bytes, description: ImageDescription) -> Iterator[npt.NDArray[np.uint8]]:
    """Decode frame by frame into (rows, columns, 3) of uint8; errors as of `decode_video_frame`."""
    av = _load_av()
    try:
        with av.open(io.BytesIO(stream)) as container:
            video = container.streams.video[0]
            video.thread_count = 1  # the worker is one process of several
            if (video.height, video.width) != (description.rows, description.columns):
                raise ImagingFailed("the video stream has other dimensions than its data set says")
            for frame in container.decode(video):
                yield frame.to_ndarray(format="rgb24")
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise ImagingFailed("the video stream cannot be decoded") from error


def wrap_mp4(stream: bytes) -> bytes:
    """Put a video stream into an MP4 file as it is, without decoding.

    Raises
    ------
    ImagingFailed
        PyAV is missing, or the stream is of a kind that MP4 does not take.
    """
    av = _load_av()
    target = io.BytesIO()
    try:
        with av.open(io.BytesIO(stream)) as source, av.open(target, "w", format="mp4") as container:
            video = source.streams.video[0]
            copy = container.add_stream_from_template(video)
            for packet in source.demux(video):
                if packet.dts is not None:
                    packet.stream = copy
                    container.mux(packet)
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise ImagingFailed("the video stream cannot be put into an MP4 file") from error
    return target.getvalue()


def encode_mp4(
    frames: Iterable[npt.NDArray[np.uint8]], size: tuple[int, int], duration_ms: float, quality: int | None
) -> bytes:
    """Encode pictures of one size.

    Parameters
    ----------
    frames : iterable of numpy.ndarray
        (rows, columns, 3) of uint8, both even.
    size : (int, int)
        Width and height.
    duration_ms : float
        Of each frame.
    quality : int, optional
        1 to 100; scales the bits that a pixel gets.

    Raises
    ------
    ImagingFailed
        PyAV or a usable encoder is missing, or encoding failed.
    """
    av = _load_av()
    name = next((name for name in ENCODERS if name in av.codecs_available), None)
    if name is None:
        raise ImagingFailed("no encoder for video/mp4 is installed")
    target = io.BytesIO()
    try:
        with av.open(target, "w", format="mp4") as container:
            stream = _add_stream(container, name, size, duration_ms, quality)
            for number, pixels in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts = round(number * duration_ms)
                frame.time_base = Fraction(1, _TICKS)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    except (av.FFmpegError, ValueError) as error:
        raise ImagingFailed("the pictures cannot be encoded as video/mp4") from error
    return target.getvalue()


def _add_stream(container: Any, name: str, size: tuple[int, int], duration_ms: float, quality: int | None) -> Any:
    rate = Fraction(_TICKS, max(1, round(duration_ms)))
    stream = container.add_stream(name, rate=rate, options=_OPTIONS.get(name, {}))
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    stream.thread_count = 1
    bits = _BITS_A_PIXEL * (quality or _DEFAULT_QUALITY) / _DEFAULT_QUALITY
    stream.bit_rate = max(100_000, int(size[0] * size[1] * float(rate) * bits))
    stream.codec_context.time_base = Fraction(1, _TICKS)
    return stream
