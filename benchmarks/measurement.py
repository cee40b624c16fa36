"""What a row measured: samples of ours and of those beside them, and curves where it draws some."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.samples import Samples

__all__ = ["Curve", "Measurement", "Panel", "Plot"]


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of one line of a plot; `low` and `high` bound its band where there is one."""

    name: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves over a common axis."""

    y_label: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """Panels below each other; `name` is that of its file."""

    name: str
    title: str
    x_label: str
    panels: tuple[Panel, ...]
    is_logarithmic: bool = False


@dataclass(frozen=True, slots=True)
class Measurement:
    """The samples of a row: ours, those it stands beside, and further ones for orientation."""

    ours: Samples
    beside: Samples | None = None
    others: tuple[Samples, ...] = ()
    note: str = ""
    plot: Plot | None = None
