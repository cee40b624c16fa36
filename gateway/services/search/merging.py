"""Answers of an archive made into results: repeated ones merged, the required attributes always there.

Pure functions over the DICOM JSON Model. Some archives answer a study-level C-FIND once per instance of the
study; others leave out what they do not know, where PS3.18 Tables 10.6.3-3 to -5 want an empty attribute.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from gateway.resources import Level
from gateway.services.search.attributes import attribute_vr
from gateway.services.search.keys import LEVELS, MODALITIES_IN_STUDY, REQUIRED_TAGS, UNIQUE_KEYS

__all__ = ["Distinct", "Model", "ResultForm", "first_value", "has_value", "inherit", "merge_answers"]

Model = dict[str, Any]
"""One data set in the DICOM JSON Model."""

_RETRIEVE_URL = "00081190"
_OF_THE_OPERATION = (
    "00080052",
    "00080054",
    _RETRIEVE_URL,
)  # level and Retrieve AE Title mean nothing by HTTP
_OF_ONE_LEVEL = ("00080056", *_OF_THE_OPERATION)  # a study's availability is not that of each instance
_UNION_TAGS = (MODALITIES_IN_STUDY, "00080062")
_SEGMENTS = {Level.STUDY: "studies", Level.SERIES: "series", Level.IMAGE: "instances"}


def has_value(model: Mapping[str, Any], tag: str) -> bool:
    """Whether `tag` is there with something in it."""
    attribute = model.get(tag)
    return attribute is not None and len(attribute) > 1


def first_value(model: Mapping[str, Any], tag: str) -> str:
    """The first value of `tag` as text, empty without one."""
    values = (model.get(tag) or {}).get("Value") or [None]
    return "" if values[0] is None else str(values[0])


def merge_answers(first: Model, second: Mapping[str, Any]) -> Model:
    """One answer out of two about the same entity: the first's values, completed by the second's.

    Lists of the whole study (modalities, SOP classes) become the union of both.
    """
    merged = dict(first)
    for tag, attribute in second.items():
        if not has_value(merged, tag):
            merged[tag] = attribute
        elif tag in _UNION_TAGS:
            both = (*merged[tag].get("Value", ()), *attribute.get("Value", ()))
            merged[tag] = {**merged[tag], "Value": list(dict.fromkeys(both))}
    return merged


def inherit(parent: Mapping[str, Any], child: Mapping[str, Any]) -> Model:
    """`child` with the attributes of the level above it; its own win."""
    above = {tag: attribute for tag, attribute in parent.items() if tag not in _OF_ONE_LEVEL}
    below = {tag: attribute for tag, attribute in child.items() if tag not in above or has_value(child, tag)}
    return {**above, **below}


class Distinct:
    """Gives each entity once: consecutive answers about it merged, later ones dropped.

    Holds one answer back, and one UID for each entity seen. Answers without the unique key pass as they are.
    """

    def __init__(self, unique_key: str) -> None:
        self._unique_key = unique_key
        self._seen: set[str] = set()
        self._held: Model | None = None
        self._held_uid = ""

    def take(self, answers: Iterable[Model], *, is_last: bool) -> list[Model]:
        """The answers that `answers` complete, in order; with `is_last` also the one held back."""
        complete: list[Model] = []
        for model in answers:
            uid = first_value(model, self._unique_key)
            if self._held is not None and uid and uid == self._held_uid:
                self._held = merge_answers(self._held, model)
            elif not uid or uid not in self._seen:
                self._release(complete)
                self._held, self._held_uid = model, uid
                self._seen.add(uid)
        if is_last:
            self._release(complete)
        return complete

    def _release(self, complete: list[Model]) -> None:
        if self._held is not None:
            complete.append(self._held)
            self._held = None


class ResultForm:
    """Makes answers into the results a client gets: required attributes, Retrieve URL, tags in ascending order.

    Parameters
    ----------
    tables : collection of Level
        Levels whose required attributes every result shows.
    level : Level
        Of the results.
    base_url : str
        Absolute URL of the service root.

    Source: PS3.18 Tables 10.6.3-3 to 10.6.3-5, §F.2.2
    """

    def __init__(self, tables: Collection[Level], level: Level, base_url: str) -> None:
        self._required = {tag: {"vr": attribute_vr(tag)} for table in tables for tag in REQUIRED_TAGS[table]}
        self._segments = [(_SEGMENTS[above], UNIQUE_KEYS[above]) for above in LEVELS[: LEVELS.index(level) + 1]]
        self._base_url = base_url.rstrip("/")

    def make_result(self, model: Model) -> Model:
        """The result; `model` stays as it is."""
        result = {**self._required, **model}
        for tag in _OF_THE_OPERATION:
            result.pop(tag, None)
        url = self._retrieve_url(model)
        if url is not None:
            result[_RETRIEVE_URL] = {"vr": "UR", "Value": [url]}
        return dict(sorted(result.items()))

    def _retrieve_url(self, model: Model) -> str | None:
        url = self._base_url
        for segment, unique_key in self._segments:
            uid = first_value(model, unique_key)
            if not uid:
                return None
            url += f"/{segment}/{uid}"
        return url
