from __future__ import annotations

import re

import pytest

from benchmarks.measurement import Measurement
from benchmarks.rows import ROWS
from benchmarks.samples import Samples
from benchmarks.table import Goal, Result, Taken, judge
from tests.support.benchmark_results import make_row, seconds

WANTED = {
    "get-dcmqrscp": "≤ 0.9 ×",
    "get-dcmqrscp-stock": "≤ 1.1 ×",
    "get-orthanc-stock": "≤ 1.1 ×",
    "move-dcmqrscp": "≤ 1 ×",
    "move-dcmqrscp-stock": "≤ 1.2 ×",
    "series-orthanc": "≤ 1.3 ×",
    "saturating": "≥ 0.5 ×",
    "cpu": "≤ 0.125 ×",
    "first-byte": "+ ≤ 3 ms",
    "metadata-cold": "≤ 1.5 ×",
    "metadata-warm": "≤ 0.1 ×",
    "frame-first": "≤ 0.02 ×",
    "frame-memory": "≤ 0.02 ×",
    "frame-last": "≤ 0.6 ×",
    "viewer": "≤ 2 ×",
    "search-study": "+ ≤ 1 ms",
    "search-instances": "≤ 0.25 ×",
    "store-dcmqrscp": "≤ 1 ×",
    "store-orthanc": "≤ 1 ×",
    "store-orthanc-storescu": "≤ 1 ×",
    "store-memory": "≤ 8 MiB",
    "clients": "≥ 0.9 ×",
    "slow-readers": "≤ 8 MiB",
    "idle": "≤ 0.5 %",
    "start": "≤ 1 s",
}


def test_every_goal_has_its_row() -> None:
    goals = {row.name: row.goal.text for row in ROWS}
    assert {name: goals.get(name) for name in WANTED} == WANTED


def test_names_are_unique_and_can_be_typed() -> None:
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in names)


@pytest.mark.parametrize(
    ("goal", "ours", "beside", "figure", "verdict"),
    [
        (Goal(Taken.RATIO, 0.5), (1, 1, 4), (2, 2, 2), 0.5, "pass"),
        (Goal(Taken.RATIO, 0.49), (1, 1, 4), (2, 2, 2), 0.5, "miss"),
        (Goal(Taken.RATIO, 0.5, at_least=True), (1, 1, 4), (2, 2, 2), 0.5, "pass"),
        (Goal(Taken.RATIO, 0.51, at_least=True), (1, 1, 4), (2, 2, 2), 0.5, "miss"),
        (Goal(Taken.RATIO), (1, 1, 4), (2, 2, 2), 0.5, "–"),
        (Goal(Taken.DIFFERENCE, 3, unit="ms", factor=1e3), (0.004, 0.006), (0.002, 0.002), 3, "pass"),
        (Goal(Taken.DIFFERENCE, 2.9, unit="ms", factor=1e3), (0.004, 0.006), (0.002, 0.002), 3, "miss"),
        (Goal(Taken.VALUE, 8, unit="MiB"), (7, 8), None, 7.5, "pass"),
        (Goal(Taken.VALUE, 7, unit="MiB"), (7, 8), None, 7.5, "miss"),
    ],
)
def test_judge(
    goal: Goal, ours: tuple[float, ...], beside: tuple[float, ...] | None, figure: float, verdict: str
) -> None:
    measurement = Measurement(seconds(*ours), seconds(*beside) if beside else None)
    result = judge(make_row(goal), measurement)
    assert result.figure is not None
    assert result.figure.median == pytest.approx(figure)
    assert result.verdict == verdict


def test_a_ratio_needs_something_beside() -> None:
    with pytest.raises(ValueError, match="nothing to compare"):
        judge(make_row(), Measurement(seconds(1)))


def test_no_rounds_are_no_result() -> None:
    with pytest.raises(ValueError, match="no values"):
        judge(make_row(Goal(Taken.VALUE, 1)), Measurement(Samples("x", "s", ())))


def test_verdicts_without_a_figure() -> None:
    assert Result(make_row(), failure="no such program").verdict == "failed"
    assert Result(make_row(), left_out="a sweep").verdict == "left out"
