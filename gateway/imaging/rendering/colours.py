"""Colours that DICOM names: CIELab values as it encodes them, grayscale P-Values (PS3.3 §C.10.7.1.1).

Lab with the white point D50, as ICC profiles use it; out comes sRGB.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset

from gateway.imaging.rendering.attributes import get_number, get_numbers

__all__ = ["Colour", "read_colour", "to_srgb"]

Colour = tuple[int, int, int]

_WHITE_D50 = (0.96422, 1.0, 0.82521)
# XYZ relative to D50 into linear sRGB, the Bradford adaptation included
_XYZ_TO_SRGB = (
    (3.1338561, -1.6168667, -0.4906146),
    (-0.9787684, 1.9161415, 0.0334540),
    (0.0719453, -0.2289914, 1.4052427),
)


def to_srgb(encoded: Sequence[float]) -> Colour:
    """Convert a CIELab value of 0 to 65,535 each: L* of 0 to 100, a* and b* of -128 to 127.

    Parameters
    ----------
    encoded : sequence of float
        L*, a* and b* as (0062,000D) and the like hold them.
    """
    lightness = min(max(encoded[0], 0), 65_535) / 65_535 * 100
    a, b = (min(max(value, 0), 65_535) / 65_535 * 255 - 128 for value in encoded[1:3])
    middle = (lightness + 16) / 116
    ratios = (_undo_root(middle + a / 500), _undo_root(middle), _undo_root(middle - b / 200))
    x, y, z = (ratio * white for ratio, white in zip(ratios, _WHITE_D50, strict=True))
    red, green, blue = (_encode_srgb(r * x + g * y + s * z) for r, g, s in _XYZ_TO_SRGB)
    return red, green, blue


def _undo_root(value: float) -> float:
    return value**3 if value > 6 / 29 else 3 * (6 / 29) ** 2 * (value - 4 / 29)


def _encode_srgb(linear: float) -> int:
    value = 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
    return round(min(max(value, 0.0), 1.0) * 255)


def read_colour(data_set: Dataset, lab_keyword: str, grayscale_keyword: str, default: Colour) -> Colour:
    """The CIELab value of `data_set` where it has one, else its grayscale P-Value, else `default`."""
    lab = get_numbers(data_set, lab_keyword)
    if len(lab) == 3:
        return to_srgb(lab)
    gray = get_number(data_set, grayscale_keyword)
    if gray is None:
        return default
    level = round(min(max(gray, 0), 65_535) / 257)
    return level, level, level
