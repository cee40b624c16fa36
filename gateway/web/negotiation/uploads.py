"""What a store request carries, by its Content-Type (PS3.18 Table 10.5.4-1)."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.codecs.media_types import MULTIPART_RELATED, format_media_type, parse_media_type
from gateway.errors import DecodeError, MalformedBody, UnsupportedMediaType
from gateway.web.negotiation.accepted import DICOM, DICOM_JSON, DICOM_XML

__all__ = ["StoreContent", "read_store_content_type"]

_METADATA = (DICOM_JSON, DICOM_XML)
_ROOT_TYPES = (DICOM, *_METADATA)
_STORE_TYPES = (*(format_media_type(MULTIPART_RELATED, (("type", root),)) for root in _ROOT_TYPES), DICOM)


@dataclass(frozen=True, slots=True)
class StoreContent:
    """The form of a store request.

    Parameters
    ----------
    boundary : str or None
        Of a multipart; None where the body is a single part.
    is_metadata : bool
        Whether it holds metadata and bulk data; PS3.10 instances otherwise.
    """

    boundary: str | None
    is_metadata: bool = False


def read_store_content_type(content_type: str | None) -> StoreContent:
    """Read the Content-Type of a store request.

    Raises
    ------
    UnsupportedMediaType
        Neither ``application/dicom``, ``application/dicom+json``, ``application/dicom+xml`` nor a multipart of them.
    MalformedBody
        A multipart without boundary.
    """
    try:
        media_type = parse_media_type(content_type or "")
    except DecodeError as error:
        raise UnsupportedMediaType(content_type or "", _STORE_TYPES) from error
    root = media_type.representation_type
    if root in _ROOT_TYPES and not media_type.is_multipart:
        return StoreContent(None, root in _METADATA)
    if media_type.essence != MULTIPART_RELATED or root not in (*_ROOT_TYPES, "*/*"):
        raise UnsupportedMediaType(content_type or "", _STORE_TYPES)
    boundary = media_type.parameter("boundary")
    if not boundary:
        raise MalformedBody("the Content-Type names no boundary")
    return StoreContent(boundary, root in _METADATA)
