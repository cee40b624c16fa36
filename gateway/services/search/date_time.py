"""Dates, times and ranges of them as C-FIND writes them, and whether a stored value lies inside.

Pure. Used to check the values of a search and to filter here what an archive could not: above all combined
date-time ranges, which DIMSE has only where negotiated (PS3.4 §C.2.2.2.5, §C.3.5; PS3.18 §8.3.4.1.1).

A value of less than full precision means the whole of that day, minute or second, so every value is read as
an interval from its first to its last microsecond.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

__all__ = ["Interval", "combine", "is_range", "is_reversed", "overlaps", "parse_range", "parse_stored"]

_DATE = r"\d{8}"
_TIME = r"\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?"
_OFFSET = r"[+-](?:0\d|1[0-4])[0-5]\d"
_DATE_TIME = rf"\d{{4}}(?:\d{{2}}(?:\d{{2}}(?:{_TIME})?)?)?(?:{_OFFSET})?"
_SINGLE = {"DA": re.compile(_DATE), "TM": re.compile(_TIME), "DT": re.compile(_DATE_TIME)}
_RANGE = {vr: re.compile(rf"({form.pattern})?-({form.pattern})?") for vr, form in _SINGLE.items()}
_PARTS = re.compile(rf"(?P<year>\d{{4}})(?P<month>\d{{2}})?(?P<day>\d{{2}})?(?P<time>{_TIME})?(?P<offset>{_OFFSET})?")
_EPOCH_DAY = "19000101"  # times of day are laid on one day, to be compared as moments
_DAY = timedelta(days=1)
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Interval:
    """From `first` to `last`, both included; None where open. `has_offset`: given with an offset from UTC."""

    first: datetime | None
    last: datetime | None
    has_offset: bool = False


_OPEN = Interval(None, None)


def is_range(vr: str, text: str) -> bool:
    """Whether `text` is a range for DA, TM or DT; a hyphen before a UTC offset does not make one."""
    return _SINGLE[vr].fullmatch(text) is None and _RANGE[vr].fullmatch(text) is not None


def parse_range(vr: str, text: str) -> Interval:
    """Read a single value or ``a-b``, ``a-``, ``-b``.

    Raises
    ------
    ValueError
        Not of this VR, no such day or hour, both ends missing, or the end before the start. A time range
        may end before it starts: beside a range of dates that is one interval, see `combine`.
    """
    if _SINGLE[vr].fullmatch(text):
        return _moment(vr, text)
    ends = _RANGE[vr].fullmatch(text)
    if ends is None or text == "-":
        raise ValueError("neither a value nor a range")
    low, high = (_moment(vr, end) if end else _OPEN for end in ends.groups())
    found = Interval(low.first, high.last, low.has_offset or high.has_offset)
    if vr != "TM" and is_reversed(found):
        raise ValueError("the range ends before it starts")
    return found


def is_reversed(interval: Interval) -> bool:
    """Whether the end lies before the start: a time range across midnight."""
    return interval.first is not None and interval.last is not None and interval.first > interval.last


def parse_stored(vr: str, text: str) -> Interval | None:
    """Read what an archive holds; ``2006.07.05`` and ``10:00:00`` of ACR-NEMA too; None where unreadable."""
    plain = text.strip()
    if vr == "DA":
        plain = plain.replace(".", "")
    elif vr == "TM":
        plain = plain.replace(":", "")
    try:
        return _moment(vr, plain)
    except ValueError:
        return None


def combine(date: str, time: str) -> Interval:
    """One interval from a range of dates and a range of times (PS3.18 §8.3.4.1.1).

    ``20060705-20060707`` and ``1000-1800`` are one interval from 5 July 10:00 to 7 July 18:00.
    """
    days, hours = parse_range("DA", date), parse_range("TM", time)
    return Interval(_on_day(days.first, hours.first), _on_day(days.last, hours.last))


def overlaps(wanted: Interval, stored: Interval) -> bool:
    """Whether `stored` can lie in `wanted`; True where offsets from UTC make them incomparable."""
    if wanted.has_offset != stored.has_offset:
        return True
    starts_late = wanted.last is not None and stored.first is not None and stored.first > wanted.last
    ends_early = wanted.first is not None and stored.last is not None and stored.last < wanted.first
    return not starts_late and not ends_early


def _on_day(day: datetime | None, hour: datetime | None) -> datetime | None:
    if day is None or hour is None:
        return day
    return datetime.combine(day.date(), hour.time())


def _moment(vr: str, text: str) -> Interval:
    if _SINGLE[vr].fullmatch(text) is None:
        raise ValueError(f"not of VR {vr}")
    parts = _PARTS.fullmatch(_EPOCH_DAY + text if vr == "TM" else text)
    if parts is None:
        raise ValueError(f"not of VR {vr}")
    first, length = _start_and_length(parts)
    if parts["offset"] is None:
        return Interval(first, first + length - _TICK)
    aware = first.replace(tzinfo=_zone(parts["offset"])).astimezone(UTC).replace(tzinfo=None)
    return Interval(aware, aware + length - _TICK, has_offset=True)


def _start_and_length(parts: re.Match[str]) -> tuple[datetime, timedelta]:
    year, month, day = int(parts["year"]), parts["month"], parts["day"]
    start = datetime(year, int(month or 1), int(day or 1))
    if month is None:
        return start, (datetime(year, 12, 31) - start) + _DAY
    if day is None:
        return start, timedelta(days=monthrange(year, int(month))[1])
    if parts["time"] is None:
        return start, _DAY
    since_midnight, length = _time_of_day(parts["time"])
    return start + since_midnight, length


def _time_of_day(text: str) -> tuple[timedelta, timedelta]:
    whole, _, fraction = text.partition(".")
    hours, minutes, seconds = (int(whole[at : at + 2] or 0) for at in (0, 2, 4))
    if hours > 23 or minutes > 59 or seconds > 60:  # 60 is a leap second (PS3.5 §6.2)
        raise ValueError("no such time of day")
    unit = {2: timedelta(hours=1), 4: timedelta(minutes=1), 6: timedelta(seconds=1)}[len(whole)]
    if fraction:
        unit = timedelta(microseconds=10 ** (6 - len(fraction)))
    micros = int(fraction.ljust(6, "0")) if fraction else 0
    return timedelta(hours=hours, minutes=minutes, seconds=seconds, microseconds=micros), unit


def _zone(offset: str) -> timezone:
    minutes = int(offset[1:3]) * 60 + int(offset[3:])
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))
