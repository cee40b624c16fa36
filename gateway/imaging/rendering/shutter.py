"""Display shutters: the part of an image that is shown, the rest covered evenly (PS3.3 §C.7.6.11, §C.7.6.15).

Rectangular, circular, polygonal and bitmap; several together show what lies inside all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset

from gateway.imaging.rendering.attributes import get_number, get_numbers, get_texts
from gateway.imaging.rendering.colours import Colour, read_colour
from gateway.imaging.rendering.overlays import GROUPS, Mask, read_overlay

__all__ = ["Shutter", "read_shutter"]

_BLACK: Colour = (0, 0, 0)
_EDGES = ("UpperHorizontal", "LowerHorizontal", "LeftVertical", "RightVertical")
_MOST_VERTICES = 10_000
_FARTHEST = 1_000_000.0  # pixels from the origin; coordinates beyond mean the same and would overflow when drawn


@dataclass(frozen=True, slots=True)
class Shutter:
    """What is covered, (rows, columns) of bool, and by which colour."""

    covered: Mask = field(repr=False)
    colour: Colour = _BLACK


def read_shutter(data_set: Dataset, shape: tuple[int, int]) -> Shutter | None:
    """Read the Display Shutter module of an image or a presentation state.

    Parameters
    ----------
    data_set : pydicom.Dataset
        Header of the image, or the presentation state.
    shape : (int, int)
        Rows and columns of the image.

    Returns
    -------
    Shutter or None
        None where no shutter of known shape and full description is there.
    """
    visible = None
    for name in get_texts(data_set, "ShutterShape"):
        mask = _SHAPES[name](data_set, shape) if name in _SHAPES else None
        if mask is not None:
            visible = mask if visible is None else visible & mask
    if visible is None:
        return None
    colour = read_colour(data_set, "ShutterPresentationColorCIELabValue", "ShutterPresentationValue", _BLACK)
    return Shutter(~visible, colour)


def _draw_rectangle(data_set: Dataset, shape: tuple[int, int]) -> Mask | None:
    numbers = [get_number(data_set, f"Shutter{edge}Edge") for edge in _EDGES]
    if None in numbers:
        return None
    upper, lower, left, right = (float(number or 0) for number in numbers)
    rows, columns = _count_pixels(shape)
    return (rows >= upper) & (rows <= lower) & (columns >= left) & (columns <= right)


def _draw_circle(data_set: Dataset, shape: tuple[int, int]) -> Mask | None:
    center = get_numbers(data_set, "CenterOfCircularShutter")
    radius = get_number(data_set, "RadiusOfCircularShutter")
    if len(center) != 2 or radius is None:
        return None
    rows, columns = _count_pixels(shape)
    distance = np.hypot(rows - _limit(center[0]), columns - _limit(center[1]))
    return distance <= _limit(radius)


def _draw_polygon(data_set: Dataset, shape: tuple[int, int]) -> Mask | None:
    numbers = get_numbers(data_set, "VerticesOfThePolygonalShutter")
    if len(numbers) < 6 or len(numbers) % 2 or len(numbers) > 2 * _MOST_VERTICES:
        return None
    points = [(_limit(column) - 1, _limit(row) - 1) for row, column in zip(numbers[::2], numbers[1::2], strict=True)]
    image = Image.new("1", (shape[1], shape[0]))
    ImageDraw.Draw(image).polygon(points, fill=1, outline=1)
    return np.asarray(image, dtype=np.bool_)


def _draw_bitmap(data_set: Dataset, shape: tuple[int, int]) -> Mask | None:
    group = int(get_number(data_set, "ShutterOverlayGroup", 0) or 0)
    plane = read_overlay(data_set, group, shape) if group in GROUPS else None
    return None if plane is None else ~plane


_SHAPES: dict[str, Callable[[Dataset, tuple[int, int]], Mask | None]] = {
    "RECTANGULAR": _draw_rectangle,
    "CIRCULAR": _draw_circle,
    "POLYGONAL": _draw_polygon,
    "BITMAP": _draw_bitmap,
}


def _count_pixels(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Row and column numbers from 1, to be broadcast against each other."""
    return np.arange(1, shape[0] + 1)[:, None], np.arange(1, shape[1] + 1)[None, :]


def _limit(value: float) -> float:
    return min(max(value, -_FARTHEST), _FARTHEST)
