"""What an archive leaves out, computed or fetched, once per study or series."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from gateway.dimse.archive import Archive, QueryCapabilities
from gateway.errors import ConnectionLost, DimseStatusError
from gateway.resources import Level
from gateway.services.contracts import SearchRequest
from gateway.services.search.completion import Completion, Refusals
from gateway.services.search.find import Finder
from gateway.services.search.plan import make_plan
from gateway.services.search.query import parse_search_query
from tests.support.fake_archive import COMPUTED, Behaviour, FakeArchive, instance

STUDY = {"0020000D": {"vr": "UI", "Value": ["1"]}}
SERIES = {**STUDY, "0020000E": {"vr": "UI", "Value": ["2.1"]}}


def make_archive(**behaviour: Any) -> FakeArchive:
    instances = [
        instance("1", f"2.{series}", f"3.{series}.{number}", modality=modality, PatientID="P")
        for series, modality in ((1, "CT"), (2, "PT"), (3, "CT"))
        for number in range(series)
    ]
    return FakeArchive(instances, behaviour=Behaviour(**behaviour))


def completion(
    archive: FakeArchive,
    level: Level = Level.STUDY,
    query: str = "",
    *,
    computes: bool = True,
    refusals: Refusals | None = None,
    study: str | None = None,
) -> Completion:
    request = SearchRequest(level, query, "http://h", study)
    plan = make_plan(request, parse_search_query(query), QueryCapabilities())
    finder = Finder(cast(Archive, archive), compares_names=True)
    return Completion(plan, finder, refusals or Refusals(), computes=computes)


@pytest.mark.parametrize(("leaves_out", "asked"), [(COMPUTED[:3], 1), (COMPUTED, 4)])
async def test_study_counts_come_from_series_counts_or_from_counting(leaves_out: tuple[str, ...], asked: int) -> None:
    archive = make_archive(leaves_out=frozenset(leaves_out))
    model = await completion(archive).complete(dict(STUDY))
    assert model["00080061"] == {"vr": "CS", "Value": ["CT", "PT"]}
    assert model["00201206"]["Value"] == [3] and model["00201208"]["Value"] == [6]
    assert len(archive.asked) == asked


async def test_what_the_archive_gave_is_kept_and_not_asked_for() -> None:
    archive = make_archive()
    known = {
        **STUDY,
        "00080061": {"vr": "CS", "Value": ["MR"]},
        "00201206": {"vr": "IS", "Value": [7]},
        "00201208": {"vr": "IS", "Value": [70]},
    }
    assert await completion(archive).complete(dict(known)) == known
    assert archive.asked == []


async def test_a_study_is_asked_once_however_many_need_it() -> None:
    archive = make_archive(leaves_out=frozenset(COMPUTED))
    shared = completion(archive, Level.SERIES)
    models = await asyncio.gather(*(shared.complete(dict(SERIES)) for _ in range(5)))
    assert all(model["00201209"]["Value"] == [1] and model["00201208"]["Value"] == [6] for model in models)
    assert len(archive.asked) == 1 + 3


async def test_nothing_is_computed_against_the_configuration() -> None:
    archive = make_archive()
    silent = completion(archive, computes=False)
    assert not silent.may_ask
    assert await silent.complete(dict(STUDY)) == STUDY and archive.asked == []


async def test_a_model_without_uid_is_left_alone() -> None:
    archive = make_archive()
    assert await completion(archive).complete({}) == {} and archive.asked == []


async def test_attributes_of_the_study_are_fetched_once() -> None:
    archive = make_archive()
    shared = completion(archive, Level.SERIES, "includefield=PatientID", computes=False, study="1")
    assert shared.may_ask
    for _ in range(3):
        model = await shared.complete(dict(SERIES))
        assert model["00100020"]["Value"] == ["P"] and model["0020000E"] == SERIES["0020000E"]
    assert len(archive.asked_at("STUDY")) == 1


async def test_a_refused_question_leaves_the_attribute_empty_and_is_not_repeated() -> None:
    archive = make_archive(failure=DimseStatusError("FAKE", "C-FIND", 0xA900))
    refusals = Refusals()
    for _ in range(2):
        assert await completion(archive, refusals=refusals).complete(dict(STUDY)) == STUDY
    assert len(archive.asked) == 1 and Level.SERIES in refusals and Level.IMAGE not in refusals


async def test_other_failures_are_raised() -> None:
    with pytest.raises(ConnectionLost):
        await completion(make_archive(failure=ConnectionLost("FAKE", "gone"))).complete(dict(STUDY))
