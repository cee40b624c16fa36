"""What was measured: samples in the order of the rounds, medians with spread, and figures taken pair by pair.

Pure: no clock, no process. Runs of one round saw the same machine, so ratios are taken within a round and only then
summed up; a median of one hour is never divided by that of another.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Samples", "Summary", "percentile", "summarize"]


@dataclass(frozen=True, slots=True)
class Summary:
    """Median and spread."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Samples:
    """The values of each counted round, all in `unit`."""

    name: str
    unit: str
    values: tuple[float, ...]

    @property
    def summary(self) -> Summary:
        """Of the values."""
        return summarize(self.values)

    def ratios_to(self, other: Samples) -> tuple[float, ...]:
        """This divided by `other`, round by round.

        Raises
        ------
        ValueError
            They do not have the same number of rounds.
        """
        return tuple(mine / theirs for mine, theirs in zip(self.values, other.values, strict=True))

    def differences_to(self, other: Samples) -> tuple[float, ...]:
        """This less `other`, round by round; raises as `ratios_to`."""
        return tuple(mine - theirs for mine, theirs in zip(self.values, other.values, strict=True))


def summarize(values: Sequence[float]) -> Summary:
    """Median, least and greatest.

    Raises
    ------
    ValueError
        No values.
    """
    if not values:
        raise ValueError("no values")
    return Summary(statistics.median(values), min(values), max(values))


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that at least `share` (0 to 1) of all values do not exceed (nearest rank).

    Raises
    ------
    ValueError
        No values.
    """
    if not values:
        raise ValueError("no values")
    rank = max(math.ceil(share * len(values)), 1)
    return sorted(values)[rank - 1]
