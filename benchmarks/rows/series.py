"""Retrieving the CT series: beside DCMTK's programs, Orthanc's own DICOMweb, a relay, and pynetdicom."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.clients import AS_STORED, curl, getscu, movescu, pynetdicom_get
from benchmarks.contest import Contestant
from benchmarks.measurement import Measurement
from benchmarks.processes import cpu_seconds
from benchmarks.rates import gateway_rate, relay_rate
from benchmarks.rig import Rig
from benchmarks.saturating_scp import AE_TITLE, SLICE_BYTES, make_study
from benchmarks.table import Goal, Row, Taken

__all__ = ["ROWS"]

GIGABYTE = 1e9


def _through_gateway(rig: Rig, backend: str, *, whole_process: bool) -> Contestant:
    load, url = rig.series, rig.gateway().service(backend) + rig.series.path

    def run() -> float:
        done = curl(url, accept=AS_STORED, min_bytes=load.size, whole_process=whole_process)
        return done.seconds

    return Contestant("gateway", run)


def _compare_get(name: str) -> Callable[[Rig], Measurement]:
    def measure(rig: Rig) -> Measurement:
        archive, fast = rig.archive(name), rig.archive(name.removesuffix("-stock"))
        load = rig.series

        def run_pynetdicom() -> float:
            told = pynetdicom_get(archive.dicom_port, archive.ae_title, load.study, load.series)
            return float(told["seconds"])

        others = [Contestant("pynetdicom's C-GET", run_pynetdicom)]
        return rig.compare(
            _through_gateway(rig, f"{name}-c-get", whole_process=True),
            Contestant("getscu", lambda: getscu(fast, load)),
            *([] if rig.quick else others),
        )

    return measure


def _compare_move(name: str) -> Callable[[Rig], Measurement]:
    def measure(rig: Rig) -> Measurement:
        rig.archive(name)
        fast, load, destination = rig.archive(name.removesuffix("-stock")), rig.series, rig.start_storescp()
        return rig.compare(
            _through_gateway(rig, f"{name}-c-move", whole_process=True),
            Contestant("movescu → storescp", lambda: movescu(fast, load, destination)),
        )

    return measure


def _compare_orthanc(rig: Rig) -> Measurement:
    url, load = rig.orthanc().dicomweb_url + rig.series.path, rig.series
    return rig.compare(
        _through_gateway(rig, "orthanc-c-get", whole_process=False),
        Contestant("Orthanc's DICOMweb", lambda: curl(url, accept=AS_STORED, min_bytes=load.size).seconds),
        _rename(_through_gateway(rig, "orthanc-c-move", whole_process=False), "gateway, C-MOVE"),
    )


def _rename(contestant: Contestant, name: str) -> Contestant:
    return Contestant(name, contestant.run, contestant.unit)


# --- from the saturating SCP -------------------------------------------------------------------------------------


def _compare_relay(rig: Rig) -> Measurement:
    archive = rig.start_saturating()
    shape = make_study(rig.scale.saturating_bytes // SLICE_BYTES, SLICE_BYTES)
    relay = rig.start_relay(archive.http_port)
    return rig.compare(
        Contestant("gateway", gateway_rate(rig, shape), "MB/s"),
        Contestant("socat, 256 KiB", relay_rate(relay, shape), "MB/s"),
        Contestant("no relay", relay_rate(archive.http_port, shape), "MB/s"),
        note=f"{shape.instances} instances of {SLICE_BYTES:,} bytes",
    )


def _compare_cpu(rig: Rig) -> Measurement:
    archive, gateway = rig.start_saturating(), rig.gateway()
    large = make_study(rig.scale.saturating_bytes // SLICE_BYTES, SLICE_BYTES)
    small = make_study(rig.scale.slices, SLICE_BYTES)

    def count_gateway() -> float:
        before = cpu_seconds(gateway.pid)
        curl(gateway.service("saturating") + large.path, accept=AS_STORED, min_bytes=large.total)
        return (cpu_seconds(gateway.pid) - before) / large.total * GIGABYTE

    def count_pynetdicom(*options: str) -> float:
        told = pynetdicom_get(archive.dicom_port, AE_TITLE, small.study, small.series, *options)
        return float(told["cpu_s"] / told["bytes"] * GIGABYTE)

    return rig.compare(
        Contestant("gateway", count_gateway, "CPU s/GB"),
        Contestant("pynetdicom, PDUs of 128 KiB, nothing decoded", count_pynetdicom, "CPU s/GB"),
        Contestant("pynetdicom as it comes", lambda: count_pynetdicom("as-it-comes"), "CPU s/GB"),
        rounds=rig.scale.middling_rounds,
    )


def _at_most(limit: float) -> Goal:
    return Goal(Taken.RATIO, limit)


_GET, _MOVE = "getscu without Nagle on both sides", "movescu → storescp without Nagle"

ROWS = (
    Row("get-dcmqrscp", "series, C-GET, dcmqrscp without Nagle", _GET, _at_most(0.9), _compare_get("dcmqrscp")),
    Row("get-dcmqrscp-stock", "same, stock dcmqrscp", _GET, _at_most(1.1), _compare_get("dcmqrscp-stock")),
    Row("get-orthanc-stock", "same, stock Orthanc", _GET, _at_most(1.1), _compare_get("orthanc-stock")),
    Row("move-dcmqrscp", "series, C-MOVE, dcmqrscp without Nagle", _MOVE, _at_most(1.0), _compare_move("dcmqrscp")),
    Row("move-dcmqrscp-stock", "same, stock dcmqrscp", _MOVE, _at_most(1.2), _compare_move("dcmqrscp-stock")),
    Row("move-orthanc", "same, Orthanc without Nagle", _MOVE, _at_most(1.0), _compare_move("orthanc")),
    Row("move-orthanc-stock", "same, stock Orthanc", _MOVE, _at_most(1.2), _compare_move("orthanc-stock")),
    Row("series-orthanc", "series from Orthanc, C-GET", "Orthanc's own DICOMweb", _at_most(1.3), _compare_orthanc),
    Row(
        "saturating",
        "series from the saturating SCP, throughput",
        "socat relay of the same bytes in the same place",
        Goal(Taken.RATIO, 0.5, at_least=True),
        _compare_relay,
    ),
    Row("cpu", "same, CPU seconds per GB", "pynetdicom's C-GET", _at_most(0.125), _compare_cpu),
)
