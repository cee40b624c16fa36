"""The judgement over what a check has found out."""

from __future__ import annotations

import json

import pytest

from gateway.config import RetrieveMethod
from gateway.probes.findings import BackendFindings, Finding, Result, Step

GOOD = dict.fromkeys(Step, Result.WORKS)


def judge(retrieve: RetrieveMethod = RetrieveMethod.AUTO, **results: Result) -> BackendFindings:
    steps = {**GOOD, **{Step[name]: result for name, result in results.items()}}
    findings = {step: Finding(result) for step, result in steps.items()}
    return BackendFindings("main", "ARCHIVE", "pacs:104", retrieve, findings)


@pytest.mark.parametrize("step", [Step.ECHO, Step.FIND])
@pytest.mark.parametrize("result", [it for it in Result if it is not Result.WORKS])
def test_echo_and_find_must_work(step: Step, result: Result) -> None:
    assert not judge(**{step.name: result}).is_usable


@pytest.mark.parametrize(
    ("retrieve", "get", "move", "usable"),
    [
        (RetrieveMethod.AUTO, Result.WORKS, Result.FAILS, True),
        (RetrieveMethod.AUTO, Result.FAILS, Result.WORKS, True),
        (RetrieveMethod.AUTO, Result.FAILS, Result.FAILS, False),
        (RetrieveMethod.AUTO, Result.FAILS, Result.NOT_TRIED, False),
        (RetrieveMethod.AUTO, Result.ACCEPTED, Result.NOT_TRIED, True),
        (RetrieveMethod.C_GET, Result.FAILS, Result.WORKS, False),
        (RetrieveMethod.C_GET, Result.WORKS, Result.FAILS, True),
        (RetrieveMethod.C_MOVE, Result.WORKS, Result.FAILS, False),
        (RetrieveMethod.C_MOVE, Result.FAILS, Result.ACCEPTED, True),
    ],
)
def test_a_configured_way_of_retrieving_must_work(
    retrieve: RetrieveMethod, get: Result, move: Result, usable: bool
) -> None:
    assert judge(retrieve, GET=get, MOVE=move).is_usable is usable


def test_storing_need_not_work() -> None:
    assert judge(STORE=Result.FAILS).is_usable


def test_steps_that_were_not_reached_are_in_the_document() -> None:
    failure = Finding(Result.FAILS, "refused", "look there", {"seconds": 1})
    findings = BackendFindings("main", "ARCHIVE", "pacs:104", RetrieveMethod.AUTO, {Step.CONNECT: failure})
    document = json.loads(json.dumps(findings.describe()))
    assert document["steps"].pop("connect") == {
        "result": "fails",
        "detail": "refused",
        "hint": "look there",
        "seconds": 1,
    }
    assert set(document["steps"]) == {step.value for step in Step} - {"connect"}
    assert all(step == {"result": "not tried", "detail": "", "hint": ""} for step in document["steps"].values())
    assert document | {"steps": {}} == {
        "name": "main",
        "ae_title": "ARCHIVE",
        "address": "pacs:104",
        "usable": False,
        "steps": {},
    }
