"""Arrays of samples → frames as a transfer syntax stores them.

    data = encode_frame(frame, description, "1.2.840.10008.1.2.4.80")

One frame at a time, in memory. Whether an image may be written in a syntax at all is decided in ``conversion``; here is
how. Families with more than one line are in ``encode_jpeg``, ``encode_jpeg_2000``, ``rle`` and ``jpeg_xl``. Without a
quality everything that can be written without loss is, in the syntaxes that allow loss too.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

from gateway.errors import ImagingFailed
from gateway.imaging.description import ImageDescription
from gateway.imaging.encode_jpeg import encode_jpeg, encode_jpeg_ls, encode_lossless_jpeg
from gateway.imaging.encode_jpeg_2000 import encode_htj2k, encode_jpeg_2000
from gateway.imaging.jpeg_xl import encode_jpeg_xl
from gateway.imaging.native import pack_native
from gateway.imaging.pixels import DecodedFrame
from gateway.imaging.precision import find_precision
from gateway.imaging.rle import encode_rle

__all__ = ["ENCODABLE", "encode_frame"]

_Encoder = Callable[[DecodedFrame, ImageDescription, int | None], bytes]


def encode_frame(
    frame: DecodedFrame, description: ImageDescription, transfer_syntax_uid: str, *, quality: int | None = None
) -> bytes:
    """Write one frame.

    Parameters
    ----------
    frame : DecodedFrame
        Pixel cells as ``decode_cells`` gives them.
    description : ImageDescription
        Of the image: bits, sign, interpretation.
    transfer_syntax_uid : str
        One of `ENCODABLE`.
    quality : int, optional
        1 to 100 for compression with loss; None for none where the syntax can do without.

    Returns
    -------
    bytes
        The native frame, or the codestream without fragment items, not padded.

    Raises
    ------
    ImagingFailed
        The codec cannot write this image, or not in this syntax.
    """
    encoder = _ENCODERS.get(transfer_syntax_uid)
    if encoder is None:
        raise ImagingFailed("no encoder for this transfer syntax")
    try:
        return encoder(frame, description, quality)
    except MemoryError as error:
        raise ImagingFailed("the frame needs more memory than allowed") from error
    except (RuntimeError, ValueError, TypeError, OverflowError) as error:  # what codecs raise for what they cannot do
        raise ImagingFailed("the frame cannot be encoded") from error


def _encode_native(frame: DecodedFrame, description: ImageDescription, _quality: int | None) -> bytes:
    return pack_native(frame.pixels, description.bits_allocated)


def _encode_deflated(frame: DecodedFrame, description: ImageDescription, _quality: int | None) -> bytes:
    return zlib.compress(pack_native(frame.pixels, description.bits_allocated), wbits=-zlib.MAX_WBITS)


def _encode_rle(frame: DecodedFrame, description: ImageDescription, _quality: int | None) -> bytes:
    return encode_rle(frame.pixels, description.bits_allocated)


def _encode_jpeg_xl(frame: DecodedFrame, description: ImageDescription, quality: int | None) -> bytes:
    distance = 0.0 if quality is None else max((100 - quality) / 10, 0.1)
    return encode_jpeg_xl(frame.pixels, find_precision(frame.pixels, description), distance)


def _list_encoders() -> dict[str, _Encoder]:
    by_suffix: dict[str, _Encoder] = {
        "1": _encode_native,
        "1.99": _encode_native,
        "1.98": _encode_native,
        "8.1": _encode_deflated,
        "5": _encode_rle,
        "4.50": encode_jpeg,
        "4.51": encode_jpeg,
        "4.57": encode_lossless_jpeg,
        "4.70": encode_lossless_jpeg,
        "4.80": lambda frame, description, _: encode_jpeg_ls(frame, description, None),
        "4.81": encode_jpeg_ls,
        "4.90": lambda frame, description, _: encode_jpeg_2000(frame, description, None),
        "4.91": encode_jpeg_2000,
        "4.201": lambda frame, description, _: encode_htj2k(frame, description),
        "4.202": lambda frame, description, _: encode_htj2k(frame, description),
        # what its codec makes with loss does not always come back within bounds
        "4.203": lambda frame, description, _: encode_htj2k(frame, description),
        "4.110": lambda frame, description, _: _encode_jpeg_xl(frame, description, None),
        "4.112": _encode_jpeg_xl,
    }
    return {f"1.2.840.10008.1.2.{suffix}": encoder for suffix, encoder in by_suffix.items()}


_ENCODERS = _list_encoders()

ENCODABLE: frozenset[str] = frozenset(_ENCODERS)
"""UIDs of the transfer syntaxes that frames can be written in."""
