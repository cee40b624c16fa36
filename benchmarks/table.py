"""The form of the table: a row says what is compared with what and which goal it has; a result, what came of it.

Pure. The rows themselves stand in ``benchmarks/rows``, one file a subject.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from benchmarks.measurement import Measurement
from benchmarks.rig import Rig
from benchmarks.samples import Summary, summarize

__all__ = ["Goal", "LeftOut", "Result", "Row", "Taken", "judge"]


class Taken(Enum):
    """How the figure of a row comes from its samples."""

    RATIO = "ratio"
    DIFFERENCE = "difference"
    VALUE = "value"


@dataclass(frozen=True, slots=True)
class Goal:
    """What is held against which limit; without a limit the figure is only reported.

    `factor` turns the unit of the samples into `unit`: 1,000 where seconds are compared and milliseconds told.
    """

    taken: Taken
    limit: float | None = None
    unit: str = "×"
    at_least: bool = False
    factor: float = 1.0

    @property
    def text(self) -> str:
        """As the table words it."""
        if self.limit is None:
            return "–"
        sign = "+ " if self.taken is Taken.DIFFERENCE else ""
        return f"{sign}{'≥' if self.at_least else '≤'} {self.limit:g} {self.unit}"

    def is_met(self, figure: float) -> bool | None:
        """None without a limit."""
        if self.limit is None:
            return None
        return figure >= self.limit if self.at_least else figure <= self.limit


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table and how it is measured."""

    name: str
    what: str
    beside: str
    goal: Goal
    measure: Callable[[Rig], Measurement]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a row: a figure, or why there is none."""

    row: Row
    figure: Summary | None = None
    measurement: Measurement | None = None
    failure: str = ""
    left_out: str = ""
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        """``pass``, ``miss``, ``–`` without a goal, ``failed`` or ``left out``."""
        if self.figure is None:
            return "left out" if self.left_out else "failed"
        is_met = self.row.goal.is_met(self.figure.median)
        return "–" if is_met is None else "pass" if is_met else "miss"


class LeftOut(Exception):
    """Raised by a row that does not apply to this run; its text says why."""


def judge(row: Row, measurement: Measurement, *, seconds: float = 0.0) -> Result:
    """Take the figure of `row` from its samples.

    Raises
    ------
    ValueError
        No samples, nothing to compare with, or rounds that do not match.
    """
    ours, beside, goal = measurement.ours, measurement.beside, row.goal
    if goal.taken is Taken.VALUE:
        values = ours.values
    elif beside is None:
        raise ValueError(f"{row.name}: nothing to compare with")
    else:
        values = ours.ratios_to(beside) if goal.taken is Taken.RATIO else ours.differences_to(beside)
    figure = summarize([value * goal.factor for value in values])
    return Result(row, figure, measurement, seconds=seconds)
