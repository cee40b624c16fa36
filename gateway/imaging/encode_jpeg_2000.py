"""JPEG 2000 and High-Throughput JPEG 2000 encoders (T.800, T.814; PS3.5 §8.2.4, §8.2.14, Annex A.4.4, A.4.11).

RGB is written with the colour transform of the codestream, reversible or not, which decoders undo. Called by
``encode``.
"""

from __future__ import annotations

import imagecodecs
import numpy as np

from gateway.imaging.description import ImageDescription
from gateway.imaging.pixels import DecodedFrame
from gateway.imaging.precision import find_precision

__all__ = ["encode_htj2k", "encode_jpeg_2000"]

_SMALLEST_EDGE = 64  # of the lowest resolution with RPCL options (PS3.5 §A.4.11)
_MIN_LEVELS, _MAX_LEVELS = 1, 10


def encode_jpeg_2000(frame: DecodedFrame, description: ImageDescription, quality: int | None) -> bytes:
    """Write a bare codestream: the 5-3 wavelet, or the 9-7 one for a quality of 1 to 100, that is 30 to 60 dB."""
    return bytes(
        imagecodecs.jpeg2k_encode(
            np.ascontiguousarray(frame.pixels),
            0 if quality is None else 30 + 3 * quality // 10,
            codecformat="j2k",
            reversible=quality is None,
            bitspersample=find_precision(frame.pixels, description),
            mct=frame.photometric_interpretation == "RGB",
            numthreads=1,
        )
    )


def encode_htj2k(frame: DecodedFrame, description: ImageDescription) -> bytes:
    """Write a bare codestream, reversible, in RPCL order with tile-part lengths.

    Its lowest resolution is at most 64 pixels wide and high, so that it fits the syntax with RPCL options as well.
    """
    levels = int(np.ceil(np.log2(max(description.rows, description.columns) / _SMALLEST_EDGE)))
    return bytes(
        imagecodecs.htj2k_encode(
            np.ascontiguousarray(frame.pixels),
            rgb=frame.photometric_interpretation == "RGB",
            resolutions=min(max(levels, _MIN_LEVELS), _MAX_LEVELS),
            reversible=True,
            tlm=True,
        )
    )
