"""Images made for tests of the imaging room, and descriptions of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.imaging.description import ImageDescription

__all__ = ["describe", "draw"]

NATIVE = "1.2.840.10008.1.2.1"


def describe(
    shape: tuple[int, ...],
    *,
    stored: int = 8,
    allocated: int | None = None,
    signed: bool = False,
    photometric: str | None = None,
    planar: int = 0,
    syntax: str = NATIVE,
    floats: bool = False,
) -> ImageDescription:
    """The description of an image of `shape` (rows, columns) or (rows, columns, samples)."""
    samples = shape[2] if len(shape) == 3 else 1
    width = allocated or (1 if stored == 1 else 8 if stored <= 8 else 16 if stored <= 16 else 32)
    name = photometric or ("MONOCHROME2" if samples == 1 else "RGB")
    return ImageDescription(
        shape[0], shape[1], samples, name, planar, width, stored, stored - 1, signed, 1, syntax, floats
    )


def draw(shape: tuple[int, ...], stored: int = 8, *, signed: bool = False, seed: int = 1) -> npt.NDArray[Any]:
    """An image that uses each of its bits: a smooth ramp, noise over a part of it, and both extremes."""
    top = (1 << stored) - 1
    rows, columns, *rest = shape
    ramp = np.add.outer(np.arange(rows, dtype=np.int64) * 3, np.arange(columns, dtype=np.int64) * 5) % (top + 1)
    values = np.stack([(ramp * (index + 1)) % (top + 1) for index in range(*rest)], axis=-1) if rest else ramp
    noise = np.random.default_rng(seed).integers(0, top + 1, values.shape)
    values = np.where(np.arange(columns).reshape(1, -1, *[1] * len(rest)) > columns // 2, noise, values)
    values.reshape(-1)[[0, -1]] = 0, top
    width = 1 if stored <= 8 else 2 if stored <= 16 else 4
    if signed:
        return (values - (top + 1) // 2).astype(f"<i{width}")
    return values.astype(f"<u{width}")
