from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.document import MARKERS, replace_between, write_document
from benchmarks.measurement import Measurement
from benchmarks.report import render_json
from benchmarks.table import Goal, Taken, judge
from tests.support.benchmark_results import MACHINE, PLOT, make_row, seconds

BEGIN, END = MARKERS
ROOT = Path(__file__).resolve().parents[3]


def test_only_what_stands_between_the_markers_changes() -> None:
    once = replace_between(f"head\n{BEGIN}\nold\n{END}\ntail\n", "new")
    assert once == f"head\n{BEGIN}\n\nnew\n\n{END}\ntail\n"
    assert replace_between(once, "new") == once


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_a_page_without_its_markers_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="needs one"):
        replace_between(text, "new")


def test_the_page_of_the_project_has_its_markers() -> None:
    replace_between((ROOT / "docs" / "performance.md").read_text("utf-8"), "new")


def test_results_and_plots_go_into_the_page(tmp_path: Path) -> None:
    measurement = Measurement(seconds(1), seconds(2), plot=PLOT)
    result = judge(make_row(Goal(Taken.RATIO, 0.9), measurement), measurement)
    results, page = tmp_path / "latest.json", tmp_path / "docs" / "performance.md"
    results.write_text(json.dumps(render_json(MACHINE, [result], quick=False)))
    page.parent.mkdir()
    page.write_text(f"head\n{BEGIN}\n{END}\n")
    written = write_document(results, page)
    picture = page.parent / "performance" / "sweep.png"
    assert written == [page, picture]
    assert picture.read_bytes().startswith(b"\x89PNG")
    text = page.read_text("utf-8")
    assert "![A sweep](performance/sweep.png)" in text
    assert "`abc1234`" in text
    assert "| ≤ 0.9 × | 0.5 × (0.5–0.5) | pass |" in text


def test_a_wrong_page_is_left_alone(tmp_path: Path) -> None:
    results, page = tmp_path / "latest.json", tmp_path / "performance.md"
    results.write_text(json.dumps(render_json(MACHINE, [], quick=False)))
    page.write_text("no markers")
    with pytest.raises(ValueError, match="needs one"):
        write_document(results, page)
    assert page.read_text() == "no markers"
