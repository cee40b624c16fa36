"""Modality LUT (PS3.3 §C.11.1)."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.imaging.rendering.lookup_tables import LookupTable
from gateway.imaging.rendering.modality import IDENTITY, Rescale, choose_modality, read_modality
from tests.support.pictures import make_item, make_lut


def test_rescale() -> None:
    modality = read_modality(make_item(RescaleSlope="2", RescaleIntercept="-1024"), is_signed=False)
    assert modality.apply(np.array([0.0, 512.0])).tolist() == [-1024, 0]


def test_table_comes_before_rescale() -> None:
    item = make_item(RescaleSlope="2", RescaleIntercept="0", ModalityLUTSequence=[make_lut(np.array([7, 8]), 0, 16)])
    modality = read_modality(item, is_signed=False)
    assert isinstance(modality, LookupTable)
    assert modality.apply(np.array([1.0])).tolist() == [8]


def test_functional_groups_come_before_the_image() -> None:
    macro = make_item(PixelValueTransformationSequence=[make_item(RescaleSlope="3", RescaleIntercept="1")])
    header = make_item(RescaleSlope="2", SharedFunctionalGroupsSequence=[macro])
    assert choose_modality(header, 1, is_signed=False) == Rescale(3, 1)
    assert choose_modality(make_item(RescaleSlope="2"), 1, is_signed=False) == Rescale(2, 0)


@pytest.mark.parametrize("slope", ["", "0", "1e30"])
def test_absurd_slopes_change_nothing(slope: str) -> None:
    assert read_modality(make_item(RescaleSlope=slope), is_signed=False) == IDENTITY
