"""Repeated answers merged, results complete."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from gateway.resources import Level
from gateway.services.search.keys import REQUIRED_TAGS
from gateway.services.search.merging import (
    first_value,
    has_value,
    inherit,
    iter_distinct,
    merge_answers,
    to_result,
)

STUDY = "0020000D"


def study(uid: str, **tags: Any) -> dict[str, Any]:
    others = {tag[1:]: {"vr": "LO", "Value": [value]} if value else {"vr": "LO"} for tag, value in tags.items()}
    return {STUDY: {"vr": "UI", "Value": [uid]} if uid else {"vr": "UI"}, **others}


async def stream(models: list[dict[str, Any]]) -> AsyncGenerator[dict[str, Any], None]:
    for model in models:
        yield model


async def distinct(*models: dict[str, Any]) -> list[dict[str, Any]]:
    return [model async for model in iter_distinct(stream(list(models)), STUDY)]


def test_values_are_told_from_empty_and_absent_attributes() -> None:
    model = study("1.2", t00100020="", t00100010="x")
    assert has_value(model, STUDY) and not has_value(model, "00100020") and not has_value(model, "00080050")
    assert (first_value(model, STUDY), first_value(model, "00100020"), first_value(model, "00080050")) == (
        "1.2",
        "",
        "",
    )
    assert first_value({"00080061": {"vr": "CS", "Value": [None, "CT"]}}, "00080061") == ""


def test_merging_completes_and_unites_lists() -> None:
    first = {**study("1.2", t00100020=""), "00080061": {"vr": "CS", "Value": ["CT"]}}
    second = {**study("1.2", t00100020="P", t00080050="A"), "00080061": {"vr": "CS", "Value": ["MR", "CT"]}}
    merged = merge_answers(first, second)
    assert first_value(merged, "00100020") == "P" and first_value(merged, "00080050") == "A"
    assert merged["00080061"]["Value"] == ["CT", "MR"]
    assert first["00080061"]["Value"] == ["CT"]


def test_the_level_above_is_inherited_but_for_what_is_of_one_level() -> None:
    above = study("1.2", t00100020="P", t00080056="ONLINE", t00080005="ISO_IR 100")
    child = inherit(above, {"0020000E": {"vr": "UI", "Value": ["1.3"]}, "00100020": {"vr": "LO"}})
    assert first_value(child, "00100020") == "P"
    assert first_value(child, "0020000E") == "1.3" and "00080056" not in child


async def test_consecutive_answers_are_merged_and_later_ones_dropped() -> None:
    found = await distinct(study("1"), study("1", t00100020="P"), study("2"), study("1"), study("2"), study("3"))
    assert [first_value(model, STUDY) for model in found] == ["1", "2", "3"]
    assert first_value(found[0], "00100020") == "P"


async def test_answers_without_unique_key_pass() -> None:
    assert len(await distinct(study(""), study(""))) == 2
    assert await distinct() == []


@pytest.mark.parametrize("level", list(Level))
def test_required_attributes_are_always_there_in_ascending_order(level: Level) -> None:
    result = to_result({"00080054": {"vr": "AE"}, "00080052": {"vr": "CS"}}, (level,), level, "http://h/dw")
    assert set(result) == set(REQUIRED_TAGS[level])
    assert list(result) == sorted(result)
    assert all(set(attribute) == {"vr"} for attribute in result.values())


def test_the_retrieve_url_names_the_entity() -> None:
    uids = {tag: {"vr": "UI", "Value": [uid]} for tag, uid in ((STUDY, "1"), ("0020000E", "2"), ("00080018", "3"))}
    urls = [to_result(uids, (), level, "http://h/dw/")["00081190"] for level in Level]
    assert urls == [
        {"vr": "UR", "Value": ["http://h/dw/studies/1"]},
        {"vr": "UR", "Value": ["http://h/dw/studies/1/series/2"]},
        {"vr": "UR", "Value": ["http://h/dw/studies/1/series/2/instances/3"]},
    ]
    foreign = {"00081190": {"vr": "UR", "Value": ["http://elsewhere"]}}
    assert "00081190" not in to_result(foreign, (), Level.STUDY, "http://h")
