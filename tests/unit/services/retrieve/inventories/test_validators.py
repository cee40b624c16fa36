"""Validators differ when what the index says differs, and only then; their age is that of the oldest answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.errors import UnknownResource
from gateway.resources import ResourcePath
from gateway.services.retrieve.inventories.validators import take_validator
from tests.support.fake_archive import instance
from tests.support.metadata_site import FRESH_S, MetadataSite

STUDY, SERIES = ResourcePath("1"), ResourcePath("1", "1.2")


def set_tag(tag: str, vr: str, value: object, *, series: str = "") -> Callable[[MetadataSite], None]:
    def change(site: MetadataSite) -> None:
        for model in site.archive.instances:
            if series in ("", model["0020000E"]["Value"][0]):
                model[tag] = {"vr": vr, "Value": [value]}

    return change


CHANGES = {
    "patient name": set_tag("00100010", "PN", {"Alphabetic": "Other"}),
    "patient id": set_tag("00100020", "LO", "other"),
    "birth date": set_tag("00100030", "DA", "19700101"),
    "sex": set_tag("00100040", "CS", "O"),
    "accession number": set_tag("00080050", "SH", "other"),
    "study date": set_tag("00080020", "DA", "20200101"),
    "study time": set_tag("00080030", "TM", "1010"),
    "study description": set_tag("00081030", "LO", "other"),
    "study id": set_tag("00200010", "SH", "other"),
    "referring physician": set_tag("00080090", "PN", {"Alphabetic": "Other"}),
    "series description": set_tag("0008103E", "LO", "other"),
    "modality": set_tag("00080060", "CS", "MR"),
    "series number": set_tag("00200011", "IS", 7),
    "protocol": set_tag("00181030", "LO", "other"),
    "instance": lambda site: site.archive.instances.append(instance("1", "1.2", "1.2.3")),
    "series": lambda site: site.archive.instances.append(instance("1", "1.3", "1.3.1")),
}


@pytest.mark.parametrize("path", [STUDY, SERIES])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_each_change_shows(path: ResourcePath, change: Callable[[MetadataSite], None]) -> None:
    site = MetadataSite(fresh_s=0)
    before, _ = await take_validator(site.inventories, path)
    assert before == (await take_validator(site.inventories, path))[0] and before.tells_counts
    change(site)
    assert (await take_validator(site.inventories, path))[0] != before


async def test_the_order_of_answers_and_their_repetition_do_not_show() -> None:
    site = MetadataSite(fresh_s=0)
    before, _ = await take_validator(site.inventories, STUDY)
    site.archive.instances.reverse()
    site.archive.behaviour.repeats = 2
    assert (await take_validator(site.inventories, STUDY))[0] == before


async def test_another_series_does_not_show_at_a_series_but_for_the_counts_of_the_study() -> None:
    site = MetadataSite(fresh_s=0)
    before, _ = await take_validator(site.inventories, SERIES)
    set_tag("0008103E", "LO", "other", series="1.1")(site)
    assert (await take_validator(site.inventories, SERIES))[0] == before


@pytest.mark.parametrize("path", [ResourcePath("9"), ResourcePath("1", "9")])
async def test_nothing_there(path: ResourcePath) -> None:
    with pytest.raises(UnknownResource):
        await take_validator(MetadataSite().inventories, path)


async def test_as_old_as_its_oldest_answer() -> None:
    site = MetadataSite()
    begun = site.clock.now
    await site.inventories.take_study("1")
    site.clock.now += FRESH_S / 2
    assert (await take_validator(site.inventories, SERIES))[1] == begun
    site.clock.now += FRESH_S / 2
    assert (await take_validator(site.inventories, SERIES))[1] == begun + FRESH_S / 2
    assert site.asked == ["STUDY", "SERIES", "STUDY"]


async def test_counts_that_are_not_told() -> None:
    site = MetadataSite()
    site.leave_out("00201209")
    assert not (await take_validator(site.inventories, SERIES))[0].tells_counts
