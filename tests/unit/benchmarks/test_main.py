from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.rows import ROWS


def test_the_rows_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [row.name for row in ROWS]


def test_an_unknown_row_is_an_error() -> None:
    with pytest.raises(SystemExit) as error:
        main(["--only", "nothing"])
    assert error.value.code == 2


def test_nothing_measured_is_nothing_to_document(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        main(["--document", "--results", str(tmp_path)])
