"""VOI LUT: which values are shown from black to white (PS3.3 §C.11.2).

Which of several transformations applies: the window of the request; else the first window of the frame's Frame VOI
LUT or of the image; else its first VOI LUT; else, since nothing is said, the whole range of the stored bits for images
of up to 8 bits without rescale, which are display values already, and for all others the range from the least to the
greatest value of the frame, padding apart. Windows come before tables since that is what modalities show first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from pydicom.dataset import Dataset

from gateway.imaging.rendering.attributes import find_macro, get_items, get_numbers, get_text
from gateway.imaging.rendering.lookup_tables import FloatArray, LookupTable, read_lookup_table
from gateway.imaging.rendering.parameters import VoiFunction, Window

__all__ = ["TableVoi", "ValueRange", "Voi", "WindowVoi", "choose_voi", "read_voi"]


class Voi(Protocol):
    """A transformation of modality values into 0 (black of MONOCHROME2) to 1."""

    def apply(self, values: FloatArray) -> FloatArray:
        """Any shape in, the same shape out."""


@dataclass(frozen=True, slots=True)
class ValueRange:
    """The straight line from `low`, which becomes 0, to `high`, which becomes 1."""

    low: float
    high: float

    def apply(self, values: FloatArray) -> FloatArray:
        """Values outside the range take its ends; where the range is one value, that value becomes 0."""
        width = self.high - self.low
        if not math.isfinite(width) or width <= 0:
            return np.where(values > self.low, 1.0, 0.0)
        return np.clip((values - self.low) / width, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class WindowVoi:
    """A window by one of the three functions of §C.11.2.1.2 and §C.11.2.1.3."""

    window: Window

    def apply(self, values: FloatArray) -> FloatArray:
        """Any shape in, the same shape out."""
        return _FUNCTIONS[self.window.function](values, self.window.center, self.window.width)


def _apply_linear(values: FloatArray, center: float, width: float) -> FloatArray:
    """Equation C.11-2: the outermost values of the window are black and white."""
    if width == 1:
        return np.where(values > center - 0.5, 1.0, 0.0)
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)


def _apply_linear_exact(values: FloatArray, center: float, width: float) -> FloatArray:
    return np.clip((values - center) / width + 0.5, 0.0, 1.0)


def _apply_sigmoid(values: FloatArray, center: float, width: float) -> FloatArray:
    # beyond 700 the exponential of a float64 overflows, and the result is 0 or 1 long before
    exponents = np.clip(-4 * (values - center) / width, -700, 700)
    return np.asarray(1 / (1 + np.exp(exponents)), dtype=np.float64)


_FUNCTIONS = {
    VoiFunction.LINEAR: _apply_linear,
    VoiFunction.LINEAR_EXACT: _apply_linear_exact,
    VoiFunction.SIGMOID: _apply_sigmoid,
}


@dataclass(frozen=True, slots=True)
class TableVoi:
    """A VOI LUT; the greatest value of its bits becomes 1."""

    table: LookupTable

    def apply(self, values: FloatArray) -> FloatArray:
        """Any shape in, the same shape out."""
        return self.table.apply(values) / self.table.highest


def choose_voi(header: Dataset, frame_number: int, window: Window | None, *, is_signed: bool) -> Voi | None:
    """The transformation that is asked for or named by the image, None where nothing is said.

    Parameters
    ----------
    header : pydicom.Dataset
        Of the image.
    frame_number : int
        From 1.
    window : Window, optional
        Of the request.
    is_signed : bool
        Modality values may be negative, which the descriptor of a table is read by.
    """
    if window is not None:
        return WindowVoi(window)
    macro = find_macro(header, frame_number, "FrameVOILUTSequence")
    return read_voi(header if macro is None else macro, is_signed=is_signed)


def read_voi(data_set: Dataset, *, is_signed: bool) -> Voi | None:
    """Read a VOI LUT Module, a Frame VOI LUT or a Softcopy VOI LUT item; the first usable window or table."""
    centers, widths = get_numbers(data_set, "WindowCenter"), get_numbers(data_set, "WindowWidth")
    function = _read_function(data_set)
    for center, width in zip(centers, widths, strict=False):
        if width > 0:
            # widths below 1 come with float data, for which LINEAR has no meaning
            exact = function is VoiFunction.LINEAR and width < 1
            return WindowVoi(Window(center, width, VoiFunction.LINEAR_EXACT if exact else function))
    for item in get_items(data_set, "VOILUTSequence"):
        if (table := read_lookup_table(item, is_signed=is_signed)) is not None:
            return TableVoi(table)
    return None


def _read_function(data_set: Dataset) -> VoiFunction:
    return _BY_NAME.get(get_text(data_set, "VOILUTFunction"), VoiFunction.LINEAR)


_BY_NAME = {function.value: function for function in VoiFunction}
