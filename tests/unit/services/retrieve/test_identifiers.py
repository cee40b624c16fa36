"""Identifiers of a retrieval: the whole target, UID lists within each series, single instances."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.resources import ResourcePath
from gateway.services.retrieve import identifiers
from gateway.services.retrieve.attempts import Scope
from gateway.services.retrieve.identifiers import identify, list_identifiers
from gateway.services.retrieve.inventories.inventory import HeldInstance, Inventory

STUDY = ResourcePath("1")
HELD = {uid: HeldInstance(ResourcePath("1", uid[:3], uid), "") for uid in ("1.1.1", "1.1.2", "1.1.3", "1.2.1")}
INVENTORY = Inventory(STUDY, HELD, {})


def read(keys: Any) -> tuple[Any, ...]:
    """Level, study, series and instances."""
    values = [keys.get(tag, {}).get("Value", []) for tag in ("00080052", "0020000D", "0020000E", "00080018")]
    return (values[0][0], *map(tuple, values[1:]))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (STUDY, ("STUDY", ("1",), (), ())),
        (ResourcePath("1", "1.1"), ("SERIES", ("1",), ("1.1",), ())),
        (ResourcePath("1", "1.1", "1.1.1"), ("IMAGE", ("1",), ("1.1",), ("1.1.1",))),
    ],
)
def test_unique_keys_only(path: ResourcePath, expected: tuple[Any, ...]) -> None:
    assert read(identify(path)) == expected


def test_the_whole_target_while_all_of_it_is_missing() -> None:
    ((keys, uids),) = list_identifiers(INVENTORY, list(HELD), Scope.TARGET)
    assert (read(keys), uids) == (("STUDY", ("1",), (), ()), tuple(HELD))


def test_lists_within_each_series_when_some_have_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identifiers, "UIDS_IN_A_LIST", 2)
    missing = ["1.1.1", "1.1.2", "1.2.1"]
    for scope in (Scope.TARGET, Scope.LIST):
        assert [uids for _, uids in list_identifiers(INVENTORY, missing, scope)] == [("1.1.1", "1.1.2"), ("1.2.1",)]
    asked = [uids for _, uids in list_identifiers(INVENTORY, list(HELD), Scope.LIST)]
    assert asked == [("1.1.1", "1.1.2"), ("1.1.3",), ("1.2.1",)]
    keys, _ = list_identifiers(INVENTORY, list(HELD), Scope.LIST)[0]
    assert read(keys) == ("IMAGE", ("1",), ("1.1",), ("1.1.1", "1.1.2"))


def test_single_instances_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identifiers, "MAX_SINGLE_INSTANCES", 3)
    assert [uids for _, uids in list_identifiers(INVENTORY, list(HELD), Scope.SINGLE)] == [(uid,) for uid in HELD][:3]
