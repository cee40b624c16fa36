"""Attribute matching as an archive does it (PS3.4 §C.2.2.2).

Pure functions over data sets: single value, list of UID, universal, wild card, range and sequence matching,
with combined date-time and fuzzy matching of names as options. Called for each candidate of a C-FIND.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from gateway.sandbox.values import (
    Interval,
    parse_date,
    parse_datetime,
    parse_time,
    read_element,
    read_items,
    read_values,
)

__all__ = ["MatchingOptions", "match_data_set", "match_element"]

_WILDCARD_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_UNMATCHABLE_VRS = frozenset({"OB", "OB or OW", "OD", "OF", "OL", "OV", "OW", "UN"})
_RANGE_PARSERS: dict[str, Callable[[str], Interval]] = {
    "DA": parse_date,
    "TM": parse_time,
    "DT": parse_datetime,
}
_REQUIRED_KEYS = frozenset(
    int(Tag(keyword))
    for keyword in (
        "StudyDate StudyTime AccessionNumber StudyID PatientName PatientID Modality SeriesNumber InstanceNumber"
    ).split()
)
"""Keys of type R at their levels (PS3.4 §C.6.1.1, §C.6.2.1)."""

_DATE_TIME_PAIRS = tuple(
    (int(Tag(f"{stem}Date")), int(Tag(f"{stem}Time")))
    for stem in ("Study", "Series", "Acquisition", "Content", "InstanceCreation", "PatientBirth")
) + ((0x00400244, 0x00400245), (0x00400250, 0x00400251))


@dataclass(frozen=True, slots=True)
class MatchingOptions:
    """What was agreed by extended negotiation (PS3.4 §C.5.1.1), and how unknown values count.

    With `unknown_values_match` an entity whose value of a required key is empty matches any request
    (PS3.4 §C.2.2.1.2).
    """

    combined_datetime: bool = False
    fuzzy: bool = False
    unknown_values_match: bool = False


def match_data_set(keys: Dataset, stored: Dataset, options: MatchingOptions, ignored: Iterable[int] = ()) -> bool:
    """Say whether `stored` matches every key.

    Parameters
    ----------
    keys : Dataset
        The request identifier, or the item of a sequence key.
    stored : Dataset
        Read leniently, never changed.
    options : MatchingOptions
    ignored : iterable of int
        Tags that are not matched here.
    """
    skipped = set(ignored)
    if options.combined_datetime:
        for date_tag, time_tag in _DATE_TIME_PAIRS:
            if date_tag not in skipped and _are_ranges(keys, date_tag, time_tag):
                if not _match_combined(keys, stored, date_tag, time_tag, options):
                    return False
                skipped |= {date_tag, time_tag}
    return all(
        match_element(key, read_element(stored, int(key.tag)), options) for key in keys if int(key.tag) not in skipped
    )


def match_element(key: DataElement, stored: DataElement | None, options: MatchingOptions) -> bool:
    """Say whether one stored element, None if absent, matches one key."""
    if key.VR == "SQ":
        return _match_sequence(key, stored, options)
    wanted = read_values(key)
    if not wanted or key.VR in _UNMATCHABLE_VRS:
        return True
    values = read_values(stored)
    if not values:
        return _is_universal(key.VR, wanted) or _matches_unknown(int(key.tag), options)
    if key.VR == "UI":
        return any(str(value) in {str(uid) for uid in wanted} for value in values)
    if key.VR in _RANGE_PARSERS:
        return any(_match_range(key.VR, str(wanted[0]), str(value)) for value in values)
    return any(_match_value(key.VR, wanted, value, options) for value in values)


def _match_sequence(key: DataElement, stored: DataElement | None, options: MatchingOptions) -> bool:
    items = read_items(key)
    if not items or not any(read_values(part) or part.VR == "SQ" for part in items[0]):
        return True
    candidates = read_items(stored) or [Dataset()]  # a key nested in no item still matches if it is universal
    return any(match_data_set(items[0], item, options) for item in candidates)


def _matches_unknown(tag: int, options: MatchingOptions) -> bool:
    return options.unknown_values_match and tag in _REQUIRED_KEYS


def _is_universal(vr: str, wanted: list[Any]) -> bool:
    return vr in _WILDCARD_VRS and set(str(wanted[0])) == {"*"}


def _match_value(vr: str, wanted: list[Any], value: Any, options: MatchingOptions) -> bool:
    if vr == "PN":
        return _match_name(str(wanted[0]), str(value), options)
    if vr in _WILDCARD_VRS:
        text = "\\".join(str(part) for part in wanted)
        return _compile_wildcard(text.strip(" ")).fullmatch(str(value).strip(" ")) is not None
    return any(_is_equal(part, value) for part in wanted)


def _is_equal(wanted: Any, value: Any) -> bool:
    if str(wanted).strip() == str(value).strip():
        return True
    try:
        return float(wanted) == float(value)
    except (TypeError, ValueError):
        return False


@lru_cache(maxsize=512)
def _compile_wildcard(text: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(character, re.escape(character)) for character in text), re.DOTALL)


def _match_name(wanted: str, value: str, options: MatchingOptions) -> bool:
    """Match any component group of a name, whatever the case (PS3.4 §C.2.2.2.1.1)."""
    groups = [group.rstrip("^ ").casefold() for group in value.split("=")] + [value.casefold()]
    patterns = [_compile_wildcard(group.rstrip("^ ").casefold()) for group in (wanted, *wanted.split("="))]
    whole = patterns[0]
    if any(whole.fullmatch(group) for group in groups):
        return True
    if "=" in wanted:
        pairs = zip(wanted.split("="), patterns[1:], strict=True)
        return any(text and any(pattern.fullmatch(group) for group in groups) for text, pattern in pairs)
    return options.fuzzy and _match_fuzzily(wanted, value)


def _match_fuzzily(wanted: str, value: str) -> bool:
    """Every word asked for starts a word of the name; accents, case, order and punctuation do not count."""
    words = _split_words(value)
    return all(any(word.startswith(part) for word in words) for part in _split_words(wanted))


def _split_words(name: str) -> list[str]:
    plain = "".join(
        character
        for character in unicodedata.normalize("NFKD", name.casefold())
        if not unicodedata.combining(character)
    )
    return [word for word in re.split(r"[\s^=*?.,'-]+", plain) if word]


def _split_range(vr: str, text: str) -> tuple[str, str] | None:
    """Return first and last bound ("" if open), or None for a single value."""
    bounds = re.split(r"-(?![0-9]{4}$)" if vr == "DT" else "-", text.strip(" "), maxsplit=1)
    if vr == "DT" and len(bounds) == 1:
        return _split_ambiguous_datetime(text.strip(" "))
    return (bounds[0].strip(), bounds[1].strip()) if len(bounds) == 2 else None


def _split_ambiguous_datetime(text: str) -> tuple[str, str] | None:
    """Read ``-2024``: four digits at the end are an offset only if a date stands before them."""
    if text.startswith("-"):
        return "", text[1:]
    return None


def _match_range(vr: str, wanted: str, value: str) -> bool:
    parse = _RANGE_PARSERS[vr]
    try:
        covered = parse(value.strip())
        bounds = _split_range(vr, wanted)
        if bounds is None:
            exact = parse(wanted.strip())
            return exact.first <= covered.first <= exact.last
        first, last = bounds
        return (not first or parse(first).first <= covered.first) and (not last or covered.first <= parse(last).last)
    except (ValueError, OverflowError):
        return wanted.strip() == value.strip()


def _are_ranges(keys: Dataset, date_tag: int, time_tag: int) -> bool:
    texts = [read_values(read_element(keys, tag)) for tag in (date_tag, time_tag)]
    return all(text and "-" in str(text[0]) for text in texts)


def _match_combined(keys: Dataset, stored: Dataset, date_tag: int, time_tag: int, options: MatchingOptions) -> bool:
    """Read date and time ranges as one interval (PS3.4 §C.2.2.2.5.1.4)."""
    wanted = [str(read_values(read_element(keys, tag))[0]) for tag in (date_tag, time_tag)]
    values = [read_values(read_element(stored, tag)) for tag in (date_tag, time_tag)]
    if not values[0]:
        return _matches_unknown(date_tag, options)
    try:
        (date_first, date_last), (time_first, time_last) = (
            tuple(part.strip() for part in text.split("-", 1)) for text in wanted
        )
        moment = parse_time(str(values[1][0]) if values[1] else "00", parse_date(str(values[0][0])).first)
        lowest = _bound(date_first, time_first or "00", last=False)
        highest = _bound(date_last, time_last, last=True)
        return (lowest is None or lowest.first <= moment.first) and (highest is None or moment.first <= highest.last)
    except ValueError:
        return False


def _bound(date: str, time: str, *, last: bool) -> Interval | None:
    if not date:
        return None
    day = parse_date(date)
    return parse_time(time, day.first) if time or not last else day
