"""What is under a path: hierarchical and relational, with and without SOP classes, and failures on the way."""

from __future__ import annotations

from typing import Any, cast

import pytest

from gateway.dimse.archive import Archive, QueryCapabilities
from gateway.errors import DimseStatusError, UnknownResource
from gateway.resources import ResourcePath
from gateway.services.retrieve.inventories.inventory import Inventory
from gateway.services.retrieve.inventories.queries import list_instances, list_series, take_inventory
from gateway.services.retrieve.inventories.storage_classes import guess_classes
from gateway.tasks import running_tasks
from tests.support.fake_archive import Behaviour, FakeArchive, instance

CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY, SERIES = ResourcePath("1"), ResourcePath("1", "1.2")


def make_archive(**attributes: Any) -> FakeArchive:
    held = [instance("1", f"1.{series}", f"1.{series}.{n}") for series in (1, 2) for n in (1, 2)]
    return FakeArchive([*held, instance("2", "2.1", "2.1.1")], **attributes)


async def take(archive: FakeArchive, path: ResourcePath) -> Inventory:
    inventory = await take_inventory(cast(Archive, archive), path)
    assert archive.open_finds == 0 and running_tasks() == []
    return inventory


@pytest.mark.parametrize("relational", [False, True])
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (STUDY, {"1.1.1", "1.1.2", "1.2.1", "1.2.2"}),
        (SERIES, {"1.2.1", "1.2.2"}),
        (ResourcePath("1", "1.2", "1.2.2"), {"1.2.2"}),
    ],
)
async def test_the_instances_of_each_level(path: ResourcePath, expected: set[str], relational: bool) -> None:
    archive = make_archive(capabilities=QueryCapabilities(relational=relational))
    inventory = await take(archive, path)
    assert set(inventory.instances) == expected
    for uid, held in inventory.instances.items():
        assert held.path == ResourcePath("1", uid.rsplit(".", 1)[0], uid)
        assert (held.sop_class_uid, held.is_unavailable) == (CT, False)
    levels = [keys["00080052"]["Value"][0] for keys in archive.asked]
    assert levels == (["SERIES", "IMAGE", "IMAGE"] if path is STUDY and not relational else ["IMAGE"])


@pytest.mark.parametrize("relational", [False, True])
@pytest.mark.parametrize("path", [ResourcePath("9"), ResourcePath("2", "1.2"), ResourcePath("1", "1.2", "1.1.1")])
async def test_nothing_there(path: ResourcePath, relational: bool) -> None:
    with pytest.raises(UnknownResource):
        await take(make_archive(capabilities=QueryCapabilities(relational=relational)), path)


@pytest.mark.parametrize("path", [STUDY, SERIES])
@pytest.mark.parametrize("relational", [False, True])
async def test_classes_that_are_not_told_are_guessed_by_modality(path: ResourcePath, relational: bool) -> None:
    behaviour = Behaviour(leaves_out=frozenset({"00080016"}))
    archive = make_archive(behaviour=behaviour, capabilities=QueryCapabilities(relational=relational))
    inventory = await take(archive, path)
    assert not inventory.tells_classes
    assert inventory.list_classes(inventory.instances) == guess_classes(["CT"])


async def test_a_failure_in_one_series_is_the_failure_of_all() -> None:
    failure = DimseStatusError("FAKE", "C-FIND", 0xA700)
    archive = make_archive(behaviour=Behaviour(failure=failure, fails_level="IMAGE"))
    with pytest.raises(DimseStatusError) as caught:
        await take(archive, STUDY)
    assert caught.value is failure
    assert archive.open_finds == 0 and running_tasks() == []


async def test_series_are_described_by_digests_that_change_with_them() -> None:
    archive = make_archive()
    before = {row.uid: row for row in await list_series(cast(Archive, archive), STUDY)}
    assert await list_series(cast(Archive, archive), SERIES) == (before["1.2"],)
    archive.instances[-2]["0008103E"] = {"vr": "LO", "Value": ["corrected"]}
    archive.instances[2]["0008103E"] = {"vr": "LO", "Value": ["corrected"]}
    after = {row.uid: row for row in await list_series(cast(Archive, archive), STUDY)}
    assert after["1.1"] == before["1.1"]
    assert after["1.2"].digest != before["1.2"].digest
    assert (after["1.2"].modality, after["1.2"].instance_count) == ("CT", 2)


async def test_counts_that_are_not_told() -> None:
    archive = make_archive(behaviour=Behaviour(leaves_out=frozenset({"00201209"})))
    assert [row.instance_count for row in await list_series(cast(Archive, archive), STUDY)] == [None, None]


@pytest.mark.parametrize("relational", [False, True])
@pytest.mark.parametrize("path", [STUDY, SERIES])
@pytest.mark.parametrize("knows_series", [False, True])
async def test_a_list_has_the_same_instances_and_asks_for_nothing_but_uids(
    path: ResourcePath, relational: bool, knows_series: bool
) -> None:
    archive = make_archive(capabilities=QueryCapabilities(relational=relational))
    series = await list_series(cast(Archive, archive), path) if knows_series else ()
    archive.asked.clear()
    listed = await list_instances(cast(Archive, archive), path, series)
    assert archive.open_finds == 0 and running_tasks() == []
    assert all(set(keys) == {"00080052", "0020000D", "0020000E", "00080018"} for keys in archive.asked_at("IMAGE"))
    assert bool(archive.asked_at("SERIES")) is (path is STUDY and not relational and not knows_series)
    whole = await take(make_archive(), path)
    assert {uid: held.path for uid, held in listed.instances.items()} == {
        uid: held.path for uid, held in whole.instances.items()
    }
    assert not listed.tells_classes


@pytest.mark.parametrize("path", [ResourcePath("9"), ResourcePath("2", "1.2")])
async def test_nothing_to_list(path: ResourcePath) -> None:
    with pytest.raises(UnknownResource):
        await list_instances(cast(Archive, make_archive()), path)


@pytest.mark.parametrize(("told", "number"), [(7, 7), (-1, -1), (None, None)])
async def test_instance_numbers_as_far_as_they_are_told(told: int | None, number: int | None) -> None:
    held = instance("1", "1.2", "1.2.1", **({} if told is None else {"InstanceNumber": told}))
    assert (await take(FakeArchive([held]), SERIES)).instances["1.2.1"].instance_number == number
