"""One value field to the members of its attribute object in the DICOM JSON Model.

A table with one function per VR; it knows nothing of tags, nesting or bulk data. Called by ``dicom_json`` for every
gathered value. No value is refused: text that breaks its VR stays text, a rest of a binary word is dropped.

Source: PS3.18 §F.2.3 to §F.2.5, Table F.2.3-1
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from decimal import Decimal
from math import isfinite, isnan
from struct import Struct, iter_unpack
from typing import Any

from gateway.codecs.charset import decode_text

__all__ = ["BULK_VRS", "INLINE_VRS", "has_unwritable_number", "read_value", "stays_inline"]

INLINE_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
"""VRs whose value is InlineBinary (PS3.18 Table F.2.3-1)."""

BULK_VRS = INLINE_VRS | frozenset("DS FD FL IS LT SL SS ST SV UC UL US UT UV".split())
"""VRs whose value field may be replaced by a BulkDataURI (PS3.18 §10.4.3.3.2)."""

_TEXT_VRS = frozenset({"LT", "ST", "UC", "UT"})
_MAX_INLINE_TEXT = 4 * 1024 * 1024

JsonValue = Any
"""A member of Value: str, int, float, dict (PN group, item) or None."""

_PADDING = " \0"
# nothing but padding; "\\" alone is two empty values and keeps its multiplicity
_ONLY_EMPTY = [None]
# readers hold JSON numbers as doubles: integers beyond are strings (PS3.18 Table F.2.3-1)
_MAX_EXACT = 2**53
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,16}")
# a double keeps any decimal of so many significant digits (IEEE 754 binary64)
_SAFE_DIGITS = 15
# four times what DS allows; reading a number takes time with the square of its digits
_MAX_DECIMAL = 64
_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


def read_value(vr: str, raw: bytes, encodings: tuple[str, ...]) -> dict[str, Any]:
    """Make the attribute object of a value field.

    Parameters
    ----------
    vr : str
        Any but SQ; one that is not known is treated as UN but keeps its name.
    raw : bytes
        The value field in little endian, padding included.
    encodings : tuple of str
        Of the data set, from ``charset.find_encodings``.

    Returns
    -------
    dict
        ``vr`` and, unless the value is empty, ``Value`` or ``InlineBinary``.
    """
    read = _READERS.get(vr)
    if read is None:
        return {"vr": vr, "InlineBinary": b64encode(raw).decode("ascii")} if raw else {"vr": vr}
    values = read(raw, vr, encodings) if raw else []
    return {"vr": vr, "Value": values} if values and values != _ONLY_EMPTY else {"vr": vr}


def stays_inline(vr: str, length: int, limit: int) -> bool:
    """Whether metadata hold a value of `length` bytes themselves, where `limit` is that for bulk values.

    Text does up to 4 MiB: bulk data is in the character set of the data set, which metadata in UTF-8 no longer name.
    """
    return vr not in BULK_VRS or length <= (_MAX_INLINE_TEXT if vr in _TEXT_VRS else limit)


def has_unwritable_number(vr: str, raw: bytes) -> bool:
    """Whether a value of VR FL or FD holds NaN or an infinity, which JSON numbers cannot express."""
    if vr not in ("FL", "FD"):
        return False
    return not all(isfinite(number) for number in _unpack(vr, raw))


# --- text ---


def _read_text(raw: bytes, vr: str, encodings: tuple[str, ...]) -> list[JsonValue]:
    text = decode_text(raw, vr, encodings)
    if "\\" not in text:
        text = text.rstrip(_PADDING)
        return [text] if text else []
    return [value.rstrip(_PADDING) or None for value in text.split("\\")]


def _read_stripped(raw: bytes, vr: str, encodings: tuple[str, ...]) -> list[JsonValue]:
    """AE: leading spaces are padding too (PS3.5 Table 6.2-1)."""
    return [value and (value.strip(_PADDING) or None) for value in _read_text(raw, vr, encodings)]


def _read_single_text(raw: bytes, vr: str, encodings: tuple[str, ...]) -> list[JsonValue]:
    """ST, LT, UT, UR: one value, in which a backslash is a character (PS3.5 §6.4)."""
    text = decode_text(raw, vr, encodings).rstrip(_PADDING)
    return [text] if text else []


def _read_names(raw: bytes, vr: str, encodings: tuple[str, ...]) -> list[JsonValue]:
    return [_read_name(value) for value in decode_text(raw, vr, encodings).split("\\")]


def _read_name(text: str) -> dict[str, str] | None:
    """Split a name into its component groups, of which the empty ones are left out (PS3.18 §F.2.2)."""
    if "=" not in text:
        text = text.rstrip(_PADDING)
        return {"Alphabetic": text} if text else None
    groups = {name: group.rstrip(_PADDING) for name, group in zip(_NAME_GROUPS, text.split("="), strict=False)}
    return {name: group for name, group in groups.items() if group} or None


# --- numbers written as text ---


def _read_decimals(raw: bytes, _vr: str, _encodings: tuple[str, ...]) -> list[JsonValue]:
    return [_read_decimal(text.strip(_PADDING)) for text in raw.decode("latin-1").split("\\")]


def _read_decimal(text: str) -> int | float | str | None:
    """Return a number where JSON has one of the same value, else the text."""
    if len(text) <= _SAFE_DIGITS and _INTEGER.fullmatch(text) is not None:
        return int(text)
    if len(text) > _MAX_DECIMAL or _DECIMAL.fullmatch(text) is None:
        return text or None
    number = float(text)
    if len(text) <= _SAFE_DIGITS and "e" not in text.lower():
        return number
    return number if Decimal(repr(number)) == Decimal(text) else text


def _read_integers(raw: bytes, _vr: str, _encodings: tuple[str, ...]) -> list[JsonValue]:
    return [_read_integer(text.strip(_PADDING)) for text in raw.decode("latin-1").split("\\")]


def _read_integer(text: str) -> int | str | None:
    """Return an integer, also from the form "1.0" that some write, else the text."""
    if _INTEGER.fullmatch(text) is not None:
        number = int(text)
        return number if -_MAX_EXACT <= number <= _MAX_EXACT else text
    decimal = _read_decimal(text)
    if isinstance(decimal, float) and decimal.is_integer() and abs(decimal) <= _MAX_EXACT:
        return int(decimal)
    return text or None


# --- binary numbers ---

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


def _unpack(vr: str, raw: bytes) -> list[Any]:
    number = _NUMBERS[vr]
    if len(raw) == number.size:
        return list(number.unpack(raw))
    whole = raw[: len(raw) - len(raw) % number.size]
    return [value for (value,) in number.iter_unpack(whole)]


def _read_numbers(raw: bytes, vr: str, _encodings: tuple[str, ...]) -> list[JsonValue]:
    return _unpack(vr, raw)


def _read_long_integers(raw: bytes, vr: str, _encodings: tuple[str, ...]) -> list[JsonValue]:
    return [number if -_MAX_EXACT <= number <= _MAX_EXACT else str(number) for number in _unpack(vr, raw)]


def _read_floats(raw: bytes, vr: str, _encodings: tuple[str, ...]) -> list[JsonValue]:
    return [number if isfinite(number) else _name_float(number) for number in _unpack(vr, raw)]


def _name_float(number: float) -> str:
    """NaN and infinities, for which Annex F has no form: the strings most other writers use."""
    if isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def _read_tags(raw: bytes, _vr: str, _encodings: tuple[str, ...]) -> list[JsonValue]:
    """AT: eight upper-case hexadecimal digits (PS3.18 §F.2.3)."""
    return [f"{group:04X}{number:04X}" for group, number in iter_unpack("<HH", raw[: len(raw) & ~3])]


_READERS: dict[str, Callable[[bytes, str, tuple[str, ...]], list[JsonValue]]] = {
    "AE": _read_stripped,
    "AT": _read_tags,
    "DS": _read_decimals,
    "IS": _read_integers,
    "PN": _read_names,
    **dict.fromkeys(("AS", "CS", "DA", "DT", "LO", "SH", "TM", "UC", "UI"), _read_text),
    **dict.fromkeys(("LT", "ST", "UR", "UT"), _read_single_text),
    **dict.fromkeys(("SL", "SS", "UL", "US"), _read_numbers),
    **dict.fromkeys(("SV", "UV"), _read_long_integers),
    **dict.fromkeys(("FD", "FL"), _read_floats),
}
