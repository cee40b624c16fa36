"""The results as JSON and as Markdown, with the machine they were measured on. Pure but for `write_results`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.samples import Samples, Summary
from benchmarks.table import Result

__all__ = ["describe_run", "render_details", "render_json", "render_markdown", "render_table", "write_results"]


def render_json(machine: dict[str, Any], results: Sequence[Result], *, quick: bool) -> dict[str, Any]:
    """Everything measured, each value of each round included."""
    return {"machine": machine, "quick": quick, "rows": [_describe_result(result) for result in results]}


def _describe_result(result: Result) -> dict[str, Any]:
    row, measurement = result.row, result.measurement
    described: dict[str, Any] = {
        "name": row.name,
        "what": row.what,
        "beside": row.beside,
        "goal": row.goal.text,
        "unit": row.goal.unit,
        "verdict": result.verdict,
        "why": result.failure or result.left_out,
        "seconds": round(result.seconds, 1),
        "figure": asdict(result.figure) if result.figure else None,
        "samples": [],
        "note": "",
        "plot": None,
    }
    if measurement is not None:
        samples = [measurement.ours, *([measurement.beside] if measurement.beside else []), *measurement.others]
        described["samples"] = [asdict(sample) for sample in samples]
        described["note"] = measurement.note
        described["plot"] = asdict(measurement.plot) if measurement.plot else None
    return described


def render_markdown(document: dict[str, Any]) -> str:
    """Machine, table and the samples behind it, from what `render_json` gave."""
    return "\n".join([describe_run(document), "", render_table(document), "", render_details(document), ""])


def describe_run(document: dict[str, Any]) -> str:
    """One sentence: when, at which commit, on what."""
    machine = document["machine"]
    peers = ", ".join(f"{name}: {text}" for name, text in machine.get("peers", {}).items())
    size = " Quick run: smaller loads, fewer rounds." if document["quick"] else ""
    return (
        f"Measured {machine['date']} at `{machine['commit']}` on {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, load {machine['load']:g} before, Python {machine['python']}, "
        f"{machine['system']} ({peers}).{size}"
    )


def render_table(document: dict[str, Any]) -> str:
    """The goals and what came of them."""
    lines = ["| row | what | beside | goal | measured (min–max) | |", "|---|---|---|---|---|---|"]
    for row in document["rows"]:
        measured = _render_figure(row["figure"], row["unit"]) if row["figure"] else row["why"]
        cells = [f"`{row['name']}`", row["what"], row["beside"], row["goal"], measured, row["verdict"]]
        lines.append("| " + " | ".join(_escape(cell) for cell in cells) + " |")
    return "\n".join(lines)


def _render_figure(figure: dict[str, float], unit: str) -> str:
    summary = Summary(**figure)
    return f"{_short(summary.median)} {unit} ({_short(summary.low)}–{_short(summary.high)})"


def render_details(document: dict[str, Any]) -> str:
    """Median and spread of each contestant of each row."""
    lines = ["| row | contestant | median | min–max | rounds |", "|---|---|---|---|---|"]
    for row in document["rows"]:
        for described in row["samples"]:
            sample = Samples(described["name"], described["unit"], tuple(described["values"]))
            summary = sample.summary
            spread = f"{_short(summary.low)}–{_short(summary.high)}"
            cells = [f"`{row['name']}`", sample.name, f"{_short(summary.median)} {sample.unit}", spread]
            lines.append("| " + " | ".join(_escape(cell) for cell in cells) + f" | {len(sample.values)} |")
    notes = [f"- `{row['name']}`: {row['note']}" for row in document["rows"] if row["note"]]
    return "\n".join([*lines, "", *notes]).rstrip()


def _short(value: float) -> str:
    """Three digits that count, never as a power of ten."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.4f}" if abs(value) < 0.1 else f"{value:.3g}"


def _escape(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def write_results(directory: Path, name: str, document: dict[str, Any]) -> Path:
    """Write ``NAME.json`` and ``NAME.md``; returns the latter."""
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=2, ensure_ascii=False)
    (directory / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    table = directory / f"{name}.md"
    table.write_text(render_markdown(document), encoding="utf-8")
    return table
