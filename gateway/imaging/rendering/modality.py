"""Modality LUT: stored values into the units of the modality, Hounsfield units of a CT (PS3.3 §C.11.1).

A table or slope and intercept, of the frame's Pixel Value Transformation where the image has functional groups.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset

from gateway.imaging.rendering.attributes import find_macro, get_items, get_number
from gateway.imaging.rendering.lookup_tables import FloatArray, LookupTable, read_lookup_table

__all__ = ["IDENTITY", "Rescale", "choose_modality", "read_modality"]

_LARGEST = 1e12  # of slope and intercept: beyond, float64 would not tell neighbouring stored values apart


@dataclass(frozen=True, slots=True)
class Rescale:
    """Output = slope × stored value + intercept."""

    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, values: FloatArray) -> FloatArray:
        """Any shape in, the same shape out."""
        return values if self == IDENTITY else values * self.slope + self.intercept


IDENTITY = Rescale()


def choose_modality(header: Dataset, frame_number: int, *, is_signed: bool) -> Rescale | LookupTable:
    """The transformation of one frame: of its functional groups, else of the image; else none."""
    macro = find_macro(header, frame_number, "PixelValueTransformationSequence")
    return read_modality(header if macro is None else macro, is_signed=is_signed)


def read_modality(data_set: Dataset, *, is_signed: bool) -> Rescale | LookupTable:
    """Read a Modality LUT Module or a Pixel Value Transformation item; identity where it is absent or absurd."""
    for item in get_items(data_set, "ModalityLUTSequence"):
        if (table := read_lookup_table(item, is_signed=is_signed)) is not None:
            return table
    slope = get_number(data_set, "RescaleSlope", 1.0) or 1.0  # a slope of 0 would leave no picture at all
    intercept = get_number(data_set, "RescaleIntercept", 0.0) or 0.0
    absurd = abs(slope) > _LARGEST or abs(intercept) > _LARGEST
    return IDENTITY if absurd else Rescale(slope, intercept)
