"""Single frames: of one very large instance, and many small ones as a viewer asks for them."""

from __future__ import annotations

import time
from collections.abc import Callable

import pydicom

from benchmarks.clients import AS_STORED, FRAMES, curl, curl_many
from benchmarks.contest import Contestant
from benchmarks.measurement import Measurement
from benchmarks.processes import watch_memory
from benchmarks.raw_association import RawAssociation
from benchmarks.rig import DEFAULTS, Rig
from benchmarks.samples import Samples
from benchmarks.saturating_scp import SLICE_BYTES, make_study
from benchmarks.table import Goal, Row, Taken

__all__ = ["ROWS"]

AT_ONCE = 25
LONGER_THAN_FRESH_S = 2.5
ARCHIVE = "orthanc-large"
BACKEND = f"{ARCHIVE}-c-get"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"


def _frame_path(rig: Rig, number: int) -> str:
    return f"{rig.multiframe.path}/instances/{rig.multiframe.instance}/frames/{number}"


def _count_frames(rig: Rig) -> int:
    head = pydicom.dcmread(rig.multiframe.files[0], specific_tags=["NumberOfFrames"], stop_before_pixels=True)
    return int(head.NumberOfFrames)


def _compare_frame(choose: Callable[[Rig], int]) -> Callable[[Rig], Measurement]:
    def measure(rig: Rig) -> Measurement:
        path = _frame_path(rig, choose(rig))
        own, ours = rig.orthanc(ARCHIVE).dicomweb_url + path, rig.gateway().service(BACKEND) + path
        return rig.compare(
            Contestant("gateway", lambda: _get(ours)),
            Contestant("Orthanc's DICOMweb", lambda: _get(own)),
            Contestant("Orthanc's first C-STORE byte, C-GET on an open association", lambda: _wait_for_store(rig)),
            rounds=rig.scale.few_rounds,
            note=f"{rig.scale.gib:g} GiB from Orthanc without Nagle",
        )

    return measure


def _wait_for_store(rig: Rig) -> float:
    """Below this no gateway in front of that archive can come."""
    archive, load = rig.archive(ARCHIVE), rig.multiframe
    identifier = {0x00080052: "IMAGE", 0x0020000D: load.study, 0x0020000E: load.series, 0x00080018: load.instance}
    with RawAssociation(archive.dicom_port, archive.ae_title, storage_class=ENHANCED_CT) as association:
        return association.time_first_store(identifier)


def _compare_streaming(rig: Rig) -> Measurement:
    """The same size from an archive that begins to send at once, beside what Orthanc's own DICOMweb takes."""
    rig.start_saturating()
    shape = make_study(1, int(rig.scale.gib * (1 << 30)))
    own = rig.orthanc(ARCHIVE).dicomweb_url + _frame_path(rig, 1)
    ours = f"{rig.gateway().service('saturating')}{shape.path}/instances/{shape.instance(0)}/frames/1"
    return rig.compare(
        Contestant("gateway", lambda: _get(ours)),
        Contestant("Orthanc's DICOMweb", lambda: _get(own)),
        rounds=rig.scale.few_rounds,
    )


def _get(url: str) -> float:
    return curl(url, accept=FRAMES, min_bytes=SLICE_BYTES).seconds


def _compare_memory(rig: Rig) -> Measurement:
    """Both fresh in each round: what a process once took from the system it seldom gives back."""
    path, archive = _frame_path(rig, 1), rig.orthanc(ARCHIVE)
    ours, beside = [], []
    for _ in range(rig.scale.few_rounds):
        archive.kill()  # at once; its data is on disk
        archive.start()
        assert archive.pid is not None
        with watch_memory(archive.pid) as watch:
            _get(archive.dicomweb_url + path)
        beside.append(watch.growth_mib)
        with rig.fresh_gateway(BACKEND) as gateway:
            with watch_memory(gateway.pid) as watch:
                _get(gateway.service(BACKEND) + path)
            ours.append(watch.growth_mib)
    return Measurement(Samples("gateway, growth", "MiB", tuple(ours)), Samples("Orthanc, growth", "MiB", tuple(beside)))


def _compare_viewer(rig: Rig) -> Measurement:
    """Defaults, nothing remembered: before each round the gateway is left alone until what it knows is stale."""
    rig.archive("dcmqrscp")
    load = rig.series
    service = rig.gateway(DEFAULTS).service("dcmqrscp-c-get")
    urls = [f"{service}{load.path}/instances/{uid}/frames/1" for uid in load.list_uids("SOPInstanceUID")]

    def get_frames() -> float:
        time.sleep(LONGER_THAN_FRESH_S)
        return curl_many(urls, accept=FRAMES, min_bytes=SLICE_BYTES, at_once=AT_ONCE)[0]

    def get_series() -> float:
        time.sleep(LONGER_THAN_FRESH_S)
        return curl(service + load.path, accept=AS_STORED, min_bytes=load.size, whole_process=True).seconds

    return rig.compare(
        Contestant(f"gateway, {len(urls)} frames, {AT_ONCE} at a time", get_frames),
        Contestant("gateway, one series retrieve", get_series),
        rounds=rig.scale.few_rounds,
    )


ROWS = (
    Row(
        "frame-first",
        "frame 1 of the large multi-frame",
        "Orthanc's same request",
        Goal(Taken.RATIO, 0.02),
        _compare_frame(lambda rig: 1),
    ),
    Row(
        "frame-first-streaming",
        "same, from an archive that begins to send at once",
        "Orthanc's request for one of this size",
        Goal(Taken.RATIO, 0.02),
        _compare_streaming,
    ),
    Row(
        "frame-memory",
        "same, growth of memory of a fresh process",
        "Orthanc's",
        Goal(Taken.RATIO, 0.02),
        _compare_memory,
    ),
    Row(
        "frame-last",
        "last frame of it",
        "Orthanc's same request",
        Goal(Taken.RATIO, 0.6),
        _compare_frame(_count_frames),
    ),
    Row(
        "viewer",
        "single-frame requests for a whole series, 25 at a time, cold",
        "the one series retrieve",
        Goal(Taken.RATIO, 2.0),
        _compare_viewer,
    ),
)
