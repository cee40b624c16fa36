"""Probing one backend from the first connection to the last context, in the order of :class:`Step`.

Every wait is bounded by the time limits of the backend; what cannot be reached is not waited for again.
"""

from __future__ import annotations

import time

from gateway.dimse.archive import Archive
from gateway.errors import BackendError, NoAcceptedContext
from gateway.probes.diagnosis import Listener, diagnose, diagnose_opening
from gateway.probes.findings import BackendFindings, Finding, Result, Step, join_address
from gateway.probes.query import probe_find
from gateway.probes.retrieve import probe_get, probe_move
from gateway.probes.store import probe_store

__all__ = ["probe_backend"]


async def probe_backend(archive: Archive, listener: Listener) -> BackendFindings:
    """Find out what the archive can do. Raises nothing of the archive's; the archive is not closed."""
    steps: dict[Step, Finding] = {}
    try:
        await archive.query_capabilities()
    except BackendError as error:
        steps = diagnose_opening(error, archive)
    else:
        steps = {Step.CONNECT: Finding(Result.WORKS), Step.ASSOCIATION: _describe_association(archive)}
        await _probe_services(archive, listener, steps)
    settings = archive.settings
    address = join_address(settings.host, settings.port)
    return BackendFindings(archive.name, archive.ae_title, address, settings.retrieve, steps)


async def _probe_services(archive: Archive, listener: Listener, steps: dict[Step, Finding]) -> None:
    steps[Step.ECHO] = await _probe_echo(archive)
    steps[Step.FIND], sample = await probe_find(archive)
    has_studies = steps[Step.FIND].facts.get("has_studies", True)
    if sample is not None or not has_studies:
        steps[Step.GET] = await probe_get(archive, sample)
        steps[Step.MOVE] = await probe_move(archive, sample, listener)
    else:
        nothing = Finding(Result.NOT_TRIED, "no instance was found to try with")
        steps |= {Step.GET: nothing, Step.MOVE: nothing}
    steps[Step.STORE] = await probe_store(archive)


def _describe_association(archive: Archive) -> Finding:
    return Finding(Result.WORKS, f"accepted, we call ourselves {archive.calling_ae_title}")


async def _probe_echo(archive: Archive) -> Finding:
    began = time.monotonic()
    try:
        await archive.echo()
    except NoAcceptedContext as error:
        return diagnose(error, "every archive must support Verification (PS3.4 Annex A)")
    except BackendError as error:
        return diagnose(error)
    milliseconds = round(1000 * (time.monotonic() - began), 1)
    return Finding(Result.WORKS, f"answered in {milliseconds:g} ms", "", {"milliseconds": milliseconds})
