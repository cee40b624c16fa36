"""JPEG and JPEG-LS encoders (ITU-T T.81, T.87; PS3.5 §8.2.1, §8.2.3, Annex A.4.1 to A.4.3).

Neither knows signed samples: their bits are coded as if they had no sign, with all of Bits Allocated, so that the sign
is where every reader looks for it. Called by ``encode``.
"""

from __future__ import annotations

import imagecodecs
import numpy as np

from gateway.imaging.description import ImageDescription
from gateway.imaging.pixels import DecodedFrame, PixelArray, extract_stored_values
from gateway.imaging.precision import as_unsigned, find_precision

__all__ = ["DEFAULT_QUALITY", "encode_jpeg", "encode_jpeg_ls", "encode_lossless_jpeg"]

DEFAULT_QUALITY = 90
"""Of JPEG with loss where none is asked for: libjpeg's scale, differences of a few grey levels."""

_MIN_LOSSLESS_BITS = 2
_MAX_NEAR = 20
_HEADER_ROOM = 4096


def encode_jpeg(frame: DecodedFrame, description: ImageDescription, quality: int | None) -> bytes:
    """Write Baseline for 8 bits, Extended with 12 for more; RGB becomes YCbCr with a chroma pair for two pixels."""
    values = extract_stored_values(frame.pixels, description)
    level = DEFAULT_QUALITY if quality is None else quality
    if description.bits_stored > 8:
        return bytes(imagecodecs.jpeg8_encode(values.astype(np.uint16, copy=False), level, bitspersample=12))
    narrow = np.ascontiguousarray(values, dtype=np.uint8)
    if narrow.ndim == 2:
        return bytes(imagecodecs.jpeg8_encode(narrow, level))
    space = "RGB" if frame.photometric_interpretation == "RGB" else "YCBCR"
    return bytes(imagecodecs.jpeg8_encode(narrow, level, colorspace=space, outcolorspace="YCBCR", subsampling="422"))


def encode_lossless_jpeg(frame: DecodedFrame, description: ImageDescription, _quality: int | None) -> bytes:
    """Write Process 14 with selection value 1; colour is not transformed."""
    cells = np.ascontiguousarray(as_unsigned(frame.pixels))
    space = "RGB" if cells.ndim == 3 else None
    bits = max(_find_bits(frame.pixels, description), _MIN_LOSSLESS_BITS)
    return bytes(
        imagecodecs.jpeg8_encode(
            cells, lossless=True, predictor=1, bitspersample=bits, colorspace=space, outcolorspace=space
        )
    )


def encode_jpeg_ls(frame: DecodedFrame, description: ImageDescription, quality: int | None) -> bytes:
    """Write JPEG-LS, colour by sample interleave; the codec finds the precision in the samples.

    A quality below 100 allows each sample to be off by up to 20 levels of 8 bits.
    """
    near = 0 if quality is None else round((100 - quality) * _MAX_NEAR / 100)
    cells = np.ascontiguousarray(as_unsigned(frame.pixels))
    # the codec's own estimate of the room it needs is too small for noise
    return bytes(imagecodecs.jpegls_encode(cells, near, out=2 * cells.nbytes + _HEADER_ROOM))


def _find_bits(pixels: PixelArray, description: ImageDescription) -> int:
    return description.bits_allocated if description.is_signed else find_precision(pixels, description)
