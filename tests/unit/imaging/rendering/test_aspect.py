"""Pixel aspect ratio (PS3.3 §C.7.6.3.1.7)."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from gateway.imaging.rendering.aspect import read_aspect
from tests.support.pictures import make_item


@pytest.mark.parametrize(
    ("header", "aspect"),
    [
        (make_item(), 1),
        (make_item(PixelSpacing=["2", "1"]), 2),
        (make_item(PixelSpacing=["1", "2"], PixelAspectRatio=["9", "1"]), 0.5),
        (make_item(ImagerPixelSpacing=["3", "1"]), 3),
        (make_item(PixelAspectRatio=["4", "3"]), 4 / 3),
        (make_item(PixelSpacing=["1.0001", "1"]), 1),
        (make_item(PixelSpacing=["1000", "1"]), 1),
        (make_item(PixelSpacing=["0", "1"], PixelAspectRatio=["4", "1"]), 4),
        (make_item(PixelSpacing="1"), 1),
        (make_item(PixelSpacing=["-1", "1"]), 1),
    ],
)
def test_ratios(header: Dataset, aspect: float) -> None:
    assert read_aspect(header, 1) == aspect


def test_pixel_measures_of_the_frame() -> None:
    macro = make_item(PixelMeasuresSequence=[make_item(PixelSpacing=["3", "1"])])
    assert read_aspect(make_item(PixelSpacing=["2", "1"], SharedFunctionalGroupsSequence=[macro]), 1) == 3
