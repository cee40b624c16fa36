"""All frames of an instance as one moving picture: animated GIF, MP4 (PS3.18 Table 8.7.4-1, Multi-frame and Video).

Frames are rendered one by one as ``render`` does it, with one display range for all of them, so that nothing flickers.
A stored video goes into MP4 as it is where nothing is asked that would change its pixels.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom.dataset import Dataset

from gateway.codecs.transfer_syntax import get_transfer_syntax
from gateway.errors import ImagingFailed, NotAcceptable
from gateway.imaging.description import describe_image
from gateway.imaging.pixels import DecodedFrame
from gateway.imaging.rendering.attributes import get_number, get_numbers, read_header
from gateway.imaging.rendering.composition import find_display_range
from gateway.imaging.rendering.icc import check_profile
from gateway.imaging.rendering.loading import LoadedFrame, load_frame
from gateway.imaging.rendering.parameters import FrameSource, RenderedPicture, RenderParameters
from gateway.imaging.rendering.presentation_state import read_presentation_state
from gateway.imaging.rendering.render import draw_frame, within_limits
from gateway.imaging.rendering.video import encode_mp4, has_video, iter_video_frames, wrap_mp4

__all__ = ["MEDIA_TYPES", "find_frame_duration", "render_animation"]

_MOST_FRAMES = 4_000
_MOST_BYTES = 512 * 1024 * 1024  # of all pictures together, before they are encoded
_DEFAULT_DURATION_MS = 100.0
_SHORTEST_MS, _LONGEST_MS = 10.0, 10_000.0


def render_animation(
    header: bytes, transfer_syntax_uid: str, frames: Sequence[bytes], parameters: RenderParameters
) -> RenderedPicture:
    """Render frames in the order given into one moving picture.

    Parameters
    ----------
    header : bytes
        As of ``FrameSource``.
    transfer_syntax_uid : str
        Of the frames.
    frames : sequence of bytes
        All frames as stored, the first one first; of a video syntax one element, the stream.
    parameters : RenderParameters
        With a media type of `MEDIA_TYPES`.

    Returns
    -------
    RenderedPicture
        Width and height are those of each frame.

    Raises
    ------
    ImagingFailed
        A frame cannot be rendered, or there are none or too many.
    BadParameter
        The source region lies outside the image, or an ICC profile is asked for.
    NotAcceptable
        A media type that is not produced, video/mp4 without PyAV.
    """
    available = MEDIA_TYPES if has_video() else _WITHOUT_VIDEO
    if parameters.media_type not in available:
        raise NotAcceptable(available)
    encode = _ENCODERS[parameters.media_type]
    check_profile(parameters.iccprofile, parameters.media_type)
    if not 1 <= len(frames) <= _MOST_FRAMES:
        raise ImagingFailed(f"an animation has from 1 to {_MOST_FRAMES} frames")
    with within_limits():
        data_set = read_header(header)
        if _may_pass(transfer_syntax_uid, parameters):
            description = describe_image(data_set, transfer_syntax_uid)
            return RenderedPicture("video/mp4", wrap_mp4(frames[0]), description.columns, description.rows)
        pictures = _limit(_iter_pictures(header, transfer_syntax_uid, frames, parameters))
        first = next(pictures)
        data, size = encode(first, pictures, find_frame_duration(data_set), parameters.quality)
    return RenderedPicture(parameters.media_type, data, *size)


def _may_pass(transfer_syntax_uid: str, parameters: RenderParameters) -> bool:
    """Whether a stored video can be sent as it is; MPEG-2 is decoded, since browsers do not play it."""
    syntax = get_transfer_syntax(transfer_syntax_uid)
    changes = (parameters.viewport, parameters.region, parameters.presentation_state, *parameters.annotation)
    is_playable = syntax.media_type in ("video/mp4", "video/H265")
    return syntax.video and is_playable and parameters.media_type == "video/mp4" and not any(changes)


def _iter_pictures(
    header: bytes, transfer_syntax_uid: str, frames: Sequence[bytes], parameters: RenderParameters
) -> Iterator[Image.Image]:
    def load_all() -> Iterator[LoadedFrame]:
        if get_transfer_syntax(transfer_syntax_uid).video:
            return _load_video(read_header(header), transfer_syntax_uid, frames[0])
        sources = (FrameSource(header, transfer_syntax_uid, frame, number) for number, frame in enumerate(frames, 1))
        return map(load_frame, sources)

    value_range = None if parameters.window or parameters.presentation_state else _find_common_range(load_all())
    for frame in load_all():
        state = parameters.presentation_state
        applied = None if state is None else read_presentation_state(state, frame.header, frame.frame_number)
        yield draw_frame(frame, parameters, applied, value_range)


def _load_video(header: Dataset, transfer_syntax_uid: str, stream: bytes) -> Iterator[LoadedFrame]:
    description = describe_image(header, transfer_syntax_uid)
    for number, pixels in enumerate(iter_video_frames(stream, description), start=1):
        yield LoadedFrame(header, description, number, DecodedFrame(pixels, "RGB", 8, is_lossy=True), b"")


def _find_common_range(frames: Iterator[LoadedFrame]) -> tuple[float, float] | None:
    """One range for all frames, None as soon as a frame shows that none is needed."""
    low, high = np.inf, -np.inf
    for frame in frames:
        found = find_display_range(frame)
        if found is None:
            return None
        low, high = min(low, found[0]), max(high, found[1])
    return float(low), float(high)


def _limit(pictures: Iterator[Image.Image]) -> Iterator[Image.Image]:
    total = 0
    for picture in pictures:
        total += picture.width * picture.height * len(picture.getbands())
        if total > _MOST_BYTES:
            raise ImagingFailed(f"the animation would be over the limit of {_MOST_BYTES} bytes")
        yield picture


def find_frame_duration(header: Dataset) -> float:
    """Milliseconds that each frame is shown (PS3.3 §C.7.6.5): the rate recommended for display, else that recorded."""
    for keyword in ("RecommendedDisplayFrameRate", "CineRate"):
        rate = get_number(header, keyword)
        if rate is not None and rate > 0:
            return _clip_duration(1_000 / rate)
    times = [time for time in get_numbers(header, "FrameTimeVector") if time > 0]
    duration = get_number(header, "FrameTime") or (sum(times) / len(times) if times else 0)
    return _clip_duration(duration) if duration > 0 else _DEFAULT_DURATION_MS


def _clip_duration(duration_ms: float) -> float:
    return min(max(duration_ms, _SHORTEST_MS), _LONGEST_MS)


# --- encoders: the first picture, the others, milliseconds of each, quality ---


def _encode_gif(
    first: Image.Image, others: Iterator[Image.Image], duration_ms: float, _: int | None
) -> tuple[bytes, tuple[int, int]]:
    target = io.BytesIO()
    # times are in hundredths of a second; below two of them browsers slow down to ten
    duration = max(20, round(duration_ms / 10) * 10)
    first.save(target, "GIF", save_all=True, append_images=others, duration=duration, loop=0)
    return target.getvalue(), first.size


def _encode_mp4(
    first: Image.Image, others: Iterator[Image.Image], duration_ms: float, quality: int | None
) -> tuple[bytes, tuple[int, int]]:
    size = max(first.width // 2, 1) * 2, max(first.height // 2, 1) * 2  # chroma is halved both ways
    pictures = (_cut(image, size) for image in chain([first], others))
    return encode_mp4(pictures, size, duration_ms, quality), size


def _cut(image: Image.Image, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """RGB of `size`: an odd last row or column is left out, a single one doubled with black."""
    return np.asarray(image.convert("RGB").crop((0, 0, *size)))


_ENCODERS: dict[
    str, Callable[[Image.Image, Iterator[Image.Image], float, int | None], tuple[bytes, tuple[int, int]]]
] = {"image/gif": _encode_gif, "video/mp4": _encode_mp4}

MEDIA_TYPES = tuple(_ENCODERS)
"""Media types of moving pictures."""

_WITHOUT_VIDEO = ("image/gif",)
