"""Probing a backend as a whole: which steps are reached, and how it is judged."""

from __future__ import annotations

import pytest

from gateway.probes.backend import probe_backend
from gateway.probes.findings import BackendFindings, Result, Step
from gateway.sandbox import Behaviour, Disturbance, Fault, Moment, SandboxArchive
from tests.support.probing import SHORT_WAITS, open_archive

W, F, N, A = Result.WORKS, Result.FAILS, Result.NOT_TRIED, Result.ACCEPTED
STALL_REQUESTS = Disturbance(Fault.STALL, Moment.BEFORE_FIRST_RESPONSE)
STALL_NEGOTIATION = Disturbance(Fault.STALL, Moment.BEFORE_ASSOCIATION_ANSWER)
DROP_NEGOTIATION = Disturbance(Fault.DROP, Moment.BEFORE_ASSOCIATION_ANSWER)


async def probe(sandbox: SandboxArchive, behaviour: Behaviour, **options: object) -> BackendFindings:
    sandbox.behaviour = behaviour
    async with open_archive(sandbox, **options) as (archive, listener):
        return await probe_backend(archive, listener)


@pytest.mark.parametrize(
    ("behaviour", "results", "is_usable"),
    [
        (Behaviour(), [W, W, W, W, W, W, A], True),
        (Behaviour(refuse_get=True), [W, W, W, W, F, W, A], True),
        (Behaviour(refuse_move=True), [W, W, W, W, W, F, A], True),
        (Behaviour(refuse_get=True, refuse_move=True), [W, W, W, W, F, F, A], False),
        (Behaviour(retrieve_status=0xC000), [W, W, W, W, F, F, A], False),
        (Behaviour(find_status=0xC000), [W, W, W, F, N, N, A], False),
        (Behaviour(rejection=(1, 1, 7)), [W, F, N, N, N, N, N], False),
        (Behaviour(disturbance=STALL_NEGOTIATION), [W, F, N, N, N, N, N], False),
        (Behaviour(disturbance=DROP_NEGOTIATION), [W, F, N, N, N, N, N], False),
        (Behaviour(disturbance=STALL_REQUESTS), [W, W, F, F, N, N, A], False),
    ],
)
async def test_steps(sandbox: SandboxArchive, behaviour: Behaviour, results: list[Result], is_usable: bool) -> None:
    found = await probe(sandbox, behaviour, **(SHORT_WAITS if behaviour.disturbance else {}))
    assert [found.find(step).result for step in Step] == results
    assert found.is_usable is is_usable
    assert (found.name, found.ae_title, found.address) == ("main", "SANDBOX", f"127.0.0.1:{sandbox.port}")
    assert all(found.find(step).detail for step in found.steps if found.find(step).result is F)


async def test_an_empty_archive_is_usable(empty_sandbox: SandboxArchive) -> None:
    found = await probe(empty_sandbox, Behaviour())
    assert [found.find(step).result for step in Step] == [W, W, W, W, A, A, A]
    assert found.is_usable


async def test_only_the_configured_way_of_retrieving_counts(sandbox: SandboxArchive) -> None:
    found = await probe(sandbox, Behaviour(refuse_get=True), retrieve="c-get")
    assert found.find(Step.MOVE).result is W
    assert not found.is_usable


async def test_the_time_of_an_echo(sandbox: SandboxArchive) -> None:
    echo = (await probe(sandbox, Behaviour())).find(Step.ECHO)
    assert 0 < echo.facts["milliseconds"] < 10_000
    assert echo.detail == f"answered in {echo.facts['milliseconds']:g} ms"


async def test_nothing_of_the_patient_is_told(sandbox: SandboxArchive) -> None:
    found = await probe(sandbox, Behaviour())
    assert "CompressedSamples" not in str(found)
