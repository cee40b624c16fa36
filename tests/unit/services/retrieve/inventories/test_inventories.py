"""What is asked of an archive once, what again, and what is never believed."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from gateway.dimse.archive import Archive, QueryCapabilities
from gateway.errors import DimseStatusError, UnknownResource
from gateway.resources import ResourcePath
from gateway.services.retrieve.inventories import inventories as inventories_module
from gateway.services.retrieve.inventories.inventories import Inventories
from gateway.services.retrieve.inventories.queries import take_inventory
from gateway.tasks import running_tasks
from tests.support.cancellation import settle
from tests.support.fake_archive import Behaviour, FakeArchive, instance

STUDY, SERIES, INSTANCE = ResourcePath("1"), ResourcePath("1", "1.2"), ResourcePath("1", "1.2", "1.2.2")
FRESH_S = 2.0


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Held:
    """An archive of two series of two instances each, and its inventories with a clock that is set by hand."""

    def __init__(self, fresh_s: float = FRESH_S, **attributes: Any) -> None:
        held = [instance("1", f"1.{series}", f"1.{series}.{n}") for series in (1, 2) for n in (1, 2)]
        self.archive = FakeArchive(held, **attributes)
        self.clock = Clock()
        self.inventories = Inventories(cast(Archive, self.archive), fresh_s, self.clock)

    async def list_uids(self, path: ResourcePath) -> list[str]:
        return sorted((await self.inventories.take(path)).instances)

    @property
    def asked(self) -> list[str]:
        """Levels asked at since the last look."""
        levels = [keys["00080052"]["Value"][0] for keys in self.archive.asked]
        self.archive.asked.clear()
        return levels


async def test_a_fresh_answer_is_not_asked_for_again_and_an_old_one_is() -> None:
    held = Held()
    assert await held.list_uids(SERIES) == ["1.2.1", "1.2.2"]
    held.clock.now += FRESH_S - 0.1
    assert await held.list_uids(SERIES) == ["1.2.1", "1.2.2"]
    assert held.asked == ["IMAGE"]
    del held.archive.instances[-1]
    held.clock.now += 0.2
    assert await held.list_uids(SERIES) == ["1.2.1"]
    assert held.asked == ["IMAGE"]


async def test_time_counts_from_the_question() -> None:
    held = Held(behaviour=Behaviour(gate=asyncio.Event(), gate_at=0))
    task = asyncio.create_task(held.list_uids(SERIES))
    await settle(lambda: held.archive.open_finds == 1)
    held.clock.now += FRESH_S
    assert held.archive.behaviour.gate is not None
    held.archive.behaviour.gate.set()
    await task
    await held.list_uids(SERIES)
    assert held.asked == ["IMAGE", "IMAGE"]


@pytest.mark.parametrize("wider", [STUDY, SERIES])
async def test_what_is_below_is_answered_by_narrowing(wider: ResourcePath) -> None:
    held = Held()
    await held.list_uids(wider)
    held.archive.asked.clear()
    assert await held.list_uids(INSTANCE) == ["1.2.2"]
    assert await held.list_uids(SERIES) == ["1.2.1", "1.2.2"]
    assert held.asked == []


async def test_what_a_fresh_answer_does_not_hold_is_asked_for() -> None:
    held = Held()
    await held.list_uids(STUDY)
    held.archive.instances += [instance("1", "1.2", "1.2.3"), instance("1", "1.3", "1.3.1")]
    held.archive.asked.clear()
    assert await held.list_uids(ResourcePath("1", "1.2", "1.2.3")) == ["1.2.3"]
    assert await held.list_uids(ResourcePath("1", "1.3")) == ["1.3.1"]
    with pytest.raises(UnknownResource):
        await held.list_uids(ResourcePath("1", "1.3", "1.2.1"))  # not below that series
    assert held.asked == ["IMAGE", "IMAGE", "IMAGE"]


async def test_equal_questions_at_once_are_asked_once_and_who_leaves_harms_nobody() -> None:
    held = Held(behaviour=Behaviour(gate=asyncio.Event(), gate_at=1))
    tasks = [asyncio.create_task(held.list_uids(SERIES)) for _ in range(3)]
    await settle(lambda: held.archive.open_finds == 1)
    tasks[0].cancel()
    await asyncio.wait([tasks[0]])
    assert held.archive.behaviour.gate is not None
    held.archive.behaviour.gate.set()
    assert await asyncio.gather(*tasks[1:]) == [["1.2.1", "1.2.2"]] * 2
    assert held.asked == ["IMAGE"] and held.archive.cancelled == []


async def test_when_all_have_left_the_query_is_cancelled() -> None:
    held = Held(behaviour=Behaviour(gate=asyncio.Event(), gate_at=1))
    task = asyncio.create_task(held.list_uids(SERIES))
    await settle(lambda: held.archive.open_finds == 1)
    task.cancel()
    await asyncio.wait([task])
    assert held.archive.open_finds == 0 and held.archive.cancelled == [0] and running_tasks() == []


async def test_nothing_there_and_failures_are_not_remembered() -> None:
    held = Held()
    failure = DimseStatusError("FAKE", "C-FIND", 0xA700)
    held.archive.behaviour.failure = failure
    with pytest.raises(DimseStatusError):
        await held.inventories.take(SERIES)
    held.archive.behaviour.failure = None
    with pytest.raises(UnknownResource):
        await held.inventories.take(ResourcePath("9"))
    held.archive.instances.append(instance("9", "9.1", "9.1.1"))
    assert await held.list_uids(ResourcePath("9")) == ["9.1.1"]
    assert await held.list_uids(SERIES) == ["1.2.1", "1.2.2"]


async def test_without_freshness_each_request_asks() -> None:
    held = Held(fresh_s=0)
    await asyncio.gather(held.list_uids(SERIES), held.list_uids(SERIES))
    await held.list_uids(INSTANCE)
    assert held.asked == ["IMAGE"] * 3


async def test_asking_anew_shares_nothing_and_is_remembered() -> None:
    held = Held()
    await held.list_uids(SERIES)
    del held.archive.instances[-1]
    assert list((await held.inventories.ask(SERIES)).instances) == ["1.2.1"]
    assert await held.list_uids(SERIES) == ["1.2.1"]
    assert held.asked == ["IMAGE"] * 2


@pytest.mark.parametrize("relational", [False, True])
async def test_in_two_stages(relational: bool) -> None:
    held = Held(capabilities=QueryCapabilities(relational=relational))
    pending = await held.inventories.begin(STUDY)
    assert held.asked == ["SERIES"] and not pending.is_complete
    assert [(row.uid, row.modality, row.instance_count) for row in pending.series] == [
        ("1.1", "CT", 2),
        ("1.2", "CT", 2),
    ]
    inventory = await pending.complete()
    assert held.asked == (["IMAGE"] if relational else ["IMAGE", "IMAGE"])
    assert inventory == await take_inventory(cast(Archive, held.archive), STUDY) or relational
    assert inventory.modalities == {"1.1": "CT", "1.2": "CT"}
    held.archive.asked.clear()
    again = await held.inventories.begin(SERIES)
    assert again.is_complete and await again.complete() == inventory.narrow(SERIES)
    assert [(row.uid, row.instance_count) for row in again.series] == [("1.2", 2)]
    assert held.asked == []


async def test_the_first_stage_is_fresh_too() -> None:
    held = Held()
    await held.inventories.begin(SERIES)
    await held.inventories.begin(SERIES)
    assert held.asked == ["SERIES"]
    held.clock.now += FRESH_S
    await held.inventories.begin(SERIES)
    assert held.asked == ["SERIES"]


async def test_of_an_instance_both_stages_are_one() -> None:
    held = Held()
    pending = await held.inventories.begin(INSTANCE)
    assert pending.is_complete and [row.uid for row in pending.series] == ["1.2"]
    assert held.asked == ["IMAGE"]


@pytest.mark.parametrize("path", [ResourcePath("9"), ResourcePath("1", "9"), ResourcePath("1", "1.2", "9")])
async def test_nothing_there_is_known_at_the_first_stage(path: ResourcePath) -> None:
    with pytest.raises(UnknownResource):
        await Held().inventories.begin(path)


async def test_a_study_that_changed_is_forgotten_and_no_other() -> None:
    held = Held()
    held.archive.instances.append(instance("2", "2.1", "2.1.1"))
    for path in (STUDY, SERIES, ResourcePath("2")):
        await (await held.inventories.begin(path)).complete()
    held.archive.asked.clear()
    held.inventories.forget("1")
    await held.inventories.begin(ResourcePath("2"))
    assert held.asked == []
    await held.inventories.begin(SERIES)
    assert held.asked == ["SERIES"]
    await held.inventories.take(SERIES)
    assert held.asked == ["IMAGE"]


async def test_what_was_under_way_when_the_study_changed_is_neither_shared_nor_kept() -> None:
    held = Held(behaviour=Behaviour(gate=asyncio.Event(), gate_at=0))
    early = asyncio.create_task(held.list_uids(SERIES))
    await settle(lambda: held.archive.open_finds == 1)
    held.inventories.forget("1")
    late = asyncio.create_task(held.list_uids(SERIES))
    await settle(lambda: held.archive.open_finds == 2)
    assert held.archive.behaviour.gate is not None
    held.archive.behaviour.gate.set()
    await early
    await late
    held.archive.asked.clear()
    assert await held.list_uids(SERIES) == ["1.2.1", "1.2.2"]
    assert held.asked == []  # the late one was kept, the early one was not


async def test_what_is_kept_is_bounded_by_instances(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventories_module, "MAX_INSTANCES", 2)
    held = Held()
    await held.list_uids(STUDY)  # four: not kept at all
    held.archive.asked.clear()
    await held.list_uids(SERIES)
    await held.list_uids(SERIES)
    assert held.asked == ["IMAGE"]
    await held.list_uids(ResourcePath("1", "1.1"))  # in its place
    await held.list_uids(SERIES)
    assert held.asked == ["IMAGE", "IMAGE"]
