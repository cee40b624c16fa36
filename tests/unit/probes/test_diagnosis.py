"""Exceptions in words: what happened, and the setting to look at."""

from __future__ import annotations

import inspect
import socket

import pytest

from gateway import errors
from gateway.config import BackendSettings
from gateway.dimse.archive import Archive
from gateway.dimse.move_routing import MoveRegistry
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
from gateway.probes.diagnosis import diagnose, diagnose_opening, state_error
from gateway.probes.findings import Result, Step

ARCHIVE = Archive(
    "pacs", BackendSettings(ae_title="THEM", host="h"), ae_title="GATEWAY", registry=MoveRegistry(), can_receive=True
)


def from_cause(error: BackendError, cause: Exception) -> BackendError:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "step", "hint"),
    [
        (ConnectFailed("THEM", "refused"), Step.CONNECT, "backends.pacs.port"),
        (from_cause(ConnectFailed("THEM", "name"), socket.gaierror()), Step.CONNECT, "make the name known"),
        (from_cause(ConnectFailed("THEM", "name"), UnicodeError()), Step.CONNECT, "make the name known"),
        (ConnectTimeout("THEM", "late"), Step.CONNECT, "backends.pacs.connect_timeout_s"),
        (AssociationTimeout("THEM", "late"), Step.ASSOCIATION, "no DICOM archive"),
        (AssociationRejected("THEM", 1, 1, 3, "who"), Step.ASSOCIATION, "add our AE title GATEWAY"),
        (AssociationRejected("THEM", 1, 1, 7, "whom"), Step.ASSOCIATION, "THEM is not what the archive calls itself"),
        (AssociationRejected("THEM", 2, 3, 2, "full"), Step.ASSOCIATION, "backends.pacs.max_associations"),
        (AssociationRejected("THEM", 1, 1, 1, "no"), Step.ASSOCIATION, "log says why"),
        (AssociationAborted("THEM", 0, 0), Step.ASSOCIATION, "extended_negotiation_bytes = 0"),
        (ConnectionLost("THEM", "closed"), Step.ASSOCIATION, "AE title GATEWAY"),
        (UndecodableResponse("THEM", "HTTP/1.1 400"), Step.ASSOCIATION, "no DICOM archive"),
    ],
)
def test_no_association(error: BackendError, step: Step, hint: str) -> None:
    findings = diagnose_opening(error, ARCHIVE)
    assert list(findings)[-1] is step
    assert [finding.result for finding in findings.values()][:-1] == [Result.WORKS] * (len(findings) - 1)
    assert findings[step].result is Result.FAILS
    assert findings[step].detail == state_error(error)
    assert hint in findings[step].hint
    assert "{" not in findings[step].hint


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (NoAcceptedContext("THEM", "1.2", 3), "not supported by the archive"),
        (NoAcceptedContext("THEM", "1.2", 9), "refused"),
        (DimseStatusError("THEM", "C-FIND", 0xA900, "bad"), "C-FIND answered with status A900, bad"),
        (DimseStatusError("THEM", "C-FIND", 0xC123), "C-FIND answered with status C123"),
        (AssociationAborted("THEM", 2, 1), "the archive aborted the association (source 2, reason 1)"),
        (ConnectionLost("THEM", "connection closed"), "connection closed"),
    ],
)
def test_what_happened(error: BackendError, text: str) -> None:
    assert diagnose(error).detail == text
    assert diagnose(error).result is Result.FAILS


def test_a_status_is_there_for_programs_and_the_comment_for_nobody() -> None:
    finding = diagnose(DimseStatusError("THEM", "C-FIND", 0xC000, comment="no such patient DOE^JANE"), "look")
    assert finding.facts == {"status": "C000"}
    assert finding.hint == "look"
    assert "DOE" not in str(finding)


def test_every_error_of_a_backend_has_words() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, BackendError)]
    assert len(kinds) > 10
    for kind in kinds:
        names = list(inspect.signature(kind).parameters)
        error = kind("THEM", *(1 if name in NUMBERS else "x" for name in names[1:] if name in NUMBERS | WORDS))
        assert state_error(error)
        assert "THEM" not in state_error(error)


NUMBERS = {"result", "source", "reason", "status", "received", "expected"}
WORDS = {"text", "abstract_syntax", "operation"}
