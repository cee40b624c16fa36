"""Answers of an archive made into results: repeated ones merged, the required attributes always there.

Pure functions over the DICOM JSON Model. Some archives answer a study-level C-FIND once per instance of the
study; others leave out what they do not know, where PS3.18 Tables 10.6.3-3 to -5 want an empty attribute.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from typing import Any

from gateway.resources import Level
from gateway.services.search.attributes import attribute_vr
from gateway.services.search.keys import LEVELS, MODALITIES_IN_STUDY, REQUIRED_TAGS, UNIQUE_KEYS

__all__ = ["Model", "first_value", "has_value", "inherit", "iter_distinct", "merge_answers", "to_result"]

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


async def iter_distinct(answers: AsyncGenerator[Model, None], unique_key: str) -> AsyncGenerator[Model, None]:
    """Yield each entity once: consecutive answers about it merged, later ones dropped.

    Holds one answer back, and one UID for each entity seen. Answers without the unique key pass as they are.
    """
    seen: set[str] = set()
    held: Model | None = None
    async with aclosing(answers):
        async for model in answers:
            uid = first_value(model, unique_key)
            if held is not None and uid and uid == first_value(held, unique_key):
                held = merge_answers(held, model)
                continue
            if uid in seen:
                continue
            if held is not None:
                yield held
            held = model
            seen.update(filter(None, [uid]))
    if held is not None:
        yield held


def to_result(model: Model, tables: Collection[Level], level: Level, base_url: str) -> Model:
    """The result a client gets: required attributes, Retrieve URL, tags in ascending order.

    Source: PS3.18 Tables 10.6.3-3 to 10.6.3-5, §F.2.2
    """
    result = {tag: attribute for tag, attribute in model.items() if tag not in _OF_THE_OPERATION}
    for table in tables:
        for tag in REQUIRED_TAGS[table]:
            result.setdefault(tag, {"vr": attribute_vr(tag)})
    url = _retrieve_url(model, level, base_url)
    if url is not None:
        result[_RETRIEVE_URL] = {"vr": "UR", "Value": [url]}
    return dict(sorted(result.items()))


def _retrieve_url(model: Model, level: Level, base_url: str) -> str | None:
    url = base_url.rstrip("/")
    for above in LEVELS[: LEVELS.index(level) + 1]:
        uid = first_value(model, UNIQUE_KEYS[above])
        if not uid:
            return None
        url += f"/{_SEGMENTS[above]}/{uid}"
    return url
