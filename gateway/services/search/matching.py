"""Whether an answer shows by its values that it does not match: the filter behind the archive's own.

Pure. An archive may ignore a key it does not support and answer too much (PS3.4 §C.4.1.1.3.2); what it
returned is then compared here. The comparison errs on the side of the archive: a missing value never excludes
an answer, text is compared without regard to case and accents, and person names, whose matching is the
archive's choice, only where the archive said that it left keys out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from itertools import groupby
from typing import Any
from unicodedata import combining, normalize

from gateway.services.search.date_time import Interval, combine, overlaps, parse_range, parse_stored
from gateway.services.search.query import MatchKey
from gateway.services.search.values import WILDCARD_VRS

__all__ = ["DateTimeRange", "is_excluded", "lies_outside"]

_NUMERIC = frozenset("DS FD FL IS SL SS SV UL US UV".split())
_TEMPORAL = frozenset("DA DT TM".split())


@dataclass(frozen=True, slots=True)
class DateTimeRange:
    """A range of dates and one of times that are matched together (PS3.18 §8.3.4.1.1)."""

    date_tag: str
    time_tag: str
    interval: Interval

    @classmethod
    def of(cls, date: MatchKey, time: MatchKey) -> DateTimeRange:
        """Join two keys whose values are ranges already checked."""
        return cls(date.path.tag, time.path.tag, combine(date.values[0], time.values[0]))


def is_excluded(model: Mapping[str, Any], keys: Iterable[MatchKey], *, names_too: bool) -> bool:
    """Whether a value in `model` contradicts one of `keys`.

    Parameters
    ----------
    model : mapping
        The answer in the DICOM JSON Model.
    keys : iterable of MatchKey
        Keys that lead into one sequence must all hold in one of its items (PS3.4 §C.2.2.2.6).
    names_too : bool
        Compare person names as well.
    """
    return not _holds(model, [(key.path.tags, key) for key in keys], names_too)


def lies_outside(model: Mapping[str, Any], wanted: DateTimeRange) -> bool:
    """Whether date and time of `model` lie outside; without a date never, without a time by the day alone."""
    dates, times = _values(model, wanted.date_tag), _values(model, wanted.time_tag)
    day = parse_stored("DA", str(dates[0])) if dates else None
    if day is None or day.first is None:
        return False
    hour = parse_stored("TM", str(times[0])) if times else None
    if hour is None or hour.first is None or hour.last is None:
        return not overlaps(wanted.interval, day)
    midnight = hour.first.replace(hour=0, minute=0, second=0, microsecond=0)
    start = day.first + (hour.first - midnight)
    return not overlaps(wanted.interval, Interval(start, start + (hour.last - hour.first)))


def _holds(model: Mapping[str, Any], keys: list[tuple[tuple[str, ...], MatchKey]], names_too: bool) -> bool:
    ordered = sorted(keys, key=lambda entry: entry[0])
    for tag, group in groupby(ordered, key=lambda entry: entry[0][0]):
        values = _values(model, tag)
        entries = list(group)
        here = [key for tags, key in entries if len(tags) == 1]
        below = [(tags[1:], key) for tags, key in entries if len(tags) > 1]
        if values and any(not _value_holds(values, key, names_too) for key in here):
            return False
        if values and below and not any(_holds(item or {}, below, names_too) for item in values):
            return False
    return True


def _value_holds(values: list[Any], key: MatchKey, names_too: bool) -> bool:
    vr = key.path.vr
    if vr == "PN" and not names_too:
        return True
    return any(_equals(vr, wanted, value) for wanted in key.values for value in values if value is not None)


def _equals(vr: str, wanted: str, value: Any) -> bool:
    if vr in _TEMPORAL:
        stored = parse_stored(vr, str(value))
        return stored is None or overlaps(_interval(vr, wanted), stored)
    if vr in _NUMERIC:
        return _numbers_equal(wanted, value)
    if vr == "PN":
        groups = value.values() if isinstance(value, dict) else [value]
        names = [part for part in wanted.split("=") if part]
        return any(_text_matches(name, str(group)) for name in names for group in groups)
    if vr in WILDCARD_VRS:
        return _text_matches(wanted, str(value))
    return wanted.strip().casefold() == str(value).strip().casefold()


def _numbers_equal(wanted: str, value: Any) -> bool:
    try:
        return float(wanted) == float(value)
    except (TypeError, ValueError):
        return True


def _text_matches(pattern: str, text: str) -> bool:
    return _wildcard(_fold(pattern)).fullmatch(_fold(text)) is not None


def _fold(text: str) -> str:
    """Text without case and accents, as some archives compare it."""
    decomposed = normalize("NFKD", text.strip().casefold())
    return "".join(character for character in decomposed if not combining(character))


@lru_cache(maxsize=256)
def _wildcard(pattern: str) -> re.Pattern[str]:
    # fnmatch's expressions never go back over a star, so that a pattern of many stars costs no more than the text
    return re.compile(translate(pattern.replace("[", "[[]")))


@lru_cache(maxsize=256)
def _interval(vr: str, text: str) -> Interval:
    return parse_range(vr, text)


def _values(model: Mapping[str, Any], tag: str) -> list[Any]:
    attribute = model.get(tag) or {}
    values = attribute.get("Value") or []
    return [value for value in values if value not in (None, "")]
