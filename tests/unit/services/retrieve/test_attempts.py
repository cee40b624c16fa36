"""The plan of a retrieval: what is tried, in which order, and that it ends."""

from __future__ import annotations

from collections.abc import Container

import pytest

from gateway.codecs.transfer_syntax import COMPRESSED, EXPLICIT_VR_LE, UNCOMPRESSED
from gateway.config import RetrieveMethod
from gateway.errors import (
    BackendError,
    ConnectionLost,
    DimseStatusError,
    MoveDestinationUnavailable,
    NoAcceptedContext,
)
from gateway.services.retrieve.attempts import Attempt, Scope, plan_attempts, refuses_the_method
from gateway.services.retrieve.inventories.storage_classes import ALL_STORAGE_CLASSES
from gateway.services.retrieve.transfer_demand import AS_STORED, TransferDemand

GET, MOVE = RetrieveMethod.C_GET, RetrieveMethod.C_MOVE
DEFAULT = TransferDemand()


def plan(
    demand: TransferDemand, *methods: RetrieveMethod, tells: bool = True, sends: Container[str] = ()
) -> list[Attempt]:
    return list(plan_attempts(demand, methods, tells_classes=tells, sends=sends))


@pytest.mark.parametrize("methods", [(GET,), (MOVE,), (GET, MOVE), (MOVE, GET)])
@pytest.mark.parametrize("demand", [AS_STORED, DEFAULT, TransferDemand(((EXPLICIT_VR_LE,), COMPRESSED))])
@pytest.mark.parametrize("tells", [False, True])
def test_the_whole_target_first_and_once_single_instances_last(
    methods: tuple[RetrieveMethod, ...], demand: TransferDemand, tells: bool
) -> None:
    attempts = plan(demand, *methods, tells=tells, sends=COMPRESSED)
    scopes = [attempt.scope for attempt in attempts]
    assert scopes.count(Scope.TARGET) == 1 and scopes[0] is Scope.TARGET
    assert [attempt.by_move for attempt in attempts if attempt.scope is Scope.SINGLE] == [it is MOVE for it in methods]
    assert scopes[-len(methods) :] == [Scope.SINGLE] * len(methods)
    assert attempts[0].by_move is (methods[0] is MOVE)
    assert {attempt.by_move for attempt in attempts} == {it is MOVE for it in methods}
    assert len(attempts) == len(set(attempts)) < 250


def test_the_other_method_comes_before_other_forms() -> None:
    attempts = plan(AS_STORED, GET, MOVE)
    assert [(it.scope, it.by_move, it.form) for it in attempts[:2]] == [
        (Scope.TARGET, False, ()),
        (Scope.LIST, True, ()),
    ]


@pytest.mark.parametrize("method", [GET, MOVE])
def test_what_is_held_in_another_form_is_found_out(method: RetrieveMethod) -> None:
    """After what is demanded, anything: what comes then tells why the demand cannot be met."""
    first, second, *_ = plan(DEFAULT, method)
    assert first.choice == (EXPLICIT_VR_LE,) and first.form == (UNCOMPRESSED if method is MOVE else ())
    assert (second.scope, second.choice, second.form) == (Scope.LIST, ("*",), ())


def test_moves_are_asked_for_in_forms_that_the_archive_has_proposed() -> None:
    sends: set[str] = set()
    attempts = plan_attempts(AS_STORED, (MOVE,), tells_classes=True, sends=sends)
    assert next(attempts).scope is Scope.TARGET
    sends.add(COMPRESSED[2])  # learned from the first
    assert [attempt.form for attempt in attempts if attempt.scope is Scope.LIST] == [(COMPRESSED[2],)]


def test_all_classes_are_gone_through_where_the_archive_does_not_tell() -> None:
    attempts = plan(DEFAULT, GET, tells=False)
    offered = {uid for attempt in attempts for uid in attempt.classes}
    assert offered == set(ALL_STORAGE_CLASSES)
    assert not any(attempt.classes for attempt in plan(DEFAULT, GET))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (DimseStatusError("A", "C-GET", 0xA701), True),
        (DimseStatusError("A", "C-MOVE", 0xA801), True),
        (DimseStatusError("A", "C-GET", 0x0124), True),
        (DimseStatusError("A", "C-GET", 0xA702), False),
        (DimseStatusError("A", "C-GET", 0xA900), False),
        (DimseStatusError("A", "C-GET", 0xC000), False),
        (NoAcceptedContext("A", "1.2.840.10008.5.1.4.1.2.2.3", 3), True),
        (NoAcceptedContext("A", "1.2.840.10008.5.1.4.1.1.2", 3), False),
        (MoveDestinationUnavailable("A", "x"), True),
        (ConnectionLost("A", "x"), False),
    ],
)
def test_what_refuses_a_method_as_a_whole(error: BackendError, expected: bool) -> None:
    assert refuses_the_method(error) is expected
