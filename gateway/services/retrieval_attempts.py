"""In which ways a set of instances is asked for, one after the other, until all have come.

Archives differ in what they lose: a C-GET SCP may use its first accepted context for every instance and fail those
stored in another transfer syntax; a class may have been left without a context; UID lists or C-GET may not be
known at all. So the whole target is asked for first, and what is still missing again in narrower forms. The
order is a plan of plain values here; ``retrieve.py`` carries it out and stops when nothing is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from gateway.config import RetrieveMethod
from gateway.services.context_offers import list_single_forms
from gateway.services.transfer_demand import AS_STORED, TransferDemand

__all__ = ["Attempt", "Scope", "plan_attempts"]

MAX_SINGLE_INSTANCES = 500
"""Instances asked for one by one at most; beyond that the archive is at fault, not the form of the request."""


class Scope(Enum):
    """How much one operation asks for."""

    TARGET = "the whole target"
    LIST = "what is missing, by UID lists within each series"
    SINGLE = "what is missing, one by one"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to ask.

    Parameters
    ----------
    by_move
        C-MOVE instead of C-GET.
    choice
        A group of ``TransferDemand.choices``; for C-GET, what to offer contexts for.
    form
        For C-GET, offer this one form only instead.
    prefers_native
        For C-MOVE, which form to accept where an archive offers several in one context.
    """

    scope: Scope
    by_move: bool
    choice: tuple[str, ...] = AS_STORED.choices[0]
    form: tuple[str, ...] = ()
    prefers_native: bool = False


def plan_attempts(
    demand: TransferDemand, method: RetrieveMethod, *, can_get: bool, can_move: bool
) -> Iterator[Attempt]:
    """The ways to ask, best first.

    Parameters
    ----------
    method
        ``auto`` asks by C-GET first and by C-MOVE for what that leaves; the others keep to one.
    can_get, can_move
        What the archive accepted.
    """
    get = method is RetrieveMethod.C_GET or (method is RetrieveMethod.AUTO and can_get)
    move = method is RetrieveMethod.C_MOVE or (method is RetrieveMethod.AUTO and can_move)
    scope = Scope.TARGET
    if get:
        for choice in demand.choices:
            yield Attempt(scope, by_move=False, choice=choice)
            scope = Scope.LIST
        if not demand.admits_anything:
            # what comes now is held in a form that is not acceptable: then the answer is that, not "missing"
            yield Attempt(Scope.LIST, by_move=False)
    if move:
        yield Attempt(scope, by_move=True, prefers_native=demand.prefers_native)
        yield Attempt(Scope.LIST, by_move=True, prefers_native=not demand.prefers_native)
    if get:
        for form in list_single_forms(demand):
            yield Attempt(Scope.LIST, by_move=False, form=form)
        for choice in demand.choices:
            yield Attempt(Scope.SINGLE, by_move=False, choice=choice)
    if move:
        yield Attempt(Scope.SINGLE, by_move=True, prefers_native=demand.prefers_native)
