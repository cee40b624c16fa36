"""The values of an attribute in the DICOM JSON Model to its value field in little endian.

The inverse of ``json_values``, one function per VR; it knows nothing of tags, nesting or bulk data. ``model_writer``
calls it for what web clients store, so what cannot be written as its VR is refused, not repaired: a backslash within a
value, a number beyond its type, letters in a date.

Source: PS3.18 §F.2.2 to §F.2.5; PS3.5 §6.2
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Callable, Sequence
from math import isfinite
from struct import Struct, error, pack
from typing import Any

from gateway.codecs.json_values import INLINE_VRS
from gateway.resources import is_valid_uid

__all__ = ["KNOWN_VRS", "encode_inline", "encode_values", "pad_value"]

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
_ENDS_IN_ZERO = INLINE_VRS | _NUMBERS.keys() | {"AT", "UI"}
_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_PADDING = " \0"

_PATTERNS = {  # what a value may look like where the VR fixes its form; trailing padding apart (PS3.5 Table 6.2-1)
    "AS": re.compile(r"[0-9]{3}[DWMY]"),
    "DA": re.compile(r"[0-9]{8}|[0-9]{4}\.[0-9]{2}\.[0-9]{2}"),
    "DS": re.compile(r" *[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"),
    "DT": re.compile(r"[0-9]{4}[0-9.]*(?:[+-][0-9]{4})?"),
    "IS": re.compile(r" *[+-]?[0-9]{1,11}"),
    "TM": re.compile(r"[0-9:]+(?:\.[0-9]*)?"),
}
_INTEGER = re.compile(r" *[+-]?[0-9]{1,20} *")
_FLOAT = re.compile(r" *[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})? *")
_FLOAT_NAMES = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf", "INF": "inf", "-INF": "-inf"}
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_DELIMITED = re.compile(r"[\x00-\x1f\x7f\\]")  # no value among several holds these (PS3.5 §6.1.3, §6.4)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")  # LT, ST and UT may hold TAB, LF, FF and CR
_NAME_DELIMITER = re.compile(r"[\x00-\x1f\x7f\\=]")
_MAX_DECIMAL = 16
_URL_SAFE = str.maketrans("-_", "+/")


def encode_values(vr: str, values: Sequence[Any], encoding: str) -> bytes:
    r"""Write the members of ``Value`` as one value field.

    Parameters
    ----------
    vr : str
        One of `KNOWN_VRS`, but neither SQ nor one that has InlineBinary.
    values : sequence
        None, and an empty string or name, for an empty value. Numbers may be text, DS and IS numbers.
    encoding : str
        Codec of what Specific Character Set governs; other text is ASCII.

    Returns
    -------
    bytes
        Of even length.

    Raises
    ------
    UnicodeEncodeError
        Text that `encoding` does not have.
    ValueError
        Any other value that the VR does not have. The text does not repeat it.
    """
    if all(value is None or value == "" or value == {} for value in values) and len(values) < 2:
        return b""
    try:
        return pad_value(vr, _WRITERS[vr](vr, values, encoding))
    except (TypeError, OverflowError, error) as fault:
        raise ValueError("out of range or of another type") from fault


def encode_inline(text: Any) -> bytes:
    """Undo base64, standard or URL-safe, padding optional (PS3.18 §F.2.7).

    Raises
    ------
    ValueError
        No base64.
    """
    if not isinstance(text, str):
        raise ValueError("no base64 text")
    standard = text.translate(_URL_SAFE).rstrip("=")
    try:
        return b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except binascii.Error as fault:
        raise ValueError("no base64 text") from fault


def pad_value(vr: str, value: bytes) -> bytes:
    """Make the length even (PS3.5 §6.2): text ends in a space, UIDs, numbers and bytes in a zero."""
    return value if not len(value) % 2 else value + (b"\0" if vr in _ENDS_IN_ZERO else b" ")


# --- text ---


def _write_texts(vr: str, values: Sequence[Any], encoding: str) -> bytes:
    return "\\".join(_check_text(vr, value, _DELIMITED) for value in values).encode(encoding)


def _write_ascii(vr: str, values: Sequence[Any], _encoding: str) -> bytes:
    return _to_ascii("\\".join(_check_text(vr, value, _DELIMITED) for value in values))


def _write_uids(vr: str, values: Sequence[Any], _encoding: str) -> bytes:
    uids = [_check_text(vr, value, _DELIMITED).rstrip(" ") for value in values]
    if not all(not uid or is_valid_uid(uid) for uid in uids):
        raise ValueError("no UID")
    return "\\".join(uids).encode("ascii")


def _write_single_text(vr: str, values: Sequence[Any], encoding: str) -> bytes:
    """ST, LT, UT: one value, in which a backslash is a character (PS3.5 §6.4)."""
    return _check_text(vr, _take_one(values), _CONTROL).encode(encoding)


def _write_uri(vr: str, values: Sequence[Any], _encoding: str) -> bytes:
    return _to_ascii(_check_text(vr, _take_one(values), _CONTROL))


def _take_one(values: Sequence[Any]) -> Any:
    if len(values) != 1:
        raise ValueError("more than one value")
    return values[0]


def _check_text(vr: str, value: Any, forbidden: re.Pattern[str]) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError("no text")
    if forbidden.search(value.rstrip("\0")) is not None:
        raise ValueError("a character that it cannot hold")
    pattern = _PATTERNS.get(vr)
    text = value.rstrip(_PADDING) if pattern is not None else value.rstrip("\0")
    if pattern is not None and text and pattern.fullmatch(text) is None:
        raise ValueError("of another form")
    return text


def _to_ascii(text: str) -> bytes:
    if not text.isascii():
        raise ValueError("a character beyond the default repertoire")
    return text.encode("ascii")


def _write_names(_vr: str, values: Sequence[Any], encoding: str) -> bytes:
    return "\\".join(_join_name(value) for value in values).encode(encoding)


def _join_name(name: Any) -> str:
    """Join the component groups of a name by ``=`` (PS3.5 §6.2.1.1)."""
    if name is None:
        return ""
    if not isinstance(name, dict) or not name.keys() <= set(_NAME_GROUPS):
        raise ValueError("no name")
    groups = [name.get(group) or "" for group in _NAME_GROUPS]
    if not all(isinstance(group, str) and _NAME_DELIMITER.search(group) is None for group in groups):
        raise ValueError("no name")
    return "=".join(groups).rstrip("=")


# --- numbers written as text ---


def _write_decimals(vr: str, values: Sequence[Any], _encoding: str) -> bytes:
    return _to_ascii("\\".join(_check_text(vr, _format_decimal(value), _DELIMITED) for value in values))


def _format_decimal(value: Any) -> Any:
    """A number in at most 16 characters, as exact as these allow."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    if isinstance(value, float) and not isfinite(value):
        raise ValueError("no decimal number")
    text = repr(value)
    if len(text) <= _MAX_DECIMAL:
        return text
    shorter = (f"{value:.{digits}g}" for digits in range(_MAX_DECIMAL, 0, -1))
    return next(text for text in shorter if len(text) <= _MAX_DECIMAL)


def _write_integers(vr: str, values: Sequence[Any], _encoding: str) -> bytes:
    return _to_ascii("\\".join(_check_text(vr, _format_integer(value), _DELIMITED) for value in values))


def _format_integer(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else str(_to_integer(value))


# --- binary numbers ---


def _write_numbers(vr: str, values: Sequence[Any], _encoding: str) -> bytes:
    return b"".join(_NUMBERS[vr].pack(_to_integer(value)) for value in values)


def _to_integer(value: Any) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value) is not None:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("no integer")
    return value


def _write_floats(vr: str, values: Sequence[Any], _encoding: str) -> bytes:
    return b"".join(_NUMBERS[vr].pack(_to_float(value)) for value in values)


def _to_float(value: Any) -> float:
    if isinstance(value, str):
        if value not in _FLOAT_NAMES and _FLOAT.fullmatch(value) is None:
            raise ValueError("no number")
        return float(_FLOAT_NAMES.get(value, value))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("no number")
    return float(value)


def _write_tags(_vr: str, values: Sequence[Any], _encoding: str) -> bytes:
    if not all(isinstance(value, str) and _TAG.fullmatch(value) for value in values):
        raise ValueError("no tag")
    return b"".join(pack("<HH", int(value[:4], 16), int(value[4:], 16)) for value in values)


_WRITERS: dict[str, Callable[[str, Sequence[Any], str], bytes]] = {
    **dict.fromkeys(("AE", "AS", "CS", "DA", "DT", "TM"), _write_ascii),
    **dict.fromkeys(("LO", "SH", "UC"), _write_texts),
    **dict.fromkeys(("LT", "ST", "UT"), _write_single_text),
    **dict.fromkeys(("SL", "SS", "SV", "UL", "US", "UV"), _write_numbers),
    **dict.fromkeys(("FD", "FL"), _write_floats),
    "AT": _write_tags,
    "DS": _write_decimals,
    "IS": _write_integers,
    "PN": _write_names,
    "UI": _write_uids,
    "UR": _write_uri,
}

KNOWN_VRS = frozenset(_WRITERS) | INLINE_VRS | {"SQ"}
"""All value representations of PS3.5 Table 6.2-1."""
