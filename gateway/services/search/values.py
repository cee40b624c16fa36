"""Match values of a search: checked against their VR and turned into attributes of an identifier.

Pure. The rules are those of C-FIND matching (PS3.4 §C.2.2.2) and of the VRs (PS3.5 §6.2); a value that breaks
them is the client's fault and named after its parameter.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from gateway.errors import BadParameter
from gateway.resources import is_valid_uid
from gateway.services.search.attributes import AttributePath
from gateway.services.search.date_time import parse_range
from gateway.services.search.keys import MODALITIES_IN_STUDY, MODALITY, TIMEZONE

__all__ = ["WILDCARD_VRS", "has_wildcard", "read_match_values", "to_attribute"]

WILDCARD_VRS = frozenset("AE CS LO LT PN SH ST UC UR UT".split())
"""VRs that take ``*`` and ``?`` (PS3.4 §C.2.2.2.4)."""

_MAX_LENGTH = {"AE": 16, "CS": 16, "SH": 16, "LO": 64, "ST": 1024, "LT": 10240}
_CODE_STRING = re.compile(r"[A-Z0-9 _*?]+")
_AGE = re.compile(r"\d{3}[DWMY]")
_ATTRIBUTE_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_INTEGER = re.compile(r"[+-]?\d{1,12}")
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_UTC_OFFSET = re.compile(r"[+-](0\d|1[0-4])[0-5]\d")
_CONTROL = re.compile(r"[\x00-\x09\x0b\x0e-\x1a\x1c-\x1f\x7f]|\\")  # LF FF CR ESC are legal in text VRs
_INTEGER_BITS = {"US": (0, 16), "UL": (0, 32), "UV": (0, 64), "SS": (1, 16), "SL": (1, 32), "SV": (1, 64)}
_PN_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_ANY_OF = (MODALITIES_IN_STUDY, MODALITY)


def has_wildcard(text: str) -> bool:
    """Whether `text` holds ``*`` or ``?``."""
    return "*" in text or "?" in text


def read_match_values(name: str, path: AttributePath, text: str) -> tuple[str, ...]:
    """Split and check the value of the match parameter `name`.

    Returns
    -------
    tuple of str
        Empty for universal matching (no value, or ``*`` alone); one value; or several, any of which may
        match: UIDs separated by comma or backslash (PS3.4 §C.2.2.2.2) and, because viewers send them for a
        choice of several, modalities.

    Raises
    ------
    BadParameter
        The value does not fit the VR, or the VR cannot be matched.
    """
    if text == "" or (path.vr in WILDCARD_VRS and text.strip("*") == ""):
        return ()
    is_list = path.vr == "UI" or (path.tag in _ANY_OF and len(path.tags) == 1)
    values = tuple(filter(None, re.split(r"[,\\]", text))) if is_list else (text,)
    if not values or not all(_fits(path, value) for value in values):
        raise BadParameter(name, f"not a value to match for VR {path.vr}")
    return values


def to_attribute(path: AttributePath, values: tuple[str, ...]) -> dict[str, Any]:
    """The attribute of the DICOM JSON Model that carries `values`; without values, universal matching."""
    vr = "LO" if path.vr == "UN" else path.vr
    if not values:
        return {"vr": vr}
    return {"vr": vr, "Value": [_CONVERT.get(vr, str)(value) for value in values]}


def _fits(path: AttributePath, value: str) -> bool:
    if path.tag == TIMEZONE:
        return _UTC_OFFSET.fullmatch(value) is not None
    return _CHECKS[path.vr](value) if path.vr in _CHECKS else False


def _is_interval(vr: str) -> Callable[[str], bool]:
    def check(value: str) -> bool:
        try:
            parse_range(vr, value)
        except (ValueError, OverflowError):
            return False
        return True

    return check


def _is_text(vr: str) -> Callable[[str], bool]:
    limit = _MAX_LENGTH.get(vr)

    def check(value: str) -> bool:
        fits = limit is None or has_wildcard(value) or len(value) <= limit
        return fits and _CONTROL.search(value) is None

    return check


def _is_integer(vr: str) -> Callable[[str], bool]:
    signed, bits = _INTEGER_BITS[vr]
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)

    def check(value: str) -> bool:
        return re.fullmatch(r"[+-]?\d{1,20}", value) is not None and low <= int(value) <= high

    return check


def _is_person_name(value: str) -> bool:
    return value.count("=") <= 2 and value.strip("=") != "" and _is_text("PN")(value)


_CHECKS: dict[str, Callable[[str], bool]] = {
    **{vr: _is_interval(vr) for vr in ("DA", "TM", "DT")},
    **{vr: _is_text(vr) for vr in ("AE", "LO", "LT", "SH", "ST", "UC", "UR", "UT", "UN")},
    **{vr: _is_integer(vr) for vr in _INTEGER_BITS},
    "CS": lambda value: _CODE_STRING.fullmatch(value) is not None and _is_text("CS")(value),
    "PN": _is_person_name,
    "UI": is_valid_uid,
    "AS": lambda value: _AGE.fullmatch(value) is not None,
    "AT": lambda value: _ATTRIBUTE_TAG.fullmatch(value) is not None,
    "IS": lambda value: _INTEGER.fullmatch(value) is not None,
    "DS": lambda value: _DECIMAL.fullmatch(value) is not None and len(value) <= 16,
    "FL": lambda value: _DECIMAL.fullmatch(value) is not None,
    "FD": lambda value: _DECIMAL.fullmatch(value) is not None,
}


def _person_name(text: str) -> dict[str, str]:
    groups = zip(_PN_GROUPS, text.split("="), strict=False)
    return {group: name for group, name in groups if name}


_CONVERT: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(_INTEGER_BITS, int),
    "FL": float,
    "FD": float,
    "AT": str.upper,
    "PN": _person_name,
}
