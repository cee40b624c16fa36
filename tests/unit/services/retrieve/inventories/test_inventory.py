"""Inventories as values: classes told and guessed, availability, narrowing and fingerprints."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.resources import ResourcePath
from gateway.services.retrieve.inventories.inventory import HeldInstance, Inventory, SeriesRow
from gateway.services.retrieve.inventories.storage_classes import guess_classes

CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY = ResourcePath("1")


def make_inventory() -> Inventory:
    paths = [ResourcePath("1", f"1.{series}", f"1.{series}.{n}") for series in (1, 2) for n in (1, 2)]
    held = {str(path.instance): HeldInstance(path, CT) for path in paths}
    return Inventory(STUDY, held, {"1.1": "CT", "1.2": "MR"})


def test_told_and_guessed_classes_together() -> None:
    told = HeldInstance(ResourcePath("1", "1.1", "1.1.1"), "1.2.3")
    untold = HeldInstance(ResourcePath("1", "1.2", "1.2.1"), "")
    inventory = Inventory(STUDY, {"1.1.1": told, "1.2.1": untold}, {"1.2": "MR"})
    assert inventory.list_classes(["1.1.1"]) == ("1.2.3",)
    assert inventory.list_classes(["1.1.1", "1.2.1"]) == ("1.2.3", *guess_classes(["MR"]))


@pytest.mark.parametrize(
    ("availability", "expected"), [("ONLINE", False), ("NEARLINE", False), ("OFFLINE", True), ("UNAVAILABLE", True)]
)
def test_availability(availability: str, expected: bool) -> None:
    assert HeldInstance(STUDY, CT, availability).is_unavailable is expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (STUDY, ["1.1.1", "1.1.2", "1.2.1", "1.2.2"]),
        (ResourcePath("1", "1.2"), ["1.2.1", "1.2.2"]),
        (ResourcePath("1", "1.2", "1.2.2"), ["1.2.2"]),
        (ResourcePath("1", "1.3"), None),
        (ResourcePath("1", "1.1", "1.2.2"), None),
        (ResourcePath("1", "1.2", "1.2.3"), None),
        (ResourcePath("2", "1.2"), None),
    ],
)
def test_narrowing(path: ResourcePath, expected: list[str] | None) -> None:
    narrowed = make_inventory().narrow(path)
    assert (None if narrowed is None else list(narrowed.instances)) == expected
    if narrowed is not None:
        assert narrowed.path == path
        assert set(narrowed.modalities) == {held.path.series for held in narrowed.instances.values()}


def test_series_of_an_inventory() -> None:
    assert make_inventory().list_series() == (SeriesRow("1.1", "CT", 2), SeriesRow("1.2", "MR", 2))


def test_fingerprints_tell_contents_apart_and_not_order() -> None:
    inventory = make_inventory()
    backwards = Inventory(STUDY, dict(reversed(inventory.instances.items())), {})
    assert backwards.fingerprint == inventory.fingerprint
    changed = [
        {uid: held for uid, held in inventory.instances.items() if uid != "1.2.2"},
        inventory.instances | {"1.2.2": replace(inventory.instances["1.2.2"], sop_class_uid="1.2.3")},
        inventory.instances | {"1.2.2": replace(inventory.instances["1.2.2"], availability="OFFLINE")},
        inventory.instances | {"1.2.3": HeldInstance(ResourcePath("1", "1.2", "1.2.3"), CT)},
    ]
    prints = {Inventory(STUDY, held, {}).fingerprint for held in changed}
    assert len(prints | {inventory.fingerprint}) == 5
