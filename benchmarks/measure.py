"""Timing contestants in turn: A B C, A B C, … after a warm-up, so that drift of the machine hits all alike."""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

__all__ = ["Contestant", "Figure", "run_in_turn", "time_curl", "time_process"]

RUN_LIMIT_S = 180


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way of doing the job; `run` does it once and gives the seconds it took."""

    name: str
    run: Callable[[], float]


@dataclass(slots=True)
class Figure:
    """The seconds of each counted run."""

    name: str
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle of the runs."""
        return statistics.median(self.seconds)

    def ratio_to(self, other: Figure) -> float:
        """Median of the ratios pair by pair: runs of one turn saw the same machine."""
        return statistics.median(mine / theirs for mine, theirs in zip(self.seconds, other.seconds, strict=True))


def run_in_turn(contestants: Sequence[Contestant], *, rounds: int, warm_up: int = 1) -> list[Figure]:
    """Run all contestants `rounds` times in turn, after `warm_up` rounds that do not count."""
    figures = [Figure(contestant.name) for contestant in contestants]
    for number in range(warm_up + rounds):
        for contestant, figure in zip(contestants, figures, strict=True):
            seconds = contestant.run()
            if number >= warm_up:
                figure.seconds.append(seconds)
    return figures


def time_curl(url: str, *, accept: str, min_bytes: int) -> float:
    """Seconds in which curl gets `url` and throws it away; its own start is not counted.

    Raises
    ------
    RuntimeError
        Not a success, or fewer than `min_bytes` came: a wrong answer must not look like a fast one.
    """
    form = "%{http_code} %{size_download} %{time_total}"
    done = subprocess.run(
        ["curl", "-sS", "-o", "/dev/null", "-w", form, "-H", f"Accept: {accept}", url],
        capture_output=True,
        text=True,
        timeout=RUN_LIMIT_S,
        check=False,
    )
    status, size, seconds = (done.stdout.split() + ["0", "0", "0"])[:3]
    if done.returncode or not status.startswith("2") or int(size) < min_bytes:
        raise RuntimeError(f"curl {url}: exit {done.returncode}, status {status}, {size} bytes {done.stderr.strip()}")
    return float(seconds)


def time_process(command: Sequence[str], environment: dict[str, str]) -> float:
    """Seconds that the process says itself it took, its last line of output, or the whole process if it says none.

    Raises
    ------
    RuntimeError
        It failed.
    """
    import time

    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=RUN_LIMIT_S, check=False)
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(f"{command[0]}: exit {done.returncode}: {done.stderr[-300:]}")
    lines = done.stdout.split()
    try:
        return float(lines[-1])
    except (IndexError, ValueError):
        return seconds
