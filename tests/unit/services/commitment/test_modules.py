"""Request and response modules of Storage Commitment."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import BadParameter
from gateway.services.commitment.modules import (
    COMMITTED,
    Outcome,
    Reference,
    describe_outcomes,
    describe_request,
    read_outcomes,
    read_request,
)

CT = "1.2.840.10008.5.1.4.1.1.2"
FLAT = Reference(CT, "1.2.3.1")
NESTED = Reference(CT, "1.2.3.2", "1.2", "1.2.3")


def ui(uid: str) -> dict[str, Any]:
    return {"vr": "UI", "Value": [uid]}


def sq(*items: dict[str, Any]) -> dict[str, Any]:
    return {"vr": "SQ", "Value": list(items)}


def flat(uid: str, **more: Any) -> dict[str, Any]:
    return {"00081150": ui(CT), "00081155": ui(uid), **more}


def by_study(*instances: dict[str, Any]) -> dict[str, Any]:
    by_class = {"0008114A": sq(*instances), "00081150": ui(CT)}
    return {"00081115": sq({"00081112": sq(by_class), "0020000E": ui("1.2.3")}), "0020000D": ui("1.2")}


REASON = {"00081197": {"vr": "US", "Value": [274]}}


# --- requests ---


def test_both_forms_are_read_each_instance_once() -> None:
    module = {
        "00081110": sq(by_study({"00081155": ui("1.2.3.2")})),
        "00081199": sq(flat("1.2.3.1"), flat("1.2.3.1")),
    }
    assert read_request(module) == (FLAT, NESTED)


@pytest.mark.parametrize(
    ("module", "tag"),
    [
        ({}, "00081199"),
        ({"00081199": {"vr": "SQ"}}, "00081199"),
        ({"00081199": sq({"00081150": ui(CT)})}, "00081155"),
        ({"00081199": sq({"00081155": ui("1.2")})}, "00081150"),
        ({"00081199": sq(flat("1.2.x"))}, "00081155"),
        ({"00081199": sq({"00081150": {"vr": "UI", "Value": [7]}, "00081155": ui("1.2")})}, "00081150"),
        ({"00081110": sq({"0020000D": ui("1.2")})}, "00081115"),
        ({"00081110": sq(by_study())}, "0008114A"),
        ({"00081110": {"vr": "SQ", "Value": ["x", None]}}, "00081199"),
        ({"00081199": "x"}, "00081199"),
    ],
)
def test_what_is_no_request_names_the_tag(module: dict[str, Any], tag: str) -> None:
    with pytest.raises(BadParameter) as caught:
        read_request(module)
    assert caught.value.name == tag


def test_the_archive_is_asked_with_the_flat_list() -> None:
    again = Reference(CT, "1.2.3.1", "1.2", "1.2.3")
    assert describe_request("1.9", [FLAT, NESTED, again]) == {
        "00081195": ui("1.9"),
        "00081199": sq(flat("1.2.3.1"), flat("1.2.3.2")),
    }


# --- results ---


def test_an_event_is_read_by_what_is_there() -> None:
    event = {
        "00081195": ui("1.9"),
        "00081198": sq(flat("1.2.3.2", **REASON), flat("1.2.3.3"), {"00081150": ui(CT)}),
        "00081199": sq(flat("1.2.3.1")),
    }
    assert read_outcomes(event) == ("1.9", {"1.2.3.1": COMMITTED, "1.2.3.2": 274, "1.2.3.3": 0x0110})
    assert read_outcomes({}) == ("", {})


def test_a_failure_without_a_reason_never_reads_as_success() -> None:
    for values in ([], [0], [None], ["x"]):
        event = {"00081198": sq(flat("1.2", **{"00081197": {"vr": "US", "Value": values}}))}
        assert read_outcomes(event)[1] == {"1.2": 0x0110}


def test_the_answer_has_the_form_of_the_request() -> None:
    outcomes = [Outcome(FLAT, COMMITTED), Outcome(NESTED, 274)]
    assert describe_outcomes(outcomes) == {
        "00081199": sq(flat("1.2.3.1")),
        "0008119B": sq(by_study({"00081155": ui("1.2.3.2"), **REASON})),
    }
    outcomes = [Outcome(FLAT, 274), Outcome(NESTED, COMMITTED)]
    module = describe_outcomes(outcomes)
    assert module == {
        "00081110": sq(by_study({"00081155": ui("1.2.3.2")})),
        "00081198": sq(flat("1.2.3.1", **REASON)),
    }
    assert list(module) == sorted(module)


def test_instances_of_a_series_stand_together() -> None:
    other = Reference(CT, "1.2.3.4", "1.2", "1.2.3")
    module = describe_outcomes([Outcome(NESTED, COMMITTED), Outcome(other, COMMITTED)])
    assert module == {"00081110": sq(by_study({"00081155": ui("1.2.3.2")}, {"00081155": ui("1.2.3.4")}))}
