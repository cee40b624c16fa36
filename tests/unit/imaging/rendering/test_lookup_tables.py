"""LUT Descriptor and LUT Data (PS3.3 §C.11.1.1)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gateway.imaging.rendering.lookup_tables import LookupTable, read_lookup_table
from tests.support.pictures import make_item, make_lut


def test_values_outside_take_the_ends() -> None:
    table = read_lookup_table(make_lut(np.array([10, 20, 30]), -1, 8))
    assert table is not None
    values = np.array([-100, -1, 0, 0.4, 0.6, 1, 100, np.nan, np.inf])
    assert table.apply(values).tolist() == [10, 10, 20, 20, 30, 30, 30, 20, 30]
    assert table.highest == 255


def test_scaled_over_all_entries() -> None:
    table = LookupTable(5, np.array([0.0, 255.0, 51.0]), 8)
    assert table.scale(np.array([0.0, 0.5, 1.0, 2.0, -1.0])).tolist() == [0, 1, 0.2, 0.2, 0]


def test_zero_entries_stand_for_65536() -> None:
    table = read_lookup_table(make_lut(np.arange(65_536), 0, 16))
    assert table is not None
    assert table.apply(np.array([0.0, 40_000.0, 65_535.0])).tolist() == [0, 40_000, 65_535]


def test_first_value_is_signed_where_pixels_are() -> None:
    item = make_item(LUTDescriptor=[2, 65_535, 8], LUTData=[1, 2])
    signed, unsigned = read_lookup_table(item, is_signed=True), read_lookup_table(item)
    assert signed is not None and unsigned is not None
    assert (signed.first, unsigned.first) == (-1, 65_535)


def test_entries_beyond_their_bits_are_cut() -> None:
    table = read_lookup_table(make_lut(np.array([5, 4096]), 0, 12))
    assert table is not None
    assert table.entries.tolist() == [5, 4095]


@pytest.mark.parametrize("descriptor", [[2, 0], [3, 0, 8], [2, 0, 7], [2, 0, 17], [0, 0, 16]])
def test_what_does_not_fit_is_no_table(descriptor: list[int]) -> None:
    assert read_lookup_table(make_item(LUTDescriptor=descriptor, LUTData=b"\1\0")) is None


@given(
    arrays.arrays(np.uint16, st.integers(1, 50)).map(np.sort),
    st.integers(-100, 100),
    arrays.arrays(np.float64, 20, elements=st.floats(-1e9, 1e9)).map(np.sort),
)
def test_rising_tables_keep_order(entries: np.ndarray, first: int, values: np.ndarray) -> None:
    table = LookupTable(first, entries.astype(np.float64), 16)
    assert (np.diff(table.apply(values)) >= 0).all()
