"""Graphic annotation of a presentation state: lines, curves, closed shapes and text (PS3.3 §C.10.5).

Drawn onto the finished picture, so that lines and letters are sharp at any size. Called by ``render``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset

from gateway.imaging.rendering.annotation import draw_text, load_font, measure_text
from gateway.imaging.rendering.attributes import get_items, get_number, get_numbers, get_text
from gateway.imaging.rendering.colours import Colour
from gateway.imaging.rendering.geometry import Placement, Points

__all__ = ["Graphic", "Text", "draw_graphics", "read_graphics"]

_MOST_OBJECTS = 2_000
_MOST_NUMBERS = 20_000
_MOST_CHARACTERS = 1_024
_FARTHEST = 100_000.0  # coordinates beyond mean the same and would overflow when drawn
_POINT_RADIUS = 3
_CURVE_STEPS = 16
_CIRCLE_STEPS = 96


@dataclass(frozen=True, slots=True)
class Graphic:
    """One graphic object; `in_display` tells fractions of the displayed area from image coordinates."""

    kind: str
    points: Points = field(repr=False)
    in_display: bool
    is_filled: bool
    colour: Colour


@dataclass(frozen=True, slots=True)
class Text:
    """One text object: its place is the middle of its box, or beside its anchor point."""

    text: str = field(repr=False)
    points: Points = field(repr=False)
    in_display: bool
    is_anchor: bool
    colour: Colour


def read_graphics(item: Dataset, colour: Colour) -> list[Graphic | Text]:
    """Read the objects of a Graphic Annotation Sequence item; what cannot be drawn is left out."""
    graphics = [_read_graphic(each, colour) for each in get_items(item, "GraphicObjectSequence")[:_MOST_OBJECTS]]
    texts = [_read_text(each, colour) for each in get_items(item, "TextObjectSequence")[:_MOST_OBJECTS]]
    return [each for each in (*graphics, *texts) if each is not None]


def _read_graphic(item: Dataset, colour: Colour) -> Graphic | None:
    numbers = get_numbers(item, "GraphicData")
    kind = get_text(item, "GraphicType")
    if kind not in _OUTLINES or len(numbers) % 2 or not _FEWEST[kind] * 2 <= len(numbers) <= _MOST_NUMBERS:
        return None
    in_display = get_text(item, "GraphicAnnotationUnits") == "DISPLAY"
    return Graphic(kind, _to_points(numbers), in_display, get_text(item, "GraphicFilled") == "Y", colour)


def _read_text(item: Dataset, colour: Colour) -> Text | None:
    text = get_text(item, "UnformattedTextValue")[:_MOST_CHARACTERS]
    corners = get_numbers(item, "BoundingBoxTopLeftHandCorner"), get_numbers(item, "BoundingBoxBottomRightHandCorner")
    anchor = get_numbers(item, "AnchorPoint")
    if text and all(len(corner) == 2 for corner in corners):
        in_display = get_text(item, "BoundingBoxAnnotationUnits") == "DISPLAY"
        return Text(text, _to_points((*corners[0], *corners[1])), in_display, False, colour)
    if text and len(anchor) == 2:
        return Text(text, _to_points(anchor), get_text(item, "AnchorPointAnnotationUnits") == "DISPLAY", True, colour)
    return None


def _to_points(numbers: tuple[float, ...]) -> Points:
    return np.clip(np.array(numbers, dtype=np.float64), -_FARTHEST, _FARTHEST).reshape(-1, 2)


# --- outlines in the coordinates the object came in, closed where the last point is the first ---


def _keep(points: Points) -> Points:
    return points


def _interpolate(points: Points) -> Points:
    """A Catmull-Rom curve through all points; the standard leaves the kind of curve open (§C.10.5.1.2)."""
    if len(points) < 3:
        return points
    is_closed = bool(np.all(points[0] == points[-1]))
    before, after = (points[-2], points[1]) if is_closed else (points[0], points[-1])
    knots = np.vstack([before, points, after])
    steps = np.linspace(0, 1, _CURVE_STEPS, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(knots, knots[1:], knots[2:], knots[3:], strict=False):
        pieces.append(
            b + steps / 2 * (c - a + steps * (2 * a - 5 * b + 4 * c - d + steps * (3 * (b - c) + d - a)))
        )  # fmt: skip
    return np.vstack([*pieces, points[-1:]])


def _trace_circle(points: Points) -> Points:
    radius = math.hypot(*(points[1] - points[0]))
    traced: Points = points[0] + radius * _UNIT_CIRCLE
    return traced


def _trace_ellipse(points: Points) -> Points:
    """The first two points end the major axis, the others the minor one."""
    center = points[:4].mean(axis=0)
    major, minor = (points[1] - points[0]) / 2, (points[3] - points[2]) / 2
    traced: Points = center + _UNIT_CIRCLE[:, :1] * major + _UNIT_CIRCLE[:, 1:] * minor
    return traced


_ANGLES = np.linspace(0, 2 * math.pi, _CIRCLE_STEPS + 1)
_UNIT_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
_OUTLINES: dict[str, Callable[[Points], Points]] = {
    "POINT": _keep,
    "POLYLINE": _keep,
    "INTERPOLATED": _interpolate,
    "CIRCLE": _trace_circle,
    "ELLIPSE": _trace_ellipse,
}
_FEWEST = {"POINT": 1, "POLYLINE": 2, "INTERPOLATED": 2, "CIRCLE": 2, "ELLIPSE": 4}


def draw_graphics(image: Image.Image, graphics: list[Graphic | Text], placement: Placement) -> None:
    """Draw all objects onto `image`, the finished picture, of mode L, I;16 or RGB."""
    for graphic in graphics:
        if isinstance(graphic, Text):
            _draw_text(image, graphic, placement)
        else:
            _draw_graphic(image, graphic, placement)


def _map(points: Points, placement: Placement, *, in_display: bool) -> Points:
    return placement.map_fractions(points) if in_display else placement.map_points(points)


def _draw_graphic(image: Image.Image, graphic: Graphic, placement: Placement) -> None:
    outline = _OUTLINES[graphic.kind](graphic.points)
    mapped = np.clip(_map(outline, placement, in_display=graphic.in_display), -_FARTHEST, _FARTHEST)
    points = [(float(x), float(y)) for x, y in mapped]
    draw = ImageDraw.Draw(image)
    ink = choose_ink(image.mode, graphic.colour)
    width = max(1, round(min(image.size) / 512))
    if graphic.kind == "POINT":
        for x, y in points:
            box = (x - _POINT_RADIUS, y - _POINT_RADIUS, x + _POINT_RADIUS, y + _POINT_RADIUS)
            draw.ellipse(box, outline=ink, width=width)
    elif graphic.is_filled and points[0] == points[-1] and len(points) > 3:
        draw.polygon(points, fill=ink)
    else:
        draw.line(points, fill=ink, width=width)


def choose_ink(mode: str, colour: Colour) -> int | Colour:
    """What Pillow draws `colour` with on an image of `mode`."""
    return colour if mode == "RGB" else sum(colour) // 3 * (257 if mode == "I;16" else 1)


def _draw_text(image: Image.Image, text: Text, placement: Placement) -> None:
    places = np.clip(_map(text.points, placement, in_display=text.in_display), -_FARTHEST, _FARTHEST)
    font = load_font(image.height / 32)
    width, height = measure_text(text.text, font)
    if text.is_anchor:
        x, y = places[0] + (4, -height / 2)
    else:
        x, y = places.mean(axis=0) - (width / 2, height / 2)
    draw_text(image, (float(x), float(y)), text.text, font, text.colour)


def get_layer_colour(layers: list[Dataset], name: str, read: Callable[[Dataset], Colour], default: Colour) -> Colour:
    """The colour recommended for the graphic layer `name`."""
    found = next((layer for layer in layers if get_text(layer, "GraphicLayer") == name), None)
    return default if found is None else read(found)


def get_layer_order(layers: list[Dataset], name: str) -> float:
    """Graphic Layer Order, by which layers lie above each other; 0 where it is unknown."""
    found = next((layer for layer in layers if get_text(layer, "GraphicLayer") == name), None)
    return 0.0 if found is None else get_number(found, "GraphicLayerOrder", 0.0) or 0.0
