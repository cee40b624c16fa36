"""Presentation LUT (PS3.3 §C.11.4, §C.11.6)."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from gateway.imaging.rendering.presentation_lut import choose_presentation_lut, read_presentation_lut
from tests.support.pictures import make_item, make_lut

VALUES = np.array([0.0, 0.25, 1.0])


@pytest.mark.parametrize(
    ("header", "photometric_interpretation", "expected"),
    [
        (make_item(), "MONOCHROME2", [0, 0.25, 1]),
        (make_item(), "MONOCHROME1", [1, 0.75, 0]),
        (make_item(PresentationLUTShape="IDENTITY"), "MONOCHROME1", [0, 0.25, 1]),
        (make_item(PresentationLUTShape="INVERSE"), "MONOCHROME1", [1, 0.75, 0]),
        (make_item(PresentationLUTShape="INVERSE"), "MONOCHROME2", [1, 0.75, 0]),
        (make_item(PresentationLUTShape="LIN OD"), "MONOCHROME1", [1, 0.75, 0]),
        (make_item(PresentationLUTSequence=[make_lut(np.array([0, 255, 51]), 0, 8)]), "MONOCHROME1", [0, 0, 0.2]),
    ],
)
def test_what_applies(header: Dataset, photometric_interpretation: str, expected: list[float]) -> None:
    assert choose_presentation_lut(header, photometric_interpretation).apply(VALUES).tolist() == expected


def test_nothing_said() -> None:
    assert read_presentation_lut(make_item()) is None
