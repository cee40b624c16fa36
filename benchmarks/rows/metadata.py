"""Metadata of the CT series: fetched anew beside C-GET, and remembered beside Orthanc's."""

from __future__ import annotations

import time

from benchmarks.clients import JSON, curl, getscu
from benchmarks.contest import Contestant
from benchmarks.measurement import Measurement
from benchmarks.rig import DEFAULTS, Rig
from benchmarks.table import Goal, Row, Taken

__all__ = ["ROWS"]

LEAST_BYTES = 10_000
LONGER_THAN_FRESH_S = 2.5
"""More than the default of the setting that says for how long an archive is not asked again."""


def _measure_cold(rig: Rig) -> Measurement:
    archive, load = rig.archive("dcmqrscp"), rig.series
    url = rig.gateway().service("dcmqrscp-c-get") + load.path + "/metadata"
    return rig.compare(
        Contestant("gateway", lambda: _get(url, whole_process=True)),
        Contestant("getscu, the whole series", lambda: getscu(archive, load)),
    )


def _measure_cold_orthanc(rig: Rig) -> Measurement:
    path = rig.series.path + "/metadata"
    own, ours = rig.orthanc().dicomweb_url + path, rig.gateway().service("orthanc-c-get") + path
    return rig.compare(Contestant("gateway", lambda: _get(ours)), Contestant("Orthanc's DICOMweb", lambda: _get(own)))


def _measure_warm(rig: Rig) -> Measurement:
    """Asked again at once, and asked again when the gateway has to make sure that nothing has changed."""
    path = rig.series.path + "/metadata"
    own, ours = rig.orthanc().dicomweb_url + path, rig.gateway(DEFAULTS).service("orthanc-c-get") + path

    def get_validated() -> float:
        time.sleep(LONGER_THAN_FRESH_S)
        return _get(ours)

    _get(ours)
    return rig.compare(
        Contestant("gateway, warm", lambda: _get(ours)),
        Contestant("Orthanc's DICOMweb", lambda: _get(own)),
        *([] if rig.quick else [Contestant("gateway, warm, after 2.5 s of silence", get_validated)]),
    )


def _get(url: str, *, whole_process: bool = False) -> float:
    return curl(url, accept=JSON, min_bytes=LEAST_BYTES, whole_process=whole_process).seconds


ROWS = (
    Row(
        "metadata-cold",
        "series metadata, cold, dcmqrscp without Nagle",
        "getscu of the series, without Nagle on both sides",
        Goal(Taken.RATIO, 1.5),
        _measure_cold,
    ),
    Row(
        "metadata-orthanc",
        "series metadata, cold, Orthanc",
        "Orthanc's metadata",
        Goal(Taken.RATIO),
        _measure_cold_orthanc,
    ),
    Row("metadata-warm", "series metadata, warm cache", "Orthanc's metadata", Goal(Taken.RATIO, 0.1), _measure_warm),
)
