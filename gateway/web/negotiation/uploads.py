"""What a store request carries, by its Content-Type (PS3.18 Table 10.5.4-1)."""

from __future__ import annotations

from gateway.codecs.media_types import MULTIPART_RELATED, format_media_type, parse_media_type
from gateway.errors import DecodeError, MalformedBody, UnsupportedMediaType
from gateway.web.negotiation.accepted import DICOM

__all__ = ["read_store_content_type"]

_STORE_TYPES = (format_media_type(MULTIPART_RELATED, (("type", DICOM),)), DICOM)


def read_store_content_type(content_type: str | None) -> str | None:
    """Read the Content-Type of a store request.

    Returns
    -------
    str or None
        The boundary of a multipart of instances; None where the body is one instance.

    Raises
    ------
    UnsupportedMediaType
        Neither ``application/dicom`` nor a multipart of it.
    MalformedBody
        A multipart without boundary.
    """
    try:
        media_type = parse_media_type(content_type or "")
    except DecodeError as error:
        raise UnsupportedMediaType(content_type or "", _STORE_TYPES) from error
    if media_type.essence == DICOM:
        return None
    if media_type.essence != MULTIPART_RELATED or media_type.representation_type not in (DICOM, "*/*"):
        raise UnsupportedMediaType(content_type or "", _STORE_TYPES)
    boundary = media_type.parameter("boundary")
    if not boundary:
        raise MalformedBody("the Content-Type names no boundary")
    return boundary
