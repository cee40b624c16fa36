"""From a search to the C-FINDs that answer it (PS3.18 §10.6; PS3.4 §C.4.1.2, §C.4.1.3).

Pure. A plan has one step for each level that is asked in turn: a single one for hierarchical searches and
for archives that accept relational queries; else study, series and instance one below the other. Study Root
always.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from gateway.errors import BadParameter
from gateway.resources import Level
from gateway.services.contracts import SearchRequest
from gateway.services.search.attributes import AttributePath
from gateway.services.search.date_time import is_range, is_reversed, parse_range
from gateway.services.search.keys import (
    COMPUTED_STUDY_TAGS,
    DATE_TIME_PAIRS,
    INSTANCES_OF_SERIES,
    LEVELS,
    MODALITIES_IN_STUDY,
    MODALITY,
    OPTIONAL_KEYS,
    REQUIRED_TAGS,
    RETURN_KEYS,
    SPECIFIC_CHARACTER_SET,
    TIMEZONE,
    UNIQUE_KEYS,
    level_of,
)
from gateway.services.search.matching import DateTimeRange
from gateway.services.search.query import MatchKey, SearchQuery
from gateway.services.search.values import has_wildcard, to_attribute

if TYPE_CHECKING:
    from gateway.dimse.archive import QueryCapabilities

__all__ = ["Keys", "ParentStep", "SearchPlan", "Step", "make_plan"]

Keys = dict[str, dict[str, Any]]
"""An identifier: attributes of the DICOM JSON Model by tag."""

_LEVEL = "00080052"
_UNICODE = "ISO_IR 192"
_NEVER_MATCHED = frozenset({SPECIFIC_CHARACTER_SET, _LEVEL, "00080054", "00081190"})
_MODALITIES_PATH = AttributePath((MODALITIES_IN_STUDY,), "CS")

FUZZY_UNSUPPORTED = "The fuzzymatching parameter is not supported. Only literal matching has been performed."
EMPTY_VALUE_UNSUPPORTED = (
    "The emptyvaluematching parameter is not supported. Empty Value Matching has not been performed."
)
MULTIPLE_VALUE_UNSUPPORTED = (
    "The multiplevaluematching parameter is not supported. Multiple Value Matching has not been performed."
)
IGNORED = "The following attributes are not supported for matching here and have been ignored"
TIMEZONE_UNSUPPORTED = (
    "TimezoneOffsetFromUTC is not supported by the archive. Dates and times have been matched as stored."
)


@dataclass(frozen=True, slots=True)
class Step:
    """A C-FIND at one level.

    Parameters
    ----------
    level : Level
        Of the C-FIND.
    keys : dict
        Its identifier, without the unique keys of the levels above.
    filters : tuple of MatchKey
        What is compared here as well.
    ranges : tuple of DateTimeRange
        Combined date-time ranges, compared here as well.
    """

    level: Level
    keys: Keys
    filters: tuple[MatchKey, ...] = ()
    ranges: tuple[DateTimeRange, ...] = ()

    @property
    def names_one(self) -> bool:
        """Whether the unique key of the level has one value, so that there is one answer at most."""
        return len(self.keys[UNIQUE_KEYS[self.level]].get("Value", ())) == 1

    @property
    def filters_modalities(self) -> bool:
        """Whether Modalities in Study is matched here."""
        return any(key.path.tag == MODALITIES_IN_STUDY for key in self.filters)


@dataclass(frozen=True, slots=True)
class ParentStep:
    """A C-FIND for the one entity above a result, made when one of `tags` is missing from the result."""

    step: Step
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """All that is needed to run a search.

    Parameters
    ----------
    level : Level
        Of the results.
    tables : tuple of Level
        Levels whose required attributes every result shows, from the top down.
    uids : dict
        Unique keys known from the path, by tag.
    steps : tuple of Step
        C-FINDs one below the other; the last one's answers are the results.
    parents : tuple of ParentStep
        Further C-FINDs for attributes of levels above, from the top down.
    matched : tuple of AttributePath
        Attributes that were sent with a value, to tell when the archive knows nothing of them.
    is_relational : bool
        A step spans several levels.
    compares_names : bool
        Person names are compared here where the archive left keys out.
    warnings : tuple of str
        What could not be done as asked.
    """

    level: Level
    tables: tuple[Level, ...]
    uids: dict[str, str]
    steps: tuple[Step, ...]
    parents: tuple[ParentStep, ...]
    matched: tuple[AttributePath, ...]
    is_relational: bool
    compares_names: bool
    warnings: tuple[str, ...]


def make_plan(request: SearchRequest, query: SearchQuery, capabilities: QueryCapabilities) -> SearchPlan:
    """Lay out the C-FINDs for `query` against an archive of these `capabilities`.

    Raises
    ------
    BadParameter
        A range of times across midnight without a range of dates beside it.
    """
    tables = _table_levels(request)
    uids = _path_uids(request)
    matches, ignored = _sort_matches(query.matches, tables, uids, request.level)
    include = _sort_includes(query, request.level)
    is_relational = len(tables) > 1 and capabilities.relational
    draft = _Draft(request.level, matches, include, capabilities, _time_zone(query.matches, capabilities))
    step_levels = [tables] if is_relational else [(level,) for level in tables]
    steps = tuple(draft.step(levels, prefilters=not is_relational) for levels in step_levels)
    return SearchPlan(
        level=request.level,
        tables=tables,
        uids=uids,
        steps=steps,
        parents=tuple(_parent_steps(draft, tables, is_relational)),
        matched=tuple(key.path for keys in matches.values() for key in keys),
        is_relational=is_relational,
        compares_names=not (query.fuzzy and capabilities.fuzzy),
        warnings=tuple(_iter_warnings(query, capabilities, ignored)),
    )


def _table_levels(request: SearchRequest) -> tuple[Level, ...]:
    """Levels from below the path down to that of the results; they are also those that may be matched."""
    top = 0 if request.study is None else 1 if request.series is None else 2
    return LEVELS[top : LEVELS.index(request.level) + 1]


def _path_uids(request: SearchRequest) -> dict[str, str]:
    named = ((Level.STUDY, request.study), (Level.SERIES, request.series))
    return {UNIQUE_KEYS[level]: uid for level, uid in named if uid is not None}


def _sort_matches(
    keys: Iterable[MatchKey], tables: tuple[Level, ...], uids: Mapping[str, str], own: Level
) -> tuple[dict[Level, list[MatchKey]], list[str]]:
    """Matches by level, and the names of those that cannot be matched at this resource."""
    sorted_keys: dict[Level, list[MatchKey]] = {level: [] for level in tables}
    ignored: list[str] = []
    for key in keys:
        level = level_of(key.path) or own
        if key.path.tag == TIMEZONE or key.values == (uids.get(key.path.tag),):
            continue
        if level not in sorted_keys or key.path.tag in _NEVER_MATCHED:
            ignored.append(key.path.name)
        else:
            sorted_keys[level].append(key)
    return sorted_keys, ignored


def _sort_includes(query: SearchQuery, own: Level) -> dict[Level, list[AttributePath]]:
    """Attributes to return by level; those of levels below the results are not returned (§10.6.3.3)."""
    include: dict[Level, list[AttributePath]] = {level: [] for level in LEVELS[: LEVELS.index(own) + 1]}
    for path in query.include:
        level = level_of(path) or own
        if level in include and path.tag not in _NEVER_MATCHED and path.tag != TIMEZONE:
            include[level].append(path)
    if query.include_all:
        include[own].extend(OPTIONAL_KEYS[own])
    return include


def _time_zone(keys: Iterable[MatchKey], capabilities: QueryCapabilities) -> tuple[str, ...]:
    if not capabilities.timezone:
        return ()
    return next((key.values for key in keys if key.path.tag == TIMEZONE), ())


@dataclass(frozen=True, slots=True)
class _Draft:
    """What the steps of one plan share."""

    level: Level
    matches: dict[Level, list[MatchKey]]
    include: dict[Level, list[AttributePath]]
    capabilities: QueryCapabilities
    time_zone: tuple[str, ...]

    def step(self, levels: tuple[Level, ...], *, prefilters: bool) -> Step:
        """The step that asks for `levels` at once, the last of them being that of the C-FIND."""
        own = [key for level in levels for key in self.matches[level]]
        pairs = _date_time_pairs(own)
        _check_times(own, {time.path.tags for _, time in pairs})
        sent = [key for key in own if self._is_sent(key, pairs)]
        if prefilters and levels == (Level.STUDY,):
            sent.extend(self._prefilter(own))
        returned = [path for level in levels for path in self.include[level]]
        returned.extend(key.path for key in own)
        ranges = () if self.time_zone else tuple(DateTimeRange.of(date, time) for date, time in pairs)
        keys = self._keys(levels[-1], returned, sent, _return_keys(levels))
        return Step(levels[-1], keys, self._filters(own, pairs), ranges)

    def parent(self, level: Level, paths: Iterable[AttributePath]) -> Step:
        """The step that fetches `paths` of one entity."""
        return Step(level, self._keys(level, paths, (), {}))

    def _is_sent(self, key: MatchKey, pairs: list[tuple[MatchKey, MatchKey]]) -> bool:
        is_choice = len(key.values) > 1 and key.path.vr != "UI"  # C-FIND has lists for UIDs only
        is_combined_time = any(key is time for _, time in pairs)
        return not is_choice and (not is_combined_time or self.capabilities.combined_datetime)

    def _filters(self, own: list[MatchKey], pairs: list[tuple[MatchKey, MatchKey]]) -> tuple[MatchKey, ...]:
        """What is compared here: no times of combined ranges, no dates that the archive shifts by zone."""
        combined = [time for _, time in pairs]
        temporal = ("DA", "TM", "DT") if self.time_zone else ()
        return tuple(key for key in own if key not in combined and key.path.vr not in temporal)

    def _prefilter(self, own: list[MatchKey]) -> list[MatchKey]:
        """Spare a walk the studies that cannot hold the modality asked for below."""
        below = self.matches.get(Level.SERIES, [])
        wanted = [key.values for key in below if key.path.tags == (MODALITY,)]
        if not wanted or any(key.path.tag == MODALITIES_IN_STUDY for key in own):
            return []
        values = wanted[0]
        return [MatchKey(_MODALITIES_PATH, values)] if len(values) == 1 and not has_wildcard(values[0]) else []

    def _keys(
        self, level: Level, returned: Iterable[AttributePath], sent: Iterable[MatchKey], always: Mapping[str, Any]
    ) -> Keys:
        keys: Keys = {tag: deepcopy(key) if len(key) > 1 else key for tag, key in always.items()}
        for path in returned:
            _put(keys, path, ())
        needs_unicode = False
        for key in sent:
            _put(keys, key.path, key.values)
            needs_unicode |= not all(value.isascii() for value in key.values)
        keys.setdefault(UNIQUE_KEYS[level], {"vr": "UI"})
        keys[SPECIFIC_CHARACTER_SET] = {"vr": "CS", "Value": [_UNICODE]} if needs_unicode else {"vr": "CS"}
        keys[_LEVEL] = {"vr": "CS", "Value": [level.value]}
        keys[TIMEZONE] = to_attribute(AttributePath((TIMEZONE,), "SH"), self.time_zone)
        return dict(sorted(keys.items()))


@cache
def _return_keys(levels: tuple[Level, ...]) -> Keys:
    """The keys of every search at `levels`; never changed."""
    keys: Keys = {}
    for level in levels:
        for path in RETURN_KEYS[level]:
            _put(keys, path, ())
    return keys


def _put(keys: Keys, path: AttributePath, values: tuple[str, ...]) -> None:
    """Set the key at `path`, inside one item of each sequence on the way (PS3.4 §C.2.2.2.6)."""
    target = keys
    for tag in path.tags[:-1]:
        sequence = target.setdefault(tag, {"vr": "SQ"})
        target = sequence.setdefault("Value", [{}])[0]
    if values or path.tags[-1] not in target:
        target[path.tags[-1]] = to_attribute(AttributePath(path.tags[-1:], path.vr), values)


def _date_time_pairs(keys: list[MatchKey]) -> list[tuple[MatchKey, MatchKey]]:
    """Dates and times that are both ranges and belong together (PS3.18 §8.3.4.1.1)."""
    by_tags = {key.path.tags: key for key in keys}
    pairs = (
        (by_tags[(date,)], by_tags[(time,)])
        for date, time in DATE_TIME_PAIRS.items()
        if (date,) in by_tags and (time,) in by_tags
    )
    return [pair for pair in pairs if all(is_range(key.path.vr, key.values[0]) for key in pair)]


def _check_times(keys: list[MatchKey], combined: set[tuple[str, ...]]) -> None:
    for key in keys:
        if key.path.vr == "TM" and key.path.tags not in combined and is_reversed(parse_range("TM", key.values[0])):
            raise BadParameter(key.path.name, "a range of times ends before it starts")


def _parent_steps(draft: _Draft, tables: tuple[Level, ...], is_relational: bool) -> Iterable[ParentStep]:
    """C-FINDs for attributes asked for of levels above the tables, or left out of relational answers."""
    computed = {*COMPUTED_STUDY_TAGS, INSTANCES_OF_SERIES}
    for level in LEVELS[: LEVELS.index(draft.level)]:
        paths = list(draft.include[level])
        if level in tables and is_relational:
            paths.extend(RETURN_KEYS[level])
            required = [tag for tag in REQUIRED_TAGS[level] if tag not in computed]
            yield ParentStep(draft.parent(level, paths), tuple(required))
        elif level not in tables and paths:
            yield ParentStep(draft.parent(level, paths), tuple(path.tag for path in paths))


def _iter_warnings(query: SearchQuery, capabilities: QueryCapabilities, ignored: list[str]) -> Iterable[str]:
    if query.fuzzy and not capabilities.fuzzy:
        yield FUZZY_UNSUPPORTED
    if query.empty_value:
        yield EMPTY_VALUE_UNSUPPORTED
    if query.multiple_value:
        yield MULTIPLE_VALUE_UNSUPPORTED
    if any(key.path.tag == TIMEZONE for key in query.matches) and not capabilities.timezone:
        yield TIMEZONE_UNSUPPORTED
    if ignored:
        yield f"{IGNORED}: {', '.join(ignored)}"
