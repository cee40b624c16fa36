"""Storing the CT series."""

from __future__ import annotations

from benchmarks.clients import JSON, curl, storescu
from benchmarks.contest import Contestant
from benchmarks.loads import BOUNDARY, write_upload
from benchmarks.measurement import Measurement
from benchmarks.processes import MIB, watch_memory
from benchmarks.rig import Rig
from benchmarks.samples import Samples
from benchmarks.table import Goal, Row, Taken

__all__ = ["ROWS"]

TYPE = f'Content-Type: multipart/related; type="application/dicom"; boundary={BOUNDARY}'
LEAST_BYTES = 100
LATER_UPLOADS = 3


def _compare_dcmqrscp(rig: Rig) -> Measurement:
    archive, load = rig.archive("dcmqrscp-empty"), rig.series
    url = rig.gateway().service("dcmqrscp-empty-c-get") + "/studies"
    return rig.compare(
        Contestant("gateway", lambda: _post(rig, url, whole_process=True)),
        Contestant("storescu", lambda: storescu(archive, load.folder)),
        rounds=3 * rig.scale.rounds,  # short ones, and the archive takes most of the time
    )


def _compare_orthanc(rig: Rig) -> Measurement:
    """Beside its own DICOMweb by curl's clock on both sides, and DCMTK's program, whose whole life counts."""
    archive, load = rig.orthanc("orthanc-empty"), rig.series
    own = archive.dicomweb_url + "/studies"
    url = rig.gateway().service("orthanc-empty-c-get") + "/studies"
    return rig.compare(
        Contestant("gateway", lambda: _post(rig, url)),
        Contestant("Orthanc's DICOMweb", lambda: _post(rig, own)),
        Contestant("storescu", lambda: storescu(archive, load.folder)),
        rounds=rig.scale.rounds,
    )


def _compare_orthanc_storescu(rig: Rig) -> Measurement:
    archive, load = rig.orthanc("orthanc-empty"), rig.series
    url = rig.gateway().service("orthanc-empty-c-get") + "/studies"
    return rig.compare(
        Contestant("gateway", lambda: _post(rig, url, whole_process=True)),
        Contestant("storescu", lambda: storescu(archive, load.folder)),
        rounds=rig.scale.rounds,
    )


def _measure_memory(rig: Rig) -> Measurement:
    """A gateway that has done nothing yet: the first upload loads what later ones need."""
    rig.archive("dcmqrscp-empty")
    with rig.fresh_gateway("dcmqrscp-empty-c-get") as gateway:
        url = gateway.service("dcmqrscp-empty-c-get") + "/studies"
        with watch_memory(gateway.pid) as first:
            _post(rig, url)
        with watch_memory(gateway.pid) as later:
            for _ in range(LATER_UPLOADS):
                _post(rig, url)
    return Measurement(
        Samples("later uploads, growth", "MiB", (later.growth_mib,)),
        None,
        (
            Samples("first upload, growth", "MiB", (first.growth_mib,)),
            Samples("peak", "MiB", (max(first.peak, later.peak) / MIB,)),
        ),
        f"{LATER_UPLOADS} uploads of {rig.series.size / 1e6:,.0f} MB after a first one",
    )


def _post(rig: Rig, url: str, *, whole_process: bool = False) -> float:
    """Upload by curl, the body read from the file as it goes; anything but 200 means that something was refused."""
    body = write_upload(rig.series)
    options = ["-X", "POST", "-H", TYPE, "-H", "Expect:", "-T", str(body)]
    done = curl(url, accept=JSON, min_bytes=LEAST_BYTES, options=options, whole_process=whole_process)
    if done.status != 200:
        raise RuntimeError(f"store answered {done.status}")
    return done.seconds


ROWS = (
    Row(
        "store-dcmqrscp",
        "store of the series to dcmqrscp without Nagle",
        "storescu without Nagle",
        Goal(Taken.RATIO, 1.0),
        _compare_dcmqrscp,
    ),
    Row(
        "store-orthanc",
        "store of the series to Orthanc",
        "Orthanc's own DICOMweb",
        Goal(Taken.RATIO, 1.0),
        _compare_orthanc,
    ),
    Row(
        "store-orthanc-storescu",
        "same",
        "storescu without Nagle",
        Goal(Taken.RATIO, 1.0),
        _compare_orthanc_storescu,
    ),
    Row(
        "store-memory",
        "memory while the series is stored in dcmqrscp",
        "–",
        Goal(Taken.VALUE, 8, unit="MiB"),
        _measure_memory,
    ),
)
