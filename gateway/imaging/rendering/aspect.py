"""Pixel aspect ratio: how much taller than wide a pixel is (PS3.3 §C.7.6.3.1.7).

Of the frame's Pixel Measures, else of the image: Pixel Spacing, Imager Pixel Spacing, Nominal Scanned Pixel Spacing,
Pixel Aspect Ratio, in this order.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from gateway.imaging.rendering.attributes import find_macro, get_numbers

__all__ = ["read_aspect"]

_SQUARE = 1.0
_SAME = 0.005  # a difference below half a percent is not worth resampling every pixel
_ABSURD = 50.0
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio")


def read_aspect(header: Dataset, frame_number: int) -> float:
    """Height of a pixel divided by its width; 1 where nothing is said or what is said is absurd."""
    measures = find_macro(header, frame_number, "PixelMeasuresSequence")
    return choose_aspect([header] if measures is None else [measures, header], _SPACINGS)


def choose_aspect(data_sets: list[Dataset], keywords: tuple[str, ...]) -> float:
    """The ratio of the first pair (vertical, horizontal) under one of `keywords`."""
    for data_set in data_sets:
        for keyword in keywords:
            values = get_numbers(data_set, keyword)
            if len(values) == 2 and min(values) > 0:
                return _check(values[0] / values[1])
    return _SQUARE


def _check(ratio: float) -> float:
    if not 1 / _ABSURD <= ratio <= _ABSURD or abs(ratio - 1) < _SAME:
        return _SQUARE
    return ratio
