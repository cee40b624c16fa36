"""Pictures: a rendered slice, many at a time, a thumbnail, a frame of the large instance, beside Orthanc's own.

Orthanc renders with its DICOMweb plugin. It has no thumbnails: its picture of the same size of one instance stands for
one, which spares it the choice.
"""

from __future__ import annotations

from benchmarks.clients import curl, curl_many
from benchmarks.contest import Contestant
from benchmarks.measurement import Measurement
from benchmarks.rig import DEFAULTS, Rig
from benchmarks.table import Goal, Row, Taken

__all__ = ["ROWS"]

JPEG = "image/jpeg"
LEAST_BYTES = 500
AT_ONCE = 8
SIDE = 256


def _list_instances(rig: Rig) -> list[str]:
    return [f"{rig.series.path}/instances/{uid}" for uid in rig.series.list_uids("SOPInstanceUID")]


def _compare_frame(rig: Rig) -> Measurement:
    path = f"{_list_instances(rig)[0]}/frames/1/rendered"
    own, ours = rig.orthanc().dicomweb_url + path, rig.gateway(DEFAULTS).service("orthanc-c-get") + path
    _get(ours)  # a worker runs and has loaded its codecs
    return rig.compare(Contestant("gateway", lambda: _get(ours)), Contestant("Orthanc's DICOMweb", lambda: _get(own)))


def _compare_many(rig: Rig) -> Measurement:
    """As a page shows the slices of a series side by side."""
    paths = [f"{path}/rendered?viewport={SIDE},{SIDE}" for path in _list_instances(rig)]
    own, ours = rig.orthanc().dicomweb_url, rig.gateway(DEFAULTS).service("orthanc-c-get")
    _get(ours + paths[0])
    return rig.compare(
        Contestant(f"gateway, {len(paths)} slices, {AT_ONCE} at a time", lambda: _get_all(ours, paths)),
        Contestant("Orthanc's DICOMweb", lambda: _get_all(own, paths)),
        rounds=rig.scale.few_rounds,
    )


def _compare_thumbnail(rig: Rig) -> Measurement:
    """The gateway has to find out first which instance stands for the series."""
    middle = _list_instances(rig)[len(rig.series.files) // 2]
    ours = rig.gateway(DEFAULTS).service("orthanc-c-get") + f"{rig.series.path}/thumbnail"
    own = f"{rig.orthanc().dicomweb_url}{middle}/rendered?viewport={SIDE},{SIDE}"
    _get(ours)
    return rig.compare(Contestant("gateway", lambda: _get(ours)), Contestant("Orthanc's DICOMweb", lambda: _get(own)))


def _compare_large(rig: Rig) -> Measurement:
    path = f"{rig.multiframe.path}/instances/{rig.multiframe.instance}/frames/1/rendered"
    own = rig.orthanc("orthanc-large").dicomweb_url + path
    ours = rig.gateway(DEFAULTS).service("orthanc-large-c-get") + path
    return rig.compare(
        Contestant("gateway", lambda: _get(ours)),
        Contestant("Orthanc's DICOMweb", lambda: _get(own)),
        rounds=rig.scale.few_rounds,
        note=f"{rig.scale.gib:g} GiB from Orthanc without Nagle",
    )


def _get(url: str) -> float:
    return curl(url, accept=JPEG, min_bytes=LEAST_BYTES).seconds


def _get_all(service: str, paths: list[str]) -> float:
    return curl_many([service + path for path in paths], accept=JPEG, min_bytes=LEAST_BYTES, at_once=AT_ONCE)[0]


ROWS = (
    Row("rendered-frame", "one slice as JPEG", "Orthanc's same request", Goal(Taken.RATIO), _compare_frame),
    Row(
        "rendered-many", "every slice as JPEG, 8 at a time", "Orthanc's same requests", Goal(Taken.RATIO), _compare_many
    ),
    Row(
        "thumbnail",
        "thumbnail of the CT series",
        "Orthanc's picture of one instance in that size",
        Goal(Taken.RATIO),
        _compare_thumbnail,
    ),
    Row(
        "rendered-large",
        "frame 1 of the large multi-frame as JPEG",
        "Orthanc's same request",
        Goal(Taken.RATIO),
        _compare_large,
    ),
)
