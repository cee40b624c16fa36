"""Sweeps without a goal: throughput by size of the instances and by length of the PDUs. Left out of a quick run."""

from __future__ import annotations

from benchmarks.contest import Contestant
from benchmarks.measurement import Curve, Measurement, Panel, Plot
from benchmarks.rates import gateway_rate, relay_rate
from benchmarks.rig import PDU_SIZES, Rig
from benchmarks.samples import Samples
from benchmarks.saturating_scp import SLICE_BYTES, make_study
from benchmarks.table import Goal, LeftOut, Row, Taken

__all__ = ["ROWS"]

INSTANCE_SIZES = (4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864)
SWEEP_BYTES = 134_217_728
MOST_INSTANCES = 2_000


def _require_time(rig: Rig) -> None:
    if rig.quick:
        raise LeftOut("a sweep; only in the full run")


def _draw_curve(name: str, xs: tuple[float, ...], samples: list[Samples]) -> Curve:
    summaries = [sample.summary for sample in samples]
    bands = [tuple(getattr(summary, end) for summary in summaries) for end in ("median", "low", "high")]
    return Curve(name, xs, *bands)


def _sweep_instance_size(rig: Rig) -> Measurement:
    """Each size through the gateway and through socat; the figure is the ratio at the largest."""
    _require_time(rig)
    archive = rig.start_saturating()
    relay = rig.start_relay(archive.http_port)
    shapes = [make_study(max(min(SWEEP_BYTES // size, MOST_INSTANCES), 1), size) for size in INSTANCE_SIZES]
    gateway, relayed = [], []
    for shape in shapes:
        name = f"{shape.size / 1024:,.0f} KiB"
        done = rig.compare(
            Contestant(f"gateway, {name}", gateway_rate(rig, shape), "MB/s"),
            Contestant(f"socat, {name}", relay_rate(relay, shape), "MB/s"),
            rounds=rig.scale.few_rounds,
        )
        assert done.beside is not None
        gateway.append(done.ours)
        relayed.append(done.beside)
    kib = tuple(size / 1024 for size in INSTANCE_SIZES)
    curves = (_draw_curve("gateway", kib, gateway), _draw_curve("socat relay, nothing awaited", kib, relayed))
    title = "Throughput by size of the instances, from the saturating SCP"
    plot = Plot("instance-size", title, "KiB an instance", (Panel("MB/s", curves),), is_logarithmic=True)
    return Measurement(gateway[-1], relayed[-1], (*gateway[:-1], *relayed[:-1]), plot=plot)


def _sweep_pdu_size(rig: Rig) -> Measurement:
    """Each announced PDU length; the figure is the largest beside the default of 128 KiB."""
    _require_time(rig)
    rig.start_saturating()
    shape = make_study(SWEEP_BYTES // SLICE_BYTES, SLICE_BYTES)
    default = 131_072
    contestants = {
        size: Contestant(f"{size // 1024:,} KiB", gateway_rate(rig, shape, f"saturating-pdu-{size}"), "MB/s")
        for size in PDU_SIZES
    }
    between = [size for size in PDU_SIZES[:-1] if size != default]
    done = rig.compare(
        contestants[PDU_SIZES[-1]],
        contestants[default],
        *(contestants[size] for size in between),
        rounds=rig.scale.few_rounds,
    )
    assert done.beside is not None
    by_size = {PDU_SIZES[-1]: done.ours, default: done.beside} | dict(zip(between, done.others, strict=True))
    kib = tuple(size / 1024 for size in PDU_SIZES)
    curve = _draw_curve("gateway", kib, [by_size[size] for size in PDU_SIZES])
    title = "Throughput by announced PDU length, from the saturating SCP"
    plot = Plot("pdu-size", title, "KiB a PDU", (Panel("MB/s", (curve,)),), is_logarithmic=True)
    return Measurement(done.ours, done.beside, done.others, plot=plot)


ROWS = (
    Row(
        "sweep-instance-size",
        "series from the saturating SCP by size of instance, throughput at the largest",
        "socat relay",
        Goal(Taken.RATIO),
        _sweep_instance_size,
    ),
    Row(
        "sweep-pdu-size",
        "series from the saturating SCP by PDU length, throughput at the largest",
        "PDUs of 128 KiB",
        Goal(Taken.RATIO),
        _sweep_pdu_size,
    ),
)
