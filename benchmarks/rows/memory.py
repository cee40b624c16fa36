"""Memory while slow readers take large instances."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Sequence

from benchmarks.clients import AS_STORED, RUN_LIMIT_S
from benchmarks.gateways import RunningGateway
from benchmarks.measurement import Curve, Measurement, Panel, Plot
from benchmarks.processes import MIB, MemoryWatch, watch_memory
from benchmarks.rig import Rig
from benchmarks.samples import Samples
from benchmarks.saturating_scp import Shape, make_study
from benchmarks.table import Goal, Row, Taken
from tests.support.peers import find_program

__all__ = ["ROWS"]

READERS = 10
POINTS = 200


def _measure(rig: Rig) -> Measurement:
    """A fresh gateway for one reader, another for ten; each reader its own instance, at a rate of its own choice."""
    rig.start_saturating()
    alone, together = _watch(rig, 1), _watch(rig, READERS)
    each = (together.growth_mib - alone.growth_mib) / (READERS - 1)
    size, rate = rig.scale.reader_bytes / MIB, rig.scale.reader_rate
    title = f"{READERS} readers of {size:,.0f} MiB each at {rate}B/s"
    panel = Panel("resident memory, MiB", (_trace("one reader", alone), _trace(f"{READERS} readers", together)))
    return Measurement(
        Samples("each further reader", "MiB", (each,)),
        None,
        (
            Samples("one reader, growth", "MiB", (alone.growth_mib,)),
            Samples(f"{READERS} readers, growth", "MiB", (together.growth_mib,)),
        ),
        title,
        Plot("slow-readers", f"Memory of the gateway: {title}", "s", (panel,)),
    )


def _watch(rig: Rig, readers: int) -> MemoryWatch:
    shapes = [make_study(1, rig.scale.reader_bytes, variant) for variant in range(readers)]
    with rig.fresh_gateway("saturating") as gateway, watch_memory(gateway.pid) as watch:
        _read_slowly(gateway, shapes, rig.scale.reader_rate)
    return watch


def _read_slowly(gateway: RunningGateway, shapes: Sequence[Shape], rate: str) -> None:
    """One curl a reader, each to the end of its answer.

    Raises
    ------
    RuntimeError
        A reader did not get the whole answer in time.
    """
    command = [find_program("curl"), "-sS", "-o", "/dev/null", "-w", "%{http_code} %{size_download}"]
    command += ["--limit-rate", rate, "-H", f"Accept: {AS_STORED}"]
    with tempfile.TemporaryFile("w+") as complaints:
        readers = [
            subprocess.Popen(
                [*command, gateway.service("saturating") + shape.path],
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
            )
            for shape in shapes
        ]
        try:
            limit = time.monotonic() + RUN_LIMIT_S
            outputs = [reader.communicate(timeout=max(limit - time.monotonic(), 1))[0].split() for reader in readers]
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"slow readers were not done within {RUN_LIMIT_S} s") from error
        finally:
            for reader in readers:
                reader.kill()
                reader.wait()
    for output, shape in zip(outputs, shapes, strict=True):
        if output[:1] != ["200"] or int(output[1]) < shape.total:
            raise RuntimeError(f"a slow reader got {output}")


def _trace(name: str, watch: MemoryWatch) -> Curve:
    step = max(len(watch.samples) // POINTS, 1)
    kept = watch.samples[::step]
    return Curve(name, tuple(seconds for seconds, _ in kept), tuple(size / MIB for _, size in kept))


ROWS = (
    Row(
        "slow-readers",
        f"memory per stream beyond the first, {READERS} slow readers of a large instance each",
        "–",
        Goal(Taken.VALUE, 8, unit="MiB"),
        _measure,
    ),
)
