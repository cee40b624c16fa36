"""Measuring rows one after the other: what fails or does not apply is noted, and the next row has its turn."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from benchmarks.rig import Rig
from benchmarks.table import LeftOut, Result, Row, judge

__all__ = ["measure_rows"]

LONGEST_REASON = 300


def measure_rows(rows: Sequence[Row], rig: Rig, *, limit_s: float, report: Callable[[Result], None]) -> None:
    """Measure `rows` and hand each result to `report`; none is begun later than `limit_s` after the first."""
    begun = time.monotonic()
    for row in rows:
        if time.monotonic() - begun > limit_s:
            result = Result(row, failure=f"not begun within {limit_s:g} s")
        else:
            result = _measure_row(row, rig)
        shown = f"{result.figure.median:.4g} {row.goal.unit}" if result.figure else result.failure or result.left_out
        print(f"{row.name}: {shown} (goal {row.goal.text}) {result.verdict}, {result.seconds:.0f} s", file=sys.stderr)
        report(result)


def _measure_row(row: Row, rig: Rig) -> Result:
    begun = time.monotonic()
    try:
        measurement = row.measure(rig)
        return judge(row, measurement, seconds=time.monotonic() - begun)
    except LeftOut as left_out:
        return Result(row, left_out=str(left_out), seconds=time.monotonic() - begun)
    except Exception as error:  # noqa: BLE001 - the boundary of one row: told in the table, and in the exit code
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST_REASON]
        return Result(row, failure=reason, seconds=time.monotonic() - begun)
