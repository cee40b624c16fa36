"""The figures as JSON and as Markdown tables, with the machine they were measured on."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks.measure import Figure
from benchmarks.memory import MemoryFigure

__all__ = ["Comparison", "describe_machine", "render_markdown", "write_results"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Contestants measured in turn; the first is what the others are divided by."""

    title: str
    size: int
    figures: tuple[Figure, ...]


def describe_machine() -> dict[str, Any]:
    """Processor, memory, versions and the commit."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = {line.partition(":")[2].strip() for line in file if line.startswith("model name")}
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "processor": ", ".join(sorted(models)),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def render_markdown(machine: dict[str, Any], comparisons: Sequence[Comparison], memory: Sequence[MemoryFigure]) -> str:
    """Tables for people: medians, spread, throughput and ratios of the same run."""
    lines = [f"Measured {machine['date']} at {machine['commit']}: {machine['processor']}, {machine['cores']} cores,"]
    lines += [f"{machine['memory_gib']} GiB, Python {machine['python']}.", ""]
    for comparison in comparisons:
        reference = comparison.figures[0]
        lines += [f"### {comparison.title}", "", f"| way | median s | min–max | MB/s | × {reference.name} |"]
        lines += ["|---|---|---|---|---|"]
        for figure in comparison.figures:
            spread = f"{min(figure.seconds):.3f}–{max(figure.seconds):.3f}"
            rate = comparison.size / figure.median / 1e6
            ratio = figure.ratio_to(reference)
            lines.append(f"| {figure.name} | {figure.median:.3f} | {spread} | {rate:.0f} | {ratio:.2f} |")
        lines.append("")
    if memory:
        lines += ["### Memory", "", "| load | before MiB | peak MiB | growth MiB | read MB |", "|---|---|---|---|---|"]
        for row in memory:
            sizes = (row.before / 2**20, row.peak / 2**20, row.growth / 2**20, row.received / 1e6)
            lines.append(f"| {row.name} | " + " | ".join(f"{size:.1f}" for size in sizes) + " |")
        lines.append("")
    return "\n".join(lines)


def write_results(
    directory: Path, machine: dict[str, Any], comparisons: Sequence[Comparison], memory: Sequence[MemoryFigure]
) -> Path:
    """Write ``latest.json`` and ``latest.md``; returns the latter."""
    directory.mkdir(parents=True, exist_ok=True)
    document = {
        "machine": machine,
        "comparisons": [asdict(comparison) for comparison in comparisons],
        "memory": [asdict(row) for row in memory],
    }
    (directory / "latest.json").write_text(json.dumps(document, indent=2), encoding="utf-8")
    table = directory / "latest.md"
    table.write_text(render_markdown(machine, comparisons, memory), encoding="utf-8")
    return table
