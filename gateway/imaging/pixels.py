"""Decoded frames as arrays, and what is done with any of them: stored values, colour (PS3.3 §C.7.6.3.1.2).

Not a codec: bytes become arrays in ``decode``. Arrays are (rows, columns), or (rows, columns, samples) for colour.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gateway.errors import ImagingFailed
from gateway.imaging.description import ImageDescription

__all__ = ["DecodedFrame", "PixelArray", "extract_stored_values", "find_cell_type", "to_rgb"]

PixelArray: TypeAlias = npt.NDArray[Any]

_FULL_RANGE = frozenset({"YBR_FULL", "YBR_FULL_422"})
_PARTIAL_RANGE = frozenset({"YBR_PARTIAL_422", "YBR_PARTIAL_420"})
# the reversible and irreversible transforms of JPEG 2000 belong to its codestream: decoders give back RGB
_UNDONE_BY_CODEC = frozenset({"RGB", "YBR_RCT", "YBR_ICT"})


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """One frame, decoded.

    Parameters
    ----------
    pixels : numpy.ndarray
        (rows, columns) or (rows, columns, samples); the type is of Bits Allocated and sign.
    photometric_interpretation : str
        Of `pixels`, which a codec may have changed.
    bits : int
        Significant bits of a sample.
    is_lossy : bool
        The codestream itself says that it was compressed with loss.
    """

    pixels: PixelArray
    photometric_interpretation: str
    bits: int
    is_lossy: bool = False


def find_cell_type(description: ImageDescription) -> np.dtype[Any]:
    """The type of one decoded sample: little endian, of Bits Allocated, signed or float where the image is."""
    size = max(description.bits_allocated // 8, 1)
    kind = "f" if description.is_float else "i" if description.is_signed and description.bits_allocated > 1 else "u"
    return np.dtype(f"<{kind}{size}")


def extract_stored_values(pixels: PixelArray, description: ImageDescription) -> PixelArray:
    """Keep the bits from High Bit down of each sample, the sign extended (PS3.5 §8.1.1).

    The bits beside them may hold overlays or rubbish. Returns `pixels` itself where there are none.
    """
    allocated, stored = description.bits_allocated, description.bits_stored
    if description.is_float or allocated == 1 or stored == allocated:
        return pixels
    above, below = allocated - 1 - description.high_bit, allocated - stored
    return (pixels << above) >> below


def to_rgb(frame: DecodedFrame) -> DecodedFrame:
    """Convert luminance and chrominance into RGB; RGB stays as it is.

    Raises
    ------
    ImagingFailed
        A frame of one sample per pixel, or an interpretation without a known conversion.
    """
    name = frame.photometric_interpretation
    if frame.pixels.ndim != 3 or frame.pixels.shape[2] < 3:
        raise ImagingFailed("a frame of one sample per pixel has no colour")
    if name in _UNDONE_BY_CODEC:
        return replace(frame, photometric_interpretation="RGB")
    if name not in _FULL_RANGE | _PARTIAL_RANGE:
        raise ImagingFailed("no conversion into RGB from this Photometric Interpretation")
    return replace(frame, pixels=_convert_ybr(frame, partial=name in _PARTIAL_RANGE), photometric_interpretation="RGB")


def _convert_ybr(frame: DecodedFrame, *, partial: bool) -> PixelArray:
    """Undo ITU-R BT.601, of the full range or of 16 to 235 (PS3.3 §C.7.6.3.1.2)."""
    peak = (1 << frame.bits) - 1
    half = 1 << (frame.bits - 1)
    luma = frame.pixels[..., 0].astype(np.float32)
    blue = frame.pixels[..., 1].astype(np.float32) - half
    red = frame.pixels[..., 2].astype(np.float32) - half
    if partial:
        unit = (1 << frame.bits) / 256
        luma = (luma - 16 * unit) * (255 / 219)
        blue *= 255 / 224
        red *= 255 / 224
    out = np.empty_like(frame.pixels[..., :3])
    for place, plane in enumerate((luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue)):
        out[..., place] = np.clip(np.rint(plane), 0, peak)
    return out
