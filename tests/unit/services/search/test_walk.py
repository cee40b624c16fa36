"""Walks through the levels: order, concurrency, bounds, associations."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any, cast

import pytest

from gateway.config import BackendSettings
from gateway.dimse.archive import Archive, QueryCapabilities
from gateway.errors import SearchTooBroad
from gateway.resources import Level
from gateway.services.contracts import SearchRequest
from gateway.services.search.completion import Completion, Refusals
from gateway.services.search.find import Finder
from gateway.services.search.plan import make_plan
from gateway.services.search.query import parse_search_query
from gateway.services.search.streams import iter_items
from gateway.services.search.walk import Walk, WalkLimits
from gateway.tasks import running_tasks
from tests.support.fake_archive import FakeArchive, instance


def make_archive(studies: int = 6, **attributes: Any) -> FakeArchive:
    instances = [
        instance(f"1.{study}", f"2.{study}.{series}", f"3.{study}.{series}.{number}", PatientID=f"P{study}")
        for study in range(studies)
        for series in range(2)
        for number in range(3)
    ]
    return FakeArchive(instances, **attributes)


def walk(
    archive: FakeArchive,
    level: Level,
    query: str = "",
    *,
    max_walk: int = 1000,
    concurrency: int = 3,
    wants_all: bool = True,
    relational: bool = False,
) -> Walk:
    request = SearchRequest(level, query, "http://h")
    plan = make_plan(request, parse_search_query(query), QueryCapabilities(relational=relational))
    finder = Finder(cast(Archive, archive), compares_names=True)
    limits = WalkLimits(max_walk, concurrency, wants_all)
    return Walk(plan, finder, Completion(plan, finder, Refusals(), computes=True), limits)


async def uids(walked: Walk, tag: str) -> list[str]:
    return [model[tag]["Value"][0] async for model in iter_items(walked.iter_answers(ahead=False))]


@pytest.mark.parametrize("concurrency", [1, 2, 5])
async def test_the_order_is_that_of_the_archive_whatever_runs_side_by_side(concurrency: int) -> None:
    archive = make_archive()
    found = await uids(walk(archive, Level.IMAGE, concurrency=concurrency), "00080018")
    assert found == [model["00080018"]["Value"][0] for model in archive.instances]
    assert running_tasks() == []


async def test_answers_inherit_the_levels_above() -> None:
    models = [model async for model in iter_items(walk(make_archive(1), Level.IMAGE).iter_answers(ahead=False))]
    assert all(model["00100020"]["Value"] == ["P0"] for model in models)
    assert [model["0020000E"]["Value"][0] for model in models] == ["2.0.0"] * 3 + ["2.0.1"] * 3


async def test_a_relational_search_is_one_question() -> None:
    archive = make_archive()
    assert len(await uids(walk(archive, Level.IMAGE, relational=True), "00080018")) == 36
    assert len(archive.asked) == 1


async def test_the_study_is_not_asked_below_where_it_does_not_match() -> None:
    archive = make_archive()
    assert len(await uids(walk(archive, Level.SERIES, "PatientID=P3"), "0020000E")) == 2
    assert [keys["0020000D"]["Value"] for keys in archive.asked_at("SERIES")] == [["1.3"]]


@pytest.mark.parametrize("max_associations", [1, 2])
async def test_no_question_waits_for_an_association_that_the_walk_itself_holds(max_associations: int) -> None:
    settings = BackendSettings(ae_title="FAKE", host="none", max_associations=max_associations)
    archive = make_archive(settings=settings)
    assert len(await uids(walk(archive, Level.IMAGE), "00080018")) == 36
    assert archive.most_open_finds <= max_associations


async def test_all_that_is_too_much_is_refused_at_once() -> None:
    archive = make_archive()
    with pytest.raises(SearchTooBroad):
        await uids(walk(archive, Level.SERIES, max_walk=3), "0020000E")
    assert len(archive.asked) == 1 and archive.cancelled == [0]


async def test_a_page_is_walked_as_far_as_the_bound_allows() -> None:
    found = []
    walked = walk(make_archive(), Level.SERIES, max_walk=5, wants_all=False)
    with pytest.raises(SearchTooBroad):
        async for model in iter_items(walked.iter_answers(ahead=False)):
            found.append(model["0020000D"]["Value"][0])
    assert found == [f"1.{study}" for study in range(5) for _ in range(2)]


async def test_the_bound_holds_for_studies_and_series_together() -> None:
    with pytest.raises(SearchTooBroad):
        await uids(walk(make_archive(), Level.IMAGE, max_walk=17), "00080018")
    assert len(await uids(walk(make_archive(), Level.IMAGE, max_walk=18), "00080018")) == 36


async def test_leaving_early_asks_no_further_than_the_window() -> None:
    archive = make_archive(100)
    async with aclosing(walk(archive, Level.SERIES).iter_answers(ahead=False)) as answers:
        await anext(answers)
    assert len(archive.asked_at("SERIES")) <= 5
    assert archive.open_finds == 0 and running_tasks() == []
