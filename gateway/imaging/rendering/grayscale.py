"""Grayscale pictures: stored values through modality, VOI and presentation LUT into 8 or 16 bits (PS3.4 §N.2.1).

Integers of up to 16 bits go through one table composed of all three steps, made for the values between the least and
greatest of the frame: a frame of 512 by 512 then costs about a millisecond. Other types are computed pixel by pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from gateway.imaging.pixels import PixelArray
from gateway.imaging.rendering.attributes import get_number
from gateway.imaging.rendering.lookup_tables import FloatArray, LookupTable
from gateway.imaging.rendering.modality import Rescale
from gateway.imaging.rendering.presentation_lut import PresentationLut
from gateway.imaging.rendering.voi import Voi

__all__ = ["GrayscalePipeline", "find_padding", "find_value_range", "map_to_levels"]

_MOST_TABLE_ENTRIES = 65_536


@dataclass(frozen=True, slots=True)
class GrayscalePipeline:
    """The three steps, from stored values to P-Values of 0 to 1."""

    modality: Rescale | LookupTable
    voi: Voi
    presentation_lut: PresentationLut

    def apply(self, values: FloatArray) -> FloatArray:
        """Stored values of any shape in, P-Values of 0 (black) to 1 (white) out."""
        return self.presentation_lut.apply(self.voi.apply(self.modality.apply(values)))


def map_to_levels(pixels: PixelArray, pipeline: GrayscalePipeline, bits: int = 8) -> npt.NDArray[np.uint8 | np.uint16]:
    """Run a frame through the pipeline.

    Parameters
    ----------
    pixels : numpy.ndarray
        (rows, columns) stored values of any integer or float type.
    pipeline : GrayscalePipeline
        What to do with them.
    bits : int
        8 or 16.

    Returns
    -------
    numpy.ndarray
        The same shape, of uint8 or uint16; a value that is not a number becomes black.
    """
    least, greatest = _find_extremes(pixels)
    if pixels.dtype.kind == "f" or greatest - least >= _MOST_TABLE_ENTRIES:
        return _quantize(pipeline.apply(pixels.astype(np.float64)), bits)
    table = _quantize(pipeline.apply(np.arange(least, greatest + 1, dtype=np.float64)), bits)
    if pixels.dtype == np.uint8 and len(table) == 256:
        return np.take(table, pixels)
    # differences of 16-bit integers can be 65,535: they wrap around to what they should be as uint16
    places = (pixels - pixels.dtype.type(least)).view(f"<u{pixels.dtype.itemsize}") if least else pixels
    return np.take(table, places)


def _find_extremes(pixels: PixelArray) -> tuple[int, int]:
    if pixels.dtype.kind == "f" or not pixels.size:
        return 0, 0
    return int(pixels.min()), int(pixels.max())


def _quantize(values: FloatArray, bits: int) -> npt.NDArray[np.uint8 | np.uint16]:
    highest = (1 << bits) - 1
    levels = np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=0.0).clip(0.0, 1.0) * highest + 0.5
    return levels.astype(np.uint8 if bits == 8 else np.uint16)


def find_padding(pixels: PixelArray, header: Dataset) -> npt.NDArray[np.bool_] | None:
    """Where the frame holds padding in place of an image (PS3.3 §C.7.5.1.1.2).

    Returns
    -------
    numpy.ndarray or None
        (rows, columns) of bool; None where the image names no padding or has none.
    """
    value = get_number(header, "PixelPaddingValue")
    if value is None:
        return None
    limit = get_number(header, "PixelPaddingRangeLimit", value)
    low, high = sorted(_read_as(pixels, number) for number in (value, value if limit is None else limit))
    mask = pixels == low if low == high else (pixels >= low) & (pixels <= high)
    return mask if mask.any() else None


def _read_as(pixels: PixelArray, value: float) -> float:
    """The padding value with the sign of the pixels, since it is met as US beside signed pixels.

    An integer for integers: numpy would convert the whole frame to compare it with a float.
    """
    if pixels.dtype.kind == "f":
        return value
    if pixels.dtype == np.int16 and value > 32_767:
        return int(value) - 65_536
    return int(value) + 65_536 if pixels.dtype == np.uint16 and value < 0 else int(value)


def find_value_range(
    pixels: PixelArray, modality: Rescale | LookupTable, padding: npt.NDArray[np.bool_] | None
) -> tuple[float, float]:
    """The least and greatest modality value of a frame, padding and what is no number apart.

    Returns
    -------
    (float, float)
        (0, 0) for a frame of nothing but padding.
    """
    values = pixels if padding is None else pixels[~padding]
    if pixels.dtype.kind == "f":
        values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 0.0
    if isinstance(modality, LookupTable):
        results = modality.apply(np.unique(values).astype(np.float64))
    else:  # monotonic: the extremes are enough
        results = modality.apply(np.array([values.min(), values.max()], dtype=np.float64))
    return float(results.min()), float(results.max())
