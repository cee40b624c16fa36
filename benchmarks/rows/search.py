"""Searches: what they cost over the C-FIND behind them, and beside Orthanc's QIDO; many tiny objects."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from benchmarks.clients import AS_STORED, JSON, curl, curl_many
from benchmarks.contest import Contestant
from benchmarks.keep_alive import KeepAlive
from benchmarks.measurement import Measurement
from benchmarks.raw_association import RawAssociation
from benchmarks.rig import Rig
from benchmarks.table import Goal, Row, Taken

__all__ = ["ROWS"]

LEAST_BYTES = 200
SEARCHES_A_ROUND = 20
AT_ONCE = 8
STUDY_UID, QUERY_LEVEL = 0x0020000D, 0x00080052
STUDY_KEYS = (
    0x00080005,
    0x00080020,
    0x00080030,
    0x00080050,
    0x00080056,
    0x00080061,
    0x00080090,
    0x00080201,
    0x00100010,
    0x00100020,
    0x00100030,
    0x00100040,
    0x00200010,
    0x00201206,
    0x00201208,
)
"""What a search for studies returns (PS3.18 Table 10.6.3-3)."""


def _compare_find(name: str) -> Callable[[Rig], Measurement]:
    """Both on connections that are open; each figure is the median of a row of searches."""

    def measure(rig: Rig) -> Measurement:
        archive, load = rig.archive(name), rig.series
        identifier = dict.fromkeys(STUDY_KEYS, "") | {QUERY_LEVEL: "STUDY", STUDY_UID: load.study}
        path = f"/studies?StudyInstanceUID={load.study}"
        service = rig.gateway().service(f"{name}-c-get")
        with KeepAlive(service) as client, RawAssociation(archive.dicom_port, archive.ae_title) as association:

            def search() -> float:
                return client.get(path, accept=JSON, min_bytes=LEAST_BYTES).seconds

            def find() -> float:
                seconds, matches = association.time_find(identifier)
                if matches != 1:
                    raise RuntimeError(f"C-FIND gave {matches} matches instead of one")
                return seconds

            return rig.compare(
                Contestant("gateway, open connection", lambda: _repeat(search)),
                Contestant("C-FIND, open association", lambda: _repeat(find)),
            )

    return measure


def _repeat(run: Callable[[], float]) -> float:
    return statistics.median(run() for _ in range(SEARCHES_A_ROUND))


def _compare_instances(rig: Rig) -> Measurement:
    path = f"{rig.series.path}/instances"
    own, ours = rig.orthanc().dicomweb_url + path, rig.gateway().service("orthanc-c-get") + path
    return rig.compare(
        Contestant("gateway", lambda: _get(ours)),
        Contestant("Orthanc's QIDO", lambda: _get(own)),
        note=f"{len(rig.series.files)} instances",
    )


def _compare_studies(rig: Rig) -> Measurement:
    path = "/studies?limit=1000"
    own, ours = rig.orthanc("orthanc-many").dicomweb_url + path, rig.gateway().service("orthanc-many-c-get") + path
    return rig.compare(
        Contestant("gateway", lambda: _get(ours)),
        Contestant("Orthanc's QIDO", lambda: _get(own)),
        note=f"{len(rig.many.list_uids('StudyInstanceUID'))} studies",
    )


def _get(url: str) -> float:
    return curl(url, accept=JSON, min_bytes=LEAST_BYTES).seconds


def _compare_tiny(rig: Rig) -> Measurement:
    studies = rig.many.list_uids("StudyInstanceUID")
    own, ours = rig.orthanc("orthanc-many").dicomweb_url, rig.gateway().service("orthanc-many-c-get")

    def get_all(root: str) -> float:
        urls = [f"{root}/studies/{uid}" for uid in studies]
        return curl_many(urls, accept=AS_STORED, min_bytes=LEAST_BYTES, at_once=AT_ONCE)[0]

    return rig.compare(
        Contestant("gateway", lambda: get_all(ours)),
        Contestant("Orthanc's DICOMweb", lambda: get_all(own)),
        rounds=rig.scale.few_rounds,
        note=f"{len(rig.many.files)} objects in {len(studies)} studies",
    )


_REPORTED = Goal(Taken.RATIO)

ROWS = (
    Row(
        "search-study",
        "search, one study, Orthanc without Nagle",
        "C-FIND alone on an open association",
        Goal(Taken.DIFFERENCE, 1, unit="ms", factor=1e3),
        _compare_find("orthanc"),
    ),
    Row(
        "search-study-dcmqrscp",
        "same, dcmqrscp, which leaves out the counts",
        "one C-FIND alone on an open association",
        Goal(Taken.DIFFERENCE, 1, unit="ms", factor=1e3),
        _compare_find("dcmqrscp"),
    ),
    Row(
        "search-instances",
        "search, the instances of the series, Orthanc",
        "Orthanc's QIDO of the same",
        Goal(Taken.RATIO, 0.25),
        _compare_instances,
    ),
    Row("search-studies", "search, every study of many", "Orthanc's QIDO of the same", _REPORTED, _compare_studies),
    Row(
        "tiny-objects",
        f"tiny objects, study by study, {AT_ONCE} at a time",
        "Orthanc's own DICOMweb",
        _REPORTED,
        _compare_tiny,
    ),
)
