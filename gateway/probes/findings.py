"""What a check has found out about an archive: plain values and the one judgement over them.

No I/O and no layout: the modules beside this one make these values, ``gateway/check.py`` prints them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from gateway.config import RetrieveMethod

__all__ = ["BackendFindings", "Finding", "Result", "Step", "join_address"]


def join_address(host: str, port: int) -> str:
    """``host:port``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Step(Enum):
    """What is probed, in this order."""

    CONNECT = "connect"
    ASSOCIATION = "association"
    ECHO = "C-ECHO"
    FIND = "C-FIND"
    GET = "C-GET"
    MOVE = "C-MOVE"
    STORE = "C-STORE"


class Result(Enum):
    """What came of a step."""

    WORKS = "works"
    """It was done, and it did what it should."""
    ACCEPTED = "accepted"
    """The archive agreed to it in negotiation; it could not or was not to be done."""
    PARTLY = "partly"
    """The archive agreed to some of it."""
    FAILS = "fails"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one step.

    Parameters
    ----------
    detail
        What happened, in words; never patient data.
    hint
        What to configure, here or in the archive; empty where nothing is wrong.
    facts
        The same for programs; values that JSON has.
    """

    result: Result
    detail: str = ""
    hint: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """For a JSON document."""
        return {"result": self.result.value, "detail": self.detail, "hint": self.hint, **self.facts}


_RETRIEVE_STEPS = {RetrieveMethod.C_GET: (Step.GET,), RetrieveMethod.C_MOVE: (Step.MOVE,)}
_AGREED = (Result.WORKS, Result.ACCEPTED)


@dataclass(frozen=True, slots=True)
class BackendFindings:
    """Everything found out about one backend.

    Parameters
    ----------
    address
        Host and port as configured.
    retrieve
        The way of retrieving that is configured: only that counts.
    steps
        Findings by step; a step that is missing was not reached.
    """

    name: str
    ae_title: str
    address: str
    retrieve: RetrieveMethod
    steps: Mapping[Step, Finding]

    def find(self, step: Step) -> Finding:
        """The finding of `step`."""
        return self.steps.get(step, Finding(Result.NOT_TRIED))

    @property
    def is_usable(self) -> bool:
        """Whether the archive answers, can be searched, and gives its instances in a way that is configured.

        An archive without any study need only have agreed to a way of retrieving.
        """
        ways = _RETRIEVE_STEPS.get(self.retrieve, (Step.GET, Step.MOVE))
        return (
            self.find(Step.ECHO).result is Result.WORKS
            and self.find(Step.FIND).result is Result.WORKS
            and any(self.find(step).result in _AGREED for step in ways)
        )

    def describe(self) -> dict[str, Any]:
        """For a JSON document."""
        return {
            "name": self.name,
            "ae_title": self.ae_title,
            "address": self.address,
            "usable": self.is_usable,
            "steps": {step.value: self.find(step).describe() for step in Step},
        }
