"""The programs that do the asking: curl on the web side, DCMTK's and pynetdicom's programs on the other.

Each runs to its end, is checked, and gives seconds. Beside a program of DCMTK the whole life of the process counts on
both sides, its start included; beside another HTTP server, curl's own clock on both sides.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.loads import Load
from tests.support.peers import LOOPBACK, Peer, find_program

__all__ = [
    "AS_STORED",
    "FRAMES",
    "JSON",
    "RUN_LIMIT_S",
    "Transfer",
    "curl",
    "curl_many",
    "getscu",
    "movescu",
    "pynetdicom_get",
    "storescu",
    "without_nagle",
]

AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
FRAMES = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
JSON = "application/dicom+json"
RUN_LIMIT_S = 240
LARGEST_PDU = "131072"


@dataclass(frozen=True, slots=True)
class Transfer:
    """One answer as curl saw it; times in seconds from the beginning of the transfer, connecting included."""

    status: int
    size: int
    first_byte_s: float
    seconds: float


_WRITE_OUT = "%{http_code} %{size_download} %{time_starttransfer} %{time_total}\\n"


def curl(
    url: str, *, accept: str, min_bytes: int, options: Sequence[str] = (), whole_process: bool = False
) -> Transfer:
    """Get `url` and throw the answer away.

    Raises
    ------
    RuntimeError
        Not a success, or fewer than `min_bytes` came: a wrong answer must not look like a fast one.
    """
    command = [find_program("curl"), "-sS", "-o", "/dev/null", "-w", _WRITE_OUT, "-H", f"Accept: {accept}"]
    lived, output = _run([*command, *options, url])
    transfer = _read_transfers(output)[0]
    _check(transfer, min_bytes, url)
    return Transfer(transfer.status, transfer.size, transfer.first_byte_s, lived) if whole_process else transfer


def curl_many(
    urls: Sequence[str], *, accept: str, min_bytes: int, at_once: int, options: Sequence[str] = ()
) -> tuple[float, tuple[Transfer, ...]]:
    """Get all `urls` by one curl, so many `at_once`, each connection kept; seconds of the whole process.

    Raises
    ------
    RuntimeError
        As `curl`, for any of them.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".curl") as file:
        file.write("".join(f'url = "{url}"\noutput = "/dev/null"\n' for url in urls))
        file.flush()
        command = [find_program("curl"), "-sS", "--parallel", "--parallel-immediate", "--parallel-max", str(at_once)]
        command += ["-w", _WRITE_OUT, "-H", f"Accept: {accept}", *options, "--config", file.name]
        lived, output = _run(command)
    transfers = _read_transfers(output)
    if len(transfers) != len(urls):
        raise RuntimeError(f"curl reports {len(transfers)} of {len(urls)} transfers")
    for transfer in transfers:
        _check(transfer, min_bytes, urls[0])
    return lived, transfers


def _read_transfers(output: str) -> tuple[Transfer, ...]:
    rows = (line.split() for line in output.splitlines() if line.strip())
    return tuple(Transfer(int(row[0]), int(row[1]), float(row[2]), float(row[3])) for row in rows)


def _check(transfer: Transfer, min_bytes: int, url: str) -> None:
    if transfer.status not in (200, 206) or transfer.size < min_bytes:
        raise RuntimeError(f"{url}: status {transfer.status}, {transfer.size} bytes")


def getscu(archive: Peer, load: Load) -> float:
    """C-GET of the series by DCMTK without Nagle's algorithm; what comes is discarded."""
    command = [find_program("getscu"), "-S", "--ignore", "-pdu", LARGEST_PDU, *_call(archive)]
    return _run([*command, *_series_keys(load), LOOPBACK, str(archive.dicom_port)], without_nagle())[0]


def movescu(archive: Peer, load: Load, destination: str) -> float:
    """C-MOVE of the series to the storescp called `destination`."""
    command = [find_program("movescu"), "-S", *_call(archive), "-aem", destination]
    return _run([*command, *_series_keys(load), LOOPBACK, str(archive.dicom_port)], without_nagle())[0]


def storescu(archive: Peer, folder: Path) -> float:
    """C-STORE of all files of `folder` by DCMTK without Nagle's algorithm, on one association."""
    command = [find_program("storescu"), "+sd", "+r", "-pdu", LARGEST_PDU, *_call(archive)]
    return _run([*command, LOOPBACK, str(archive.dicom_port), str(folder)], without_nagle())[0]


def pynetdicom_get(port: int, ae_title: str, study: str, series: str, *options: str) -> Mapping[str, Any]:
    """C-GET by pynetdicom in a process of its own; see ``pynetdicom_get.py`` for what it tells."""
    command = [sys.executable, "-m", "benchmarks.pynetdicom_get", LOOPBACK, str(port), ae_title, study, series]
    command += options
    told: Mapping[str, Any] = json.loads(_run(command)[1])
    return told


def without_nagle() -> dict[str, str]:
    """The environment in which DCMTK turns Nagle's algorithm off."""
    return {**os.environ, "TCP_NODELAY": "1"}


def _call(archive: Peer) -> list[str]:
    return ["-aec", archive.ae_title]


def _series_keys(load: Load) -> list[str]:
    keys = ["QueryRetrieveLevel=SERIES", f"StudyInstanceUID={load.study}", f"SeriesInstanceUID={load.series}"]
    return [part for key in keys for part in ("-k", key)]


def _run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> tuple[float, str]:
    """Seconds from start to end, and what it printed.

    Raises
    ------
    RuntimeError
        It failed, or did not end within the limit.
    """
    begun = time.perf_counter()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=RUN_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{Path(command[0]).name}: not done within {RUN_LIMIT_S} s") from error
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name}: exit {done.returncode}: {done.stderr.strip()[-300:]}")
    return seconds, done.stdout
