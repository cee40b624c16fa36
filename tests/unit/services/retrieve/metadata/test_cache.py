"""What is kept is used only while the archive says so; changes are seen; nobody harms those who read along."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.errors import DimseStatusError, UnknownResource
from gateway.resources import ResourcePath
from gateway.services.cache.disk import DiskStore
from gateway.services.retrieve.metadata.cache import KeptMetadata
from gateway.tasks import running_tasks
from tests.support.cancellation import iter_cancelled_runs, settle
from tests.support.fake_archive import instance
from tests.support.metadata_site import FRESH_S, URL, MetadataSite, make_memory

STUDY, SERIES, INSTANCE = ResourcePath("1"), ResourcePath("1", "1.2"), ResourcePath("1", "1.2", "1.2.2")
COUNTS = ("00201206", "00201208", "00201209")
by_level = pytest.mark.parametrize("path", [STUDY, SERIES, INSTANCE])


def name_of(models: dict[str, dict[str, dict[str, list[dict[str, str]]]]]) -> set[str]:
    return {model["00100010"]["Value"][0]["Alphabetic"] for model in models.values()}


@by_level
async def test_the_second_request_asks_nothing(path: ResourcePath) -> None:
    site = MetadataSite()
    first = await site.read(path)
    assert site.asked and site.retrieve.opened == 1
    assert await site.read(path) == first
    assert site.asked == [] and site.retrieve.opened == 1
    bulk = f"{URL}/studies/1/series/1.2/instances/1.2.2/bulkdata/7FE00010"
    assert first["1.2.2"]["7FE00010"]["BulkDataURI"] == bulk
    await settle(lambda: running_tasks() == [])


@by_level
async def test_after_a_while_the_archive_is_asked_and_nothing_retrieved(path: ResourcePath) -> None:
    site = MetadataSite()
    first = await site.read(path)
    for _ in range(3):
        site.clock.now += FRESH_S
        site.asked.clear()
        assert await site.read(path) == first
        assert site.asked == ["STUDY", "SERIES"]
        assert await site.read(path) == first
        assert site.asked == []
    assert site.retrieve.opened == 1


@pytest.mark.parametrize("wider", [STUDY, SERIES])
async def test_an_entry_answers_for_what_is_below(wider: ResourcePath) -> None:
    site = MetadataSite()
    first = await site.read(wider)
    assert await site.read(INSTANCE) == {"1.2.2": first["1.2.2"]}
    assert await site.read(SERIES) == {uid: first[uid] for uid in ("1.2.1", "1.2.2")}
    assert site.retrieve.opened == 1
    with pytest.raises(UnknownResource):
        await site.read(ResourcePath("1", "1.1", "1.2.2"))


def add(site: MetadataSite) -> None:
    site.archive.instances.append(instance("1", "1.2", "1.2.3", PatientName="Test^Before"))


def remove(site: MetadataSite) -> None:
    del site.archive.instances[2]


def replace_one(site: MetadataSite) -> None:
    remove(site)
    add(site)


def rename(site: MetadataSite) -> None:
    site.rename("Test^After")


def describe(site: MetadataSite) -> None:
    for model in site.archive.instances:
        model["0008103E"] = {"vr": "LO", "Value": ["corrected"]}


@pytest.mark.parametrize("change", [add, remove, rename, describe])
@pytest.mark.parametrize("path", [STUDY, SERIES])
@pytest.mark.parametrize("left_out", [(), COUNTS], ids=["counts told", "counts not told"])
async def test_changes_are_seen_after_a_while(path: ResourcePath, change: object, left_out: tuple[str, ...]) -> None:
    site = MetadataSite()
    site.leave_out(*left_out)
    first = await site.read(path)
    assert callable(change)
    change(site)
    assert await site.read(path) == first
    site.clock.now += FRESH_S
    second = await site.read(path)
    assert second != first and site.retrieve.opened == 2
    assert second == await MetadataSite.read(fresh_copy(site), path)


def fresh_copy(site: MetadataSite) -> MetadataSite:
    other = MetadataSite()
    other.archive.instances[:] = site.archive.instances
    return other


async def test_without_freshness_changes_are_seen_at_once() -> None:
    site = MetadataSite(fresh_s=0)
    await site.read(SERIES)
    assert name_of(await site.read(SERIES)) == {"Test^Before"} and site.retrieve.opened == 1
    site.rename("Test^After")
    assert name_of(await site.read(SERIES)) == {"Test^After"} and site.retrieve.opened == 2


@pytest.mark.parametrize(("left_out", "waits"), [((), True), (COUNTS, False)])
async def test_one_for_another_is_seen_by_uid(left_out: tuple[str, ...], waits: bool) -> None:
    site = MetadataSite(recheck_s=100)
    site.leave_out(*left_out)
    await site.read(SERIES)
    replace_one(site)
    site.clock.now += FRESH_S
    assert set(await site.read(SERIES)) == ({"1.2.1", "1.2.2"} if waits else {"1.2.2", "1.2.3"})
    site.clock.now += 100
    assert set(await site.read(SERIES)) == {"1.2.2", "1.2.3"}
    site.clock.now += FRESH_S
    site.asked.clear()
    await site.read(SERIES)
    assert site.asked == ["STUDY", "SERIES"] + (["IMAGE"] if left_out else [])


async def test_what_the_index_does_not_show_is_seen_when_the_entry_is_too_old() -> None:
    site = MetadataSite(max_age_s=1_000)
    site.leave_out("00100010")  # the patient's name cannot be asked for
    await site.read(SERIES)
    site.rename("Test^After")
    for age in (999, 1_000):
        site.wall_clock.now = 1_000 + age
        site.clock.now += FRESH_S
        assert name_of(await site.read(SERIES)) == {"Test^Before" if age < 1_000 else "Test^After"}


async def test_a_clock_set_back_makes_no_entry_young() -> None:
    site = MetadataSite()
    await site.read(SERIES)
    site.wall_clock.now -= 10
    await site.read(SERIES)
    assert site.retrieve.opened == 2


@by_level
async def test_what_is_gone_is_not_found(path: ResourcePath) -> None:
    site = MetadataSite()
    await site.read(path)
    site.archive.instances.clear()
    site.clock.now += FRESH_S
    with pytest.raises(UnknownResource):
        await site.read(path)
    assert site.memory.held_bytes == 0


async def test_an_archive_that_cannot_be_asked_is_not_answered_for() -> None:
    site = MetadataSite()
    await site.read(SERIES)
    site.clock.now += FRESH_S
    failure = DimseStatusError("FAKE", "C-FIND", 0xA700)
    site.archive.behaviour.failure = failure
    with pytest.raises(DimseStatusError):
        await site.read(SERIES)
    site.archive.behaviour.failure = None
    await site.read(SERIES)
    assert site.retrieve.opened == 1


async def test_a_store_drops_the_study_at_once_and_no_other() -> None:
    site = MetadataSite()
    site.archive.instances.append(instance("2", "2.1", "2.1.1"))
    for path in (STUDY, INSTANCE, ResourcePath("2")):
        await site.read(path)
    site.rename("Test^After")
    site.cache.forget("1")
    assert name_of(await site.read(INSTANCE)) == {"Test^After"}
    opened = site.retrieve.opened
    await site.read(ResourcePath("2"))
    assert site.retrieve.opened == opened


async def test_what_is_being_retrieved_while_its_study_changes_is_not_kept() -> None:
    site = MetadataSite()
    site.retrieve.passes = 1
    early = asyncio.create_task(site.read(SERIES))
    await settle(lambda: site.retrieve.given == 1)
    site.cache.forget("1")
    late = asyncio.create_task(site.read(SERIES))
    await settle(lambda: site.retrieve.opened == 2)
    site.retrieve.gate.set()
    assert len(await early) == len(await late) == 2
    await site.read(SERIES)
    assert site.retrieve.opened == 2


async def test_what_is_being_validated_while_its_study_changes_is_not_used() -> None:
    site = MetadataSite()
    site.leave_out(*COUNTS)
    await site.read(SERIES)
    site.clock.now += FRESH_S
    behaviour = site.archive.behaviour
    behaviour.gate, behaviour.gate_at, behaviour.fails_level = asyncio.Event(), 0, "SERIES"
    reading = asyncio.create_task(site.read(SERIES))
    await settle(lambda: "SERIES" in site.asked)
    site.cache.forget("1")
    behaviour.gate.set()
    await reading
    assert site.retrieve.opened == 2


# --- reading along ---


async def test_equal_requests_share_one_retrieval_and_who_leaves_harms_nobody() -> None:
    site = MetadataSite()
    site.retrieve.passes = 1
    leader = asyncio.create_task(site.read(SERIES))
    await settle(lambda: site.retrieve.given == 1)
    followers = [asyncio.create_task(site.read(SERIES)) for _ in range(2)]
    await settle(lambda: site.cache._fills[SERIES].fill.stream.reader_count == 3)
    leader.cancel()
    await asyncio.wait([leader])
    assert site.retrieve.running == 1
    site.retrieve.gate.set()
    assert [len(models) for models in await asyncio.gather(*followers)] == [2, 2]
    assert site.retrieve.opened == 1
    await site.read(SERIES)
    assert site.retrieve.opened == 1


async def test_when_all_have_left_the_retrieval_ends() -> None:
    site = MetadataSite()
    site.retrieve.passes = 1
    readers = [asyncio.create_task(site.read(SERIES)) for _ in range(2)]
    await settle(lambda: site.retrieve.given == 1)
    for reader in readers:
        reader.cancel()
    await asyncio.wait(readers)
    assert site.retrieve.running == 0 and running_tasks() == [] and site.memory.held_bytes == 0
    site.retrieve.gate.set()
    assert len(await site.read(SERIES)) == 2 and site.retrieve.opened == 2


async def test_cancelled_at_any_await_nothing_is_left() -> None:
    site = MetadataSite()
    async for _ in iter_cancelled_runs(lambda: site.read(STUDY)):
        await settle(lambda: running_tasks() == [] and site.retrieve.running == site.archive.open_finds == 0)
        site.cache.forget("1")
        assert site.memory.held_bytes == 0


@pytest.mark.parametrize("fails_at", [0, 1])
async def test_a_failure_is_that_of_all_who_read_and_is_not_kept(fails_at: int) -> None:
    site = MetadataSite()
    site.retrieve.passes, site.retrieve.fails_at = fails_at, fails_at
    site.retrieve.failure = DimseStatusError("FAKE", "C-GET", 0xA700)
    readers = [asyncio.create_task(site.read(SERIES)) for _ in range(2)]
    await settle(lambda: site.retrieve.opened == 1 and site.retrieve.given == fails_at)
    assert site.cache._fills[SERIES].fill.stream.reader_count == 2
    site.retrieve.gate.set()
    assert await asyncio.gather(*readers, return_exceptions=True) == [site.retrieve.failure] * 2
    site.retrieve.failure = None
    assert len(await site.read(SERIES)) == 2 and site.retrieve.opened == 2


@pytest.mark.parametrize(("changes", "shared"), [(False, True), (True, False)])
async def test_a_long_retrieval_is_joined_only_if_nothing_has_changed(changes: bool, shared: bool) -> None:
    site = MetadataSite()
    site.retrieve.passes = 1
    early = asyncio.create_task(site.read(SERIES))
    await settle(lambda: site.retrieve.given == 1)
    site.clock.now += FRESH_S
    if changes:
        site.rename("Test^After")
    late = asyncio.create_task(site.read(SERIES))
    if shared:
        await settle(lambda: site.cache._fills[SERIES].fill.stream.reader_count == 2)
    else:
        await settle(lambda: site.retrieve.opened == 2)
    site.retrieve.gate.set()
    assert name_of(await early) == {"Test^Before"}
    assert name_of(await late) == ({"Test^After"} if changes else {"Test^Before"})
    assert site.retrieve.opened == (1 if shared else 2)


# --- what is not kept ---


async def test_with_instances_missing_nothing_is_kept() -> None:
    site = MetadataSite()
    site.retrieve.unavailable = ("1.2.9",)
    await site.read(SERIES)
    await site.read(SERIES)
    assert site.retrieve.opened == 2


async def test_what_is_too_large_passes_at_the_pace_of_the_reader() -> None:
    memory = make_memory(4 * 1_500)  # a share is less than two documents
    site = MetadataSite(memory)
    for number in range(3, 60):
        site.archive.instances.append(instance("1", "1.2", f"1.2.{number}", ImageComments="x" * 1_000))
    opened = site.cache.open(SERIES)
    kept: KeptMetadata = await opened.__aenter__()
    await settle(lambda: site.retrieve.given > 2)
    assert len(await site.read(STUDY)) == 61  # another one beside it
    assert memory.held_bytes == 0
    seen = sum([len(batch) async for batch in kept.iter_batches()])
    assert seen == 59
    await opened.__aexit__(None, None, None)
    before = site.retrieve.opened
    await site.read(SERIES)
    assert site.retrieve.opened == before + 1 and memory.held_bytes == 0


# --- on disk ---


async def test_entries_survive_a_restart_and_are_validated_first(tmp_path: Path) -> None:
    site = MetadataSite(disk=DiskStore(tmp_path, 1_000_000))
    first = await site.read(SERIES)
    await settle(lambda: running_tasks() == [])
    for change in (False, True):
        site.memory, site.disk = make_memory(1_000_000), DiskStore(tmp_path, 1_000_000)
        site.restart()
        site.asked.clear()
        if change:
            site.rename("Test^After")
        assert (await site.read(SERIES) == first) is not change
        assert site.asked[:2] == ["STUDY", "SERIES"]
        assert site.retrieve.opened == (2 if change else 1)
    await settle(lambda: running_tasks() == [])


async def test_on_disk_too_a_study_is_dropped_at_once(tmp_path: Path) -> None:
    site = MetadataSite(disk=DiskStore(tmp_path, 1_000_000))
    await site.read(SERIES)
    await settle(lambda: running_tasks() == [])
    site.cache.forget("1")
    await settle(lambda: running_tasks() == [])
    assert list(tmp_path.iterdir()) == []
    await site.read(SERIES)
    assert site.retrieve.opened == 2
    await settle(lambda: running_tasks() == [])


async def test_what_is_being_written_when_its_study_changes_is_removed(tmp_path: Path) -> None:
    site = MetadataSite(disk=DiskStore(tmp_path, 1_000_000))
    await site.read(SERIES)
    site.cache.forget("1")
    await settle(lambda: running_tasks() == [])
    assert list(tmp_path.iterdir()) == []


async def test_a_file_that_is_something_else_is_a_miss(tmp_path: Path) -> None:
    disk = DiskStore(tmp_path, 1_000_000)
    site = MetadataSite(disk=disk)
    await disk.put("fake 1", SERIES.url_path, b'{"path":["1"]}\n')
    assert len(await site.read(SERIES)) == 2
    await settle(lambda: running_tasks() == [])
