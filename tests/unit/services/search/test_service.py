"""The whole search against an archive in memory: six resources, relational and not, paging, streaming, leaving."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from gateway.config import BackendSettings, SearchSettings
from gateway.dimse.archive import QueryCapabilities
from gateway.errors import BadParameter, ConnectionLost, DimseStatusError, SearchTooBroad
from gateway.resources import Level
from gateway.services.contracts import SearchRequest
from gateway.services.search.keys import REQUIRED_TAGS
from gateway.services.search.service import (
    ANSWER_LIMIT,
    MORE_RESULTS,
    STOPPED_EARLY,
    UNSUPPORTED,
    ArchiveSearch,
)
from gateway.tasks import running_tasks
from tests.support.fake_archive import COMPUTED, Behaviour, FakeArchive, instance

STUDY, SERIES, IMAGE = Level.STUDY, Level.SERIES, Level.IMAGE
STUDY_UID, SERIES_UID, SOP_UID = "0020000D", "0020000E", "00080018"
RELATIONAL = QueryCapabilities(relational=True)


def three_studies() -> list[dict[str, Any]]:
    """Studies 1 to 3 of two series of two instances; study 3 has no MR."""
    return [
        instance(
            f"1.{study}",
            f"1.{study}.{series}",
            f"1.{study}.{series}.{number}",
            modality="MR" if series == 2 and study != 3 else "CT",
            PatientName=f"Doe^{study}",
            PatientID=f"P{study}",
            StudyDate=f"2020010{study}",
            StudyTime=f"1{study}0000",
            SeriesNumber=series,
            InstanceNumber=number,
        )
        for study in (1, 2, 3)
        for series in (1, 2)
        for number in (1, 2)
    ]


def make_archive(**attributes: Any) -> FakeArchive:
    return FakeArchive(attributes.pop("instances", None) or three_studies(), **attributes)


async def search(
    archive: FakeArchive,
    level: Level,
    query: str = "",
    *,
    study: str | None = None,
    series: str | None = None,
    **settings: Any,
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Results and warnings."""
    service = ArchiveSearch(archive, SearchSettings(**settings))
    async with service.search(SearchRequest(level, query, "http://h/dw", study, series)) as results:
        return [result async for result in results], results.warnings


def values(results: list[dict[str, Any]], tag: str) -> list[Any]:
    return [(result.get(tag, {}).get("Value") or [None])[0] for result in results]


@pytest.fixture(autouse=True)
async def nothing_left_behind() -> AsyncGenerator[None, None]:
    yield
    assert running_tasks() == []


# --- the six resources ---

RESOURCES = [
    (STUDY, None, None, 3, (STUDY,)),
    (SERIES, "1.2", None, 2, (SERIES,)),
    (IMAGE, "1.2", "1.2.1", 2, (IMAGE,)),
    (IMAGE, "1.2", None, 4, (SERIES, IMAGE)),
    (SERIES, None, None, 6, (STUDY, SERIES)),
    (IMAGE, None, None, 12, (STUDY, SERIES, IMAGE)),
]
UNIQUE = {STUDY: STUDY_UID, SERIES: SERIES_UID, IMAGE: SOP_UID}


@pytest.mark.parametrize("relational", [False, True])
@pytest.mark.parametrize("leaves_out", [frozenset(), frozenset(COMPUTED), frozenset({"00080090", "00100040"})])
@pytest.mark.parametrize(("level", "study", "series", "count", "tables"), RESOURCES)
async def test_every_resource_gives_each_entity_once_with_all_that_is_required(
    level: Level,
    study: str | None,
    series: str | None,
    count: int,
    tables: tuple[Level, ...],
    leaves_out: frozenset[str],
    relational: bool,
) -> None:
    archive = make_archive(
        capabilities=QueryCapabilities(relational=relational), behaviour=Behaviour(leaves_out=leaves_out)
    )
    results, warnings = await search(archive, level, study=study, series=series)
    uids = values(results, UNIQUE[level])
    assert len(results) == count and uids == sorted(set(uids)) and warnings == ()
    for result in results:
        assert {tag for table in tables for tag in REQUIRED_TAGS[table]} <= set(result)
        assert list(result) == sorted(result)
        assert result["00081190"]["Value"][0].startswith("http://h/dw/studies/1.")
        assert "00080052" not in result and "keys-left-out" not in result
    if STUDY in tables:
        assert values(results, "00201206") == [2] * count and values(results, "00201208") == [4] * count
        assert {tuple(result["00080061"]["Value"]) for result in results} == {("CT", "MR"), ("CT",)}
    if SERIES in tables:
        assert values(results, "00201209") == [2] * count


@pytest.mark.parametrize(("level", "study", "series", "count", "tables"), RESOURCES)
async def test_nothing_found_is_an_empty_answer(
    level: Level, study: str | None, series: str | None, count: int, tables: tuple[Level, ...]
) -> None:
    name = {STUDY: "PatientID", SERIES: "SeriesNumber", IMAGE: "InstanceNumber"}[level]
    results, _ = await search(make_archive(), level, f"{name}=99", study=study, series=series)
    assert results == []


async def test_relational_answers_without_study_attributes_are_completed() -> None:
    archive = make_archive(capabilities=RELATIONAL, behaviour=Behaviour(upper_keys=False))
    results, _ = await search(archive, SERIES)
    assert values(results, "00100020") == ["P1", "P1", "P2", "P2", "P3", "P3"]
    assert len(archive.asked_at("STUDY")) == 3


async def test_a_configured_archive_is_walked_though_it_negotiates_relational_queries() -> None:
    settings = BackendSettings(ae_title="FAKE", host="none", relational=False)
    archive = make_archive(capabilities=RELATIONAL, settings=settings)
    assert len((await search(archive, SERIES))[0]) == 6
    assert len(archive.asked_at("STUDY")) == 1 and len(archive.asked_at("SERIES")) == 3


# --- what clients ask ---


async def test_the_study_list_of_a_viewer() -> None:
    query = (
        "limit=101&offset=0&fuzzymatching=false&includefield=00081030%2C00080060%2C00080090%2C00100030"
        "&PatientName=*oe*&00100020=*P*&ModalitiesInStudy=MR&StudyDate=19700102-20261231"
    )
    archive = make_archive()
    results, warnings = await search(archive, STUDY, query)
    assert values(results, STUDY_UID) == ["1.1", "1.2"] and warnings == ()
    assert all("00081030" in result and "00080060" not in result for result in results)
    assert archive.asked[0]["00080005"] == {"vr": "CS"}


@pytest.mark.parametrize("separator", [",", "%2C", "%5C"])
async def test_several_studies_by_uid(separator: str) -> None:
    results, _ = await search(make_archive(), STUDY, f"StudyInstanceUID=1.1{separator}1.3")
    assert values(results, STUDY_UID) == ["1.1", "1.3"]


@pytest.mark.parametrize("capabilities", [QueryCapabilities(), RELATIONAL])
@pytest.mark.parametrize(
    ("level", "query", "uids"),
    [
        (SERIES, "Modality=MR", ["1.1.2", "1.2.2"]),
        (SERIES, "SeriesInstanceUID=1.2.1", ["1.2.1"]),
        (SERIES, "0020000E=1.2.1", ["1.2.1"]),
        (IMAGE, "00080018=1.3.2.1", ["1.3.2.1"]),
        (IMAGE, "00100020=P2&Modality=MR", ["1.2.2.1", "1.2.2.2"]),
    ],
)
async def test_searches_across_studies(
    level: Level, query: str, uids: list[str], capabilities: QueryCapabilities
) -> None:
    results, _ = await search(make_archive(capabilities=capabilities), level, query)
    assert values(results, UNIQUE[level]) == uids


async def test_pages_until_an_empty_one() -> None:
    archive, found, offset = make_archive(), [], 0
    while True:
        results, warnings = await search(archive, STUDY, f"limit=2&offset={offset}")
        if not results:
            break
        found += values(results, STUDY_UID)
        assert warnings == ((MORE_RESULTS,) if offset == 0 else ())
        offset += len(results)
    assert found == ["1.1", "1.2", "1.3"]


async def test_the_series_list_of_a_viewer_gets_study_attributes_it_asks_for() -> None:
    query = "includefield=0008103E%2C00080021%2CPatientName%2CNumberOfStudyRelatedInstances"
    archive = make_archive(behaviour=Behaviour(leaves_out=frozenset(COMPUTED)))
    results, _ = await search(archive, SERIES, query, study="1.1")
    assert [name["Alphabetic"] for name in values(results, "00100010")] == ["Doe^1"] * 2
    assert values(results, "00201208") == [4, 4] and all("00080021" in result for result in results)
    assert "00080020" not in results[0]


# --- archives that deviate ---


async def test_repeated_answers_are_merged() -> None:
    archive = make_archive(behaviour=Behaviour(per_instance=True))
    assert values((await search(archive, STUDY))[0], STUDY_UID) == ["1.1", "1.2", "1.3"]
    results, warnings = await search(archive, STUDY, "limit=1&offset=1")
    assert values(results, STUDY_UID) == ["1.2"] and warnings == (MORE_RESULTS,)


async def test_modalities_are_matched_here_where_the_archive_ignores_them() -> None:
    archive = make_archive(behaviour=Behaviour(leaves_out=frozenset(COMPUTED)))
    results, warnings = await search(archive, STUDY, "ModalitiesInStudy=MR&limit=10")
    assert values(results, STUDY_UID) == ["1.1", "1.2"] and warnings == ()
    assert [result["00080061"]["Value"] for result in results] == [["CT", "MR"]] * 2
    results, _ = await search(archive, SERIES, "ModalitiesInStudy=MR")
    assert values(results, SERIES_UID) == ["1.1.1", "1.1.2", "1.2.1", "1.2.2"]


async def test_a_choice_of_modalities_is_matched_here() -> None:
    results, _ = await search(make_archive(), STUDY, "ModalitiesInStudy=MR%2CPT")
    assert values(results, STUDY_UID) == ["1.1", "1.2"]


async def test_keys_an_archive_leaves_out_of_matching_are_compared_here() -> None:
    archive = make_archive(behaviour=Behaviour(ignores_keys=True))
    results, _ = await search(archive, STUDY, "PatientName=doe%5E2")
    assert values(results, STUDY_UID) == ["1.2"]


async def test_what_an_archive_knows_nothing_of_is_told() -> None:
    archive = make_archive(behaviour=Behaviour(leaves_out=frozenset({"00081030"})))
    results, warnings = await search(archive, STUDY, "StudyDescription=*chest*")
    assert len(results) == 3 and warnings == (f"{UNSUPPORTED}: StudyDescription",)


async def test_counts_that_an_archive_refuses_stay_empty_and_are_not_asked_again() -> None:
    refusal = DimseStatusError("FAKE", "C-FIND", 0xC001)
    behaviour = Behaviour(leaves_out=frozenset(COMPUTED), failure=refusal, fails_level="SERIES")
    archive = make_archive(behaviour=behaviour)
    service = ArchiveSearch(archive, SearchSettings(walk_concurrency=1))
    for _ in range(2):
        async with service.search(SearchRequest(STUDY, "", "http://h")) as results:
            found = [result async for result in results]
        assert values(found, "00201206") == [None] * 3 and values(found, "00201208") == [None] * 3
    assert len(archive.asked_at("SERIES")) == 1


async def test_counts_are_not_computed_against_the_configuration() -> None:
    archive = make_archive(behaviour=Behaviour(leaves_out=frozenset(COMPUTED)))
    results, warnings = await search(archive, STUDY, "ModalitiesInStudy=MR", compute_counts=False)
    assert len(results) == 3 and len(archive.asked) == 1
    assert warnings == (f"{UNSUPPORTED}: ModalitiesInStudy",)
    assert results[0]["00201208"] == {"vr": "IS"}


@pytest.mark.parametrize("combined", [False, True])
async def test_a_combined_range_of_dates_and_times(combined: bool) -> None:
    archive = make_archive(capabilities=QueryCapabilities(combined_datetime=combined))
    query = "StudyDate=20200101-20200103&StudyTime=1200-1259"
    results, _ = await search(archive, STUDY, query)
    if not combined:
        assert values(results, STUDY_UID) == ["1.2"]
    assert archive.asked[0]["00080030"].get("Value") == (["1200-1259"] if combined else None)


@pytest.mark.parametrize("level", [STUDY, SERIES, IMAGE])
@pytest.mark.parametrize("query", ["", "limit=5", "ModalitiesInStudy=CT"])
async def test_one_association_is_enough_for_everything(level: Level, query: str) -> None:
    settings = BackendSettings(ae_title="FAKE", host="none", max_associations=1)
    archive = make_archive(settings=settings, behaviour=Behaviour(leaves_out=frozenset(COMPUTED)))
    results, _ = await search(archive, level, query)
    assert len(results) == {STUDY: 3, SERIES: 6, IMAGE: 12}[level] or (query == "limit=5" and len(results) == 5)
    assert archive.most_open_finds == 1


# --- paging and streaming ---


async def test_enough_is_enough() -> None:
    archive = make_archive(instances=[instance(f"1.{number}", "2", f"3.{number}") for number in range(1, 200)])
    results, warnings = await search(archive, STUDY, "limit=5&offset=3")
    assert values(results, STUDY_UID) == [f"1.{number}" for number in range(4, 9)]
    assert warnings == (MORE_RESULTS,)
    assert archive.cancelled == [0] and archive.sent <= 11


@pytest.mark.parametrize(
    ("query", "count", "more"),
    [
        ("limit=3", 3, False),
        ("limit=2", 2, True),
        ("limit=0", 0, True),
        ("limit=0&PatientID=99", 0, False),
        ("offset=3", 0, False),
        ("offset=2", 1, False),
        ("offset=1&limit=1", 1, True),
        ("limit=5001&offset=1", 2, False),
        ("limit=5001", 3, False),
    ],
)
async def test_the_arithmetic_of_pages(query: str, count: int, more: bool) -> None:
    results, warnings = await search(make_archive(), STUDY, query)
    assert len(results) == count and warnings == ((MORE_RESULTS,) if more else ())


async def test_a_limit_of_ours_is_told() -> None:
    results, warnings = await search(make_archive(), STUDY, max_results=2)
    assert len(results) == 2 and warnings == (MORE_RESULTS,)
    results, warnings = await search(make_archive(), STUDY, "limit=1", max_results=2)
    assert len(results) == 1
    results, warnings = await search(make_archive(), STUDY, max_results=6000)
    assert len(results) == 3 and warnings == (ANSWER_LIMIT.format(6000),)


async def test_the_first_result_leaves_before_the_last_has_arrived() -> None:
    gate = asyncio.Event()
    archive = make_archive(behaviour=Behaviour(gate=gate, gate_at=2))
    async with ArchiveSearch(archive, SearchSettings()).search(SearchRequest(STUDY, "", "http://h")) as results:
        iterator = aiter(results)
        assert values([await anext(iterator)], STUDY_UID) == ["1.1"]
        assert not gate.is_set()
        gate.set()
        assert len([result async for result in iterator]) == 2


@pytest.mark.parametrize("leaves_out", [frozenset(), frozenset(COMPUTED)])
@pytest.mark.parametrize("capabilities", [QueryCapabilities(), RELATIONAL])
@pytest.mark.parametrize("level", [STUDY, SERIES, IMAGE])
async def test_leaving_early_leaves_nothing(
    level: Level, capabilities: QueryCapabilities, leaves_out: frozenset[str]
) -> None:
    gate = asyncio.Event()
    archive = make_archive(
        capabilities=capabilities,
        behaviour=Behaviour(gate=gate, gate_at=2, fails_level=level.value, leaves_out=leaves_out),
    )
    archive.instances += [instance("1.1", "1.1.1", f"1.1.1.{number}") for number in range(3, 9)]
    service = ArchiveSearch(archive, SearchSettings())
    async with service.search(SearchRequest(level, "", "http://h")) as results:
        assert await anext(aiter(results))
    assert archive.open_finds == 0 and running_tasks() == []


@pytest.mark.parametrize("level", [STUDY, SERIES, IMAGE])
async def test_cancellation_while_waiting_leaves_nothing(level: Level) -> None:
    archive = make_archive(behaviour=Behaviour(gate=asyncio.Event(), gate_at=0, fails_level=level.value))
    waiting = asyncio.ensure_future(search(archive, level))
    while not archive.asked_at(level.value):
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert archive.open_finds == 0 and archive.cancelled and running_tasks() == []


# --- failures ---


@pytest.mark.parametrize("query", ["", "limit=10"])
@pytest.mark.parametrize("level", [STUDY, SERIES, IMAGE])
async def test_a_failure_before_the_first_result_is_raised_on_entering(level: Level, query: str) -> None:
    behaviour = Behaviour(failure=ConnectionLost("FAKE", "gone"), fails_level=level.value)
    service = ArchiveSearch(make_archive(behaviour=behaviour), SearchSettings())
    with pytest.raises(ConnectionLost):
        async with service.search(SearchRequest(level, query, "http://h")):
            pytest.fail("entered")


async def test_a_failure_after_the_first_result_is_raised_while_iterating() -> None:
    behaviour = Behaviour(failure=DimseStatusError("FAKE", "C-FIND", 0xA700), fails_at=2)
    service = ArchiveSearch(make_archive(behaviour=behaviour), SearchSettings())
    taken = []
    async with service.search(SearchRequest(STUDY, "", "http://h")) as results:
        assert not results.is_empty
        with pytest.raises(DimseStatusError):
            async for result in results:
                taken.append(result)
    assert values(taken, STUDY_UID) == ["1.1"]


async def test_bad_queries_ask_nothing() -> None:
    archive = make_archive()
    with pytest.raises(BadParameter):
        await search(archive, STUDY, "StudyDate=yesterday")
    assert archive.asked == []


@pytest.mark.parametrize(("level", "max_walk"), [(SERIES, 2), (IMAGE, 2), (IMAGE, 5)])
async def test_a_walk_is_bounded(level: Level, max_walk: int) -> None:
    service = ArchiveSearch(make_archive(), SearchSettings(max_walk=max_walk))
    with pytest.raises(SearchTooBroad):
        async with service.search(SearchRequest(level, "", "http://h")) as results:
            assert [result async for result in results]


async def test_a_walk_that_found_nothing_within_its_bound_is_too_broad() -> None:
    with pytest.raises(SearchTooBroad):
        await search(make_archive(), SERIES, "SeriesInstanceUID=1.3.1&limit=5", max_walk=2)


async def test_a_page_found_within_the_bound_is_given_with_a_warning() -> None:
    results, warnings = await search(make_archive(), SERIES, "limit=5", max_walk=2)
    assert len(results) == 4 and warnings == (STOPPED_EARLY,)
    results, warnings = await search(make_archive(), SERIES, "limit=3", max_walk=2)
    assert len(results) == 3 and warnings == (MORE_RESULTS,)


@pytest.mark.parametrize("batch", [3, 100])
@pytest.mark.parametrize("query", ["", "offset=1&limit=2", "limit=2", "ModalitiesInStudy=MR"])
@pytest.mark.parametrize("leaves_out", [frozenset(), frozenset(COMPUTED)])
@pytest.mark.parametrize("level", [STUDY, SERIES, IMAGE])
async def test_the_same_results_whatever_arrives_together(
    level: Level, leaves_out: frozenset[str], query: str, batch: int
) -> None:
    outcomes = []
    for together in (1, batch):
        behaviour = Behaviour(leaves_out=leaves_out, repeats=2, batch=together)
        archive = make_archive(behaviour=behaviour, capabilities=RELATIONAL)
        outcomes.append(await search(archive, level, query))
    assert outcomes[0] == outcomes[1] and outcomes[0][0]


@pytest.mark.parametrize(
    ("batch", "query", "whole", "count"),
    [
        (100, "", True, 3),
        (1, "", False, 3),
        (1, "limit=2", True, 2),
        (100, "PatientID=none", True, 0),
        (1, "PatientID=P3", True, 1),
    ],
)
async def test_it_is_known_when_the_first_batch_is_all(batch: int, query: str, whole: bool, count: int) -> None:
    archive = make_archive(behaviour=Behaviour(batch=batch))
    async with ArchiveSearch(archive, SearchSettings()).search(SearchRequest(STUDY, query, "http://h")) as results:
        batches = []
        while results_together := await results.take_batch():
            batches.append(results_together)
        assert (results.is_whole, results.is_empty) == (whole, count == 0)
        assert sum(map(len, batches)) == count and (len(batches) > 1) is (not whole)
        assert await results.take_batch() == []


async def test_one_result_that_is_completed_is_all_there_is() -> None:
    archive = make_archive(behaviour=Behaviour(batch=100, leaves_out=frozenset(COMPUTED)))
    request = SearchRequest(STUDY, "StudyInstanceUID=1.2", "http://h")
    async with ArchiveSearch(archive, SearchSettings()).search(request) as results:
        assert results.is_whole
        assert values([result async for result in results], "00201208") == [4]


async def test_a_failure_that_arrives_with_matches_comes_after_them() -> None:
    failure = ConnectionLost("FAKE", "gone")
    archive = make_archive(behaviour=Behaviour(batch=100, failure=failure, fails_at=3))
    async with ArchiveSearch(archive, SearchSettings()).search(SearchRequest(STUDY, "", "http://h")) as results:
        assert not results.is_whole and len(await results.take_batch()) == 2
        with pytest.raises(ConnectionLost):
            await results.take_batch()
