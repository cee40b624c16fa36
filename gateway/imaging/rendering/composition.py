"""A loaded frame as displayable pixels of its own size: grayscale or RGB, with shutter, overlays and segmentations.

Place and size come later (``geometry``), since all of this is said in pixels of the image. Called by ``render`` and
``animation``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from gateway.errors import ImagingFailed
from gateway.imaging.pixels import DecodedFrame, PixelArray, to_rgb
from gateway.imaging.rendering.attributes import get_items, get_text
from gateway.imaging.rendering.colours import Colour
from gateway.imaging.rendering.grayscale import GrayscalePipeline, find_padding, find_value_range, map_to_levels
from gateway.imaging.rendering.loading import LoadedFrame, load_frame
from gateway.imaging.rendering.lookup_tables import LookupTable
from gateway.imaging.rendering.modality import IDENTITY, Rescale, choose_modality, read_modality
from gateway.imaging.rendering.overlays import Mask, find_overlays
from gateway.imaging.rendering.palette import Palette, read_palette
from gateway.imaging.rendering.parameters import RenderParameters
from gateway.imaging.rendering.presentation_lut import PresentationLut, choose_presentation_lut
from gateway.imaging.rendering.presentation_state import PresentationState, StateKind
from gateway.imaging.rendering.registration import resample
from gateway.imaging.rendering.segmentation import blend_segmentation, compose_segmentation, is_segmentation
from gateway.imaging.rendering.shutter import read_shutter
from gateway.imaging.rendering.voi import ValueRange, Voi, choose_voi, read_voi

__all__ = ["compose", "find_display_range"]

_WHITE: Colour = (255, 255, 255)
_DISPLAY_BITS = 8  # images of so many bits or fewer are taken for display values where nothing else is said
_Levels = npt.NDArray[np.uint8 | np.uint16]


def compose(
    frame: LoadedFrame,
    parameters: RenderParameters,
    state: PresentationState | None,
    value_range: tuple[float, float] | None = None,
) -> _Levels:
    """Make the pixels of one frame displayable.

    Parameters
    ----------
    frame : LoadedFrame
        Decoded.
    parameters : RenderParameters
        Window, segmentations, superimposed frame and bits matter here.
    state : PresentationState, optional
        Takes the place of what the image says.
    value_range : (float, float), optional
        Modality values of black and white where no window is said, in place of those of this frame.

    Returns
    -------
    numpy.ndarray
        (rows, columns) of uint8, or uint16 for 16 bits, or (rows, columns, 3) of uint8.

    Raises
    ------
    ImagingFailed
        A photometric interpretation that is not known, or palette or segmentation that do not fit.
    """
    if is_segmentation(frame.header):
        picture: _Levels = compose_segmentation(frame)
    else:
        compose_image = _INTERPRETATIONS.get(frame.decoded.photometric_interpretation, _compose_colour)
        picture = compose_image(frame, parameters, state, value_range)
    picture = _cover(picture, frame, state)
    for mask, colour in _list_overlays(frame, state):
        picture = _paint(picture, mask, colour)
    for segmentation in parameters.segmentations:
        picture = blend_segmentation(_to_colour(picture), load_frame(segmentation))
    return picture


# --- by photometric interpretation ---


def _compose_colour(
    frame: LoadedFrame, _: RenderParameters, _state: PresentationState | None, _range: tuple[float, float] | None
) -> _Levels:
    return _reduce(to_rgb(frame.decoded))


def _reduce(decoded: DecodedFrame) -> npt.NDArray[np.uint8]:
    """The eight most significant bits of each sample, three samples a pixel."""
    pixels, bits = decoded.pixels[..., :3], decoded.bits
    if pixels.dtype.kind not in "ui":
        raise ImagingFailed("colour samples are integers")
    reduced = pixels >> (bits - 8) if bits > 8 else pixels << (8 - bits)
    return np.ascontiguousarray(reduced.astype(np.uint8))


def _compose_palette(
    frame: LoadedFrame, _: RenderParameters, _state: PresentationState | None, _range: tuple[float, float] | None
) -> _Levels:
    palette = read_palette(frame.header, is_signed=frame.description.is_signed)
    if palette is None:
        raise ImagingFailed("PALETTE COLOR without a palette")
    return palette.apply(_get_plane(frame))


def _compose_grayscale(
    frame: LoadedFrame,
    parameters: RenderParameters,
    state: PresentationState | None,
    value_range: tuple[float, float] | None,
) -> _Levels:
    pixels = _get_plane(frame)
    padding = find_padding(pixels, frame.header)
    pipeline = _plan_pipeline(frame, parameters, state, value_range, padding)
    if state is not None and state.kind is StateKind.PSEUDO_COLOR:
        return _paint_padding(_read_state_palette(state).scale(pipeline.apply(pixels.astype(np.float64))), padding)
    levels = _paint_padding(map_to_levels(pixels, pipeline, parameters.bits), padding)
    if state is not None and state.kind is StateKind.BLENDING and parameters.superimposed is not None:
        return _superimpose(_to_colour(levels), frame, load_frame(parameters.superimposed), state)
    return _apply_supplement(levels, frame) if state is None else levels


_INTERPRETATIONS: dict[
    str, Callable[[LoadedFrame, RenderParameters, PresentationState | None, tuple[float, float] | None], _Levels]
] = {
    "MONOCHROME1": _compose_grayscale,
    "MONOCHROME2": _compose_grayscale,
    "PALETTE COLOR": _compose_palette,
}


def _get_plane(frame: LoadedFrame) -> PixelArray:
    if frame.decoded.pixels.ndim != 2:
        raise ImagingFailed("the Photometric Interpretation wants one sample per pixel")
    return frame.decoded.pixels


# --- grayscale ---


def _plan_pipeline(
    frame: LoadedFrame,
    parameters: RenderParameters,
    state: PresentationState | None,
    value_range: tuple[float, float] | None,
    padding: Mask | None,
) -> GrayscalePipeline:
    is_signed = frame.description.is_signed
    if state is not None:
        modality = state.read_modality(is_signed=is_signed)
        voi = state.read_voi(is_signed=_may_be_negative(frame, modality))
        return GrayscalePipeline(modality, voi or _find_full_range(frame, modality), state.presentation_lut)
    modality = choose_modality(frame.header, frame.frame_number, is_signed=is_signed)
    voi = choose_voi(
        frame.header, frame.frame_number, parameters.window, is_signed=_may_be_negative(frame, modality)
    ) or _choose_default(frame, modality, value_range, padding)
    lut = choose_presentation_lut(frame.header, frame.decoded.photometric_interpretation)
    return GrayscalePipeline(modality, voi, lut)


def _choose_default(
    frame: LoadedFrame,
    modality: Rescale | LookupTable,
    value_range: tuple[float, float] | None,
    padding: Mask | None,
) -> Voi:
    if frame.description.bits_stored <= _DISPLAY_BITS and modality == IDENTITY:
        return _find_full_range(frame, modality)
    return ValueRange(*(value_range or find_value_range(frame.decoded.pixels, modality, padding)))


def _find_full_range(frame: LoadedFrame, modality: Rescale | LookupTable) -> ValueRange:
    """From the least to the greatest modality value that the stored bits can have."""
    if isinstance(modality, LookupTable):
        return ValueRange(0.0, modality.highest)
    if frame.decoded.pixels.dtype.kind == "f":
        return ValueRange(*find_value_range(frame.decoded.pixels, modality, None))
    bits = frame.description.bits_stored
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if frame.description.is_signed else (0, (1 << bits) - 1)
    ends = sorted(float(end) for end in modality.apply(np.array([low, high], dtype=np.float64)))
    return ValueRange(ends[0], ends[1])


def _may_be_negative(frame: LoadedFrame, modality: Rescale | LookupTable) -> bool:
    return not isinstance(modality, LookupTable) and (frame.description.is_signed or modality.intercept < 0)


def find_display_range(frame: LoadedFrame) -> tuple[float, float] | None:
    """The least and greatest modality value of a frame that names no window; None where they do not matter."""
    if frame.decoded.photometric_interpretation not in ("MONOCHROME1", "MONOCHROME2"):
        return None
    modality = choose_modality(frame.header, frame.frame_number, is_signed=frame.description.is_signed)
    if choose_voi(frame.header, frame.frame_number, None, is_signed=False) is not None:
        return None
    pixels = _get_plane(frame)
    return find_value_range(pixels, modality, find_padding(pixels, frame.header))


def _read_state_palette(state: PresentationState) -> Palette:
    palette = read_palette(state.data_set)
    if palette is None:
        raise ImagingFailed("the presentation state has no palette")
    return palette


def _superimpose(picture: _Levels, underlying: LoadedFrame, above: LoadedFrame, state: PresentationState) -> _Levels:
    """The superimposed frame through its LUTs and the palette of the state, mixed in (PS3.4 §N.2.4, blending)."""
    item = state.find_superimposed()
    modality = read_modality(item, is_signed=above.description.is_signed)
    voi = next((read_voi(each, is_signed=True) for each in get_items(item, "SoftcopyVOILUTSequence")), None)
    pipeline = GrayscalePipeline(modality, voi or _find_full_range(above, modality), PresentationLut())
    values, covered = resample(pipeline.apply(_get_plane(above).astype(np.float64)), above, underlying)
    weights = np.where(covered, state.opacity, 0.0)[..., None]
    mixed: _Levels = np.rint(picture * (1 - weights) + _read_state_palette(state).scale(values) * weights).astype(
        np.uint8
    )
    return mixed


def _apply_supplement(levels: _Levels, frame: LoadedFrame) -> _Levels:
    """Colour what a supplemental palette is for: stored values from its first on (PS3.3 §C.8.16.2.1.1.1)."""
    if get_text(frame.header, "PixelPresentation") not in ("COLOR", "MIXED") or levels.dtype != np.uint8:
        return levels
    palette = read_palette(frame.header, is_signed=frame.description.is_signed)
    pixels = frame.decoded.pixels
    if palette is None or pixels.dtype.kind == "f":
        return levels
    return np.where((pixels >= palette.first)[..., None], palette.apply(pixels), _to_colour(levels))


# --- what lies over the image ---


def _cover(picture: _Levels, frame: LoadedFrame, state: PresentationState | None) -> _Levels:
    shutter = read_shutter(frame.header if state is None else state.data_set, frame.shape)
    return picture if shutter is None else _paint(picture, shutter.covered, shutter.colour)


def _list_overlays(frame: LoadedFrame, state: PresentationState | None) -> list[tuple[Mask, Colour]]:
    if state is not None:
        return state.read_overlays(frame.header, frame.shape)
    masks = find_overlays(frame.header, frame.description, frame.stored, frame.frame_number)
    return [(mask, _WHITE) for mask in masks]


def _paint_padding(picture: _Levels, padding: Mask | None) -> _Levels:
    return picture if padding is None else _paint(picture, padding, (0, 0, 0))


def _paint(picture: _Levels, mask: Mask, colour: Colour) -> _Levels:
    """Fill `mask` with `colour`; a grayscale picture becomes RGB where the colour is none of gray."""
    if picture.ndim == 2 and len(set(colour)) == 1:
        picture[mask] = colour[0] * (257 if picture.dtype == np.uint16 else 1)
        return picture
    picture = _to_colour(picture)
    picture[mask] = colour
    return picture


def _to_colour(picture: _Levels) -> npt.NDArray[np.uint8]:
    """RGB of eight bits, a copy where it was not."""
    if picture.ndim == 3:
        return picture.astype(np.uint8, copy=False)
    levels = (picture >> 8).astype(np.uint8) if picture.dtype == np.uint16 else picture
    return np.repeat(levels[..., None], 3, axis=2)
