"""Probing C-GET and C-MOVE: accepted, and does one instance really arrive?

An archive may accept C-GET and then close the connection, send nothing, or send to somebody else, so the proof is
an instance that arrives. Only its beginning is read: the rest is refused and cancelled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE, IMPLICIT_VR_LE, get_transfer_syntax
from gateway.dimse.archive import Archive, StorageContext
from gateway.dimse.contexts import Proposal, ProposedSyntax
from gateway.dimse.scu.retrieve import Outcome, Retrieval
from gateway.dimse.status import describe_status
from gateway.dimse.uids import QR_TRANSFER_SYNTAXES, STUDY_ROOT_GET
from gateway.errors import AssociationAborted, BackendError, ConnectionLost, NoAcceptedContext
from gateway.probes.diagnosis import Listener, diagnose
from gateway.probes.findings import Finding, Result
from gateway.probes.query import Sample
from gateway.services.retrieve.context_offers import list_single_forms, offer_contexts, offer_single_form
from gateway.services.retrieve.transfer_demand import ANY_STORED, AS_STORED

__all__ = ["probe_get", "probe_move"]

ENOUGH_BYTES = 262_144
"""Of an instance, to call it arriving."""

_UNKNOWN_DESTINATION = 0xA801
_COMMON_CLASSES = tuple(f"1.2.840.10008.5.1.4.1.1.{suffix}" for suffix in ("2", "4", "6.1", "7", "1"))
_NOT_OFFERED = Finding(Result.FAILS, "not supported by the archive")
_NOTHING_TO_TRY = "no study to try with"
_GET_HINT = 'the archive may not allow us C-GET: allow it there, or set backends.{name}.retrieve = "c-move"'


@dataclass(frozen=True, slots=True)
class _Arrival:
    """What came of one operation: bytes of an instance (-1: none came), or how it ended."""

    size: int
    transfer_syntax_uid: str = ""
    outcome: Outcome | None = None


# --- C-GET -----------------------------------------------------------------------------------------------------


async def probe_get(archive: Archive, sample: Sample | None) -> Finding:
    """Whether C-GET works. Raises nothing of the archive's: that is the finding."""
    try:
        if not (await archive.retrieve_abilities()).can_get:
            return _NOT_OFFERED
        if sample is None:
            return await _negotiate_roles(archive)
        return await _get(archive, sample)
    except (ConnectionLost, AssociationAborted) as error:
        failure = diagnose(error, _GET_HINT.format(name=archive.name))
        return Finding(Result.FAILS, f"accepted, but when asked: {failure.detail}", failure.hint)
    except NoAcceptedContext as error:
        if error.result:
            return Finding(Result.FAILS, "accepted, but no storage class of what is to come")
        return Finding(Result.FAILS, "accepted, but not our role as SCP of what is to come", _hint_at_role(archive))
    except BackendError as error:
        return diagnose(error)


async def _get(archive: Archive, sample: Sample) -> Finding:
    """Ask in the ways a retrieval would, until one brings the instance."""
    first_outcome: Outcome | None = None
    refusal: NoAcceptedContext | None = None
    for contexts in _iter_offers(sample):
        try:
            async with archive.get(sample.identifier, contexts) as retrieval:
                arrival = await _take_instance(retrieval)
        except NoAcceptedContext as error:
            if not error.result:
                raise  # the role does not depend on the form
            refusal = refusal or error
            continue
        if arrival.size >= 0:
            return _report_arrival(arrival)
        first_outcome = first_outcome or arrival.outcome
    if first_outcome is None and refusal is not None:
        raise refusal
    return _report_nothing("C-GET", first_outcome, _GET_HINT.format(name=archive.name))


def _iter_offers(sample: Sample) -> Iterator[tuple[StorageContext, ...]]:
    """All forms at once, then one at a time: some archives use their first context whatever they hold."""
    stored = (sample.transfer_syntax_uid,) if sample.transfer_syntax_uid else ()
    yield offer_contexts((ANY_STORED,), sample.classes, stored)
    for form in list_single_forms(AS_STORED):
        yield offer_single_form(form, sample.classes)


async def _negotiate_roles(archive: Archive) -> Finding:
    """What can be known of an empty archive: whether it lets us be SCP of storage classes (PS3.7 §D.3.3.4)."""
    storage = (ProposedSyntax(uid, (EXPLICIT_VR_LE, IMPLICIT_VR_LE), scp=True) for uid in _COMMON_CLASSES)
    proposal = Proposal((ProposedSyntax(STUDY_ROOT_GET, QR_TRANSFER_SYNTAXES), *storage), exact=True)
    async with archive.pool.lease(proposal) as lease:
        contexts = lease.association.contexts
        if any(contexts.find(uid, scp=True) for uid in _COMMON_CLASSES):
            return Finding(Result.ACCEPTED, _NOTHING_TO_TRY)
        worst = max(contexts.worst_result(uid) for uid in _COMMON_CLASSES)
        raise NoAcceptedContext(archive.ae_title, _COMMON_CLASSES[0], worst)


def _hint_at_role(archive: Archive) -> str:
    return f'instances can come by C-MOVE only: backends.{archive.name}.retrieve = "c-move"'


# --- C-MOVE ----------------------------------------------------------------------------------------------------


async def probe_move(archive: Archive, sample: Sample | None, listener: Listener) -> Finding:
    """Whether C-MOVE to us works. Raises nothing of the archive's: that is the finding."""
    if listener.problem:
        return Finding(Result.NOT_TRIED, listener.problem)
    try:
        if not (await archive.retrieve_abilities()).can_move:
            return _NOT_OFFERED
        if sample is None:
            return Finding(Result.ACCEPTED, _NOTHING_TO_TRY, _introduce(archive, listener))
        async with archive.move(sample.identifier, [sample.path.instance or ""]) as retrieval:
            arrival = await _take_instance(retrieval)
    except BackendError as error:
        return diagnose(error, _introduce(archive, listener))
    if arrival.size >= 0:
        return _report_arrival(arrival)
    return _report_missing_move(archive, listener, arrival.outcome)


def _introduce(archive: Archive, listener: Listener) -> str:
    return f"the archive must know the move destination {archive.move_destination} at {listener.address}"


def _report_missing_move(archive: Archive, listener: Listener, outcome: Outcome | None) -> Finding:
    if outcome is not None and outcome.status == _UNKNOWN_DESTINATION:
        hint = f"the archive does not know the move destination {archive.move_destination}: add it there"
        return _report_nothing("C-MOVE", outcome, f"{hint} with address {listener.address}")
    if outcome is not None and outcome.delivered:
        text = f"the archive says that it sent the instance to {archive.move_destination}, but nothing arrived here"
        return Finding(Result.FAILS, text, f"correct its address of {archive.move_destination}: {listener.address}")
    hint = f"{_introduce(archive, listener)}, and reach us there"
    return _report_nothing("C-MOVE", outcome, hint)


# --- both ------------------------------------------------------------------------------------------------------


async def _take_instance(retrieval: Retrieval) -> _Arrival:
    """Read the beginning of the instance asked for; a small one is read and acknowledged whole."""
    arrival = _Arrival(-1)
    async for store in retrieval:
        size = 0
        while (piece := await store.read_piece()) is not None:
            size += len(piece)
            if size >= ENOUGH_BYTES:
                return _Arrival(size, store.transfer_syntax_uid)
        arrival = _Arrival(size, store.transfer_syntax_uid)
    return arrival if arrival.size >= 0 else _Arrival(-1, outcome=retrieval.outcome)


def _report_arrival(arrival: _Arrival) -> Finding:
    name = get_transfer_syntax(arrival.transfer_syntax_uid).name
    facts = {"bytes": arrival.size, "transfer_syntax": arrival.transfer_syntax_uid}
    return Finding(Result.WORKS, f"an instance arrives, as {name}", "", facts)


def _report_nothing(operation: str, outcome: Outcome | None, hint: str) -> Finding:
    if outcome is None:
        return Finding(Result.FAILS, "accepted, but nothing came", hint)
    meaning = describe_status(operation, outcome.status)
    text = f"accepted, but nothing came: status {outcome.status:04X}" + (f", {meaning}" if meaning else "")
    return Finding(Result.FAILS, text, hint, {"status": f"{outcome.status:04X}"})
