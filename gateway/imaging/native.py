"""Native frames ⇄ arrays: bare samples, little endian (PS3.5 §8.1.1, §8.2; PS3.3 §C.7.6.3.1.3).

A frame begins at a byte boundary, as ``codecs/native_frames`` gives it. Called by ``decode`` and ``encode``.
"""

from __future__ import annotations

import numpy as np

from gateway.errors import ImagingFailed
from gateway.imaging.description import ImageDescription
from gateway.imaging.pixels import PixelArray, find_cell_type

__all__ = ["pack_native", "shape_samples", "unpack_native"]


def unpack_native(description: ImageDescription, data: bytes) -> PixelArray:
    """Return the samples of a native frame, colour by pixel; chroma pairs that two pixels share are given to both.

    Raises
    ------
    ImagingFailed
        `data` is shorter than the frame.
    """
    needed = (description.native_frame_bits + 7) // 8
    if len(data) < needed:
        raise ImagingFailed("pixel data is too short for its frame")
    if description.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(data, np.uint8, needed), bitorder="little")
        return shape_samples(description, bits[: description.sample_count])
    samples = np.frombuffer(
        data, find_cell_type(description), description.native_frame_bits // description.bits_allocated
    )
    return _spread_chroma(description, samples) if description.is_subsampled else shape_samples(description, samples)


def shape_samples(description: ImageDescription, samples: PixelArray) -> PixelArray:
    """Give a flat array the shape of a frame; samples plane by plane become colour by pixel."""
    rows, columns, count = description.rows, description.columns, description.samples_per_pixel
    if count == 1:
        return samples.reshape(rows, columns)
    if description.planar_configuration == 1:
        return np.ascontiguousarray(samples.reshape(count, rows, columns).transpose(1, 2, 0))
    return samples.reshape(rows, columns, count)


def pack_native(pixels: PixelArray, bits_allocated: int) -> bytes:
    """Return the samples of a frame as native bytes, colour by pixel.

    Parameters
    ----------
    pixels : numpy.ndarray
        As ``decode`` gives it.
    bits_allocated : int
        1 packs eight pixels into a byte, the first into bit 0.
    """
    if bits_allocated == 1:
        return np.packbits(pixels.astype(np.uint8).reshape(-1), bitorder="little").tobytes()
    little = pixels.dtype.newbyteorder("<")
    return np.ascontiguousarray(pixels, dtype=little).tobytes()


def _spread_chroma(description: ImageDescription, samples: PixelArray) -> PixelArray:
    """Y1 Y2 CB CR for each two pixels of a row (PS3.3 §C.7.6.3.1.2)."""
    if description.columns % 2:
        raise ImagingFailed("subsampled pixel data with an odd number of Columns")
    pairs = samples.reshape(description.rows, description.columns // 2, 4)
    out = np.empty((description.rows, description.columns, 3), samples.dtype)
    out[:, 0::2, 0], out[:, 1::2, 0] = pairs[..., 0], pairs[..., 1]
    out[:, 0::2, 1:] = out[:, 1::2, 1:] = pairs[..., 2:]
    return out
