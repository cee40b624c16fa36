"""Reading attribute values leniently, and dates and times by their meaning (PS3.5 §6.2).

One bad value of a stored instance must not fail a whole answer, so reading never raises: what cannot be
decoded counts as text in its raw form. Used by the matching and the answers of the sandbox archive.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydicom.charset import convert_encodings
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

__all__ = [
    "Interval",
    "parse_date",
    "parse_datetime",
    "parse_time",
    "read_element",
    "read_items",
    "read_values",
]

_VALUE_ERRORS = (
    BytesLengthException,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    NotImplementedError,
    struct.error,
    OverflowError,
)


def read_element(data_set: Dataset, tag: int) -> DataElement | None:
    """Return the element, decoded apart from the data set (which stays as it is), or None if it is not there.

    An element that cannot be decoded comes back as UN with its raw bytes.
    """
    raw = data_set.get_item(tag) if tag in data_set else None
    if not isinstance(raw, RawDataElement):
        return raw
    try:
        return DataElement(tag, *_decode(raw, data_set), already_converted=True)
    except _VALUE_ERRORS:
        return DataElement(tag, "UN", raw.value or b"")


def _decode(raw: RawDataElement, data_set: Dataset) -> tuple[str, Any]:
    element = convert_raw_data_element(raw, encoding=_find_encodings(data_set), ds=data_set)
    return element.VR, element.value


def _find_encodings(data_set: Dataset) -> list[str]:
    try:
        return convert_encodings(data_set.get("SpecificCharacterSet"))
    except (*_VALUE_ERRORS, LookupError):
        return ["iso8859"]


def read_values(element: DataElement | None) -> list[Any]:
    """Return the values without the empty ones; raw bytes count as one text value."""
    if element is None or element.value is None:
        return []
    value = element.value
    if isinstance(value, bytes):
        value = value.decode("latin-1").strip(" \0")
    values = list(value) if isinstance(value, MultiValue | list) else [value]
    return [each for each in values if each is not None and each != ""]


def read_items(element: DataElement | None) -> list[Dataset]:
    """Return the items of a sequence, none for anything else."""
    return list(element.value) if element is not None and isinstance(element.value, Sequence) else []


@dataclass(frozen=True, slots=True)
class Interval:
    """What a date, time or date-time of limited precision covers: first and last moment, both inclusive."""

    first: datetime
    last: datetime


_TICK = timedelta(microseconds=1)
_DATE = re.compile(r"(\d{4})[.]?(\d\d)?[.]?(\d\d)?$")
_TIME = re.compile(r"(\d\d):?(\d\d)?:?(\d\d)?(?:\.(\d{1,6}))?$")
_OFFSET = re.compile(r"([+-])(\d\d)(\d\d)$")


def _parse_day(text: str) -> Interval:
    found = _DATE.match(text)
    if not found:
        raise ValueError("not a date")
    year, month, day = found.groups()
    first = datetime(int(year), int(month or 1), int(day or 1))
    if day:
        after = first + timedelta(days=1)
    elif month:
        after = (first + timedelta(days=31)).replace(day=1)
    else:
        after = first.replace(year=first.year + 1)
    return Interval(first, after - _TICK)


def parse_date(text: str) -> Interval:
    """Read a DA value.

    Raises
    ------
    ValueError
        Not a date.
    """
    if len(text.replace(".", "")) != 8:
        raise ValueError("not a date")
    return _parse_day(text)


def parse_time(text: str, day: datetime = datetime(1900, 1, 1)) -> Interval:
    """Read a TM value as moments of `day`.

    Raises
    ------
    ValueError
        Not a time.
    """
    found = _TIME.match(text)
    if not found:
        raise ValueError("not a time")
    hour, minute, second, fraction = found.groups()
    first = day + timedelta(
        hours=int(hour),
        minutes=int(minute or 0),
        seconds=int(second or 0),
        microseconds=int((fraction or "0").ljust(6, "0")),
    )
    length = (
        timedelta(microseconds=10 ** (6 - len(fraction)))
        if fraction
        else timedelta(seconds=1)
        if second
        else timedelta(minutes=1)
        if minute
        else timedelta(hours=1)
    )
    return Interval(first, first + length - _TICK)


def parse_datetime(text: str) -> Interval:
    """Read a DT value; one with an offset is converted to UTC, one without counts as UTC.

    Raises
    ------
    ValueError
        Not a date-time.
    """
    found = _OFFSET.search(text) if len(text) > 8 else None
    shift = timedelta()
    if found:
        shift = timedelta(hours=int(found[2]), minutes=int(found[3])) * (1 if found[1] == "+" else -1)
        text = text[: found.start()]
    covered = _parse_day(text[:8]) if len(text) <= 8 else parse_time(text[8:], _parse_day(text[:8]).first)
    return Interval(covered.first - shift, covered.last - shift)
