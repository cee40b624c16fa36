"""Identifiers of C-FIND, C-GET and C-MOVE: keys in the DICOM JSON Model to a data set.

Not a general writer of data sets: small, with defined lengths, Implicit or Explicit VR Little Endian. ``dimse`` calls
it once the presentation context, and with it the transfer syntax, is known.

Source: PS3.4 §C.2.2.2, §C.4; PS3.5 §7.1, §7.5
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from struct import Struct, error, pack
from typing import Any

from gateway.codecs.charset import CUSTOMIZABLE_VRS
from gateway.codecs.json_values import INLINE_VRS
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE, IMPLICIT_VR_LE
from gateway.codecs.value_representations import SHORT_VRS
from gateway.errors import BadParameter

__all__ = ["encode_identifier"]

_CHARACTER_SET = "00080005"
_UTF_8 = "ISO_IR 192"
_MAX_SHORT_LENGTH = 0xFFFE
_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_NUMBERS = {
    "FD": Struct("<d"),
    "FL": Struct("<f"),
    "SL": Struct("<i"),
    "SS": Struct("<h"),
    "SV": Struct("<q"),
    "UL": Struct("<I"),
    "US": Struct("<H"),
    "UV": Struct("<Q"),
}
_NUMBER_TYPES: dict[str, Callable[[Any], Any]] = {"FD": float, "FL": float}

Attribute = Mapping[str, Any]


def encode_identifier(keys: Mapping[str, Attribute], transfer_syntax_uid: str) -> bytes:
    r"""Write the keys as a data set.

    Parameters
    ----------
    keys : mapping
        Attribute objects of the DICOM JSON Model by tag (8 hexadecimal digits), in any order. Without ``Value`` the
        key is universal. Several values are joined by a backslash (UID lists, PS3.4 §C.2.2.2.2). Numbers may be given
        as numbers or text; sequences hold items of keys, one as a rule (§C.2.2.2.6).
    transfer_syntax_uid : str
        Implicit VR Little Endian or Explicit VR Little Endian.

    Returns
    -------
    bytes
        Elements in ascending order, values of even length. Text is UTF-8, and where any of it is not ASCII,
        Specific Character Set (0008,0005) reads ISO_IR 192. Otherwise that attribute is written only if it is among
        `keys`, as it stands there.

    Raises
    ------
    BadParameter
        A value that its VR cannot hold; names the tag.
    ValueError
        Another transfer syntax.
    """
    if transfer_syntax_uid not in (IMPLICIT_VR_LE, EXPLICIT_VR_LE):
        raise ValueError(f"identifiers are not written in {transfer_syntax_uid}")
    if any(map(_needs_utf_8, keys.values())):
        keys = {**keys, _CHARACTER_SET: {"vr": "CS", "Value": [_UTF_8]}}
    return _encode_keys(keys, explicit=transfer_syntax_uid == EXPLICIT_VR_LE)


def _needs_utf_8(attribute: Attribute) -> bool:
    """Whether a text of the attribute, or of its items, goes beyond the default repertoire."""
    values = attribute.get("Value", ())
    if attribute["vr"] == "SQ":
        return any(_needs_utf_8(nested) for item in values for nested in item.values())
    return not all(_text_of(value).isascii() for value in values)


def _encode_keys(keys: Mapping[str, Attribute], *, explicit: bool) -> bytes:
    ordered = sorted((tag.upper(), attribute) for tag, attribute in keys.items())
    return b"".join(
        _encode_element(tag, attribute, explicit=explicit)
        if len(attribute) > 1
        else _encode_universal(tag, attribute["vr"], explicit=explicit)
        for tag, attribute in ordered
    )


@lru_cache(maxsize=2048)
def _encode_universal(tag: str, vr: str, *, explicit: bool) -> bytes:
    """A key without value, as most of a query are; remembered, since the next query asks for the same."""
    return _encode_element(tag, {"vr": vr}, explicit=explicit)


def _encode_element(tag: str, attribute: Attribute, *, explicit: bool) -> bytes:
    vr = attribute["vr"]
    if vr == "SQ":
        value = b"".join(_encode_item(item, explicit=explicit) for item in attribute.get("Value", ()))
    else:
        value = _encode_value(tag, vr, attribute)
    head = pack("<HH", int(tag[:4], 16), int(tag[4:], 16))
    return head + _encode_length(vr, len(value), explicit=explicit) + value


def _encode_length(vr: str, length: int, *, explicit: bool) -> bytes:
    """Write VR and length; a UID list too long for a 16-bit length is UN (PS3.5 §6.2.2 note 5)."""
    if not explicit:
        return pack("<I", length)
    short = vr.encode() in SHORT_VRS
    if short and length <= _MAX_SHORT_LENGTH:
        return pack("<2sH", vr.encode(), length)
    return pack("<2sHI", b"UN" if short else vr.encode(), 0, length)


def _encode_item(item: Mapping[str, Attribute], *, explicit: bool) -> bytes:
    content = _encode_keys(item, explicit=explicit)
    return pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def _encode_value(tag: str, vr: str, attribute: Attribute) -> bytes:
    values = attribute.get("Value", ())
    try:
        if vr in INLINE_VRS:
            raw = b64decode(attribute.get("InlineBinary", ""), validate=True)
        elif vr in _NUMBERS:
            raw = _encode_numbers(vr, values)
        elif vr == "AT":
            raw = b"".join(pack("<HH", int(value[:4], 16), int(value[4:], 16)) for value in values)
        else:
            raw = _encode_text(vr, values)
    except (ValueError, TypeError, OverflowError, error) as fault:
        raise BadParameter(tag, f"not a value of VR {vr}") from fault
    padding = b"\0" if vr == "UI" or vr in INLINE_VRS else b" "
    return raw + padding if len(raw) % 2 else raw


def _encode_numbers(vr: str, values: Sequence[Any]) -> bytes:
    convert = _NUMBER_TYPES.get(vr, int)
    return b"".join(_NUMBERS[vr].pack(convert(value)) for value in values)


def _encode_text(vr: str, values: Sequence[Any]) -> bytes:
    encoding = "utf-8" if vr in CUSTOMIZABLE_VRS else "ascii"
    return "\\".join(map(_text_of, values)).encode(encoding)


def _text_of(value: Any) -> str:
    """Return a value as DICOM text: names by their groups, numbers as IS or DS, an empty value as nothing."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return "=".join(value.get(group, "") for group in _NAME_GROUPS).rstrip("=")
    if isinstance(value, float):
        from pydicom.valuerep import format_number_as_ds  # all of pydicom, for what hardly ever comes

        return format_number_as_ds(value)
    return str(value)
