"""Instances before the inventory: what comes early, what is judged later all the same, when nothing begins early."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import EnhancedMRImageStorage

from gateway.errors import (
    DimseStatusError,
    GatewayError,
    IncompleteRetrieval,
    NotAcceptable,
    PoolTimeout,
    UnknownResource,
)
from gateway.resources import ResourcePath
from gateway.sandbox import Behaviour
from gateway.services.retrieve.inventories import inventories as inventories_module
from gateway.services.retrieve.inventories.inventory import Inventory, SeriesRow
from gateway.services.retrieve.inventories.queries import complete_inventory, take_inventory
from gateway.services.retrieve.transfer_demand import AS_STORED, TransferDemand
from gateway.tasks import running_tasks
from tests.support.cancellation import iter_cancelled_runs, settle
from tests.support.retrieve_site import INSTANCE, METHODS, SERIES, STUDY, Site, open_site, take
from tests.unit.sandbox.conftest import make_instance, save

EVERYTHING = {"1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.3", "1.2.1.2.1"}
SLICES = {"1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.3"}
OTHER_SERIES = ResourcePath("1.2.2", "1.2.2.1")
by_each_method = pytest.mark.parametrize("method", METHODS)


class Watch:
    """Stands between the retrieval and the archive: notes what is asked, holds it back or has it fail.

    `steps` are the operations in order, with their level; "" ends the one before.
    """

    def __init__(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[str] = []
        self.listing = asyncio.Event()
        self.sending = asyncio.Event()
        self.failures: list[GatewayError] = []
        self.after_get: Callable[[], object] = lambda: None
        for event in (self.listing, self.sending):
            event.set()
        for name in ("find", "get", "move"):
            monkeypatch.setattr(site.archive, name, self._watch(name, getattr(site.archive, name)))

    def _watch(self, name: str, operate: Any) -> Any:
        @asynccontextmanager
        async def watched(keys: Any, *arguments: Any, **options: Any) -> AsyncIterator[Any]:
            level = keys["00080052"]["Value"][0]
            self.steps.append(f"{name} {level}")
            await (self.sending if name != "find" else self.listing).wait()
            if (name, level) == ("find", "IMAGE") and self.failures:
                raise self.failures.pop(0)
            async with operate(keys, *arguments, **options) as operation:
                yield operation
            self.steps.append("")
            if name == "get":
                self.after_get()

        return watched


async def check_clean(site: Site) -> None:
    await settle(lambda: not [name for name in running_tasks() if name.startswith("inventory")])
    await site.check_clean()


@by_each_method
@pytest.mark.parametrize(("path", "expected"), [(SERIES, SLICES), (STUDY, EVERYTHING)])
async def test_instances_come_before_the_list_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, path: ResourcePath, expected: set[str]
) -> None:
    async with open_site(tmp_path, retrieve=method) as site:
        before = await take(site, path)
        watch = Watch(site, monkeypatch)
        watch.listing.clear()
        arrived: dict[str, bytes] = {}
        async with site.retrieve.open_instances(path, AS_STORED) as instances:
            async for instance in instances:
                pieces = [bytes(piece) async for piece in _iter_pieces(instance)]
                arrived[str(instance.path.instance)] = b"".join(pieces)
                assert instance.path == ResourcePath(
                    path.study, str(instance.path.instance).rsplit(".", 1)[0], instance.path.instance
                )
                if len(arrived) == len(expected):
                    assert instances.expected == 0
                    watch.listing.set()
        assert arrived == before.data_sets and set(arrived) == expected
        assert (instances.expected, instances.unavailable) == (len(expected), ())
        await check_clean(site)


async def _iter_pieces(instance: Any) -> AsyncIterator[bytes]:
    while (piece := await instance.read_piece()) is not None:
        yield piece


async def test_classes_of_a_modality_seen_before_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_site(tmp_path, retrieve="c-get") as site:
        watch = Watch(site, monkeypatch)
        await take(site, SERIES)
        assert watch.steps == ["find SERIES", "", "find IMAGE", "", "get SERIES", ""]
        watch.steps.clear()
        assert set((await take(site, OTHER_SERIES)).data_sets) == {"1.2.2.1.1"}
        assert watch.steps[:2] == ["find SERIES", ""] and set(watch.steps[2:4]) == {"find IMAGE", "get SERIES"}
        watch.steps.clear()
        assert set((await take(site, OTHER_SERIES)).data_sets) == {"1.2.2.1.1"}
        assert set(watch.steps[:2]) == {"find IMAGE", "get SERIES"}
        await check_clean(site)


async def test_classes_are_learned_from_what_arrives_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an archive that does not tell them."""

    async def complete_untold(archive: Any, path: ResourcePath, series: tuple[SeriesRow, ...]) -> Inventory:
        inventory = await complete_inventory(archive, path, series)
        for uid, held in inventory.instances.items():
            inventory.instances[uid] = replace(held, sop_class_uid="")
        return inventory

    monkeypatch.setattr(inventories_module, "complete_inventory", complete_untold)
    async with open_site(tmp_path, retrieve="c-get") as site:
        await take(site, SERIES)
        watch = Watch(site, monkeypatch)
        watch.listing.clear()
        async with site.retrieve.open_instances(SERIES, AS_STORED) as instances:
            assert instances.expected == 0
            watch.listing.set()
        await check_clean(site)


async def test_a_wrong_guess_is_repaired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_site(tmp_path, retrieve="c-get") as site:
        await take(site, SERIES)
        another = make_instance("1.2.1.1.9", SOPClassUID=EnhancedMRImageStorage)
        site.sandbox.index.add_file(save(another, tmp_path / "files"))
        for gets in (2, 1):  # at the second time the class is known
            asked = site.sandbox.counters.gets
            assert set((await take(site, SERIES)).data_sets) == SLICES | {"1.2.1.1.9"}
            assert site.sandbox.counters.gets == asked + gets
        await check_clean(site)


@by_each_method
async def test_nothing_begins_early_where_no_association_can_be_spared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    async with open_site(tmp_path, retrieve=method, max_associations=1) as site:
        await take(site, SERIES)
        watch = Watch(site, monkeypatch)
        await take(site, SERIES)
        assert watch.steps == ["find IMAGE", "", f"{method[2:]} SERIES", ""]
        await check_clean(site)


async def test_nothing_begins_early_while_others_hold_all_but_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_site(tmp_path, retrieve="c-get", max_associations=2) as site:
        await take(site, SERIES)
        async with site.retrieve.open_instances(STUDY, AS_STORED) as held:
            await anext(aiter(held))
            await settle(lambda: site.archive.pool.busy_count == 1)
            watch = Watch(site, monkeypatch)
            assert set((await take(site, SERIES)).data_sets) == SLICES
            assert watch.steps == ["find IMAGE", "", "get SERIES", ""]
        await check_clean(site)


@by_each_method
async def test_many_at_once_over_few_associations(tmp_path: Path, method: str) -> None:
    async with open_site(tmp_path, retrieve=method, max_associations=3) as site:
        await take(site, STUDY)
        for taken in await asyncio.gather(*(take(site, path) for path in [STUDY, SERIES] * 6)):
            assert set(taken.data_sets) in (EVERYTHING, SLICES)
        await check_clean(site)


async def test_a_single_instance_is_looked_up_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_site(tmp_path, retrieve="c-get") as site:
        await take(site, SERIES)
        watch = Watch(site, monkeypatch)
        await take(site, INSTANCE)
        assert watch.steps[:2] == ["find IMAGE", ""]


async def test_a_move_begins_early_only_where_the_archive_names_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_site(tmp_path, Behaviour(omit_move_originator=True), retrieve="c-move") as site:
        await take(site, SERIES)
        watch = Watch(site, monkeypatch)
        assert set((await take(site, SERIES)).data_sets) == SLICES
        assert watch.steps[:2] == ["find IMAGE", ""]


# --- what the inventory says later ---


@by_each_method
@pytest.mark.parametrize("failure", [UnknownResource("series"), DimseStatusError("SANDBOX", "C-FIND", 0xA700)])
async def test_a_list_that_fails_before_the_first_instance_is_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, failure: GatewayError
) -> None:
    async with open_site(tmp_path, retrieve=method) as site:
        await take(site, SERIES)
        watch = Watch(site, monkeypatch)
        watch.failures.append(failure)
        watch.sending.clear()  # whatever is asked of the archive never comes
        with pytest.raises(type(failure)) as caught:
            await take(site, SERIES)
        assert caught.value is failure
        await check_clean(site)


@by_each_method
async def test_a_list_that_fails_on_the_way_ends_the_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    failure = DimseStatusError("SANDBOX", "C-FIND", 0xA700)
    async with open_site(tmp_path, retrieve=method) as site:
        await take(site, SERIES)
        watch = Watch(site, monkeypatch)
        watch.failures.append(failure)
        watch.listing.clear()
        with pytest.raises(DimseStatusError) as caught:
            async with site.retrieve.open_instances(SERIES, AS_STORED) as instances:
                await anext(aiter(instances))
                watch.listing.set()
                async for _ in instances:
                    pass
        assert caught.value is failure
        await check_clean(site)


async def test_a_list_that_found_no_association_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_site(tmp_path, retrieve="c-get") as site:
        await take(site, SERIES)
        watch = Watch(site, monkeypatch)
        watch.failures.append(PoolTimeout("SANDBOX", "all associations busy"))
        assert set((await take(site, SERIES)).data_sets) == SLICES
        assert watch.steps.count("find IMAGE") == 2
        await check_clean(site)


async def test_what_is_missing_in_the_end_is_told(tmp_path: Path) -> None:
    async with open_site(tmp_path, retrieve="c-get") as site:
        await take(site, SERIES)
        site.sandbox.behaviour = Behaviour(failing_suboperations=frozenset({1}))
        with pytest.raises(IncompleteRetrieval) as caught:
            await take(site, SERIES)
        assert (caught.value.received, caught.value.expected, len(caught.value.missing)) == (2, 3, 1)
        await check_clean(site)


@by_each_method
async def test_a_form_that_is_not_demanded(tmp_path: Path, method: str) -> None:
    compressed = make_instance("1.2.3.1.1")
    compressed.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)
    async with open_site(tmp_path, retrieve=method) as site:
        site.sandbox.index.add_file(save(compressed, tmp_path / "files"))
        await take(site, ResourcePath("1.2.3"))
        with pytest.raises(NotAcceptable) as caught:
            await take(site, ResourcePath("1.2.3"), TransferDemand())
        assert "1.2.840.10008.1.2.5" in caught.value.available[0]
        await check_clean(site)


async def test_an_archive_that_calls_instances_unavailable_is_asked_first_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def complete_marked(archive: Any, path: ResourcePath, series: tuple[SeriesRow, ...]) -> Inventory:
        inventory = await complete_inventory(archive, path, series)
        for uid in ("1.2.1.1.2",) if offline else ():
            inventory.instances[uid] = replace(inventory.instances[uid], availability="OFFLINE")
        return inventory

    offline = True
    monkeypatch.setattr(inventories_module, "complete_inventory", complete_marked)
    async with open_site(tmp_path, retrieve="c-get") as site:
        assert (await take(site, SERIES)).unavailable == ("1.2.1.1.2",)
        offline = False
        watch = Watch(site, monkeypatch)
        await take(site, SERIES)
        assert watch.steps[:2] == ["find IMAGE", ""]


async def test_what_is_told_of_instances_counts_as_long_as_none_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive sends nothing at first: then the whole inventory is taken, and it tells why."""

    async def take_marked(archive: Any, path: ResourcePath) -> Inventory:
        inventory = await take_inventory(archive, path)
        inventory.instances["1.2.1.1.2"] = replace(inventory.instances["1.2.1.1.2"], availability="OFFLINE")
        return inventory

    async with open_site(tmp_path, retrieve="c-get") as site:
        await take(site, SERIES)
        monkeypatch.setattr(inventories_module, "take_inventory", take_marked)
        watch = Watch(site, monkeypatch)
        site.sandbox.behaviour = Behaviour(failing_suboperations=frozenset({1, 2, 3}))
        watch.after_get = lambda: setattr(site.sandbox, "behaviour", Behaviour())
        taken = await take(site, SERIES)
        assert (set(taken.data_sets), taken.unavailable) == (SLICES - {"1.2.1.1.2"}, ("1.2.1.1.2",))
        assert watch.steps.count("get SERIES") + watch.steps.count("get IMAGE") == 2
        await check_clean(site)


# --- leaving ---


@by_each_method
@pytest.mark.parametrize("path", [SERIES, STUDY])
async def test_cancelled_at_any_await_nothing_is_left(tmp_path: Path, method: str, path: ResourcePath) -> None:
    async with open_site(tmp_path, retrieve=method) as site:
        await take(site, STUDY)
        async for _ in iter_cancelled_runs(lambda: take(site, path)):
            await check_clean(site)
        assert set((await take(site, STUDY)).data_sets) == EVERYTHING


@by_each_method
@pytest.mark.parametrize("taken", [0, 1, 3])
async def test_leaving_while_the_archive_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, taken: int
) -> None:
    async with open_site(tmp_path, retrieve=method) as site:
        await take(site, SERIES)
        watch = Watch(site, monkeypatch)
        watch.listing.clear()
        async with site.retrieve.open_instances(SERIES, AS_STORED) as instances, aclosing(_iter(instances)) as some:
            for _ in range(taken):
                await anext(some)
        await check_clean(site)
        watch.listing.set()
        assert set((await take(site, SERIES)).data_sets) == SLICES


async def _iter(instances: Any) -> AsyncIterator[Any]:
    async for instance in instances:
        yield instance
