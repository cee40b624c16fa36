"""Stored values into levels of gray."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gateway.imaging.rendering.grayscale import GrayscalePipeline, find_padding, find_value_range, map_to_levels
from gateway.imaging.rendering.lookup_tables import LookupTable
from gateway.imaging.rendering.modality import IDENTITY, Rescale
from gateway.imaging.rendering.parameters import VoiFunction, Window
from gateway.imaging.rendering.presentation_lut import PresentationLut
from gateway.imaging.rendering.voi import ValueRange, WindowVoi
from tests.support.pictures import make_item

PIPELINES = st.builds(
    GrayscalePipeline,
    st.builds(Rescale, st.floats(0.1, 10), st.floats(-2_000, 2_000)),
    st.builds(
        lambda c, w, f: WindowVoi(Window(c, w, f)),
        st.floats(-999, 999),
        st.floats(1, 9_999),
        st.sampled_from(VoiFunction),
    ),
    st.builds(PresentationLut, is_inverse=st.booleans()),
)
FRAMES = st.sampled_from([np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.float32]).flatmap(
    lambda kind: arrays.arrays(
        kind, (3, 4), elements=arrays.from_dtype(np.dtype(kind), allow_nan=False, allow_infinity=False)
    )
)


@given(FRAMES, PIPELINES, st.sampled_from([8, 16]))
def test_the_composed_table_gives_what_each_pixel_would(
    pixels: np.ndarray, pipeline: GrayscalePipeline, bits: int
) -> None:
    with np.errstate(all="ignore"):
        expected = np.floor(pipeline.apply(pixels.astype(np.float64)) * ((1 << bits) - 1) + 0.5)
        found = map_to_levels(pixels, pipeline, bits)
    assert found.dtype == (np.uint8 if bits == 8 else np.uint16)
    assert (found == expected).all()


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.int64, np.uint64])
def test_extremes_of_each_type(kind: type) -> None:
    ends = np.iinfo(kind)
    pixels = np.array([[ends.min, ends.max]], dtype=kind)
    pipeline = GrayscalePipeline(IDENTITY, ValueRange(float(ends.min), float(ends.max)), PresentationLut())
    assert map_to_levels(pixels, pipeline).tolist() == [[0, 255]]


def test_what_is_no_number_is_black() -> None:
    pipeline = GrayscalePipeline(IDENTITY, ValueRange(0, 1), PresentationLut())
    with np.errstate(all="ignore"):
        found = map_to_levels(np.array([[np.nan, np.inf, -np.inf, 1]], np.float32), pipeline)
    assert found.tolist() == [[0, 255, 0, 255]]


def test_padding() -> None:
    pixels = np.array([[-2000, 5], [-1999, 7]], np.int16)
    assert find_padding(pixels, make_item()) is None
    assert find_padding(pixels, make_item(PixelPaddingValue=99)) is None
    one = find_padding(pixels, make_item(PixelPaddingValue=-2000))
    several = find_padding(pixels, make_item(PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1999))
    assert one is not None and several is not None
    assert one.tolist() == [[True, False], [False, False]]
    assert several.tolist() == [[True, False], [True, False]]


def test_padding_of_the_other_sign() -> None:
    signed = find_padding(np.array([[-2000]], np.int16), make_item(PixelPaddingValue=63_536))
    unsigned = find_padding(np.array([[63_536]], np.uint16), make_item(PixelPaddingValue=-2000))
    assert signed is not None and unsigned is not None


def test_value_ranges_leave_padding_out() -> None:
    pixels = np.array([[-2000, 5, 9]], np.int16)
    padding = np.array([[True, False, False]])
    assert find_value_range(pixels, Rescale(2, 1), padding) == (11, 19)
    assert find_value_range(pixels, Rescale(-1, 0), None) == (-9, 2000)
    assert find_value_range(pixels, LookupTable(0, np.array([7.0, 3.0]), 8), None) == (3, 7)
    assert find_value_range(pixels, IDENTITY, np.ones((1, 3), bool)) == (0, 0)
    assert find_value_range(np.array([[np.nan, 2, np.inf]]), IDENTITY, None) == (2, 2)
