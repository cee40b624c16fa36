"""In which ways a set of instances is asked for, one after the other, until all have come.

Archives differ in what they lose: a C-GET SCP may use its first accepted context for every instance and fail those
stored in another transfer syntax; a class may have been left without a context; UID lists or C-GET may not be
known at all. So the whole target is asked for first, and what is still missing again in narrower forms. The
order is a plan of plain values here; ``retrieve.py`` carries it out and stops when nothing is missing.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import product

from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE as NATIVE
from gateway.codecs.transfer_syntax import UNCOMPRESSED
from gateway.config import RetrieveMethod
from gateway.errors import BackendError, DimseStatusError, MoveDestinationUnavailable, NoAcceptedContext
from gateway.services.retrieve.context_offers import MAX_STORAGE_CONTEXTS, list_single_forms
from gateway.services.retrieve.inventories.storage_classes import ALL_STORAGE_CLASSES
from gateway.services.retrieve.transfer_demand import ANY_STORED, AS_STORED, TransferDemand

__all__ = ["Attempt", "Scope", "plan_attempts", "refuses_the_method"]

MAX_SINGLE_INSTANCES = 500
"""Instances asked for one by one at most; beyond that the archive is at fault, not the form of the request."""


_METHODS = ("1.2.840.10008.5.1.4.1.2.2.2", "1.2.840.10008.5.1.4.1.2.2.3")
_REFUSALS = frozenset({0x0122, 0x0124, 0x0211, 0x0213, 0xA701, 0xA801})
"""Not supported, not authorised, unrecognised, out of resources, and a move destination that is not known
(PS3.7 Annex C, PS3.4 Tables C.4-2 and C.4-3): not a matter of form."""


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
        The one form to offer (C-GET) or accept (C-MOVE) instead; empty for all of them.
    classes
        For C-GET, the classes to offer instead of those told or guessed; empty for those.
    """

    scope: Scope
    by_move: bool
    choice: tuple[str, ...] = AS_STORED.choices[0]
    form: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


def refuses_the_method(error: BackendError) -> bool:
    """Whether `error` means that C-GET, or C-MOVE, will not work in any form, so that only the other one is left."""
    match error:
        case DimseStatusError(status=status):
            return status in _REFUSALS
        case NoAcceptedContext(abstract_syntax=uid):
            return uid in _METHODS
    return isinstance(error, MoveDestinationUnavailable)


def plan_attempts(
    demand: TransferDemand, methods: Sequence[RetrieveMethod], *, tells_classes: bool, sends: Container[str]
) -> Iterator[Attempt]:
    """The ways to ask, best first; taken one by one, as long as something is missing.

    Parameters
    ----------
    methods
        ``C_GET``, ``C_MOVE`` or both, preferred first.
    tells_classes
        Whether the archive names SOP classes; if not, the classes offered are a guess, and all others are gone
        through in portions.
    sends
        Transfer syntaxes the archive has offered in C-STOREs so far; looked at again as the plan goes on, since
        a C-MOVE teaches it.
    """
    forms = list_single_forms(demand)
    scope = Scope.TARGET
    for method in methods:
        if method is RetrieveMethod.C_GET:
            yield from _ask_by_get(demand, scope)
        else:
            yield from _ask_by_move(demand, scope)
            for form in forms:
                if form[0] in sends:
                    yield Attempt(Scope.LIST, by_move=True, form=form)
        scope = Scope.LIST
    if RetrieveMethod.C_GET in methods:
        portions = [()] if tells_classes else [(), *_portion_classes()]
        for form, classes in product(forms, portions):
            yield Attempt(Scope.LIST, by_move=False, form=form, classes=classes)
    for method in methods:
        yield Attempt(Scope.SINGLE, by_move=method is RetrieveMethod.C_MOVE, choice=demand.choices[0])


def _ask_by_get(demand: TransferDemand, scope: Scope) -> Iterator[Attempt]:
    for choice in demand.choices:
        yield Attempt(scope, by_move=False, choice=choice)
        scope = Scope.LIST
    if not demand.admits_anything:
        # what comes now is held in a form that is not acceptable: then the answer is that, not "missing"
        yield Attempt(Scope.LIST, by_move=False)


def _ask_by_move(demand: TransferDemand, scope: Scope) -> Iterator[Attempt]:
    for choice in demand.choices:
        yield Attempt(scope, by_move=True, choice=choice, form=_list_accepted(choice))
        scope = Scope.LIST
    if not demand.admits_anything:
        yield Attempt(Scope.LIST, by_move=True)  # as above


def _list_accepted(choice: Sequence[str]) -> tuple[str, ...]:
    """The transfer syntaxes of contexts to accept in a C-MOVE; empty for all of them."""
    if ANY_STORED in choice:
        return ()
    return tuple(dict.fromkeys(uid for wanted in choice for uid in (UNCOMPRESSED if wanted == NATIVE else (wanted,))))


def _portion_classes() -> list[tuple[str, ...]]:
    size = MAX_STORAGE_CONTEXTS
    return [ALL_STORAGE_CLASSES[start : start + size] for start in range(0, len(ALL_STORAGE_CLASSES), size)]
