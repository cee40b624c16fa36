from __future__ import annotations

import pytest

from benchmarks.measurement import Measurement
from benchmarks.rig import Rig
from benchmarks.run import measure_rows
from benchmarks.table import Goal, LeftOut, Result, Row, Taken
from tests.support.benchmark_results import make_row


def raising(error: Exception) -> Row:
    def measure(_: Rig) -> Measurement:
        raise error

    return Row("row", "what", "beside", Goal(Taken.VALUE, 1), measure)


def test_what_fails_is_told_and_the_next_row_has_its_turn(capsys: pytest.CaptureFixture[str]) -> None:
    results: list[Result] = []
    rows = [raising(RuntimeError("no\nprogram")), raising(LeftOut("a sweep")), make_row()]
    measure_rows(rows, Rig(quick=True), limit_s=60, report=results.append)
    assert [result.verdict for result in results] == ["failed", "left out", "pass"]
    assert results[0].failure == "RuntimeError: no program"
    assert results[1].left_out == "a sweep"
    assert "no program" in capsys.readouterr().err


def test_no_row_is_begun_after_the_limit() -> None:
    results: list[Result] = []
    measure_rows([make_row()], Rig(quick=True), limit_s=-1, report=results.append)
    assert [(result.verdict, result.failure) for result in results] == [("failed", "not begun within -1 s")]
