"""Segmentations: one frame as colours, alone or over the image it was drawn on (PS3.3 §C.8.20).

Binary, fractional and label map. A segment has its Recommended Display CIELab Value, else a colour by its number.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from gateway.errors import ImagingFailed
from gateway.imaging.rendering.attributes import (
    find_macro,
    get_items,
    get_number,
    get_numbers,
    get_text,
    read_header,
)
from gateway.imaging.rendering.colours import Colour, to_srgb
from gateway.imaging.rendering.loading import LoadedFrame
from gateway.imaging.rendering.palette import read_palette

__all__ = ["blend_segmentation", "compose_segmentation", "find_segmentation_frames", "is_segmentation"]

_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
_OPACITY = 0.5
_MOST_LABELS = 65_536
# Kelly's colours of maximum contrast, without the near-black ones
_DEFAULT_COLOURS: tuple[Colour, ...] = (
    (255, 179, 0), (128, 62, 117), (255, 104, 0), (166, 189, 215), (193, 0, 32), (206, 162, 98), (129, 112, 102),
    (0, 125, 52), (246, 118, 142), (0, 83, 138), (255, 122, 92), (83, 55, 122), (255, 142, 0), (179, 40, 81),
    (244, 200, 0), (127, 24, 13), (147, 170, 0), (89, 51, 21), (241, 58, 19),
)  # fmt: skip

_Weights = npt.NDArray[np.float32]
_Colours = npt.NDArray[np.uint8]


def is_segmentation(header: Dataset) -> bool:
    """Whether the instance is a segmentation or a label map segmentation."""
    return get_text(header, "SOPClassUID") in _CLASSES


def compose_segmentation(frame: LoadedFrame) -> _Colours:
    """The frame alone, its segments coloured on black: (rows, columns, 3)."""
    weights, colours = _colour_segments(frame)
    picture: _Colours = np.rint(weights[..., None] * colours).astype(np.uint8)
    return picture


def blend_segmentation(picture: _Colours, frame: LoadedFrame) -> _Colours:
    """The frame over `picture` (rows, columns, 3), half transparent where its segments are full.

    Raises
    ------
    ImagingFailed
        Not a segmentation, or of another size than the picture.
    """
    if not is_segmentation(frame.header) or picture.shape[:2] != frame.shape:
        raise ImagingFailed("the segmentation does not lie on the pixels of the image")
    weights, colours = _colour_segments(frame)
    strength = weights[..., None] * _OPACITY
    blended: _Colours = np.rint(picture * (1 - strength) + colours * strength).astype(np.uint8)
    return blended


def _colour_segments(frame: LoadedFrame) -> tuple[_Weights, _Colours]:
    """How much of a segment each pixel is, 0 to 1 of (rows, columns), and its colour, (rows, columns, 3) or (3,)."""
    pixels = frame.decoded.pixels
    if pixels.ndim != 2 or pixels.dtype.kind not in "ui":
        raise ImagingFailed("a segmentation has one integer sample per pixel")
    if get_text(frame.header, "SegmentationType") == "LABELMAP":
        return _colour_labels(frame)
    macro = find_macro(frame.header, frame.frame_number, "SegmentIdentificationSequence")
    number = int((get_number(macro, "ReferencedSegmentNumber", 1) if macro is not None else 1) or 1)
    colour = np.array(_read_colours(frame.header).get(number, _choose_colour(number)), dtype=np.uint8)
    highest = get_number(frame.header, "MaximumFractionalValue", 255) or 255
    is_fractional = get_text(frame.header, "SegmentationType") == "FRACTIONAL"
    weights = pixels.astype(np.float32) / np.float32(highest if is_fractional and highest > 0 else 1)
    return np.clip(weights, 0, 1), colour


def _colour_labels(frame: LoadedFrame) -> tuple[_Weights, _Colours]:
    """The pixel value is the segment number; 0, or Pixel Padding Value, is background (PS3.3 §C.8.20.2.3)."""
    pixels = frame.decoded.pixels
    highest = min(int(pixels.max(initial=0)), _MOST_LABELS - 1)
    background = int(get_number(frame.header, "PixelPaddingValue", 0) or 0)
    palette = read_palette(frame.header)
    if palette is not None:
        colours = palette.apply(np.arange(highest + 1))
    else:
        named = _read_colours(frame.header)
        listed = [named.get(number, _choose_colour(number)) for number in range(highest + 1)]
        colours = np.array(listed, dtype=np.uint8)
    labels = np.clip(pixels, 0, highest)
    return (labels != background).astype(np.float32), np.take(colours, labels, axis=0)


def _read_colours(header: Dataset) -> dict[int, Colour]:
    """Recommended colours by segment number."""
    found = {}
    for item in get_items(header, "SegmentSequence"):
        number, lab = get_number(item, "SegmentNumber"), get_numbers(item, "RecommendedDisplayCIELabValue")
        if number is not None and len(lab) == 3:
            found[int(number)] = to_srgb(lab)
    return found


def _choose_colour(number: int) -> Colour:
    return _DEFAULT_COLOURS[(number - 1) % len(_DEFAULT_COLOURS)]


def find_segmentation_frames(
    header: bytes, instance_uid: str, frame_numbers: Collection[int]
) -> dict[int, frozenset[int]]:
    """Which frames of a segmentation were drawn on frames of an image (PS3.3 §C.7.6.16.2.6).

    Parameters
    ----------
    header : bytes
        Of the segmentation, as `FrameSource.header`.
    instance_uid : str
        SOP Instance UID of the image.
    frame_numbers : collection of int
        Of the image, from 1; none for all of them.

    Returns
    -------
    dict
        Numbers of its frames, ascending, each with the frames of the image it was drawn on, none for all of them.
    """
    data_set = read_header(header)
    shared = get_items(data_set, "SharedFunctionalGroupsSequence")[:1]
    over = {}
    for number, group in enumerate(get_items(data_set, "PerFrameFunctionalGroupsSequence"), 1):
        drawn_on = _find_drawn_on((group, *shared), instance_uid)
        if drawn_on is not None and (not drawn_on or not frame_numbers or not drawn_on.isdisjoint(frame_numbers)):
            over[number] = drawn_on
    return over


def _find_drawn_on(groups: Iterable[Dataset], instance_uid: str) -> frozenset[int] | None:
    """The frames of an image that the first derivation of `groups` names, empty for all; None if it names another."""
    derivations = (item for group in groups for item in get_items(group, "DerivationImageSequence")[:1])
    derivation = next(derivations, None)
    sources = [] if derivation is None else get_items(derivation, "SourceImageSequence")
    named = [
        get_numbers(source, "ReferencedFrameNumber")
        for source in sources
        if get_text(source, "ReferencedSOPInstanceUID") == instance_uid
    ]
    if not named:
        return None
    return frozenset(int(number) for numbers in named for number in numbers) if all(named) else frozenset()
