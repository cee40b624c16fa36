from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.measurement import Measurement
from benchmarks.report import render_details, render_json, render_markdown, render_table, write_results
from benchmarks.samples import Samples
from benchmarks.table import Goal, Result, Taken, judge
from tests.support.benchmark_results import MACHINE, PLOT, make_row, seconds


def document(*results: Result, quick: bool = False) -> dict[str, Any]:
    return render_json(MACHINE, results, quick=quick)


def judged(goal: Goal, measurement: Measurement) -> Result:
    return judge(make_row(goal, measurement), measurement, seconds=1.26)


MEASUREMENT = Measurement(
    seconds(1, 2, name="gateway"), seconds(2, 2, name="peer"), (seconds(150, 1000, name="other"),), "a note", PLOT
)


def test_the_table_has_goal_figure_spread_and_verdict() -> None:
    table = render_table(document(judged(Goal(Taken.RATIO, 0.9), MEASUREMENT)))
    assert table.splitlines()[-1] == "| `row` | what \\| how | beside | ≤ 0.9 × | 0.75 × (0.5–1) | pass |"


def test_a_row_without_figure_says_why() -> None:
    failed = Result(make_row(), failure="RuntimeError: exit 1\nand | more")
    left_out = Result(make_row(), left_out="a sweep")
    lines = render_table(document(failed, left_out)).splitlines()[2:]
    assert lines[0].endswith("| RuntimeError: exit 1 and \\| more | failed |")
    assert lines[1].endswith("| a sweep | left out |")


def test_details_name_every_contestant_and_the_notes() -> None:
    lines = render_details(document(judged(Goal(Taken.RATIO, 0.9), MEASUREMENT))).splitlines()
    assert lines[2:5] == [
        "| `row` | gateway | 1.5 s | 1–2 | 2 |",
        "| `row` | peer | 2 s | 2–2 | 2 |",
        "| `row` | other | 575 s | 150–1,000 | 2 |",
    ]
    assert lines[-1] == "- `row`: a note"


def test_small_figures_keep_their_digits() -> None:
    table = render_table(document(judged(Goal(Taken.VALUE, 1, unit="s"), Measurement(seconds(0.00123)))))
    assert "0.0012 s (0.0012–0.0012)" in table


def test_markdown_tells_machine_commit_and_size_of_the_run() -> None:
    result = judged(Goal(Taken.RATIO, 0.9), MEASUREMENT)
    text = render_markdown(document(result, quick=True))
    assert text.startswith("Measured 2026-01-02T03:04:05+00:00 at `abc1234` on Some CPU, 2 cores, 24 GiB, load 0.5")
    assert "Quick run" in text
    assert "Quick run" not in render_markdown(document(result))


def test_every_value_and_the_plot_are_in_the_json(tmp_path: Path) -> None:
    table = write_results(tmp_path, "latest", document(judged(Goal(Taken.RATIO, 0.9), MEASUREMENT)))
    (row,) = json.loads((tmp_path / "latest.json").read_text())["rows"]
    assert row["figure"] == {"median": 0.75, "low": 0.5, "high": 1.0}
    assert row["samples"][0] == {"name": "gateway", "unit": "s", "values": [1, 2]}
    assert row["plot"]["panels"][0]["curves"][0]["ys"] == [10, 20]
    assert row["seconds"] == 1.3
    assert table.read_text() == render_markdown(json.loads((tmp_path / "latest.json").read_text()))


def test_units_of_samples_are_told() -> None:
    measurement = Measurement(Samples("gateway", "MB/s", (812.4,)))
    assert "| gateway | 812 MB/s | 812–812 | 1 |" in render_details(document(judged(Goal(Taken.VALUE), measurement)))
