"""Presentation LUT: values of 0 to 1 into P-Values of 0 to 1 (PS3.3 §C.11.4, §C.11.6).

An image of its own shape or table is shown by that; else MONOCHROME1 is shown inverted. A presentation state says
what applies in place of both.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset

from gateway.imaging.rendering.attributes import get_items, get_text
from gateway.imaging.rendering.lookup_tables import FloatArray, LookupTable, read_lookup_table

__all__ = ["PresentationLut", "choose_presentation_lut", "read_presentation_lut"]

_INVERTED = {"IDENTITY": False, "INVERSE": True}


@dataclass(frozen=True, slots=True)
class PresentationLut:
    """A table, an inversion, or (both absent) nothing."""

    table: LookupTable | None = None
    is_inverse: bool = False

    def apply(self, values: FloatArray) -> FloatArray:
        """Values of 0 to 1 in, P-Values of 0 to 1 out."""
        if self.table is not None:
            return self.table.scale(values)
        return 1.0 - values if self.is_inverse else values


def choose_presentation_lut(header: Dataset, photometric_interpretation: str) -> PresentationLut:
    """What the image says itself, else what its Photometric Interpretation means."""
    found = read_presentation_lut(header)
    return found if found is not None else PresentationLut(is_inverse=photometric_interpretation == "MONOCHROME1")


def read_presentation_lut(data_set: Dataset) -> PresentationLut | None:
    """Read Presentation LUT Sequence or Presentation LUT Shape, None where neither is there."""
    for item in get_items(data_set, "PresentationLUTSequence"):
        if (table := read_lookup_table(item)) is not None:
            return PresentationLut(table)
    is_inverse = _INVERTED.get(get_text(data_set, "PresentationLUTShape"))
    return None if is_inverse is None else PresentationLut(is_inverse=is_inverse)
