"""The instance that stands for a study or series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from gateway.errors import UnknownResource
from gateway.resources import ResourcePath
from gateway.services.rendered.selection import choose_instance, choose_representative, order_series, rank_class
from gateway.services.retrieve.inventories.inventories import Answer
from gateway.services.retrieve.inventories.inventory import HeldInstance, Inventory, SeriesRow

ROOT = "1.2.840.10008.5.1.4.1.1."
CT, SEG, GSPS, SR, ECG = ROOT + "2", ROOT + "66.4", ROOT + "11.1", ROOT + "88.11", ROOT + "9.1.1"
STUDY = ResourcePath("1")


def hold(series: str, *instances: tuple[str, str, int | None], availability: str = "") -> Inventory:
    """An inventory of instances given by UID, class and number."""
    path = ResourcePath("1", series)
    held = {
        uid: HeldInstance(path.with_instance(series, uid), sop_class, availability, instance_number=number)
        for uid, sop_class, number in instances
    }
    return Inventory(path, held, {})


@pytest.mark.parametrize(
    ("suffix", "rank"),
    [
        *((suffix, 0) for suffix in ("1", "1.1", "2", "4.1", "6.1", "7.4", "12.1", "77.1.6", "128", "481.1", "481.2")),
        *((suffix, 1) for suffix in ("66.4", "66.7", "30")),
        *((suffix, 2) for suffix in ("11.1", "11.4", "11.12")),
        *((suffix, 3) for suffix in ("88.11", "88.59", "104.1")),
        *((suffix, 4) for suffix in ("9.1.1", "66", "66.1", "66.5", "67", "68.1", "481.3", "481.5", "481.10", "131")),
    ],
)
def test_ranks_of_classes(suffix: str, rank: int) -> None:
    assert rank_class(ROOT + suffix) == rank


@pytest.mark.parametrize("uid", ["", "1.2.3", "1.2.840.10008.5.1.4.34.7"])
def test_what_is_not_known_may_be_an_image(uid: str) -> None:
    assert rank_class(uid) == 0


@pytest.mark.parametrize(
    ("instances", "chosen"),
    [
        ([("1", CT, 3), ("2", CT, 1), ("3", CT, 2)], "3"),
        ([("1", CT, 2), ("2", CT, 1)], "2"),  # of two the first
        ([("1", CT, None), ("2", CT, None), ("3", CT, 7)], "1"),  # in the order 3, 1, 2
        ([("1", SR, 1), ("2", GSPS, 2), ("3", SEG, 3)], "3"),
        ([("1", SR, 2), ("2", CT, 9), ("3", SR, 1)], "2"),
        ([("1", ECG, 1)], "1"),
    ],
)
def test_the_middle_of_the_best_class(instances: Sequence[tuple[str, str, int | None]], chosen: str) -> None:
    assert choose_instance(hold("1.1", *instances)).path.instance == chosen


def test_what_is_offline_is_the_last_choice() -> None:
    online, offline = hold("1.1", ("1", SR, 1)), hold("1.1", ("2", CT, 1), availability="OFFLINE")
    both = Inventory(online.path, online.instances | offline.instances, {})
    assert choose_instance(both).path.instance == "1"
    assert choose_instance(offline).path.instance == "2"


def test_the_order_of_series() -> None:
    rows = [
        SeriesRow("report", "SR", 900),
        SeriesRow("seg", "SEG", 1),
        SeriesRow("scout", "CT", 2),
        SeriesRow("untold", "", None),
        SeriesRow("slices", "CT", 300),
    ]
    assert [row.uid for row in order_series(rows)] == ["slices", "scout", "untold", "seg", "report"]


class FakeInventories:
    """Knows series and their instances, and which of them it was asked for."""

    def __init__(self, rows: Sequence[SeriesRow], held: Mapping[str, Inventory]) -> None:
        self._rows = rows
        self._held = held
        self.asked: list[str | None] = []

    async def take_series(self, path: ResourcePath) -> Answer[tuple[SeriesRow, ...]]:
        assert path == STUDY
        return Answer(tuple(self._rows), 1, 0.0)

    async def take(self, path: ResourcePath) -> Inventory:
        self.asked.append(path.series)
        return self._held[path.series or ""]


async def choose(inventories: FakeInventories, path: ResourcePath) -> str | None:
    return (await choose_representative(cast(Any, inventories), path)).instance


async def test_an_instance_stands_for_itself_and_nothing_is_asked() -> None:
    inventories = FakeInventories((), {})
    assert await choose(inventories, ResourcePath("1", "1.1", "1.1.1")) == "1.1.1"
    assert inventories.asked == []


async def test_one_series_is_looked_into_where_it_has_pictures() -> None:
    rows = [SeriesRow("1.1", "SR", 1), SeriesRow("1.2", "CT", 3), SeriesRow("1.3", "CT", 2)]
    inventories = FakeInventories(rows, {"1.2": hold("1.2", ("1", CT, 1))})
    assert await choose(inventories, STUDY) == "1"
    assert inventories.asked == ["1.2"]
    assert await choose(inventories, ResourcePath("1", "1.2")) == "1"


async def test_a_series_that_is_not_what_its_modality_says() -> None:
    rows = [SeriesRow("1.1", "CT", 5), SeriesRow("1.2", "CT", 3)]
    inventories = FakeInventories(rows, {"1.1": hold("1.1", ("1", SR, 1)), "1.2": hold("1.2", ("2", CT, 1))})
    assert await choose(inventories, STUDY) == "2"


async def test_a_study_without_pictures_is_looked_into_a_little() -> None:
    rows = [SeriesRow(f"1.{number}", "SR", 10 - number) for number in range(1, 6)]
    held = {row.uid: hold(row.uid, (f"{row.uid}.1", ECG if row.uid != "1.2" else SR, 1)) for row in rows}
    inventories = FakeInventories(rows, held)
    assert await choose(inventories, STUDY) == "1.2.1"
    assert inventories.asked == ["1.1", "1.2", "1.3"]


async def test_a_study_that_does_not_exist() -> None:
    with pytest.raises(UnknownResource, match="study"):
        await choose(FakeInventories((), {}), STUDY)
