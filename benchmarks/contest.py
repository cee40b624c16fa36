"""Running contestants in turn: A B C, A B C, … after a warm-up, so that drift of the machine hits all alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.samples import Samples

__all__ = ["Contestant", "run_in_turn"]


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way of doing the job; `run` does it once and gives a figure in `unit`."""

    name: str
    run: Callable[[], float]
    unit: str = "s"


def run_in_turn(contestants: Sequence[Contestant], *, rounds: int, warm_up: int = 1) -> list[Samples]:
    """Run all contestants `rounds` times in turn, after `warm_up` rounds that do not count."""
    values: list[list[float]] = [[] for _ in contestants]
    for number in range(warm_up + rounds):
        for contestant, taken in zip(contestants, values, strict=True):
            value = contestant.run()
            if number >= warm_up:
                taken.append(value)
    return [Samples(it.name, it.unit, tuple(taken)) for it, taken in zip(contestants, values, strict=True)]
