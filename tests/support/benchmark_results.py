"""Rows and results made up for the tests of the benchmarks."""

from __future__ import annotations

from typing import Any

from benchmarks.measurement import Curve, Measurement, Panel, Plot
from benchmarks.rig import Rig
from benchmarks.samples import Samples
from benchmarks.table import Goal, Row, Taken

__all__ = ["MACHINE", "PLOT", "make_row", "seconds"]

MACHINE: dict[str, Any] = {
    "date": "2026-01-02T03:04:05+00:00",
    "commit": "abc1234",
    "processor": "Some CPU",
    "cores": 2,
    "load": 0.5,
    "memory_gib": 24,
    "python": "3.11.7",
    "system": "Linux",
    "peers": {"orthanc": "1.10.1"},
}
PLOT = Plot("sweep", "A sweep", "KiB", (Panel("MB/s", (Curve("gateway", (1, 2), (10, 20), (9, 19), (11, 21)),)),), True)


def seconds(*values: float, name: str = "x") -> Samples:
    return Samples(name, "s", values)


def make_row(goal: Goal | None = None, measurement: Measurement | None = None, *, name: str = "row") -> Row:
    """A row that measures nothing: it gives `measurement`."""
    given = measurement or Measurement(seconds(1, 2, name="gateway"), seconds(2, 2, name="peer"))

    def measure(_: Rig) -> Measurement:
        return given

    return Row(name, "what | how", "beside", goal or Goal(Taken.RATIO, 0.9), measure)
