"""The store command from files to an archive, through a gateway: told, resumed, committed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from gateway.app import run_gateway
from gateway.config import BackendSettings, CommitmentSettings, DimseSettings, GatewaySettings, HttpSettings
from gateway.errors import ConfigurationError
from gateway.sandbox import Behaviour, SandboxArchive
from gateway.sender.command import Order, Summary, store_files
from gateway.sender.files import InstanceFile, find_files, read_instance_file
from gateway.sender.journal import Journal
from tests.unit.sandbox.conftest import make_instance, save
from tests.unit.sender.conftest import save_broken_deflated, save_dicomdir

UIDS = ("1.2.1.1.1", "1.2.1.1.2", "1.2.2.1.1")


@dataclass(frozen=True, slots=True)
class Site:
    """A gateway before a sandbox archive, and an order to store three files and a text in it."""

    sandbox: SandboxArchive
    order: Order

    async def store(self, order: Order | None = None) -> tuple[Summary, str]:
        told = StringIO()
        summary = await store_files(order or self.order, Console(file=told, width=500))
        return summary, told.getvalue()


@asynccontextmanager
async def open_site(folder: Path, behaviour: Behaviour | None = None) -> AsyncIterator[Site]:
    files = folder / "files"
    files.mkdir()
    for uid in UIDS:
        save(make_instance(uid), files)
    (files / "notes.txt").write_text("no image")
    with SandboxArchive(folder / "archive", behaviour=behaviour) as sandbox:
        settings = GatewaySettings(
            http=HttpSettings(listen="127.0.0.1:0", shutdown_grace_s=0),
            dimse=DimseSettings(listen="127.0.0.1:0"),
            commitment=CommitmentSettings(same_association_s=0.05, wait_s=10),
            backends={"main": BackendSettings(ae_title="SANDBOX", host="127.0.0.1", port=sandbox.port)},
        )
        async with run_gateway(settings) as gateway:
            sandbox.add_move_destination("GATEWAY", "127.0.0.1", gateway.dimse_port)
            yield Site(sandbox, Order([files], f"{gateway.url}/dicomweb", folder / "journal"))


def list_held(sandbox: SandboxArchive) -> list[str]:
    return sorted(row.sop_instance_uid for row in sandbox.index.select({}))


async def test_all_are_stored(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        summary, told = await site.store()
        assert summary.is_success and list_held(site.sandbox) == sorted(UIDS)
        assert told == "3 stored, 1 no DICOM\n" and not site.order.journal.exists()


async def test_what_failed_is_told_and_tried_again_by_the_next_run(tmp_path: Path) -> None:
    async with open_site(tmp_path, Behaviour(store_status=0xA900)) as site:
        summary, told = await site.store(replace(site.order, max_files=1))
        assert not summary.is_success and "3 failed" in told and told.count("failure reason A900") == 3
        site.sandbox.behaviour = Behaviour()
        summary, told = await site.store()
        assert summary.is_success and told.startswith("3 stored")


async def test_a_damaged_file_is_told_and_the_others_are_stored(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        (tmp_path / "files" / "damaged").write_bytes((tmp_path / "files" / "1.2.1.1.1.dcm").read_bytes()[:380])
        save_broken_deflated(tmp_path / "files" / "deflated")
        save_dicomdir(tmp_path / "files" / "DICOMDIR")
        summary, told = await site.store()
        assert not summary.is_success and list_held(site.sandbox) == sorted(UIDS)
        assert told.startswith("3 stored, 2 failed, 2 no DICOM\n")
        assert f"{tmp_path}/files/damaged: a DICOM file without the UIDs of an instance\n" in told
        assert f"{tmp_path}/files/deflated: cannot be read: damaged\n" in told


async def test_a_file_that_vanishes_on_the_way_is_told_and_the_others_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_and_lose(path: Path) -> InstanceFile | None:
        file = read_instance_file(path)
        if path.name == "1.2.1.1.1.dcm":
            path.unlink()
        return file

    monkeypatch.setattr("gateway.sender.command.read_instance_file", read_and_lose)
    async with open_site(tmp_path) as site:
        summary, told = await site.store()
        assert not summary.is_success and list_held(site.sandbox) == ["1.2.1.1.2", "1.2.2.1.1"]
        assert told.startswith("2 stored, 1 failed, 1 no DICOM\n") and "stopped" not in told
        assert "1.2.1.1.1.dcm: cannot be read: No such file or directory\n" in told


async def test_a_run_that_was_cut_goes_on(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        first = next(path for path in site.order.paths[0].iterdir() if "1.2.2.1.1" in path.name)
        order = replace(site.order, paths=[first, tmp_path / "files" / "notes.txt"])
        file = read_instance_file(first)
        assert file is not None
        with Journal(order.journal, order.url) as journal:
            journal.note(file)  # as an earlier run had stored it
        summary, told = await site.store()
        assert (summary.stored, summary.skipped) == (2, 1) and "1 stored by an earlier run" in told
        assert list_held(site.sandbox) == sorted(set(UIDS) - {"1.2.2.1.1"})


async def test_what_one_service_stored_is_not_stored_at_another(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        elsewhere = replace(site.order, url="http://127.0.0.1:1/dicomweb")
        with Journal(elsewhere.journal, elsewhere.url) as journal:
            for path in find_files(elsewhere.paths):
                if (file := read_instance_file(path)) is not None:
                    journal.note(file)
        kept = site.order.journal.read_bytes()
        with pytest.raises(ConfigurationError, match="of another service, http://127.0.0.1:1/dicomweb"):
            await site.store()
        assert list_held(site.sandbox) == [] and site.order.journal.read_bytes() == kept
        summary, _ = await site.store(replace(site.order, journal=tmp_path / "another"))
        assert (summary.stored, summary.skipped) == (3, 0)


async def test_with_storage_commitment(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        summary, told = await site.store(replace(site.order, commit_s=10))
        assert summary.is_success and "3 committed by the archive" in told


async def test_what_the_archive_does_not_commit_to_is_sent_again(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        order = replace(site.order, commit_s=10)
        with Journal(order.journal, order.url) as journal:
            for path in find_files(order.paths):
                if (file := read_instance_file(path)) is not None:
                    journal.note(file)  # the archive lost them since
        summary, told = await site.store(order)
        assert not summary.is_success and told.count("not committed: failure reason 0112") == 3
        summary, _ = await site.store(order)
        assert summary.is_success and (summary.stored, summary.committed) == (3, 3)


async def test_an_archive_without_commitment(tmp_path: Path) -> None:
    async with open_site(tmp_path, Behaviour(refuse_commitment=True)) as site:
        summary, told = await site.store(replace(site.order, commit_s=10))
        assert not summary.is_success and "stopped: storage commitment: status 501" in told
        assert site.order.journal.exists()


def run(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "XDG_STATE_HOME": str(home), "NO_COLOR": "1", "COLUMNS": "200"}
    command = [sys.executable, "-W", "error", "-m", "gateway", "store", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)


def test_exit_codes(tmp_path: Path) -> None:
    missing = run(str(tmp_path / "nowhere"), "--url", "http://127.0.0.1:1/dicomweb", home=tmp_path)
    assert missing.returncode == 1 and "nowhere" in missing.stderr
    wrong = run(str(tmp_path), "--url", "ftp://host", home=tmp_path)
    assert wrong.returncode == 2 and "--url" in wrong.stderr
    header = run(str(tmp_path), "--url", "http://host", "--header", "nonsense", home=tmp_path)
    assert header.returncode == 2 and "--header" in header.stderr
    empty = run(str(tmp_path), "--url", "http://127.0.0.1:1/dicomweb", home=tmp_path / "state")
    assert empty.returncode == 0 and "0 stored" in empty.stderr


def test_names_of_any_bytes(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xe9"))
    folder.mkdir()
    save_broken_deflated(folder / "damaged")
    ran = run(str(folder), "--url", "http://127.0.0.1:1/dicomweb", home=tmp_path / "state")
    assert ran.returncode == 1 and "/damaged: cannot be read: damaged" in ran.stderr
    assert "0 stored, 1 failed" in ran.stderr and "Traceback" not in ran.stderr
