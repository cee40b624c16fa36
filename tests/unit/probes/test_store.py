"""Probing what an archive takes by C-STORE."""

from __future__ import annotations

import pytest

from gateway.probes.findings import Result
from gateway.probes.store import probe_store
from gateway.sandbox import Behaviour, SandboxArchive
from tests.support.probing import open_archive

FORMS = ["uncompressed", "JPEG", "JPEG lossless", "JPEG-LS", "JPEG 2000", "RLE"]


@pytest.mark.parametrize(
    ("behaviour", "result", "forms"),
    [
        (Behaviour(), Result.ACCEPTED, FORMS),
        (Behaviour(refuse_compressed=True), Result.ACCEPTED, ["uncompressed"]),
        (Behaviour(accepted_transfer_syntaxes=("1.2.840.10008.1.2",)), Result.ACCEPTED, ["uncompressed"]),
        (Behaviour(accepted_transfer_syntaxes=("1.2.840.10008.1.2.5",)), Result.ACCEPTED, ["RLE"]),
        (Behaviour(accepted_transfer_syntaxes=()), Result.FAILS, []),
    ],
)
async def test_what_is_taken(
    empty_sandbox: SandboxArchive, behaviour: Behaviour, result: Result, forms: list[str]
) -> None:
    empty_sandbox.behaviour = behaviour
    async with open_archive(empty_sandbox) as (archive, _):
        finding = await probe_store(archive)
    assert finding.result is result
    assert finding.facts["accepted"] == dict.fromkeys(("CT", "MR", "US", "SC"), forms)
    assert finding.detail == f"takes CT, MR, US, SC: {', '.join(forms) or 'refused'}"
    assert len(empty_sandbox.index) == 0


async def test_an_archive_that_rejects_the_association(empty_sandbox: SandboxArchive) -> None:
    empty_sandbox.behaviour = Behaviour(rejection=(1, 1, 3))
    async with open_archive(empty_sandbox) as (archive, _):
        finding = await probe_store(archive)
    assert finding.result is Result.FAILS
    assert "calling AE title not recognized" in finding.detail
