"""gateway/sandbox/cross_sections.py"""

from __future__ import annotations

import numpy as np
import pytest

from gateway.sandbox.cross_sections import T1_WEIGHTED, T2_WEIGHTED, make_ct_series, make_mr_series
from gateway.sandbox.instances import Patient, Study

STUDY = Study("test", Patient("T1", "Test^One", "ISO_IR 100"), "20240101", "101500", "Test", "A1")

MAKERS = {
    "CT": lambda: make_ct_series(STUDY, 5, 64),
    "MR": lambda: make_mr_series(STUDY, 1, T1_WEIGHTED, 5, 64),
}


@pytest.mark.parametrize("modality", list(MAKERS))
def test_slices_are_evenly_placed(modality):
    series = list(MAKERS[modality]())
    assert [instance.InstanceNumber for instance in series] == [1, 2, 3, 4, 5]
    assert len({instance.SOPInstanceUID for instance in series}) == 5
    assert len({instance.FrameOfReferenceUID for instance in series}) == 1
    steps = np.diff([float(instance.ImagePositionPatient[2]) for instance in series])
    assert np.allclose(steps, steps[0])
    assert steps[0] > 0
    assert {instance.Modality for instance in series} == {modality}


@pytest.mark.parametrize("modality", list(MAKERS))
def test_the_same_call_gives_the_same_pixels(modality):
    first, second = MAKERS[modality](), MAKERS[modality]()
    assert all(one.PixelData == other.PixelData for one, other in zip(first, second, strict=True))


def test_ct_values_are_hounsfield_units():
    middle = list(make_ct_series(STUDY, 5, 128))[2]
    values = middle.pixel_array * float(middle.RescaleSlope) + float(middle.RescaleIntercept)
    assert abs(np.median(values[:6, :6]) + 1000) < 30  # air
    assert values.max() > 200  # bone
    assert middle.pixel_array.max() < 1 << middle.BitsStored


def test_fluid_is_dark_in_t1_and_bright_in_t2():
    t1, t2 = (
        list(make_mr_series(STUDY, number, contrast, 9, 128))[4].pixel_array
        for number, contrast in enumerate((T1_WEIGHTED, T2_WEIGHTED), 1)
    )
    fluid = (t2 > 850) & (t1 > 60)
    assert fluid.sum() > 50
    assert t1[fluid].mean() < 300
