"""``python -m benchmarks``: every comparison, one table; ``--quick`` for a smaller run."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import Contestant, run_in_turn, time_curl, time_process
from benchmarks.memory import MemoryFigure, measure_slow_reader
from benchmarks.report import Comparison, describe_machine, render_markdown, write_results
from benchmarks.rig import Load, RunningGateway, make_loads, run_archives, run_gateway
from tests.support.peers import LOOPBACK, MoveDestination, OrthancPeer, Peer, find_free_port, find_program

DATA = Path(".benchmark-data")
RESULTS = Path("benchmarks/results")
AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
JSON = "application/dicom+json"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller loads")
    quick = parser.parse_args().quick
    rounds = 3 if quick else 7
    series, large = make_loads(DATA, slices=50 if quick else 200, gib=0.25 if quick else 1.0)
    destination = MoveDestination("GATEWAY", find_free_port())
    with (
        tempfile.TemporaryDirectory() as folder,
        run_archives(Path(folder), destination, series) as archives,
        run_gateway(archives, destination) as gateway,
    ):
        comparisons = [
            *(compare_series(name, archive, archives, gateway, series, rounds) for name, archive in archives.items()),
            compare_metadata(archives, gateway, series, rounds),
        ]
    memory = list(watch_memory(large, destination))
    machine = describe_machine()
    print(render_markdown(machine, comparisons, memory))
    print(f"written to {write_results(RESULTS, machine, comparisons, memory)}", file=sys.stderr)


def compare_series(
    name: str, archive: Peer, archives: dict[str, Peer], gateway: RunningGateway, load: Load, rounds: int
) -> Comparison:
    """A whole series from one archive: DCMTK's getscu without Nagle, the gateway both ways, pynetdicom.

    The getscu always talks to the archive without Nagle: with it, each instance waits 45 ms.
    """
    print(f"series from {name} …", file=sys.stderr)
    fast = archives[name.removesuffix("-stock")]
    contestants = [
        Contestant("getscu", lambda: time_process(_getscu(fast, load), _without_nagle())),
        *(_by_gateway(gateway, f"{name}-{method}", load) for method in ("c-get", "c-move")),
        Contestant("pynetdicom C-GET", lambda: time_process(_pynetdicom(archive, load), dict(os.environ))),
    ]
    if isinstance(archive, OrthancPeer):
        url = archive.dicomweb_url + load.path
        contestants.append(
            Contestant("Orthanc's DICOMweb", lambda: time_curl(url, accept=AS_STORED, min_bytes=load.size))
        )
    title = f"Series of {len(load.files)} × {load.size // len(load.files) // 1000} kB from {name}"
    return Comparison(title, load.size, tuple(run_in_turn(contestants, rounds=rounds)))


def compare_metadata(archives: dict[str, Peer], gateway: RunningGateway, load: Load, rounds: int) -> Comparison:
    """Metadata of the series: Orthanc's own, and the gateway from both archives."""
    print("metadata …", file=sys.stderr)
    orthanc = archives["orthanc"]
    assert isinstance(orthanc, OrthancPeer)
    urls = {"Orthanc's DICOMweb": orthanc.dicomweb_url} | {
        f"gateway, {name}": gateway.service(f"{name}-c-get") for name in ("orthanc", "dcmqrscp")
    }
    contestants = [_get_metadata(name, root + load.path + "/metadata") for name, root in urls.items()]
    figures = tuple(run_in_turn(contestants, rounds=rounds))
    return Comparison("Metadata of the series (MB/s of the instances behind)", load.size, figures)


def watch_memory(load: Load, destination: MoveDestination) -> Sequence[MemoryFigure]:
    """The large instance from Orthanc through the gateway to readers limited to 50 MB/s."""
    print("memory …", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        archive = OrthancPeer(Path(folder), move_destinations=(destination,), tcp_nodelay=True)
        with archive:
            archive.load(load.files)
            with run_gateway({"orthanc": archive}, destination) as gateway:
                path = f"{load.path}/instances/{load.instance}"
                return [
                    measure_slow_reader(
                        f"{load.size / 2**30:.2f} GiB instance, {method}, reader at 50 MB/s",
                        gateway.process.pid,
                        gateway.service(f"orthanc-{method}") + path,
                        rate="50M",
                        accept=AS_STORED,
                    )
                    for method in ("c-get", "c-move")
                ]


def _by_gateway(gateway: RunningGateway, backend: str, load: Load) -> Contestant:
    url = gateway.service(backend) + load.path
    method = "C-GET" if backend.endswith("c-get") else "C-MOVE"
    return Contestant(f"gateway, {method}", lambda: time_curl(url, accept=AS_STORED, min_bytes=load.size))


def _get_metadata(name: str, url: str) -> Contestant:
    return Contestant(name, lambda: time_curl(url, accept=JSON, min_bytes=1_000))


def _getscu(archive: Peer, load: Load) -> list[str]:
    keys = ["QueryRetrieveLevel=SERIES", f"StudyInstanceUID={load.study}", f"SeriesInstanceUID={load.series}"]
    options = [part for key in keys for part in ("-k", key)]
    peer = [LOOPBACK, str(archive.dicom_port)]
    return [find_program("getscu"), "-S", "--ignore", "-pdu", "131072", "-aec", archive.ae_title, *options, *peer]


def _pynetdicom(archive: Peer, load: Load) -> list[str]:
    peer = [LOOPBACK, str(archive.dicom_port), archive.ae_title, load.study, load.series]
    return [sys.executable, "-m", "benchmarks.pynetdicom_get", *peer]


def _without_nagle() -> dict[str, str]:
    return {**os.environ, "TCP_NODELAY": "1"}


if __name__ == "__main__":
    main()
