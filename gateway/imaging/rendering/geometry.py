"""Where the pixels of an image come to lie in the picture: displayed area, rotation, source region, flips, scale.

Three coordinate systems, each from the top left corner with the outer edge of the first pixel at 0:
image (pixels as stored), display (the displayed area after rotation and flip of a presentation state, still in pixels
of the image), picture (what is sent). Order: PS3.4 §N.2.4, then the source region, then the viewport (PS3.18 §8.3.5.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from gateway.errors import BadParameter
from gateway.imaging.rendering.parameters import NormalizedRegion, SourceRegion, Viewport

__all__ = ["Box", "Placement", "Points", "Presentation", "place_image", "plan_placement"]

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

Points = npt.NDArray[np.float64]
"""(n, 2): x and y."""

_MOST_SIDE = 16_384  # of a picture whose size nobody asked for; larger images are scaled down to it
_ROTATIONS = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}


@dataclass(frozen=True, slots=True)
class Presentation:
    """What a presentation state says of place and size.

    Parameters
    ----------
    area : (int, int, int, int)
        Displayed area in image coordinates; may reach beyond the image.
    rotation : int
        0, 90, 180 or 270 degrees clockwise, before the flip.
    is_flipped : bool
        Left becomes right.
    aspect : float
        Height of a pixel of the image divided by its width.
    magnification : float, optional
        Pixels of the picture for one of the image (mode MAGNIFY).
    """

    area: tuple[int, int, int, int]
    rotation: int = 0
    is_flipped: bool = False
    aspect: float = 1.0
    magnification: float | None = None

    @property
    def is_sideways(self) -> bool:
        """Whether width and height change places."""
        return self.rotation in (90, 270)

    @property
    def display_size(self) -> tuple[int, int]:
        """Width and height in display coordinates."""
        width, height = self.area[2] - self.area[0], self.area[3] - self.area[1]
        return (height, width) if self.is_sideways else (width, height)

    @property
    def display_aspect(self) -> float:
        """Height of a pixel as displayed divided by its width."""
        return 1 / self.aspect if self.is_sideways else self.aspect


@dataclass(frozen=True, slots=True)
class Placement:
    """How an image becomes a picture.

    Parameters
    ----------
    presentation : Presentation
        From image to display.
    region : Box
        The part of the display that is shown.
    flips : (bool, bool)
        Horizontally, vertically, of that part.
    size : (int, int)
        Width and height of the picture.
    """

    presentation: Presentation
    region: Box
    flips: tuple[bool, bool]
    size: tuple[int, int]

    def map_points(self, points: Points) -> Points:
        """Image coordinates into picture coordinates."""
        left, top, right, bottom = self.presentation.area
        x, y = points[:, 0] - left, points[:, 1] - top
        width, height = right - left, bottom - top
        match self.presentation.rotation:
            case 90:
                x, y = height - y, x
            case 180:
                x, y = width - x, height - y
            case 270:
                x, y = y, width - x
        if self.presentation.is_flipped:
            x = self.presentation.display_size[0] - x
        return self._map_display(np.stack([x, y], axis=1))

    def map_fractions(self, points: Points) -> Points:
        """Fractions of the displayed area, as displayed, into picture coordinates (PS3.3 §C.10.5.1.1)."""
        return self._map_display(np.multiply(points, np.array(self.presentation.display_size, dtype=np.float64)))

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the picture for one of the display, across and down."""
        left, top, right, bottom = self.region
        return self.size[0] / (right - left), self.size[1] / (bottom - top)

    def _map_display(self, points: Points) -> Points:
        mapped: Points = (points - np.array(self.region[:2])) * np.array(self.scale)
        for axis, is_flipped in enumerate(self.flips):
            if is_flipped:
                mapped[:, axis] = self.size[axis] - mapped[:, axis]
        return mapped


def plan_placement(
    presentation: Presentation, viewport: Viewport | None = None, region: NormalizedRegion | None = None
) -> Placement:
    """Work out size and place of everything.

    Parameters
    ----------
    presentation : Presentation
        Of a presentation state, or the whole image.
    viewport : Viewport, optional
        What the picture must fit into, and its source region.
    region : NormalizedRegion, optional
        The source region as fractions.

    Raises
    ------
    BadParameter
        The source region lies outside the image.
    """
    source = viewport.region if viewport is not None else None
    box = _choose_region(presentation.display_size, source, region)
    flips = (False, False) if source is None else (source.flip_horizontally, source.flip_vertically)
    placement = Placement(presentation, box, flips, (1, 1))
    if presentation.magnification is not None:
        return _magnify(placement, presentation.magnification, viewport)
    return replace(placement, size=_fit(box, presentation.display_aspect, viewport))


def _choose_region(size: tuple[int, int], source: SourceRegion | None, region: NormalizedRegion | None) -> Box:
    width, height = size
    if region is not None:
        return region.xmin * width, region.ymin * height, region.xmax * width, region.ymax * height
    if source is None:
        return 0.0, 0.0, float(width), float(height)
    right = width if source.width is None else min(source.x + source.width, width)
    bottom = height if source.height is None else min(source.y + source.height, height)
    if source.x >= right or source.y >= bottom:
        raise BadParameter("viewport", "the source region lies outside the image")
    return source.x, source.y, float(right), float(bottom)


def _fit(box: Box, aspect: float, viewport: Viewport | None) -> tuple[int, int]:
    """As large as the viewport allows; without one, no pixel of the image becomes less than one of the picture."""
    width, height = box[2] - box[0], (box[3] - box[1]) * aspect
    if viewport is None:
        grown = max(1.0, 1 / aspect)
        limits: Sequence[int | None] = (_MOST_SIDE, _MOST_SIDE)
        scale = min(grown, _MOST_SIDE / width, _MOST_SIDE / height)
    else:
        limits = (viewport.width, viewport.height)
        scale = min(limit / side for limit, side in zip(limits, (width, height), strict=True) if limit is not None)
        scale = min(scale, _MOST_SIDE / width, _MOST_SIDE / height)
    return _round(width * scale, limits[0]), _round(height * scale, limits[1])


def _round(side: float, limit: int | None) -> int:
    return max(1, min(int(side + 0.5), limit or _MOST_SIDE))


def _magnify(placement: Placement, magnification: float, viewport: Viewport | None) -> Placement:
    """Scale by a fixed factor and cut what goes beyond the viewport off at both sides evenly."""
    scales = (magnification, magnification * placement.presentation.display_aspect)
    limits = (viewport.width, viewport.height) if viewport is not None else (None, None)
    starts, ends, size = [], [], []
    for axis, (scale, limit) in enumerate(zip(scales, limits, strict=True)):
        start, end = placement.region[axis], placement.region[axis + 2]
        side = _round((end - start) * scale, limit)
        spare = max(0.0, (end - start) - side / scale) / 2
        starts.append(start + spare)
        ends.append(end - spare)
        size.append(side)
    return replace(placement, region=(starts[0], starts[1], ends[0], ends[1]), size=(size[0], size[1]))


def place_image(image: Image.Image, placement: Placement) -> Image.Image:
    """Crop, turn and scale `image`; what the displayed area holds beyond the image becomes black."""
    presentation = placement.presentation
    if presentation.area != (0, 0, *image.size):
        image = image.crop(presentation.area)
    if presentation.rotation in _ROTATIONS:
        image = image.transpose(_ROTATIONS[presentation.rotation])
    if presentation.is_flipped:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image = _scale(image, placement)
    for is_flipped, way in zip(placement.flips, _FLIPS, strict=True):
        if is_flipped:
            image = image.transpose(way)
    return image


_FLIPS = (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM)


def _scale(image: Image.Image, placement: Placement) -> Image.Image:
    whole = (0.0, 0.0, float(image.size[0]), float(image.size[1]))
    if placement.region == whole and placement.size == image.size:
        return image
    if placement.scale == (1.0, 1.0) and all(edge == int(edge) for edge in placement.region):
        left, top, right, bottom = (int(edge) for edge in placement.region)
        return image.crop((left, top, right, bottom))
    # reducing first costs nothing that can be seen, and a large radiograph a tenth of the time
    return image.resize(placement.size, Image.Resampling.BICUBIC, placement.region, reducing_gap=3.0)
