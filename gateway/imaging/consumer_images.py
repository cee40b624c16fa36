"""PNG and GIF images to native pixel data: consumer formats that DICOM has no transfer syntax for.

Every sample comes out as it was; what is left out is transparency, which pixel data does not have. The size is read
from the header before a codec is called. Runs in a worker process, for the store (PS3.18 §10.5.2, Table 10.5.2-1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from struct import error, unpack_from

import imagecodecs
import numpy as np

from gateway.errors import ImagingFailed
from gateway.imaging.pixels import PixelArray

__all__ = ["CONSUMER_TYPES", "ConsumerImage", "read_consumer_image"]

_PNG, _GIF = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", (b"GIF87a", b"GIF89a")
_MAX_EDGE = 65_535  # what Rows and Columns hold


@dataclass(frozen=True, slots=True)
class ConsumerImage:
    """Pixel data and what describes it.

    Parameters
    ----------
    bits : int
        Of a sample, all of them significant: 8 or 16.
    pixels : bytes
        All frames, little endian, colour by pixel.
    """

    rows: int
    columns: int
    samples: int
    bits: int
    frames: int
    pixels: bytes


def read_consumer_image(media_type: str, data: bytes, max_bytes: int) -> ConsumerImage:
    """Decode an image file.

    Parameters
    ----------
    media_type : str
        One of `CONSUMER_TYPES`.
    max_bytes : int
        Most that all frames together may have.

    Raises
    ------
    ImagingFailed
        No such image, a damaged one, or over a limit.
    """
    measure, decode = _FORMATS[media_type]
    try:
        columns, rows = measure(data)
    except error:
        columns = rows = 0
    if not 0 < rows <= _MAX_EDGE or not 0 < columns <= _MAX_EDGE:
        raise ImagingFailed(f"the image is no {media_type}, or of a size that pixel data cannot have")
    if rows * columns > max_bytes:
        raise ImagingFailed(f"the image has more than {max_bytes} bytes")
    try:
        pixels = decode(data)
    except (RuntimeError, ValueError):
        raise ImagingFailed(f"the {media_type} cannot be decoded") from None
    if pixels.nbytes > max_bytes:
        raise ImagingFailed(f"the image has more than {max_bytes} bytes")
    return _describe(pixels)


def _measure_png(data: bytes) -> tuple[int, int]:
    columns, rows = unpack_from(">II", data, len(_PNG))
    return (columns, rows) if data.startswith(_PNG) else (0, 0)


def _measure_gif(data: bytes) -> tuple[int, int]:
    columns, rows = unpack_from("<HH", data, 6)
    return (columns, rows) if data.startswith(_GIF) else (0, 0)


def _decode_png(data: bytes) -> PixelArray:
    pixels: PixelArray = imagecodecs.png_decode(data)
    return pixels[np.newaxis]


def _decode_gif(data: bytes) -> PixelArray:
    """Always colour: a palette of greys is one of colours."""
    pixels: PixelArray = imagecodecs.gif_decode(data)
    return pixels if pixels.ndim == 4 else pixels[np.newaxis]


def _describe(pixels: PixelArray) -> ConsumerImage:
    """From (frames, rows, columns) or (frames, rows, columns, samples); of 2 and 4 samples the last is transparency."""
    frames, rows, columns, *rest = pixels.shape
    samples = rest[0] if rest else 1
    if samples in (2, 4):
        samples -= 1
        pixels = pixels[..., :samples]
    little_endian = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
    return ConsumerImage(rows, columns, samples, 8 * pixels.itemsize, frames, little_endian.tobytes())


_FORMATS: dict[str, tuple[Callable[[bytes], tuple[int, int]], Callable[[bytes], PixelArray]]] = {
    "image/png": (_measure_png, _decode_png),
    "image/gif": (_measure_gif, _decode_gif),
}

CONSUMER_TYPES = frozenset(_FORMATS)
"""Media types that are read here."""
