"""What a process costs: processor time, and memory over time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

__all__ = ["MIB", "MemoryWatch", "cpu_seconds", "watch_memory"]

MIB = 1 << 20
SAMPLE_EVERY_S = 0.02


def cpu_seconds(pid: int) -> float:
    """User and system time that process `pid` has used so far."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


@dataclass
class MemoryWatch:
    """Resident memory in bytes: before, and in samples of (seconds, bytes) since."""

    before: int
    samples: list[tuple[float, int]] = field(default_factory=list)

    @property
    def peak(self) -> int:
        """The highest seen."""
        return max([self.before, *(size for _, size in self.samples)])

    @property
    def growth_mib(self) -> float:
        """How far it rose above what it was before."""
        return (self.peak - self.before) / MIB


@contextmanager
def watch_memory(pid: int) -> Iterator[MemoryWatch]:
    """Sample the resident memory of process `pid` for the length of the block."""
    process = psutil.Process(pid)
    watch = MemoryWatch(process.memory_info().rss)
    is_over = threading.Event()
    begun = time.perf_counter()

    def sample() -> None:
        while not is_over.wait(SAMPLE_EVERY_S):
            watch.samples.append((time.perf_counter() - begun, process.memory_info().rss))

    sampling = threading.Thread(target=sample, name="memory")
    sampling.start()
    try:
        yield watch
    finally:
        is_over.set()
        sampling.join()
