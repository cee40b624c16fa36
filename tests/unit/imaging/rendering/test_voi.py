"""VOI LUT functions against the formulas of PS3.3 §C.11.2.1.2 and §C.11.2.1.3, written out pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.imaging.rendering.parameters import VoiFunction, Window
from gateway.imaging.rendering.voi import TableVoi, ValueRange, WindowVoi, choose_voi, read_voi
from tests.support.pictures import make_item, make_lut

CENTERS = st.floats(-5_000, 5_000)
WIDTHS = st.floats(1, 10_000)
VALUES = st.lists(st.floats(-20_000, 20_000), min_size=1, max_size=20)


def linear(x: float, c: float, w: float) -> float:
    if x <= c - 0.5 - (w - 1) / 2:
        return 0
    if x > c - 0.5 + (w - 1) / 2:
        return 1
    return (x - (c - 0.5)) / (w - 1) + 0.5


def linear_exact(x: float, c: float, w: float) -> float:
    if x <= c - w / 2:
        return 0
    if x > c + w / 2:
        return 1
    return (x - c) / w + 0.5


def sigmoid(x: float, c: float, w: float) -> float:
    exponent = -4 * (x - c) / w
    return 1 / (1 + math.exp(exponent)) if exponent < 700 else 0


FORMULAS = {VoiFunction.LINEAR: linear, VoiFunction.LINEAR_EXACT: linear_exact, VoiFunction.SIGMOID: sigmoid}


@given(st.sampled_from(list(VoiFunction)), CENTERS, WIDTHS, VALUES)
def test_functions_are_those_of_the_standard(
    function: VoiFunction, center: float, width: float, values: list[float]
) -> None:
    found = WindowVoi(Window(center, width, function)).apply(np.array(values))
    assert found == pytest.approx([FORMULAS[function](value, center, width) for value in values], abs=1e-6)


@given(st.sampled_from(list(VoiFunction)), CENTERS, WIDTHS, VALUES)
def test_functions_rise(function: VoiFunction, center: float, width: float, values: list[float]) -> None:
    found = WindowVoi(Window(center, width, function)).apply(np.sort(np.array(values)))
    assert (np.diff(found) >= 0).all()
    assert found.min() >= 0 and found.max() <= 1


def test_window_of_one_value_is_a_step() -> None:
    assert WindowVoi(Window(10, 1)).apply(np.array([9.0, 9.5, 9.6, 10.0])).tolist() == [0, 0, 1, 1]


def test_ranges() -> None:
    assert ValueRange(0, 10).apply(np.array([-5.0, 0, 5, 10, 20])).tolist() == [0, 0, 0.5, 1, 1]
    assert ValueRange(3, 3).apply(np.array([3.0, 4.0])).tolist() == [0, 1]


def test_first_usable_window() -> None:
    header = make_item(WindowCenter=["1", "2"], WindowWidth=["0", "5"], VOILUTFunction="SIGMOID")
    assert read_voi(header, is_signed=False) == WindowVoi(Window(2, 5, VoiFunction.SIGMOID))


def test_windows_come_before_tables_and_requests_before_both() -> None:
    lut = make_lut(np.array([1, 2]), 0, 8)
    both = make_item(WindowCenter="1", WindowWidth="5", VOILUTSequence=[lut])
    assert choose_voi(both, 1, None, is_signed=False) == WindowVoi(Window(1, 5))
    assert choose_voi(both, 1, Window(9, 9), is_signed=False) == WindowVoi(Window(9, 9))
    assert isinstance(choose_voi(make_item(VOILUTSequence=[lut]), 1, None, is_signed=False), TableVoi)
    assert choose_voi(make_item(), 1, None, is_signed=False) is None


def test_windows_of_the_frame() -> None:
    groups = [make_item(FrameVOILUTSequence=[make_item(WindowCenter=n, WindowWidth=5)]) for n in (1, 2)]
    header = make_item(PerFrameFunctionalGroupsSequence=groups, WindowCenter=7, WindowWidth=7)
    assert choose_voi(header, 2, None, is_signed=False) == WindowVoi(Window(2, 5))


@pytest.mark.parametrize(("function", "read"), [("", "LINEAR"), ("CUBIC", "LINEAR"), ("LINEAR_EXACT", "LINEAR_EXACT")])
def test_names_of_functions(function: str, read: str) -> None:
    found = read_voi(make_item(WindowCenter=1, WindowWidth=5, VOILUTFunction=function), is_signed=False)
    assert found == WindowVoi(Window(1, 5, VoiFunction(read)))


def test_narrow_linear_windows_are_exact() -> None:
    found = read_voi(make_item(WindowCenter="0.5", WindowWidth="0.25"), is_signed=False)
    assert found == WindowVoi(Window(0.5, 0.25, VoiFunction.LINEAR_EXACT))
    assert read_voi(make_item(WindowCenter="1", WindowWidth="-1"), is_signed=False) is None


def test_tables_are_scaled_by_their_bits() -> None:
    voi = read_voi(make_item(VOILUTSequence=[make_lut(np.array([0, 4095]), 0, 12)]), is_signed=False)
    assert voi is not None
    assert voi.apply(np.array([0.0, 1.0])).tolist() == [0, 1]
