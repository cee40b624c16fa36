"""Doing nothing, and beginning to do something: idle associations, start to ready."""

from __future__ import annotations

import time
from contextlib import ExitStack

import psutil

from benchmarks.clients import AS_STORED, curl_many
from benchmarks.contest import Contestant, run_in_turn
from benchmarks.measurement import Measurement
from benchmarks.processes import cpu_seconds
from benchmarks.raw_association import RawAssociation
from benchmarks.rig import DEFAULTS, Rig
from benchmarks.samples import Samples
from benchmarks.saturating_scp import make_study
from benchmarks.table import Goal, Row, Taken

__all__ = ["ROWS"]

ASSOCIATIONS = 32
BACKEND = "saturating-idle"
REQUESTS = 8
HELD_OPEN_BYTES = 8_388_608
SLOWLY = "8M"
SETTLE_S = 1.0


def _measure_idle(rig: Rig) -> Measurement:
    """First those that the pool keeps after retrievals side by side, the rest opened by an archive."""
    archive = rig.start_saturating()
    with rig.fresh_gateway(BACKEND, DEFAULTS) as gateway, ExitStack() as stack:
        urls = [gateway.service(BACKEND) + make_study(1, HELD_OPEN_BYTES, variant).path for variant in range(REQUESTS)]
        slowly = ["--limit-rate", SLOWLY]
        curl_many(urls, accept=AS_STORED, min_bytes=HELD_OPEN_BYTES, at_once=REQUESTS, options=slowly)
        pooled = _count_connections(gateway.pid, gateway.dimse_port, archive.dicom_port)
        for _ in range(ASSOCIATIONS - pooled):
            stack.enter_context(RawAssociation(gateway.dimse_port, "GATEWAY"))
        time.sleep(SETTLE_S)
        before, begun = cpu_seconds(gateway.pid), time.monotonic()
        time.sleep(rig.scale.idle_s)
        share = (cpu_seconds(gateway.pid) - before) / (time.monotonic() - begun) * 100
        still = _count_connections(gateway.pid, gateway.dimse_port, archive.dicom_port)
    if still != ASSOCIATIONS:
        raise RuntimeError(f"{still} associations are open instead of {ASSOCIATIONS}")
    note = f"{pooled} in the pool, {ASSOCIATIONS - pooled} opened by an archive, for {rig.scale.idle_s:g} s"
    return Measurement(Samples("gateway", "% of a core", (share,)), note=note)


def _count_connections(pid: int, own_port: int, archive_port: int) -> int:
    """DIMSE connections of process `pid` that are established."""
    return sum(
        it.status == psutil.CONN_ESTABLISHED
        and (it.laddr.port == own_port or bool(it.raddr and it.raddr.port == archive_port))
        for it in psutil.Process(pid).net_connections("tcp")
    )


def _measure_start(rig: Rig) -> Measurement:
    def start() -> float:
        with rig.fresh_gateway(BACKEND, DEFAULTS) as gateway:
            return gateway.ready_s

    (samples,) = run_in_turn([Contestant("gateway", start)], rounds=rig.scale.middling_rounds)
    return Measurement(samples)


ROWS = (
    Row(
        "idle",
        f"{ASSOCIATIONS} idle associations held for a minute",
        "one core",
        Goal(Taken.VALUE, 0.5, unit="%"),
        _measure_idle,
    ),
    Row("start", "start to the first answer", "–", Goal(Taken.VALUE, 1.0, unit="s"), _measure_start),
)
