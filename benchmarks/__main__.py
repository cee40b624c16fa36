"""``python -m benchmarks``: every row of the table, beside its peer, in one run.

``--quick`` for smaller loads and fewer rounds, ``--only NAME`` for some rows, ``--list`` for their names,
``--document`` to put the results of the last full run into ``docs/performance.md``. A missed goal is told and nothing
else; the exit code is 1 only where a row could not be measured.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.document import write_document
from benchmarks.machine import describe_machine
from benchmarks.plots import draw_plots
from benchmarks.report import render_json, render_markdown, write_results
from benchmarks.rig import Rig
from benchmarks.rows import ROWS
from benchmarks.run import measure_rows
from benchmarks.table import Result

RESULTS = Path("benchmarks/results")
PAGE = Path("docs/performance.md")
FULL_LIMIT_S, QUICK_LIMIT_S = 1_140.0, 110.0
"""No row is begun after this: `make bench` promises twenty minutes, `make bench-quick` two."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit code."""
    given = _parse(arguments)
    if given.list:
        print("\n".join(f"{row.name:24} {row.goal.text:12} {row.what}" for row in ROWS))
        return 0
    if given.document:
        print("\n".join(map(str, write_document(given.results / "latest.json", PAGE))))
        return 0
    return _measure(given)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller loads")
    names = [row.name for row in ROWS]
    parser.add_argument("--only", action="append", metavar="NAME", choices=names, help="this row; may be repeated")
    parser.add_argument("--list", action="store_true", help="print the names of the rows")
    parser.add_argument("--document", action="store_true", help=f"write the last results into {PAGE}")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER", help="where JSON and tables go")
    return parser.parse_args(arguments)


def _measure(given: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, _leave)  # so that the peers end with an interrupted run
    rows = [row for row in ROWS if not given.only or row.name in given.only]
    # what is kept as the latest is a run of every row
    name = "partial" if given.only else "latest-quick" if given.quick else "latest"
    machine = describe_machine()
    results: list[Result] = []

    def report(result: Result) -> None:
        results.append(result)
        write_results(given.results, name, render_json(machine, results, quick=given.quick))

    try:
        with Rig(quick=given.quick) as rig:
            measure_rows(rows, rig, limit_s=QUICK_LIMIT_S if given.quick else FULL_LIMIT_S, report=report)
    finally:
        document = render_json(machine, results, quick=given.quick)
        print(render_markdown(document), flush=True)
    draw_plots(document, given.results)
    print(f"written to {given.results}/{name}.json and .md", file=sys.stderr)
    return int(any(result.verdict == "failed" for result in results))


def _leave(number: int, _: object) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
