"""Repeated answers merged, results complete."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.resources import Level
from gateway.services.search.keys import REQUIRED_TAGS
from gateway.services.search.merging import Distinct, ResultForm, first_value, has_value, inherit, merge_answers

STUDY = "0020000D"


def study(uid: str, **tags: Any) -> dict[str, Any]:
    others = {tag[1:]: {"vr": "LO", "Value": [value]} if value else {"vr": "LO"} for tag, value in tags.items()}
    return {STUDY: {"vr": "UI", "Value": [uid]} if uid else {"vr": "UI"}, **others}


def distinct(*models: dict[str, Any]) -> list[dict[str, Any]]:
    return Distinct(STUDY).take(models, is_last=True)


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


def test_consecutive_answers_are_merged_and_later_ones_dropped() -> None:
    found = distinct(study("1"), study("1", t00100020="P"), study("2"), study("1"), study("2"), study("3"))
    assert [first_value(model, STUDY) for model in found] == ["1", "2", "3"]
    assert first_value(found[0], "00100020") == "P"


def test_answers_without_unique_key_pass() -> None:
    assert len(distinct(study(""), study(""))) == 2
    assert distinct() == []


@given(
    st.lists(st.tuples(st.sampled_from(["", "1", "2", "3"]), st.sampled_from(["", "P", "Q"])), max_size=9),
    st.lists(st.integers(0, 9), max_size=3),
)
def test_the_same_however_answers_arrive(answers: list[tuple[str, str]], cuts: list[int]) -> None:
    models = [study(uid, t00100020=patient) for uid, patient in answers]
    edges = [0, *sorted(cuts), len(models)]
    piecemeal = Distinct(STUDY)
    found = [model for start, stop in pairwise(edges) for model in piecemeal.take(models[start:stop], is_last=False)]
    assert [*found, *piecemeal.take([], is_last=True)] == distinct(*models)


def test_only_the_last_answer_is_held_back() -> None:
    answers = Distinct(STUDY)
    assert answers.take([study("1"), study("2"), study("3")], is_last=False) == [study("1"), study("2")]
    assert answers.take([study("3")], is_last=True) == [study("3")]


@pytest.mark.parametrize("level", list(Level))
def test_required_attributes_are_always_there_in_ascending_order(level: Level) -> None:
    form = ResultForm((level,), level, "http://h/dw")
    result = form.make_result({"00080054": {"vr": "AE"}, "00080052": {"vr": "CS"}})
    assert set(result) == set(REQUIRED_TAGS[level])
    assert list(result) == sorted(result)
    assert all(set(attribute) == {"vr"} for attribute in result.values())


def test_the_retrieve_url_names_the_entity() -> None:
    uids = {tag: {"vr": "UI", "Value": [uid]} for tag, uid in ((STUDY, "1"), ("0020000E", "2"), ("00080018", "3"))}
    urls = [ResultForm((), level, "http://h/dw/").make_result(uids)["00081190"] for level in Level]
    assert urls == [
        {"vr": "UR", "Value": ["http://h/dw/studies/1"]},
        {"vr": "UR", "Value": ["http://h/dw/studies/1/series/2"]},
        {"vr": "UR", "Value": ["http://h/dw/studies/1/series/2/instances/3"]},
    ]
    foreign = {"00081190": {"vr": "UR", "Value": ["http://elsewhere"]}}
    assert "00081190" not in ResultForm((), Level.STUDY, "http://h").make_result(foreign)
