"""Plots of the sweeps as PNG. matplotlib is imported here alone, and only when there is something to draw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["draw_plots"]

WIDTH_IN, PANEL_HEIGHT_IN, DOTS_PER_INCH = 7.5, 3.2, 110
HEADROOM = 1.05
MOST_MARKS = 20


def draw_plots(document: dict[str, Any], directory: Path) -> list[Path]:
    """Draw the plot of each row that has one into `directory`; returns the files."""
    plots = [row["plot"] for row in document["rows"] if row["plot"]]
    if plots:
        directory.mkdir(parents=True, exist_ok=True)
    return [_draw(plot, directory / f"{plot['name']}.png") for plot in plots]


def _draw(plot: dict[str, Any], path: Path) -> Path:
    from matplotlib.figure import Figure

    panels = plot["panels"]
    figure = Figure(figsize=(WIDTH_IN, PANEL_HEIGHT_IN * len(panels)), dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, panel in zip(axes, panels, strict=True):
        for curve in panel["curves"]:
            marker = "o" if len(curve["xs"]) <= MOST_MARKS else None
            axis.plot(curve["xs"], curve["ys"], marker=marker, markersize=3, label=curve["name"])
            if curve["low"]:
                axis.fill_between(curve["xs"], curve["low"], curve["high"], alpha=0.15)
        if plot["is_logarithmic"]:
            _mark_powers(axis, panel["curves"])
        axis.set_ylabel(panel["y_label"])
        axis.set_ylim(0, axis.get_ylim()[1] * HEADROOM)
        axis.grid(visible=True, alpha=0.3)
        axis.legend(frameon=False)
    axes[-1].set_xlabel(plot["x_label"])
    figure.suptitle(plot["title"])
    figure.savefig(path, metadata={"Software": None})
    return path


def _mark_powers(axis: Any, curves: list[dict[str, Any]]) -> None:
    """A logarithmic axis with a mark at each point measured, none between."""
    from matplotlib.ticker import NullLocator

    marks = sorted({x for curve in curves for x in curve["xs"]})
    axis.set_xscale("log", base=2)
    axis.set_xticks(marks, [f"{mark:,.0f}" for mark in marks])
    axis.xaxis.set_minor_locator(NullLocator())
