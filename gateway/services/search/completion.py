"""What an archive leaves out of its answers, fetched by further C-FINDs (PS3.18 Tables 10.6.3-3 to 10.6.3-5).

Counts of series and instances and the modalities of a study are computed from the levels below; attributes of
the levels above come from a C-FIND for that one entity. Everything is asked once per study or series of a
search, however many results need it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from gateway.errors import DimseStatusError
from gateway.resources import Level
from gateway.services.search.find import Finder
from gateway.services.search.keys import (
    COMPUTED_STUDY_TAGS,
    INSTANCES_OF_SERIES,
    INSTANCES_OF_STUDY,
    LEVELS,
    MODALITIES_IN_STUDY,
    MODALITY,
    SERIES_OF_STUDY,
    SPECIFIC_CHARACTER_SET,
    UNIQUE_KEYS,
)
from gateway.services.search.merging import Model, first_value, has_value, inherit
from gateway.services.search.plan import Keys, ParentStep, SearchPlan, Step
from gateway.services.search.streams import Memo

__all__ = ["Completion", "Refusals"]

_log = structlog.get_logger(__name__)
_REMEMBERED = 512  # studies or series of one search; results of one entity come together
_STUDY, _SERIES, _INSTANCE = (UNIQUE_KEYS[level] for level in LEVELS)


def _count_step(level: Level, *tags: tuple[str, str]) -> Step:
    keys: Keys = {tag: {"vr": vr} for tag, vr in ((SPECIFIC_CHARACTER_SET, "CS"), (UNIQUE_KEYS[level], "UI"), *tags)}
    keys["00080052"] = {"vr": "CS", "Value": [level.value]}
    return Step(level, keys)


_SERIES_STEP = _count_step(Level.SERIES, (MODALITY, "CS"), (INSTANCES_OF_SERIES, "IS"))
_INSTANCE_STEP = _count_step(Level.IMAGE)


@dataclass(frozen=True, slots=True)
class _StudyContent:
    """Modalities in the order met, and the series with their instances, -1 where the archive does not tell."""

    modalities: tuple[str, ...]
    series: dict[str, int]


class Refusals:
    """Questions that an archive answered with a failure, so that they are not asked again; one per archive."""

    def __init__(self) -> None:
        self._levels: set[Level] = set()

    def __contains__(self, level: Level) -> bool:
        return level in self._levels

    def add(self, level: Level, error: DimseStatusError) -> None:
        """Remember that C-FINDs at `level` for counting fail."""
        self._levels.add(level)
        _log.warning("search_counts_refused", ae_title=error.ae_title, level=level.value, status=error.status)


class Completion:
    """Completes the models of one search.

    Parameters
    ----------
    plan : SearchPlan
        What the results show.
    finder : Finder
        Asks the archive.
    refusals : Refusals
        What the archive is known to refuse.
    computes : bool
        Counts and modalities may be computed at the cost of further C-FINDs.
    """

    def __init__(self, plan: SearchPlan, finder: Finder, refusals: Refusals, *, computes: bool) -> None:
        self._plan = plan
        self._finder = finder
        self._refusals = refusals
        self._computes = computes
        self._inherited = [tag for parent in plan.parents for tag in parent.tags]
        self._counted = [tag for level in _COUNTED if self._shows(level) for tag in _COUNTED[level]]
        self._content: Memo[str, _StudyContent | None] = Memo(self._read_content, size=_REMEMBERED)
        self._counts: Memo[tuple[str, str], int | None] = Memo(self._count_instances, size=_REMEMBERED)
        self._parents: Memo[tuple[int, str], Model] = Memo(self._find_parent, size=_REMEMBERED)

    @property
    def may_ask(self) -> bool:
        """Whether completing a model may need a C-FIND."""
        shows_counts = Level.STUDY in self._plan.tables or Level.SERIES in self._plan.tables
        return bool(self._plan.parents) or (self._computes and shows_counts)

    def is_complete(self, model: Model) -> bool:
        """Whether `complete` would find nothing missing that it might ask for."""
        return all(tag in model for tag in self._inherited) and all(has_value(model, tag) for tag in self._counted)

    async def complete(self, model: Model) -> Model:
        """`model` with all that can be known of it.

        Raises
        ------
        BackendError
            A further C-FIND failed otherwise than by a failure status, which leaves the attribute empty.
        """
        for number, parent in enumerate(self._plan.parents):
            model = await self._add_parent(number, parent, model)
        if self._shows(Level.STUDY):
            model = await self.complete_modalities(model)
            model = await self._add_study_counts(model)
        if self._shows(Level.SERIES):
            model = await self._add_series_count(model)
        return model

    async def complete_modalities(self, model: Model) -> Model:
        """`model` with Modalities in Study and the number of series, where computing is allowed."""
        uid = first_value(model, _STUDY)
        missing = [tag for tag in (MODALITIES_IN_STUDY, SERIES_OF_STUDY) if not has_value(model, tag)]
        if not (self._computes and uid and missing):
            return model
        content = await self._content.get(uid)
        if content is None:
            return model
        known = {MODALITIES_IN_STUDY: _codes(content.modalities), SERIES_OF_STUDY: _count(len(content.series))}
        return {**model, **{tag: known[tag] for tag in missing}}

    def _shows(self, level: Level) -> bool:
        wanted = [parent.step.level for parent in self._plan.parents if set(parent.tags) & _COUNTED[level]]
        return self._computes and (level in self._plan.tables or level in wanted)

    async def _add_study_counts(self, model: Model) -> Model:
        uid = first_value(model, _STUDY)
        if not uid or has_value(model, INSTANCES_OF_STUDY):
            return model
        content = await self._content.get(uid)
        total = 0
        for series, told in (content.series if content else {}).items():
            counted = told if told >= 0 else await self._counts.get((uid, series))
            if counted is None:
                return model
            total += counted
        return {**model, INSTANCES_OF_STUDY: _count(total)} if content else model

    async def _add_series_count(self, model: Model) -> Model:
        uids = (first_value(model, _STUDY), first_value(model, _SERIES))
        if not all(uids) or has_value(model, INSTANCES_OF_SERIES):
            return model
        counted = await self._counts.get(uids)
        return model if counted is None else {**model, INSTANCES_OF_SERIES: _count(counted)}

    async def _add_parent(self, number: int, parent: ParentStep, model: Model) -> Model:
        if all(tag in model for tag in parent.tags):
            return model
        uid = first_value(model, UNIQUE_KEYS[parent.step.level])
        return inherit(await self._parents.get((number, f"{first_value(model, _STUDY)}/{uid}")), model)

    async def _find_parent(self, key: tuple[int, str]) -> Model:
        number, path = key
        step = self._plan.parents[number].step
        study, own = path.split("/")
        uids = {_STUDY: study} if step.level is Level.SERIES else {}
        keys = {**step.keys, UNIQUE_KEYS[step.level]: {"vr": "UI", "Value": [own]}}
        found = self._finder.find(Step(step.level, keys), uids)
        async with aclosing(found):
            async for model in found:
                return model
        return {}

    async def _read_content(self, study: str) -> _StudyContent | None:
        series: dict[str, int] = {}
        modalities: dict[str, None] = {}
        answers = await self._ask(_SERIES_STEP, {_STUDY: study})
        if answers is None:
            return None
        for uid, modality, count in answers:
            series[uid] = int(count) if count.isdigit() else -1
            modalities.update({modality: None} if modality else {})
        return _StudyContent(tuple(modalities), series)

    async def _count_instances(self, uids: tuple[str, str]) -> int | None:
        answers = await self._ask(_INSTANCE_STEP, dict(zip((_STUDY, _SERIES), uids, strict=True)))
        return None if answers is None else len(answers)

    async def _ask(self, step: Step, uids: Mapping[str, str]) -> list[tuple[str, str, str]] | None:
        """Unique key, modality and count of each answer; None where the archive refuses the question."""
        if step.level in self._refusals:
            return None
        found = self._finder.find(step, uids)
        unique = UNIQUE_KEYS[step.level]
        try:
            async with aclosing(found):
                return [
                    (first_value(model, unique), first_value(model, MODALITY), first_value(model, INSTANCES_OF_SERIES))
                    async for model in found
                ]
        except DimseStatusError as error:
            self._refusals.add(step.level, error)
            return None


_COUNTED = {
    Level.STUDY: set(COMPUTED_STUDY_TAGS),
    Level.SERIES: {INSTANCES_OF_SERIES},
    Level.IMAGE: set[str](),
}


def _count(number: int) -> dict[str, object]:
    return {"vr": "IS", "Value": [number]}


def _codes(values: tuple[str, ...]) -> dict[str, object]:
    return {"vr": "CS", "Value": list(values)} if values else {"vr": "CS"}
