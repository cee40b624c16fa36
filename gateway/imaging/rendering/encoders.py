"""Still pictures encoded: JPEG, PNG, GIF, JPEG 2000, JPEG XL (PS3.18 Table 8.7.4-1).

Quality of 1 to 100 means the quality of the Independent JPEG Group's scale for JPEG (90 unless told otherwise, chroma
halved below 90), the peak signal to noise ratio for JPEG 2000 (25 dB at 1, 50 dB at 99, lossless at 100), and the
distance of JPEG XL that its own library assigns to the same number. Others are lossless and ignore it.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import imagecodecs
import numpy as np
from PIL import Image

from gateway.errors import NotAcceptable

__all__ = ["CARRIES_PROFILE", "DEEP_MEDIA_TYPES", "MEDIA_TYPES", "encode_picture"]

CARRIES_PROFILE = frozenset({"image/jpeg", "image/png"})
"""Media types that an ICC profile can be embedded in here."""

DEEP_MEDIA_TYPES = frozenset({"image/png", "image/jp2", "image/jxl"})
"""Media types that grayscale of 16 bits can be written in."""

_DEFAULT_QUALITY = 90
_LOSSLESS = 100


def encode_picture(image: Image.Image, media_type: str, quality: int | None, profile: bytes | None) -> bytes:
    """Encode `image`.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode L or RGB; I;16 for a media type of `DEEP_MEDIA_TYPES`.
    media_type : str
        Of `MEDIA_TYPES`.
    quality : int, optional
        1 to 100.
    profile : bytes, optional
        ICC profile to embed, for a media type of `CARRIES_PROFILE`.

    Raises
    ------
    NotAcceptable
        A media type that is not produced.
    """
    encode = _ENCODERS.get(media_type)
    if encode is None:
        raise NotAcceptable(MEDIA_TYPES)
    return encode(image, _DEFAULT_QUALITY if quality is None else quality, profile)


def _encode_jpeg(image: Image.Image, quality: int, profile: bytes | None) -> bytes:
    subsampling = 0 if quality >= _DEFAULT_QUALITY else 2
    return _save(image, "JPEG", quality=quality, subsampling=subsampling, icc_profile=profile)


def _encode_png(image: Image.Image, _: int, profile: bytes | None) -> bytes:
    # level 3 is within a few percent of 6 for pictures and takes half the time
    return _save(image, "PNG", compress_level=3, icc_profile=profile)


def _encode_gif(image: Image.Image, _quality: int, _profile: bytes | None) -> bytes:
    return _save(image, "GIF")


def _encode_jpeg_2000(image: Image.Image, quality: int, _: bytes | None) -> bytes:
    if quality == _LOSSLESS:
        return _save(image, "JPEG2000", no_jp2=False)
    return _save(image, "JPEG2000", no_jp2=False, irreversible=True, quality_mode="dB",
                 quality_layers=[25 + 25 * (quality - 1) / 98])  # fmt: skip


def _encode_jpeg_xl(image: Image.Image, quality: int, _: bytes | None) -> bytes:
    pixels = np.ascontiguousarray(image)
    if quality == _LOSSLESS:
        return bytes(imagecodecs.jpegxl_encode(pixels, lossless=True, effort=3, numthreads=1))
    return bytes(imagecodecs.jpegxl_encode(pixels, level=quality, effort=3, numthreads=1))


def _save(image: Image.Image, form: str, **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, form, **options)
    return target.getvalue()


_ENCODERS: dict[str, Callable[[Image.Image, int, bytes | None], bytes]] = {
    "image/jpeg": _encode_jpeg,
    "image/png": _encode_png,
    "image/gif": _encode_gif,
    "image/jp2": _encode_jpeg_2000,
    "image/jxl": _encode_jpeg_xl,
}

MEDIA_TYPES = tuple(_ENCODERS)
"""Media types of single frames, the default first."""
