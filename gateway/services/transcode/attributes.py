"""The attributes that tell of an image's form: read from a stream, and kept true when the form changes.

(PS3.3 §C.7.6.3, §C.7.6.1.1.5.) Pure. Values are as a data set in Explicit VR Little Endian holds them. Called by
``transcoder`` and ``frames``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.codecs.reencode import encode_element_header
from gateway.codecs.transfer_syntax import get_transfer_syntax
from gateway.errors import ImagingFailed
from gateway.imaging.description import ImageDescription, describe_image
from gateway.services.transcode.splitter import Head, HeadElement

__all__ = ["Compression", "describe_values", "find_pixel_vr", "rewrite_head"]

IMAGE_TYPE, PHOTOMETRIC, PLANAR = 0x00080008, 0x00280004, 0x00280006
BITS_ALLOCATED, BITS_STORED, HIGH_BIT = 0x00280100, 0x00280101, 0x00280102
LOSSY, RATIO, METHOD = 0x00282110, 0x00282112, 0x00282114

_NUMBERS = {
    0x00280002: "SamplesPerPixel",
    PLANAR: "PlanarConfiguration",
    0x00280010: "Rows",
    0x00280011: "Columns",
    BITS_ALLOCATED: "BitsAllocated",
    BITS_STORED: "BitsStored",
    HIGH_BIT: "HighBit",
    0x00280103: "PixelRepresentation",
}
_FRAMES = 0x00280008
_FLOATS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData"}
_PIXEL_DATA = "PixelData"
# what the offset tables and the length say is no longer so (PS3.3 §C.7.6.3.1.8 to .10)
_TABLES = frozenset({0x7FE00001, 0x7FE00002, 0x7FE00003})
# PS3.3 §C.7.6.1.1.5.1, by what the transfer syntax UID begins with
_METHODS = {
    "1.2.840.10008.1.2.4.5": "ISO_10918_1",
    "1.2.840.10008.1.2.4.8": "ISO_14495_1",
    "1.2.840.10008.1.2.4.9": "ISO_15444_1",
    "1.2.840.10008.1.2.4.20": "ISO_15444_15",
    "1.2.840.10008.1.2.4.11": "ISO_18181_1",
}
_RECOMPRESSED = "1.2.840.10008.1.2.4.111"


def describe_values(
    values: Mapping[int, bytes], pixel_tag: int, transfer_syntax_uid: str, max_frame_bytes: int
) -> ImageDescription:
    """Describe the image whose attributes have these values, by tag.

    Raises
    ------
    ImagingFailed
        They describe no image, or one whose frames are over the limit.
    """
    found: dict[str, Any] = {
        keyword: int.from_bytes(raw[:2], "little") for tag, keyword in _NUMBERS.items() if (raw := values.get(tag))
    }
    if name := _read_text(values, PHOTOMETRIC):
        found["PhotometricInterpretation"] = name
    if count := _read_text(values, _FRAMES):
        found["NumberOfFrames"] = _read_count(count)
    found[_FLOATS.get(pixel_tag, _PIXEL_DATA)] = b""
    return describe_image(found, transfer_syntax_uid, max_frame_bytes=max_frame_bytes)


@dataclass(frozen=True, slots=True)
class Compression:
    """What happened to the first frame, for the attributes of lossy compression.

    Parameters
    ----------
    native_bytes, before, after : int
        Its length without compression, as it came, as it is now.
    was_lossy : bool
        Its codestream said that it had been compressed with loss.
    is_lossy : bool
        It was compressed with loss now.
    """

    native_bytes: int
    before: int
    after: int
    was_lossy: bool
    is_lossy: bool


def rewrite_head(
    head: Head, source: ImageDescription, target: ImageDescription, compression: Compression
) -> list[HeadElement]:
    """Return the elements before the pixel data as they are true of `target`, in the order of their tags."""
    changes = _list_form_changes(source, target) | _list_lossy_changes(head, source, target, compression)
    kept = [one for one in head.elements if one.tag not in changes and one.tag not in _TABLES]
    added = [HeadElement(tag, encoded) for tag, encoded in changes.items()]
    return sorted([*kept, *added], key=lambda one: one.tag)


def _list_form_changes(source: ImageDescription, target: ImageDescription) -> dict[int, bytes]:
    changes = {}
    if target.photometric_interpretation != source.photometric_interpretation:
        changes[PHOTOMETRIC] = _encode_text(PHOTOMETRIC, "CS", target.photometric_interpretation)
    if target.samples_per_pixel > 1 and target.planar_configuration != source.planar_configuration:
        changes[PLANAR] = _encode_number(PLANAR, target.planar_configuration)
    if target.bits_allocated != source.bits_allocated:
        changes[BITS_ALLOCATED] = _encode_number(BITS_ALLOCATED, target.bits_allocated)
    return changes


def _list_lossy_changes(
    head: Head, source: ImageDescription, target: ImageDescription, compression: Compression
) -> dict[int, bytes]:
    """Say what was lost: before, where the codestream tells and the data set does not, and now."""
    values = head.values
    ratios, methods = _split(values, RATIO), _split(values, METHOD)
    steps = []
    if compression.was_lossy and _read_text(values, LOSSY) != "01":
        steps.append((source.transfer_syntax_uid, compression.before))
    if compression.is_lossy:
        steps.append((target.transfer_syntax_uid, compression.after))
    if not steps:
        return {}
    for uid, size in steps:
        ratios.append(f"{compression.native_bytes / max(size, 1):.4g}")
        methods.append(_name_method(uid))
    changes = {
        LOSSY: _encode_text(LOSSY, "CS", "01"),
        RATIO: _encode_text(RATIO, "DS", "\\".join(ratios)),
        METHOD: _encode_text(METHOD, "CS", "\\".join(methods)),
    }
    if compression.is_lossy and (image_type := _split(values, IMAGE_TYPE)):
        changes[IMAGE_TYPE] = _encode_text(IMAGE_TYPE, "CS", "\\".join(["DERIVED", *image_type[1:]]))
    return changes


def _name_method(transfer_syntax_uid: str) -> str:
    if transfer_syntax_uid == _RECOMPRESSED:
        return "ISO_10918_1"
    return next(name for prefix, name in _METHODS.items() if transfer_syntax_uid.startswith(prefix))


def find_pixel_vr(target: ImageDescription) -> str:
    """The VR of Pixel Data in the syntax of `target` (PS3.5 §8.2, §A.2, §A.4)."""
    if get_transfer_syntax(target.transfer_syntax_uid).encapsulated:
        return "OB"
    if target.is_float:
        return "OD" if target.bits_allocated == 64 else "OF"
    return "OW" if target.bits_allocated > 8 else "OB"


def _split(values: Mapping[int, bytes], tag: int) -> list[str]:
    text = _read_text(values, tag)
    return text.split("\\") if text else []


def _read_text(values: Mapping[int, bytes], tag: int) -> str:
    return values.get(tag, b"").decode("ascii", "replace").strip(" \0")


def _read_count(text: str) -> int:
    if not text.removeprefix("+").isdigit() or len(text) > 12:
        raise ImagingFailed("NumberOfFrames is no number")
    return int(text)


def _encode_number(tag: int, value: int) -> bytes:
    return encode_element_header(tag, "US", 2) + value.to_bytes(2, "little")


def _encode_text(tag: int, vr: str, value: str) -> bytes:
    raw = value.encode("ascii", "replace")
    raw += b" " * (len(raw) % 2)
    return encode_element_header(tag, vr, len(raw)) + raw
