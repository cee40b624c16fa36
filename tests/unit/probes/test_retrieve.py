"""Probing C-GET and C-MOVE on the sandbox archive and its faults: an instance arrives, or words say why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.probes import retrieve
from gateway.probes.diagnosis import Listener
from gateway.probes.findings import Finding, Result
from gateway.probes.query import Sample, probe_find
from gateway.probes.retrieve import probe_get, probe_move
from gateway.sandbox import Behaviour, Disturbance, Fault, Moment, SandboxArchive
from tests.support.probing import CT_FILE, SHORT_WAITS, open_archive
from tests.support.samples import sample_files

EXPLICIT_VR_LE = "1.2.840.10008.1.2.1"
JPEG_2000 = "1.2.840.10008.1.2.4.90"


async def probe(sandbox: SandboxArchive, behaviour: Behaviour, **options: object) -> tuple[Finding, Finding]:
    """The findings on C-GET and C-MOVE of an instance found before `behaviour` came into force."""
    async with open_archive(sandbox, **options) as (archive, listener):
        sample: Sample | None = None
        if len(sandbox.index):
            _, sample = await probe_find(archive)
            assert sample is not None
    async with open_archive(sandbox, **options) as (archive, listener):
        sandbox.behaviour = behaviour
        findings = await probe_get(archive, sample), await probe_move(archive, sample, listener)
        sandbox.behaviour = Behaviour()
    assert sandbox.wait_for(lambda counters: counters.associations_open == 0)
    return findings


async def test_an_instance_arrives(sandbox: SandboxArchive) -> None:
    for finding in await probe(sandbox, Behaviour()):
        assert finding.result is Result.WORKS
        assert finding.facts["transfer_syntax"] == EXPLICIT_VR_LE
        assert 0 < CT_FILE.stat().st_size - finding.facts["bytes"] < 1_000
    assert sandbox.counters.cancels == 0


async def test_of_a_large_instance_only_the_beginning_is_taken(
    sandbox: SandboxArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieve, "ENOUGH_BYTES", 1)
    get, move = await probe(sandbox, Behaviour())
    assert (get.result, move.result) == (Result.WORKS, Result.WORKS)
    assert sandbox.wait_for(lambda counters: counters.cancels + counters.aborts == 2)


async def test_a_compressed_instance_arrives(empty_sandbox: SandboxArchive) -> None:
    empty_sandbox.index.add_file(next(path for path in sample_files() if path.name == "examples_jpeg2k.dcm"))
    for finding in await probe(empty_sandbox, Behaviour()):
        assert finding.result is Result.WORKS
        assert finding.facts["transfer_syntax"] == JPEG_2000


async def test_an_archive_without_move_originator(sandbox: SandboxArchive) -> None:
    _, move = await probe(sandbox, Behaviour(omit_move_originator=True, omit_pending_responses=True))
    assert move.result is Result.WORKS


@pytest.mark.parametrize(
    ("behaviour", "detail", "hint"),
    [
        (Behaviour(refuse_get=True), "not supported by the archive", ""),
        (Behaviour(refuse_role=True), "accepted, but not our role as SCP", "c-move"),
        (Behaviour(accepted_transfer_syntaxes=()), "accepted, but no storage class of what is to come", ""),
        (Behaviour(retrieve_status=0xA701), "nothing came: status A701, out of resources", "allow it there"),
        (Behaviour(failing_suboperations=frozenset({1})), "nothing came: status A702", "allow it there"),
        (
            Behaviour(disturbance=Disturbance(Fault.DROP, Moment.BEFORE_FIRST_RESPONSE)),
            "accepted, but when asked: connection closed by the peer",
            'backends.main.retrieve = "c-move"',
        ),
        (
            Behaviour(disturbance=Disturbance(Fault.ABORT, Moment.BEFORE_FIRST_RESPONSE)),
            "accepted, but when asked: the archive aborted",
            'backends.main.retrieve = "c-move"',
        ),
        (
            Behaviour(disturbance=Disturbance(Fault.STALL, Moment.BEFORE_FIRST_RESPONSE)),
            "nothing received for 1 s",
            "",
        ),
    ],
)
async def test_get_fails(sandbox: SandboxArchive, behaviour: Behaviour, detail: str, hint: str) -> None:
    options = SHORT_WAITS if behaviour.disturbance else {}
    get, _ = await probe(sandbox, behaviour, **options)
    assert get.result is Result.FAILS
    assert detail in get.detail
    assert hint in get.hint


@pytest.mark.parametrize(
    ("behaviour", "options", "detail", "hint"),
    [
        (Behaviour(refuse_move=True), {}, "not supported by the archive", ""),
        (
            Behaviour(),
            {"is_known": False},
            "status A801, move destination unknown",
            "the archive does not know the move destination GATEWAY: add it there with address 127.0.0.1:",
        ),
        (
            Behaviour(failing_suboperations=frozenset({1})),
            {},
            "accepted, but nothing came",
            "the archive must know the move destination GATEWAY at 127.0.0.1:",
        ),
        (
            Behaviour(disturbance=Disturbance(Fault.STALL, Moment.BEFORE_FIRST_RESPONSE)),
            SHORT_WAITS,
            "no sub-operation for 1 s",
            "GATEWAY",
        ),
    ],
)
async def test_move_fails(
    sandbox: SandboxArchive, behaviour: Behaviour, options: dict[str, object], detail: str, hint: str
) -> None:
    _, move = await probe(sandbox, behaviour, **options)
    assert move.result is Result.FAILS
    assert detail in move.detail
    assert hint in move.hint


async def test_a_move_that_ends_somewhere_else(sandbox: SandboxArchive, tmp_path: Path) -> None:
    """The archive has another address for our AE title: it says that all is well."""
    with SandboxArchive(tmp_path / "elsewhere") as elsewhere:
        async with open_archive(sandbox, move_grace_s=0.3) as (archive, listener):
            sandbox.add_move_destination("GATEWAY", "127.0.0.1", elsewhere.port)
            _, sample = await probe_find(archive)
            finding = await probe_move(archive, sample, listener)
        assert len(elsewhere.index) == 1
    assert finding.result is Result.FAILS
    assert finding.detail == "the archive says that it sent the instance to GATEWAY, but nothing arrived here"
    assert finding.hint == f"correct its address of GATEWAY: {listener.address}"


async def test_an_empty_archive_can_only_agree(empty_sandbox: SandboxArchive) -> None:
    get, move = await probe(empty_sandbox, Behaviour())
    assert (get.result, get.detail) == (Result.ACCEPTED, "no study to try with")
    assert (move.result, move.detail) == (Result.ACCEPTED, "no study to try with")
    assert "must know the move destination GATEWAY at 127.0.0.1:" in move.hint


async def test_an_empty_archive_may_refuse_the_role(empty_sandbox: SandboxArchive) -> None:
    get, _ = await probe(empty_sandbox, Behaviour(refuse_role=True))
    assert get.result is Result.FAILS
    assert "role" in get.detail


async def test_without_a_listener_a_move_is_not_tried(sandbox: SandboxArchive) -> None:
    async with open_archive(sandbox, listen=None) as (archive, _):
        finding = await probe_move(archive, None, Listener(problem="dimse.listen is empty"))
    assert (finding.result, finding.detail) == (Result.NOT_TRIED, "dimse.listen is empty")
    assert sandbox.counters.associations_total == 0
