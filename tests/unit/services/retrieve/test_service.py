"""Retrieving from an archive that behaves, and from one that does not: everything asked for, nothing else, no trace."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import JPEG2000Lossless

from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE
from gateway.dimse.archive import Archive
from gateway.errors import (
    AssociationAborted,
    ConnectionLost,
    DimseStatusError,
    DimseTimeout,
    IncompleteRetrieval,
    NoAcceptedContext,
    NotAcceptable,
    PoolTimeout,
    UnknownResource,
)
from gateway.resources import ResourcePath
from gateway.sandbox import Behaviour, Disturbance, Fault, Moment
from gateway.services.retrieve import identifiers
from gateway.services.retrieve.inventories import inventories as inventories_module
from gateway.services.retrieve.inventories.inventory import Inventory
from gateway.services.retrieve.inventories.queries import take_inventory
from gateway.services.retrieve.service import MAX_BROKEN_ATTEMPTS
from gateway.services.retrieve.transfer_demand import AS_STORED, TransferDemand
from tests.support.cancellation import iter_cancelled_runs
from tests.support.retrieve_site import INSTANCE, METHODS, SERIES, STUDY, Site, open_site, take
from tests.unit.sandbox.conftest import make_instance, save

EVERYTHING = {"1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.3", "1.2.1.2.1"}
SLICES = {"1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.3"}
by_each_method = pytest.mark.parametrize("method", METHODS)


@by_each_method
@pytest.mark.parametrize(("path", "expected"), [(STUDY, EVERYTHING), (SERIES, SLICES), (INSTANCE, {"1.2.1.1.2"})])
async def test_exactly_the_target_is_moved(tmp_path: Path, method: str, path: ResourcePath, expected: set[str]) -> None:
    async with open_site(tmp_path, retrieve=method) as site:
        taken = await take(site, path)
        assert set(taken.data_sets) == expected and taken.unavailable == ()
        assert site.sandbox.counters.suboperations == len(expected)
        await site.check_clean()


@by_each_method
@pytest.mark.parametrize(
    "path",
    [
        ResourcePath("1.9"),
        ResourcePath("1.2.2", "1.2.1.1"),
        ResourcePath("1.2.1", "1.2.1.2", "1.2.1.1.2"),
        ResourcePath("1.2.1", "1.2.1.1", "1.9"),
    ],
)
async def test_what_is_not_there_is_never_asked_for(tmp_path: Path, method: str, path: ResourcePath) -> None:
    async with open_site(tmp_path, retrieve=method) as site:
        with pytest.raises(UnknownResource):
            await take(site, path)
        assert site.sandbox.counters.gets == site.sandbox.counters.moves == 0
        await site.check_clean()


MISBEHAVING = {
    "no move originator": Behaviour(omit_move_originator=True),
    "a store after the final response": Behaviour(late_store=True),
    "no pending responses": Behaviour(omit_pending_responses=True),
    "no relational queries": Behaviour(refuse_relational=True),
    "no extended negotiation": Behaviour(refuse_extended_negotiation=True),
    "no compressed syntaxes": Behaviour(refuse_compressed=True),
    "no optional keys": Behaviour(omit_optional_keys=True),
}


@by_each_method
@pytest.mark.parametrize("behaviour", MISBEHAVING.values(), ids=MISBEHAVING)
async def test_everything_comes_from_archives_with_habits(tmp_path: Path, method: str, behaviour: Behaviour) -> None:
    async with open_site(tmp_path, behaviour, retrieve=method) as site:
        assert set((await take(site, STUDY)).data_sets) == EVERYTHING
        assert set((await take(site, STUDY)).data_sets) == EVERYTHING
        await site.check_clean()


@pytest.mark.parametrize("behaviour", [Behaviour(refuse_get=True), Behaviour(refuse_role=True)], ids=["get", "role"])
async def test_without_c_get_it_is_c_move(tmp_path: Path, behaviour: Behaviour) -> None:
    async with open_site(tmp_path, behaviour) as site:
        for _ in range(2):
            assert set((await take(site, SERIES)).data_sets) == SLICES
        assert site.sandbox.counters.moves == 2 and site.sandbox.counters.gets == 0
        await site.check_clean()


async def test_without_c_move_it_is_c_get(tmp_path: Path) -> None:
    async with open_site(tmp_path, Behaviour(refuse_move=True)) as site:
        assert set((await take(site, STUDY)).data_sets) == EVERYTHING
        assert site.sandbox.counters.moves == 0


@by_each_method
async def test_a_failed_suboperation_is_asked_for_again(tmp_path: Path, method: str) -> None:
    """The second sub-operation of each operation fails: the first request lacks one, the next brings it."""
    behaviour = Behaviour(failing_suboperations=frozenset({2}))
    async with open_site(tmp_path, behaviour, retrieve=method) as site:
        assert set((await take(site, STUDY)).data_sets) == EVERYTHING
        assert site.sandbox.counters.suboperations == len(EVERYTHING)
        await site.check_clean()


@by_each_method
async def test_what_never_comes_is_told(tmp_path: Path, method: str) -> None:
    behaviour = Behaviour(failing_suboperations=frozenset({1}))
    async with open_site(tmp_path, behaviour, retrieve=method) as site:
        with pytest.raises(IncompleteRetrieval) as caught:
            await take(site, SERIES)  # the first of each request fails, so of the last one nothing ever comes
        assert (caught.value.received, caught.value.expected, len(caught.value.missing)) == (2, 3, 1)
        with pytest.raises(DimseStatusError) as failed:
            await take(site, INSTANCE)
        assert failed.value.status == 0xA702
        await site.check_clean()


@pytest.mark.parametrize("status", [0xA701, 0x0124, 0x0213, 0x0122])
@by_each_method
async def test_a_refused_method_is_not_tried_in_other_forms(tmp_path: Path, method: str, status: int) -> None:
    async with open_site(tmp_path, Behaviour(retrieve_status=status), retrieve=method) as site:
        with pytest.raises(DimseStatusError) as caught:
            await take(site, SERIES)
        assert caught.value.status == status
        assert site.sandbox.counters.gets + site.sandbox.counters.moves == 1
        await site.check_clean()


async def test_a_destination_that_the_archive_does_not_know(tmp_path: Path) -> None:
    async with open_site(tmp_path, retrieve="c-move", move_destination="NOBODY") as site:
        with pytest.raises(DimseStatusError) as caught:
            await take(site, SERIES)
        assert (caught.value.status, site.sandbox.counters.moves) == (0xA801, 1)


async def test_a_refused_role_says_so(tmp_path: Path) -> None:
    async with open_site(tmp_path, Behaviour(refuse_role=True), retrieve="c-get") as site:
        with pytest.raises(NoAcceptedContext) as caught:
            await take(site, SERIES)
        assert caught.value.result == 0


@by_each_method
@pytest.mark.parametrize("fault", [Fault.ABORT, Fault.DROP])
async def test_an_archive_that_always_breaks_off_is_left_alone(tmp_path: Path, method: str, fault: Fault) -> None:
    disturbance = Disturbance(fault, Moment.AFTER_SUBOPERATIONS, 1)
    behaviour = Behaviour(failing_suboperations=frozenset({1, 2, 3}), disturbance=disturbance)
    async with open_site(tmp_path, behaviour, retrieve=method) as site:
        with pytest.raises((AssociationAborted, ConnectionLost)):
            await take(site, SERIES)
        asked = site.sandbox.counters.gets + site.sandbox.counters.moves
        assert 2 <= asked <= MAX_BROKEN_ATTEMPTS + 1  # the pooled association of the search may have been stale
        site.sandbox.behaviour = Behaviour()
        assert len((await take(site, SERIES)).data_sets) == 3
        await site.check_clean()


@pytest.mark.parametrize("fault", [Fault.ABORT, Fault.DROP])
async def test_broken_off_between_instances_the_rest_is_asked_for(tmp_path: Path, fault: Fault) -> None:
    behaviour = Behaviour(disturbance=Disturbance(fault, Moment.AFTER_SUBOPERATIONS, 1))
    async with open_site(tmp_path, behaviour, retrieve="c-get") as site:
        assert set((await take(site, SERIES)).data_sets) == SLICES  # one with each association
        assert site.sandbox.counters.gets == 3
        await site.check_clean()


@by_each_method
@pytest.mark.parametrize("fault", [Fault.ABORT, Fault.DROP])
async def test_broken_off_within_an_instance_it_fails(tmp_path: Path, method: str, fault: Fault) -> None:
    behaviour = Behaviour(disturbance=Disturbance(fault, Moment.WITHIN_SUBOPERATION, 10))
    async with open_site(tmp_path, behaviour, retrieve=method) as site:
        large = make_instance("1.2.1.1.2", PixelData=bytes(2_000_000), Rows=1000, Columns=1000)
        site.sandbox.index.add_file(save(large, tmp_path / "files"))
        with pytest.raises((AssociationAborted, ConnectionLost)):
            await take(site, INSTANCE)
        await site.check_clean()


@by_each_method
async def test_an_archive_that_stalls_is_given_up_after_the_limit(tmp_path: Path, method: str) -> None:
    behaviour = Behaviour(disturbance=Disturbance(Fault.STALL, Moment.AFTER_SUBOPERATIONS, 1))
    limits: dict[str, Any] = {"retrieve_timeout_s": 1.0, "silence_timeout_s": 1.0, "cancel_timeout_s": 0.1}
    async with open_site(tmp_path, behaviour, retrieve=method, **limits) as site:
        with pytest.raises(DimseTimeout):
            await take(site, SERIES)
        site.sandbox.behaviour = Behaviour()
        assert len((await take(site, SERIES)).data_sets) == 3
        await site.check_clean()


async def test_a_busy_pool_is_no_reason_to_try_other_forms(tmp_path: Path) -> None:
    async with open_site(tmp_path, retrieve="c-get", max_associations=1, pool_timeout_s=0.5) as site:
        async with site.retrieve.open_instances(SERIES, AS_STORED):
            with pytest.raises(PoolTimeout):
                await take(site, SERIES)
        assert site.sandbox.counters.gets == 1


@by_each_method
async def test_held_in_a_form_that_is_not_demanded(tmp_path: Path, method: str) -> None:
    compressed = make_instance("1.2.3.1.1")
    compressed.compress("1.2.840.10008.1.2.5", generate_instance_uid=False)
    async with open_site(tmp_path, retrieve=method) as site:
        site.sandbox.index.add_file(save(compressed, tmp_path / "files"))
        for demand in (TransferDemand(), TransferDemand(((str(JPEG2000Lossless),),))):
            with pytest.raises(NotAcceptable) as caught:
                await take(site, ResourcePath("1.2.3"), demand)
            assert "1.2.840.10008.1.2.5" in caught.value.available[0]
        either = TransferDemand(((EXPLICIT_VR_LE,), ("1.2.840.10008.1.2.5",)))
        assert len((await take(site, ResourcePath("1.2.3"), either)).data_sets) == 1
        await site.check_clean()


def delete(site: Site, *uids: str) -> None:
    """As an administrator of the archive would."""
    index = site.sandbox.index
    for uid in uids:
        index._database.execute("DELETE FROM instances WHERE sop_instance_uid = ?", (uid,))
    index._database.commit()


@by_each_method
@pytest.mark.parametrize("path", [STUDY, SERIES], ids=["study", "series"])
async def test_what_is_deleted_meanwhile_is_not_missing(tmp_path: Path, method: str, path: ResourcePath) -> None:
    """The inventory is fresh enough to be trusted, and yet it is no longer true."""
    async with open_site(tmp_path, fresh_s=60, retrieve=method) as site:
        await site.inventories.take(STUDY)
        delete(site, "1.2.1.1.2")
        kept = {STUDY: EVERYTHING, SERIES: SLICES}[path] - {"1.2.1.1.2"}
        assert set((await take(site, path)).data_sets) == kept
        asked = site.sandbox.counters.gets + site.sandbox.counters.moves
        assert set((await take(site, path)).data_sets) == kept
        assert site.sandbox.counters.gets + site.sandbox.counters.moves == asked + 1  # now it is known
        await site.check_clean()


@by_each_method
@pytest.mark.parametrize("path", [STUDY, SERIES, INSTANCE], ids=["study", "series", "instance"])
async def test_where_all_is_deleted_meanwhile_nothing_is_there(tmp_path: Path, method: str, path: ResourcePath) -> None:
    async with open_site(tmp_path, fresh_s=60, retrieve=method) as site:
        await site.inventories.take(STUDY)
        delete(site, *EVERYTHING)
        with pytest.raises(UnknownResource):
            await take(site, path)
        await site.check_clean()


async def test_what_others_have_replaced_meanwhile_is_missing(tmp_path: Path) -> None:
    """Nothing of what was promised is there: the client is told, and gets the others when it asks again."""
    async with open_site(tmp_path, fresh_s=60, retrieve="c-get") as site:
        await site.inventories.take(SERIES)
        delete(site, *SLICES)
        site.sandbox.index.add_file(save(make_instance("1.2.1.1.9"), tmp_path / "files"))
        with pytest.raises(IncompleteRetrieval):
            await take(site, SERIES)
        assert set((await take(site, SERIES)).data_sets) == {"1.2.1.1.9"}


async def test_an_archive_that_cannot_be_asked_again_has_lost_what_is_missing(tmp_path: Path) -> None:
    behaviour = Behaviour(failing_suboperations=frozenset({1}))
    async with open_site(tmp_path, behaviour, fresh_s=60, retrieve="c-get") as site:
        await site.inventories.take(SERIES)
        site.sandbox.behaviour = replace(behaviour, find_status=0xA700)
        with pytest.raises(IncompleteRetrieval):
            await take(site, SERIES)


@by_each_method
async def test_leaving_early_cancels(tmp_path: Path, method: str) -> None:
    async with open_site(tmp_path, retrieve=method) as site:
        async with site.retrieve.open_instances(STUDY, AS_STORED) as instances:
            await anext(instances)
        await site.check_clean()
        counters = site.sandbox.counters
        assert site.sandbox.wait_for(lambda now: now.cancels == 1 or now.aborts == 1), counters
        assert set((await take(site, STUDY)).data_sets) == EVERYTHING


@by_each_method
async def test_cancelled_at_any_await_nothing_is_left(tmp_path: Path, method: str) -> None:
    async with open_site(tmp_path, retrieve=method) as site:
        async for _ in iter_cancelled_runs(lambda: take(site, SERIES)):
            await site.check_clean()
        assert set((await take(site, STUDY)).data_sets) == EVERYTHING


async def test_uid_lists_are_cut_to_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identifiers, "UIDS_IN_A_LIST", 1)
    async with open_site(tmp_path, Behaviour(failing_suboperations=frozenset({2, 3})), retrieve="c-get") as site:
        assert set((await take(site, SERIES)).data_sets) == SLICES
        assert site.sandbox.counters.gets == 3


async def test_what_the_index_calls_offline_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offline = {"1.2.1.1.2"}

    async def take_marked_inventory(archive: Archive, path: ResourcePath, series: object = ()) -> Inventory:
        inventory = await take_inventory(archive, path)
        for uid in offline:
            inventory.instances[uid] = replace(inventory.instances[uid], availability="OFFLINE")
        return inventory

    for way in ("take_inventory", "complete_inventory"):
        monkeypatch.setattr(inventories_module, way, take_marked_inventory)
    async with open_site(tmp_path, retrieve="c-get") as site:
        taken = await take(site, SERIES)
        assert (set(taken.data_sets), taken.unavailable) == (SLICES - offline, tuple(offline))
        offline |= SLICES
        assert set((await take(site, SERIES)).data_sets) == SLICES  # all of them: then it is worth a try
