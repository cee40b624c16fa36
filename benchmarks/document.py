"""``python -m benchmarks --document``: the last results go into ``docs/performance.md``, between its markers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.plots import draw_plots
from benchmarks.report import describe_run, render_details, render_table

__all__ = ["MARKERS", "replace_between", "write_document"]

MARKERS = ("<!-- benchmark results: begin -->", "<!-- benchmark results: end -->")
PLOT_FOLDER = "performance"


def write_document(results: Path, page: Path) -> list[Path]:
    """Rewrite the dated part of `page` from the JSON file `results` and draw the plots beside it.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    FileNotFoundError
        No results: measure first.
    ValueError
        `page` has not exactly one of each marker.
    """
    document = json.loads(results.read_text("utf-8"))
    text = page.read_text("utf-8")
    replace_between(text, "")  # complains before anything is written
    plots = draw_plots(document, page.parent / PLOT_FOLDER)
    page.write_text(replace_between(text, _render(document, plots)), encoding="utf-8")
    return [page, *plots]


def _render(document: dict[str, Any], plots: list[Path]) -> str:
    titles = {row["plot"]["name"]: row["plot"]["title"] for row in document["rows"] if row["plot"]}
    pictures = [f"![{titles[plot.stem]}]({PLOT_FOLDER}/{plot.name})" for plot in plots]
    parts = [describe_run(document), render_table(document), *pictures]
    parts += ["### Samples behind the table", render_details(document)]
    return "\n\n".join(parts)


def replace_between(text: str, new: str) -> str:
    """Put `new` between the markers of `text`.

    Raises
    ------
    ValueError
        Not exactly one of each marker, or in the wrong order.
    """
    begin, end = MARKERS
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"the page needs one {begin} and after it one {end}")
    head, _, rest = text.partition(begin)
    tail = rest.partition(end)[2]
    return f"{head}{begin}\n\n{new}\n\n{end}{tail}"
