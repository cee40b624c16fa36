"""What the benchmarks run on: archives filled with the loads, the gateway in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pydicom

from gateway.sandbox.loads import write_ct_series, write_multiframe
from tests.support.peers import LOOPBACK, DcmqrscpPeer, MoveDestination, OrthancPeer, Peer, find_free_port

__all__ = ["Load", "RunningGateway", "make_loads", "run_archives", "run_gateway"]

START_LIMIT_S = 30


@dataclass(frozen=True, slots=True)
class Load:
    """Instances in files, of one series."""

    files: tuple[Path, ...]
    study: str
    series: str
    instance: str
    size: int

    @classmethod
    def read(cls, files: Sequence[Path]) -> Load:
        """Describe `files` by the first of them."""
        head = pydicom.dcmread(files[0], stop_before_pixels=True)
        size = sum(file.stat().st_size for file in files)
        return cls(tuple(files), head.StudyInstanceUID, head.SeriesInstanceUID, head.SOPInstanceUID, size)

    @property
    def path(self) -> str:
        """URL path of the series."""
        return f"/studies/{self.study}/series/{self.series}"


def make_loads(directory: Path, *, slices: int, gib: float) -> tuple[Load, Load]:
    """The CT series and the multi-frame instance; made once, then reused."""
    loads = []
    for name, write in (
        (f"ct-{slices}", lambda folder: write_ct_series(folder, slices=slices)),
        (f"multiframe-{gib:g}", lambda folder: write_multiframe(folder, gib=gib)),
    ):
        folder = directory / name
        if not (folder / "complete").exists():
            folder.mkdir(parents=True, exist_ok=True)
            write(folder)
            (folder / "complete").touch()
        loads.append(Load.read(sorted(folder.rglob("*.dcm"))))
    return loads[0], loads[1]


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """A gateway in its own process."""

    url: str
    process: subprocess.Popen[bytes]

    def service(self, backend: str) -> str:
        """Root of the DICOMweb service of a backend."""
        return f"{self.url}/backends/{backend}/dicomweb"


@contextmanager
def run_archives(directory: Path, destination: MoveDestination, load: Load) -> Iterator[dict[str, Peer]]:
    """Orthanc and dcmqrscp, each with and without Nagle's algorithm, all holding `load`."""
    with ExitStack() as stack:
        archives: dict[str, Peer] = {}
        for name, kind in (("dcmqrscp", DcmqrscpPeer), ("orthanc", OrthancPeer)):
            for nodelay in (True, False):
                full = name + ("" if nodelay else "-stock")
                filling = kind(directory / full, move_destinations=(destination,), tcp_nodelay=True)
                with filling:
                    filling.load(load.files)
                archive = kind(directory / full, move_destinations=(destination,), tcp_nodelay=nodelay)
                archives[full] = stack.enter_context(archive)
        yield archives


@contextmanager
def run_gateway(archives: dict[str, Peer], destination: MoveDestination) -> Iterator[RunningGateway]:
    """The gateway with two backends an archive: one for C-GET, one for C-MOVE."""
    port = find_free_port()
    environment = {"PATH": "/usr/bin:/bin", "GATEWAY__LOG__LEVEL": "warning"}
    flags = ["--listen", f"{LOOPBACK}:{port}", "--dimse-listen", f"{LOOPBACK}:{destination.port}"]
    for name, archive in archives.items():
        for method in ("c-get", "c-move"):
            backend = f"{name}-{method}"
            flags += ["--backend", f"{backend}={archive.ae_title}@{LOOPBACK}:{archive.dicom_port}"]
            environment[f"GATEWAY__BACKENDS__{backend}__RETRIEVE"] = method
    command = [sys.executable, "-m", "gateway", "serve", "--ae-title", destination.ae_title, *flags]
    process = subprocess.Popen(command, env=environment)
    try:
        url = f"http://{LOOPBACK}:{port}"
        _wait_until_ready(url)
        yield RunningGateway(url, process)
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait_until_ready(url: str) -> None:
    limit = time.monotonic() + START_LIMIT_S
    while True:
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=2) as answer:
                json.load(answer)
                return
        except OSError:
            if time.monotonic() > limit:
                raise
            time.sleep(0.05)
