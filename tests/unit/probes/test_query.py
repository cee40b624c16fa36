"""Probing C-FIND on the sandbox archive: options, levels, empty and failing archives."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from gateway.probes.findings import Finding, Result
from gateway.probes.query import MATCHES_TAKEN, Sample, probe_find
from gateway.sandbox import Behaviour, Disturbance, Fault, Moment, SandboxArchive
from tests.support.probing import SHORT_WAITS, add_copy, open_archive

CT = "1.2.840.10008.5.1.4.1.1.2"


async def probe(sandbox: SandboxArchive, **backend: object) -> tuple[Finding, Sample | None]:
    async with open_archive(sandbox, **backend) as (archive, _):
        await archive.query_capabilities()
        return await probe_find(archive)


async def test_an_instance_is_found(sandbox: SandboxArchive) -> None:
    finding, sample = await probe(sandbox)
    assert finding.result is Result.WORKS
    assert finding.facts == {
        "options": {"relational": True, "combined_datetime": True, "fuzzy": True, "timezone": False},
        "has_studies": True,
    }
    assert "options agreed: relational, combined datetime, fuzzy" in finding.detail
    assert sample is not None
    assert sample.classes == (CT,)
    assert {tag: attribute["Value"] for tag, attribute in sample.identifier.items()} == {
        "00080052": ["IMAGE"],
        "0020000D": [sample.path.study],
        "0020000E": [sample.path.series],
        "00080018": [sample.path.instance],
    }


@pytest.mark.parametrize(
    ("behaviour", "backend", "words"),
    [
        (Behaviour(refuse_relational=True), {}, "options agreed: combined datetime, fuzzy"),
        (Behaviour(refuse_extended_negotiation=True), {}, "options agreed: none"),
        (Behaviour(), {"extended_negotiation_bytes": 0}, "no options asked for"),
    ],
)
async def test_options(sandbox: SandboxArchive, behaviour: Behaviour, backend: dict[str, object], words: str) -> None:
    sandbox.behaviour = behaviour
    finding, sample = await probe(sandbox, **backend)
    assert finding.detail.endswith(words)
    assert sample is not None


async def test_an_archive_without_counts(sandbox: SandboxArchive) -> None:
    sandbox.behaviour = Behaviour(omit_optional_keys=True, repeat_answers=True)
    finding, sample = await probe(sandbox)
    assert finding.result is Result.WORKS
    assert sample is not None


async def test_an_empty_archive(empty_sandbox: SandboxArchive) -> None:
    finding, sample = await probe(empty_sandbox)
    assert finding.result is Result.WORKS
    assert finding.facts["has_studies"] is False
    assert sample is None


async def test_a_small_series_of_the_latest_studies_is_chosen(sandbox: SandboxArchive, tmp_path: Path) -> None:
    """A study of yesterday goes before an older, smaller one; in it the series with fewer instances."""
    yesterday = f"{date.today() - timedelta(days=1):%Y%m%d}"
    for uid in ("1.2.7.1.1", "1.2.7.1.2", "1.2.7.2.1"):
        add_copy(sandbox, tmp_path, uid, StudyDate=yesterday)
    _, sample = await probe(sandbox)
    assert sample is not None
    assert sample.path.url_path == "/studies/1.2.7/series/1.2.7.2/instances/1.2.7.2.1"


async def test_a_large_archive_is_left_early(empty_sandbox: SandboxArchive, tmp_path: Path) -> None:
    for number in range(2 * MATCHES_TAKEN):
        add_copy(empty_sandbox, tmp_path, f"1.2.{number}.1.1")
    finding, sample = await probe(empty_sandbox)
    assert finding.result is Result.WORKS
    assert sample is not None
    assert empty_sandbox.wait_for(lambda counters: counters.cancels == 1)


async def test_a_failing_archive(sandbox: SandboxArchive) -> None:
    sandbox.behaviour = Behaviour(find_status=0xA700)
    finding, sample = await probe(sandbox)
    assert sample is None
    assert finding.result is Result.FAILS
    assert finding.detail == "C-FIND answered with status A700, out of resources"
    assert finding.facts == {"status": "A700"}
    assert "allowed to query" in finding.hint


async def test_an_archive_that_never_answers(sandbox: SandboxArchive) -> None:
    sandbox.behaviour = Behaviour(disturbance=Disturbance(Fault.STALL, Moment.BEFORE_FIRST_RESPONSE))
    finding, sample = await probe(sandbox, **SHORT_WAITS)
    assert (finding.result, sample) == (Result.FAILS, None)
    assert "nothing received for 1 s while waiting for C-FIND-RSP" in finding.detail
