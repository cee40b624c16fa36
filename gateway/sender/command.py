"""What ``dicomweb-gateway store`` does: find, send, tell, and on request have the archive commit.

Told on standard error: a progress bar on a terminal, then a summary with every file that was not stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from gateway.sender.commitment import CommitmentFailed, commit
from gateway.sender.files import InstanceFile, UnreadableFile, find_files, read_instance_file
from gateway.sender.journal import Journal
from gateway.sender.stow import Outcome, ServiceUnavailable, StowClient, divide

__all__ = ["Order", "Summary", "store_files"]

IDLE_LIMIT_S = 300.0
"""Longest silence of the service: an archive may take its time after the last byte."""

SHOWN = 20
"""Troubles told one by one; of the rest only the number."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to do.

    Parameters
    ----------
    paths
        Files and folders.
    url
        The service root.
    headers
        Sent with each request, for instance Authorization.
    at_once
        Requests side by side.
    max_files, max_bytes
        Of one request.
    commit_s
        Longest wait for storage commitment in seconds; 0: none is asked for.
    """

    paths: Sequence[Path]
    url: str
    journal: Path
    headers: Mapping[str, str] = field(default_factory=dict)
    at_once: int = 1
    max_files: int = 200
    max_bytes: int = 1_073_741_824
    commit_s: float = 0.0


@dataclass(slots=True)
class Summary:
    """What came of it: counts, and what went wrong by file."""

    stored: int = 0
    skipped: int = 0
    not_dicom: int = 0
    warnings: int = 0
    committed: int = 0
    troubles: list[tuple[Path, str]] = field(default_factory=list)
    failure: str = ""

    @property
    def is_success(self) -> bool:
        """Whether every instance is stored, and committed if that was asked for."""
        return not self.troubles and not self.failure


async def store_files(order: Order, console: Console) -> Summary:
    """Carry out `order`, tell it on `console`, and leave the journal only where something is left to do.

    Raises
    ------
    ConfigurationError
        The journal is of another service; nothing was sent.
    OSError
        A path does not exist, or the journal cannot be read or written.
    """
    summary = Summary()
    files = await asyncio.to_thread(_read_files, order.paths, summary)
    with Journal(order.journal, order.url) as journal:
        waiting = [file for file in files if not journal.holds(file)]
        summary.skipped = len(files) - len(waiting)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=IDLE_LIMIT_S)
        async with aiohttp.ClientSession(headers=order.headers, timeout=timeout) as session:
            await _send(order, session, waiting, journal, summary, console)
            if order.commit_s and not summary.failure:
                await _commit(order, session, [file for file in files if journal.holds(file)], journal, summary)
        if summary.is_success:
            journal.remove()
    _tell(summary, console, is_committed=bool(order.commit_s))
    return summary


def _read_files(paths: Sequence[Path], summary: Summary) -> list[InstanceFile]:
    files = []
    for path in find_files(paths):
        try:
            file = read_instance_file(path)
        except UnreadableFile as error:
            summary.troubles.append((path, str(error)))
            continue
        if file is None:
            summary.not_dicom += 1
        else:
            files.append(file)
    return files


async def _send(
    order: Order,
    session: aiohttp.ClientSession,
    files: list[InstanceFile],
    journal: Journal,
    summary: Summary,
    console: Console,
) -> None:
    columns = (BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("store", total=sum(file.size for file in files))
        client = StowClient(session, order.url, on_bytes=lambda count: progress.advance(bar, count))
        portions = iter(divide(files, max_files=order.max_files, max_bytes=order.max_bytes))

        async def work() -> None:
            for portion in portions:
                if summary.failure:
                    return
                for outcome in await client.store(portion):
                    _note(outcome, journal, summary)

        try:
            async with asyncio.TaskGroup() as group:
                for number in range(order.at_once):
                    group.create_task(work(), name=f"store {number}")
        except* ServiceUnavailable as failures:
            summary.failure = str(failures.exceptions[0])


def _note(outcome: Outcome, journal: Journal, summary: Summary) -> None:
    if outcome.trouble:
        summary.troubles.append((outcome.file.path, outcome.trouble))
        return
    journal.note(outcome.file)
    summary.stored += 1
    summary.warnings += bool(outcome.warning)


async def _commit(
    order: Order,
    session: aiohttp.ClientSession,
    files: list[InstanceFile],
    journal: Journal,
    summary: Summary,
) -> None:
    if not files:
        return
    try:
        reasons = await commit(session, order.url, files, limit_s=order.commit_s)
    except CommitmentFailed as error:
        summary.failure = f"storage commitment: {error}"
        return
    for file in files:
        if (reason := reasons.get(file.sop_instance_uid)) is None:
            summary.committed += 1
        else:
            journal.withdraw(file)
            summary.troubles.append((file.path, f"not committed: {reason}"))


def _tell(summary: Summary, console: Console, *, is_committed: bool) -> None:
    told = [f"{summary.stored} stored"]
    told += [f"{summary.skipped} stored by an earlier run"] if summary.skipped else []
    told += [f"{summary.warnings} with a warning"] if summary.warnings else []
    told += [f"{summary.committed} committed by the archive"] if is_committed else []
    told += [f"{len(summary.troubles)} failed"] if summary.troubles else []
    told += [f"{summary.not_dicom} no DICOM"] if summary.not_dicom else []
    console.print(", ".join(told), markup=False, highlight=False)
    for path, trouble in summary.troubles[:SHOWN]:
        console.print(f"{path}: {trouble}", markup=False, highlight=False, soft_wrap=True)
    if len(summary.troubles) > SHOWN:
        console.print(f"and {len(summary.troubles) - SHOWN} more", markup=False, highlight=False)
    if summary.failure:
        console.print(f"stopped: {summary.failure}; run it again to go on", markup=False, highlight=False)
