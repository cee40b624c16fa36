"""Bulkdata media types to transfer syntaxes: which one the pixel data of a part is in (PS3.18 §8.7.3.3, §8.7.3.5).

``transfer_syntax`` has the other direction, ``web`` negotiates with it. What is read of the stream itself is
``codestreams``'; here is only which statement counts.
"""

from __future__ import annotations

from gateway.codecs.media_types import MediaType
from gateway.codecs.transfer_syntax import EXPLICIT_VR_BE, TRANSFER_SYNTAXES, get_transfer_syntax
from gateway.errors import DecodeError
from gateway.resources import is_valid_uid

__all__ = ["DEFAULT_TRANSFER_SYNTAXES", "choose_transfer_syntax", "is_box_type"]

_OCTETS = "application/octet-stream"
_ALIASES = {"image/jph": "image/jphc"}  # the registered name of the file format, for which the standard has another
_BOXED = frozenset({"image/jp2", "image/jpx", "image/jph", "image/jphc"})
DEFAULT_TRANSFER_SYNTAXES = {
    "image/jpeg": "1.2.840.10008.1.2.4.70",
    "image/dicom-rle": "1.2.840.10008.1.2.5",
    "image/jls": "1.2.840.10008.1.2.4.80",
    "image/jp2": "1.2.840.10008.1.2.4.90",
    "image/jpx": "1.2.840.10008.1.2.4.92",
    "image/jphc": "1.2.840.10008.1.2.4.201",
    "image/jxl": "1.2.840.10008.1.2.4.110",
    "video/mpeg": "1.2.840.10008.1.2.4.101",
    "video/mp4": "1.2.840.10008.1.2.4.102",
    "video/h265": "1.2.840.10008.1.2.4.107",
}
"""What a media type of compressed pixel data means without a parameter (PS3.18 Tables 8.7.3-2 and 8.7.3-5)."""


def is_box_type(media_type: MediaType) -> bool:
    """Whether a part of this type may be a file of boxes around a codestream."""
    return media_type.essence in _BOXED


def choose_transfer_syntax(media_type: MediaType, stated: str | None, found: str | None = None) -> str | None:
    """Choose the transfer syntax of pixel data.

    Parameters
    ----------
    media_type : MediaType
        Of its part, perhaps with a ``transfer-syntax`` parameter, which counts before all else.
    stated : str or None
        By the metadata; counts where it is a syntax of that media type, or the part is octets.
    found : str or None
        By looking at the stream.

    Returns
    -------
    str or None
        UID of an encapsulated syntax; None if the pixel data is native.

    Raises
    ------
    DecodeError
        A media type that is no form of pixel data, or a byte order that is none of the web's (PS3.18 §8.7.3).
    """
    parameter = _read_uid(media_type.transfer_syntax)
    stated = _read_uid(stated)
    if EXPLICIT_VR_BE in (parameter, stated):
        raise DecodeError("Explicit VR Big Endian, which bulk data is never in")
    essence = _ALIASES.get(media_type.essence, media_type.essence)
    if essence in (_OCTETS, "*/*"):
        return _keep_encapsulated(parameter or stated)
    if essence not in DEFAULT_TRANSFER_SYNTAXES:
        raise DecodeError(f"{essence} is no media type of pixel data that is taken")
    if parameter is not None:
        if _keep_encapsulated(parameter) is None:
            raise DecodeError(f"{essence} is not in an uncompressed transfer syntax")
        return parameter
    if stated is not None and (_media_type_of(stated) == essence):
        return stated
    return found if found is not None and _may_be(found, essence) else DEFAULT_TRANSFER_SYNTAXES[essence]


def _read_uid(text: str | None) -> str | None:
    return text if text is not None and is_valid_uid(text) else None


def _keep_encapsulated(uid: str | None) -> str | None:
    return uid if uid is not None and get_transfer_syntax(uid).encapsulated else None


def _may_be(uid: str, essence: str) -> bool:
    """Whether a stream in syntax `uid` may come as `essence`; the types of JPEG 2000 are mistaken for each other."""
    media_type = _media_type_of(uid)
    return media_type in ("", essence) or {media_type, essence} <= _BOXED


def _media_type_of(uid: str) -> str:
    syntax = TRANSFER_SYNTAXES.get(uid)
    return (syntax.media_type or "").lower() if syntax is not None else ""
