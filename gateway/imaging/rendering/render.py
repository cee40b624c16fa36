"""One stored frame into one picture: the entry of this room (PS3.18 §8.3.5.1, PS3.4 §N.2).

    picture = render_frame(FrameSource(header, transfer_syntax_uid, frame), RenderParameters("image/png"))

Order: decode; modality, VOI and presentation LUT or palette; shutter, overlays, segmentations; displayed area,
rotation and flip of a presentation state; source region; viewport; graphics of the state; annotation; colour space;
encoding. Runs in worker processes, called by ``services/rendered``.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from PIL import Image

from gateway.errors import ImagingFailed, NotAcceptable
from gateway.imaging.rendering.annotation import draw_annotation
from gateway.imaging.rendering.aspect import read_aspect
from gateway.imaging.rendering.composition import compose
from gateway.imaging.rendering.encoders import DEEP_MEDIA_TYPES, MEDIA_TYPES, encode_picture
from gateway.imaging.rendering.geometry import Presentation, place_image, plan_placement
from gateway.imaging.rendering.graphics import Graphic, Text, draw_graphics
from gateway.imaging.rendering.icc import apply_profile, check_profile, find_profile
from gateway.imaging.rendering.loading import LoadedFrame, load_frame
from gateway.imaging.rendering.parameters import FrameSource, RenderedPicture, RenderParameters
from gateway.imaging.rendering.presentation_state import PresentationState, read_presentation_state

__all__ = ["draw_frame", "render_frame", "within_limits"]

_MOST_PIXELS = 128 * 1024 * 1024  # of a picture; Pillow's own limit is for files and does not see this


def render_frame(source: FrameSource, parameters: RenderParameters) -> RenderedPicture:
    """Render one frame.

    Parameters
    ----------
    source : FrameSource
        The frame as stored, and its header.
    parameters : RenderParameters
        With a media type of ``encoders.MEDIA_TYPES``.

    Returns
    -------
    RenderedPicture
        Of the media type asked for.

    Raises
    ------
    ImagingFailed
        The frame cannot be decoded or rendered, or is beyond a limit.
    BadParameter
        The source region lies outside the image, or the media type carries no ICC profile.
    NotAcceptable
        A media type that is not produced.
    """
    if parameters.media_type not in MEDIA_TYPES:
        raise NotAcceptable(MEDIA_TYPES)
    check_profile(parameters.iccprofile, parameters.media_type)
    with within_limits():
        frame = load_frame(source)
        state = _read_state(parameters, frame)
        image = draw_frame(frame, parameters, state)
        own = find_profile(frame.header, frame.frame_number, None if state is None else state.data_set)
        image, profile = apply_profile(image, own, parameters.iccprofile, parameters.media_type)
        data = encode_picture(image, parameters.media_type, parameters.quality, profile)
    return RenderedPicture(parameters.media_type, data, *image.size)


def draw_frame(
    frame: LoadedFrame,
    parameters: RenderParameters,
    state: PresentationState | None,
    value_range: tuple[float, float] | None = None,
) -> Image.Image:
    """Everything but colour space and encoding.

    Parameters
    ----------
    frame, parameters, state, value_range
        As of ``composition.compose``.

    Returns
    -------
    PIL.Image.Image
        Mode L, I;16 or RGB.
    """
    pixels = compose(frame, _choose_bits(parameters), state, value_range)
    if state is not None:
        presentation = state.read_presentation(*frame.shape)
    else:
        aspect = read_aspect(frame.header, frame.frame_number)
        presentation = Presentation((0, 0, frame.description.columns, frame.description.rows), aspect=aspect)
    placement = plan_placement(presentation, parameters.viewport, parameters.region)
    if placement.size[0] * placement.size[1] > _MOST_PIXELS:
        raise ImagingFailed("the picture would be over the limit of 128 M pixels")
    image = place_image(Image.fromarray(pixels), placement)
    if state is not None and (graphics := state.read_graphics()):
        image = _make_colourful(image, graphics)
        draw_graphics(image, graphics, placement)
    if parameters.annotation:
        draw_annotation(image, frame.header, parameters.annotation)
    return image


def _make_colourful(image: Image.Image, graphics: list[Graphic | Text]) -> Image.Image:
    """RGB where a graphic has a colour that is none of gray."""
    is_colourful = any(len(set(graphic.colour)) > 1 for graphic in graphics)
    return image.convert("RGB") if is_colourful and image.mode == "L" else image


def _choose_bits(parameters: RenderParameters) -> RenderParameters:
    """Sixteen bits only where the media type has room for them."""
    return parameters if parameters.media_type in DEEP_MEDIA_TYPES else replace(parameters, bits=8)


def _read_state(parameters: RenderParameters, frame: LoadedFrame) -> PresentationState | None:
    if parameters.presentation_state is None:
        return None
    return read_presentation_state(parameters.presentation_state, frame.header, frame.frame_number)


@contextmanager
def within_limits() -> Iterator[None]:
    """What odd and hostile values end in: no warning and no overflow, at most `ImagingFailed`.

    Values beyond float64 become infinite on the way and black or white at its end. pydicom would warn and log about
    values that break their VR, and quote them; nobody may read that.
    """
    logger = logging.getLogger("pydicom")
    was_disabled, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    except MemoryError as error:
        raise ImagingFailed("the picture needs more memory than allowed") from error
    finally:
        logger.disabled = was_disabled
