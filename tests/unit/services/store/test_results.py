"""The Store Instances Response Module, attribute by attribute (PS3.18 Table I.1-1)."""

from __future__ import annotations

import json

import pytest

from gateway.errors import ConnectionLost
from gateway.resources import ResourcePath
from gateway.services.store.results import (
    Failed,
    Stored,
    StoreResult,
    Unreadable,
    describe_results,
    encode_results,
    find_study_url,
)

BASE = "https://images.example.org/dicomweb"
CT = "1.2.840.10008.5.1.4.1.1.2"
ONE = Stored(ResourcePath("1.2", "1.2.3", "1.2.3.4"), CT)
WARNED = Stored(ResourcePath("1.2", "1.2.3", "1.2.3.5"), CT, 0xB000)
ELSEWHERE = Stored(ResourcePath("9.2", "9.2.3", "9.2.3.4"), CT)
REFUSED = Failed(CT, "1.2.3.6", 0x0122)


def test_every_kind_of_result_in_one_module() -> None:
    module = describe_results([REFUSED, ONE, Unreadable(), WARNED], BASE)
    assert module == {
        "00081190": {"vr": "UR", "Value": [f"{BASE}/studies/1.2"]},
        "00081198": {
            "vr": "SQ",
            "Value": [
                {
                    "00081150": {"vr": "UI", "Value": [CT]},
                    "00081155": {"vr": "UI", "Value": ["1.2.3.6"]},
                    "00081197": {"vr": "US", "Value": [290]},
                }
            ],
        },
        "00081199": {
            "vr": "SQ",
            "Value": [
                {
                    "00081150": {"vr": "UI", "Value": [CT]},
                    "00081155": {"vr": "UI", "Value": ["1.2.3.4"]},
                    "00081190": {"vr": "UR", "Value": [f"{BASE}/studies/1.2/series/1.2.3/instances/1.2.3.4"]},
                },
                {
                    "00081150": {"vr": "UI", "Value": [CT]},
                    "00081155": {"vr": "UI", "Value": ["1.2.3.5"]},
                    "00081190": {"vr": "UR", "Value": [f"{BASE}/studies/1.2/series/1.2.3/instances/1.2.3.5"]},
                    "00081196": {"vr": "US", "Value": [45056]},
                },
            ],
        },
        "0008119A": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [49152]}}]},
    }
    assert list(module) == sorted(module)
    assert all(list(item) == sorted(item) for name in ("00081198", "00081199") for item in module[name]["Value"])


@pytest.mark.parametrize(
    ("results", "attributes"),
    [
        ([ONE], ["00081190", "00081199"]),
        ([REFUSED], ["00081190", "00081198"]),
        ([Unreadable()], ["00081190", "0008119A"]),
    ],
)
def test_sequences_are_there_only_with_items(results: list[StoreResult], attributes: list[str]) -> None:
    assert list(describe_results(results, BASE)) == attributes


@pytest.mark.parametrize("results", [[ONE, ELSEWHERE], [REFUSED], [Unreadable()]])
def test_the_retrieve_url_is_empty_unless_it_names_one_study(results: list[StoreResult]) -> None:
    assert describe_results(results, BASE)["00081190"] == {"vr": "UR"}


def test_what_an_instance_was_before() -> None:
    originals = {"04000563": {"vr": "LO", "Value": ["GATEWAY"]}}
    coerced = Stored(ResourcePath("1.2", "1.2.3", "1.2.3.4"), CT, 0xB000, originals)
    (item,) = describe_results([coerced], BASE)["00081199"]["Value"]
    assert list(item) == ["00081150", "00081155", "00081190", "00081196", "04000561"]
    assert item["04000561"] == {"vr": "SQ", "Value": [originals]}


@pytest.mark.parametrize(
    "results", [[], [REFUSED], [ONE, ELSEWHERE, Unreadable()], [REFUSED, ONE, Unreadable(), WARNED]]
)
def test_the_document_says_the_same_as_the_model(results: list[StoreResult]) -> None:
    document = encode_results(results, BASE)
    assert json.loads(document) == describe_results(results, BASE)
    assert document == json.dumps(json.loads(document), separators=(",", ":")).encode()


def test_the_study_of_all() -> None:
    assert find_study_url([ONE, REFUSED, WARNED], BASE) == f"{BASE}/studies/1.2"
    assert find_study_url([ONE, ELSEWHERE], BASE) == find_study_url([REFUSED], BASE) == ""


def test_what_broke_an_instance_is_no_part_of_its_value() -> None:
    assert Failed(CT, "1.2", 0x0110, ConnectionLost("AE", "gone")) == Failed(CT, "1.2", 0x0110)
