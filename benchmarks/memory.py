"""Peak resident memory of the gateway while a large instance goes to a slow reader."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass

import psutil

__all__ = ["MemoryFigure", "measure_slow_reader"]

SAMPLE_S = 0.05


@dataclass(frozen=True, slots=True)
class MemoryFigure:
    """Bytes: resident before, at the peak, and received by the reader."""

    name: str
    before: int
    peak: int
    received: int

    @property
    def growth(self) -> int:
        """What the transfer cost."""
        return self.peak - self.before


def measure_slow_reader(name: str, pid: int, url: str, *, rate: str, accept: str, readers: int = 1) -> MemoryFigure:
    """Have curl read `url` at `rate` (as in ``--limit-rate``), `readers` times at once, and watch process `pid`.

    Raises
    ------
    RuntimeError
        A reader did not get the whole answer.
    """
    process = psutil.Process(pid)
    before = process.memory_info().rss
    command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{size_download}", "--limit-rate", rate]
    command += ["-H", f"Accept: {accept}", url]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(readers)]
    peak = before
    while any(reader.poll() is None for reader in running):
        peak = max(peak, process.memory_info().rss)
        time.sleep(SAMPLE_S)
    received = 0
    for reader in running:
        output = (reader.stdout.read() if reader.stdout else "").split()
        if reader.returncode or output[:1] != ["200"]:
            raise RuntimeError(f"a slow reader failed: exit {reader.returncode}, {output}")
        received += int(output[1])
    return MemoryFigure(name, before, peak, received)
