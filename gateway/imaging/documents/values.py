"""Values of data elements as people write them: names, dates, times, codes, numbers with units (PS3.5 §6.2)."""

from __future__ import annotations

import re

from pydicom.dataset import Dataset

from gateway.imaging.rendering.attributes import get_items, get_text

__all__ = ["format_code", "format_date", "format_date_time", "format_meaning", "format_name", "format_time"]

_DATE = re.compile(r"([0-9]{4})\.?([0-9]{2})\.?([0-9]{2})")
_DATE_TIME = re.compile(
    r"([0-9]{4})([0-9]{2})?([0-9]{2})?([0-9]{2})?([0-9]{2})?([0-9]{2})?(\.[0-9]{1,6})?([+-][0-9]{4})?"
)
_TIME = re.compile(r"([0-9]{2}):?([0-9]{2})?:?([0-9]{2})?(\.[0-9]{1,6})?")
_NAME_ORDER = (3, 1, 2, 0, 4)  # family, given, middle, prefix, suffix → as they are written


def format_name(value: str) -> str:
    """``Doe^Jane^^Dr`` becomes ``Dr Jane Doe``; other representations follow in parentheses."""
    groups = [_join_components(group.split("^")) for group in value.split("=")]
    shown = list(dict.fromkeys(group for group in groups if group))
    return f"{shown[0]} ({', '.join(shown[1:])})" if len(shown) > 1 else "".join(shown)


def _join_components(components: list[str]) -> str:
    padded = [component.strip() for component in components] + [""] * 5
    return " ".join(padded[place] for place in _NAME_ORDER if padded[place])


def format_date(value: str) -> str:
    """``20240131`` becomes ``2024-01-31``; what is no date stays."""
    found = _DATE.fullmatch(value)
    return "-".join(found.groups()) if found else value


def format_time(value: str) -> str:
    """``1345`` becomes ``13:45``, fractions of seconds left out; what is no time stays."""
    found = _TIME.fullmatch(value)
    return ":".join(part for part in found.groups()[:3] if part) if found else value


def format_date_time(value: str) -> str:
    """``20240131134500.00+0100`` becomes ``2024-01-31 13:45:00 +0100``; what is neither stays."""
    found = _DATE_TIME.fullmatch(value)
    if found is None:
        return value
    parts = found.groups()
    date, time = "-".join(part for part in parts[:3] if part), ":".join(part for part in parts[3:6] if part)
    return " ".join(part for part in (date, time, parts[7]) if part)


def format_meaning(holder: Dataset, keyword: str) -> str:
    """Code Meaning of the first item of a code sequence, its value where the meaning is missing."""
    for item in get_items(holder, keyword):
        return get_text(item, "CodeMeaning") or _find_value(item)
    return ""


def format_code(holder: Dataset, keyword: str) -> str:
    """Scheme and value of the first item of a code sequence, ``"DCM 121071"``, empty where there is none."""
    for item in get_items(holder, keyword):
        return " ".join(part for part in (get_text(item, "CodingSchemeDesignator"), _find_value(item)) if part)
    return ""


def _find_value(item: Dataset) -> str:
    """The value in whichever of its three forms (PS3.3 §8.1)."""
    return get_text(item, "CodeValue") or get_text(item, "LongCodeValue") or get_text(item, "URNCodeValue")
