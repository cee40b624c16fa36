"""Storing the CT series."""

from __future__ import annotations

from benchmarks.clients import JSON, curl, storescu
from benchmarks.contest import Contestant
from benchmarks.loads import BOUNDARY, write_upload
from benchmarks.rig import Rig
from benchmarks.table import Goal, Measurement, Row, Taken

__all__ = ["ROWS"]

TYPE = f'Content-Type: multipart/related; type="application/dicom"; boundary={BOUNDARY}'
LEAST_BYTES = 100


def _compare_dcmqrscp(rig: Rig) -> Measurement:
    archive, load = rig.archive("dcmqrscp-empty"), rig.series
    url = rig.gateway().service("dcmqrscp-empty-c-get") + "/studies"
    return rig.compare(
        Contestant("gateway", lambda: _post(rig, url, whole_process=True)),
        Contestant("storescu", lambda: storescu(archive, load.folder)),
        rounds=rig.scale.middling_rounds,
    )


def _compare_orthanc(rig: Rig) -> Measurement:
    own = rig.orthanc("orthanc-empty").dicomweb_url + "/studies"
    url = rig.gateway().service("orthanc-empty-c-get") + "/studies"
    return rig.compare(
        Contestant("gateway", lambda: _post(rig, url)),
        Contestant("Orthanc's DICOMweb", lambda: _post(rig, own)),
        rounds=rig.scale.few_rounds,
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
        "store-orthanc", "store of the series to Orthanc", "Orthanc's own DICOMweb", Goal(Taken.RATIO), _compare_orthanc
    ),
)
