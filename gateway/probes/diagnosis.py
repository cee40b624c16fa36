"""From an exception to a finding: what happened in words, and what to configure, here or in the archive.

Pure functions and tables; no probing. Error Comments (0000,0902) are left out: archives quote what they like there.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.config import BackendSettings
from gateway.errors import (
    AssociationAborted,
    AssociationRejected,
    AssociationTimeout,
    BackendError,
    ConnectFailed,
    ConnectionLost,
    ConnectTimeout,
    DimseStatusError,
    NoAcceptedContext,
    UndecodableResponse,
)
from gateway.probes.findings import Finding, Result, Step

__all__ = ["Listener", "ProbedArchive", "diagnose", "diagnose_opening", "state_error"]


class ProbedArchive(Protocol):
    """What is said of an archive in hints; ``gateway.dimse.archive.Archive`` is one."""

    name: str
    ae_title: str
    calling_ae_title: str
    move_destination: str
    settings: BackendSettings


@dataclass(frozen=True, slots=True)
class Listener:
    """Where archives reach us for C-MOVE: an address of this machine, or why there is none."""

    address: str = ""
    problem: str = ""


_REJECTIONS = {
    (1, 3): "add our AE title {calling} to those the archive knows, or set {key}.calling_ae_title",
    (1, 7): "{ae_title} is not what the archive calls itself: correct {key}.ae_title",
    (3, 1): "the archive is busy: try again, or lower {key}.max_associations",
    (3, 2): "the archive is at its limit of associations: raise it there, or lower {key}.max_associations",
}
"""By source and reason of PS3.8 Table 9-21."""

_OPENING_HINTS: Mapping[type[BackendError], str] = {
    ConnectTimeout: "a wrong address, or a firewall that drops packets: correct {key}.host and {key}.port, "
    "or raise {key}.connect_timeout_s",
    AssociationTimeout: "the archive hangs, or what listens at {key}.port is no DICOM archive",
    AssociationAborted: "the archive may not know our AE title {calling}, or choke on extended negotiation: "
    "try {key}.extended_negotiation_bytes = 0",
    ConnectionLost: "the archive may not know our AE title {calling} or our address, or choke on extended "
    "negotiation: try {key}.extended_negotiation_bytes = 0",
    UndecodableResponse: "what listens at {key}.port is probably no DICOM archive",
}

_RESULTS = {
    0: "accepted, but not in the role that is needed",
    1: "refused by the archive's user",
    2: "refused without a reason",
    3: "not supported by the archive",
    4: "supported, but in none of the transfer syntaxes offered",
}
"""Result of a presentation context, PS3.8 Table 9-18."""


def diagnose_opening(error: BackendError, archive: ProbedArchive) -> dict[Step, Finding]:
    """The findings on connecting and associating, when no association came about."""
    if isinstance(error, ConnectFailed | ConnectTimeout):
        return {Step.CONNECT: Finding(Result.FAILS, state_error(error), _hint_at_opening(error, archive))}
    failure = Finding(Result.FAILS, state_error(error), _hint_at_opening(error, archive))
    return {Step.CONNECT: Finding(Result.WORKS), Step.ASSOCIATION: failure}


def _hint_at_opening(error: BackendError, archive: ProbedArchive) -> str:
    match error:
        case AssociationRejected(source=source, reason=reason):
            template = _REJECTIONS.get((source, reason), "the archive's log says why")
        case ConnectFailed(__cause__=socket.gaierror() | UnicodeError()):
            template = "correct {key}.host, or make the name known here"
        case ConnectFailed():
            template = "is the archive running? Correct {key}.host and {key}.port, or open the firewall"
        case _:
            template = _OPENING_HINTS.get(type(error), "")
    return template.format(key=f"backends.{archive.name}", calling=archive.calling_ae_title, ae_title=archive.ae_title)


def diagnose(error: BackendError, hint: str = "") -> Finding:
    """The finding on a step that failed with `error` on an association that had come about."""
    facts = {"status": f"{error.status:04X}"} if isinstance(error, DimseStatusError) else {}
    return Finding(Result.FAILS, state_error(error), hint, facts)


def state_error(error: BackendError) -> str:
    """What happened, without the AE title, which stands above the findings."""
    match error:
        case NoAcceptedContext(result=result):
            return _RESULTS.get(result, "refused")
        case DimseStatusError(operation=operation, status=status, meaning=meaning):
            return f"{operation} answered with status {status:04X}" + (f", {meaning}" if meaning else "")
        case AssociationAborted(source=source, reason=reason):
            return f"the archive aborted the association (source {source}, reason {reason})"
    return str(error).removeprefix(f"{error.ae_title}: ")
