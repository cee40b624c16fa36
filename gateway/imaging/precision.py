"""How many bits of a sample a codestream is to hold.

Bits Stored, where nothing lies beside them; cells with overlays or rubbish in the other bits keep those, as lossless
coding must. Called by the encoders.
"""

from __future__ import annotations

import numpy as np

from gateway.imaging.description import ImageDescription
from gateway.imaging.pixels import PixelArray

__all__ = ["as_unsigned", "find_precision"]


def find_precision(pixels: PixelArray, description: ImageDescription) -> int:
    """Bits Stored if every cell fits, sign extended where there is one; else Bits Allocated."""
    stored, allocated = description.bits_stored, description.bits_allocated
    if stored == allocated or not pixels.size:
        return allocated
    low, high = (-(1 << stored - 1), (1 << stored - 1) - 1) if description.is_signed else (0, (1 << stored) - 1)
    return stored if low <= int(pixels.min()) and int(pixels.max()) <= high else allocated


def as_unsigned(pixels: PixelArray) -> PixelArray:
    """The same bits without a sign, for codecs that know none (PS3.5 §8.2.1, §8.2.3)."""
    return pixels.view(np.dtype(f"u{pixels.dtype.itemsize}"))
