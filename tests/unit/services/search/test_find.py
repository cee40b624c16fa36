"""One C-FIND: keys sent, answers read, each entity once."""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import pytest

from gateway.config import BackendSettings
from gateway.dimse.archive import Archive
from gateway.dimse.scu.query import FindMatch
from gateway.errors import UndecodableResponse
from gateway.resources import Level
from gateway.services.search.attributes import parse_attribute_path
from gateway.services.search.find import KEYS_LEFT_OUT, READ_AHEAD, Finder
from gateway.services.search.plan import Step
from gateway.services.search.query import MatchKey
from gateway.tasks import running_tasks
from tests.support.fake_archive import EXPLICIT_VR_LE, Behaviour, FakeArchive, instance

KEYS = {"00080052": {"vr": "CS", "Value": ["SERIES"]}, "0020000E": {"vr": "UI"}, "00080060": {"vr": "CS"}}
STEP = Step(Level.SERIES, KEYS)


def make_archive(**attributes: Any) -> FakeArchive:
    instances = [instance("1", f"2.{number}", f"3.{number}", modality="CT") for number in (1, 2, 3)]
    return FakeArchive(instances, **attributes)


def finder(archive: FakeArchive, *, compares_names: bool = True) -> Finder:
    return Finder(cast(Archive, archive), compares_names=compares_names)


@pytest.mark.parametrize("ahead", [0, 1, READ_AHEAD])
async def test_unique_keys_of_the_levels_above_are_sent_and_returned(ahead: int) -> None:
    archive = make_archive(behaviour=Behaviour(repeats=2))
    found = [model async for model in finder(archive).find(STEP, {"0020000D": "1"}, ahead=ahead)]
    assert [model["0020000E"]["Value"] for model in found] == [["2.1"], ["2.2"], ["2.3"]]
    assert all(model["0020000D"] == {"vr": "UI", "Value": ["1"]} for model in found)
    assert archive.asked == [{**KEYS, "0020000D": {"vr": "UI", "Value": ["1"]}}]
    assert list(archive.asked[0]) == sorted(archive.asked[0]) and running_tasks() == []


@pytest.mark.parametrize("ahead", [0, READ_AHEAD])
async def test_leaving_early_ends_the_query(ahead: int) -> None:
    archive = make_archive()
    archive.instances = [instance("1", f"2.{number}", "3") for number in range(500)]
    async with aclosing(finder(archive).find(STEP, {}, ahead=ahead)) as found:
        await anext(found)
    assert archive.cancelled == [0] and archive.open_finds == 0 and running_tasks() == []


async def test_answers_without_all_keys_are_marked_and_compared_by_name_too() -> None:
    archive = make_archive(behaviour=Behaviour(ignores_keys=True))
    archive.instances[1]["00081050"] = {"vr": "PN", "Value": [{"Alphabetic": "Roe"}]}
    keys = {**KEYS, "00081050": {"vr": "PN", "Value": [{"Alphabetic": "Doe"}]}}
    step = Step(Level.SERIES, keys, (MatchKey(parse_attribute_path("PerformingPhysicianName", {}), ("Doe",)),))
    for compares_names, count in ((True, 2), (False, 3)):
        found = [model async for model in finder(archive, compares_names=compares_names).find(step, {})]
        assert len(found) == count and all(KEYS_LEFT_OUT in model for model in found)
    assert archive.asked_fuzzily == [False, True]


async def test_an_answer_that_cannot_be_read_is_the_archives_fault() -> None:
    class Garbled:
        settings = BackendSettings(ae_title="BROKEN", host="none")
        ae_title = "BROKEN"

        @asynccontextmanager
        async def find(self, keys: object, *, fuzzy: bool) -> Any:
            yield GarbledAnswers()

    class GarbledAnswers:
        is_over = True

        async def read_batch(self) -> list[FindMatch]:
            return [FindMatch(b"\x08\x00\x05\x00CS\xff\xffISO", EXPLICIT_VR_LE, True)]

    with pytest.raises(UndecodableResponse):
        async for _ in Finder(cast(Archive, Garbled()), compares_names=False).find(STEP, {}):
            pass
