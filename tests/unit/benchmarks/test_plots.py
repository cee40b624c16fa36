from __future__ import annotations

from pathlib import Path

from benchmarks.measurement import Measurement
from benchmarks.plots import draw_plots
from benchmarks.report import render_json
from benchmarks.table import Goal, Taken, judge
from tests.support.benchmark_results import MACHINE, PLOT, make_row, seconds


def test_each_plot_is_a_picture(tmp_path: Path) -> None:
    rows = [Measurement(seconds(1), plot=PLOT), Measurement(seconds(1))]
    results = [judge(make_row(Goal(Taken.VALUE, 1), row), row) for row in rows]
    (picture,) = draw_plots(render_json(MACHINE, results, quick=False), tmp_path / "plots")
    assert picture == tmp_path / "plots" / "sweep.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_nothing_to_draw_makes_no_folder(tmp_path: Path) -> None:
    assert draw_plots(render_json(MACHINE, [], quick=False), tmp_path / "plots") == []
    assert not (tmp_path / "plots").exists()
