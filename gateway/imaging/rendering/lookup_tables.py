"""Lookup tables of Modality, VOI and Presentation LUT Sequences (PS3.3 §C.11.1.1).

Not palettes (``palette``), which have three tables and segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from gateway.imaging.rendering.attributes import get_numbers
from gateway.imaging.rendering.element_values import read_words

__all__ = ["FloatArray", "LookupTable", "read_lookup_table"]

FloatArray = npt.NDArray[np.float64]
_MOST_ENTRIES = 65_536


@dataclass(frozen=True, slots=True)
class LookupTable:
    """Entries for the input values from `first` on; values outside take the first or last entry.

    Parameters
    ----------
    first : int
        The input value that the first entry is for.
    entries : numpy.ndarray
        (n,) of float64, n from 1 to 65,536.
    bits : int
        Of an entry, 8 to 16: the output ranges from 0 to 2^bits - 1.
    """

    first: int
    entries: FloatArray = field(repr=False)
    bits: int

    def apply(self, values: FloatArray) -> FloatArray:
        """Look each value up, rounded to the nearest integer; any shape; what is no number takes the first entry."""
        places = np.clip(np.rint(np.nan_to_num(values)) - self.first, 0, len(self.entries) - 1)
        return self._take(places.astype(np.intp))

    def scale(self, values: FloatArray) -> FloatArray:
        """Look values of 0 to 1 up, spread over all entries, and give values of 0 to 1."""
        places = np.rint(np.clip(np.nan_to_num(values), 0, 1) * (len(self.entries) - 1)).astype(np.intp)
        return self._take(places) / self.highest

    def _take(self, places: npt.NDArray[np.intp]) -> FloatArray:
        taken: FloatArray = np.take(self.entries, places)
        return taken

    @property
    def highest(self) -> float:
        """The greatest value that entries of these bits can have."""
        return float((1 << self.bits) - 1)


def read_lookup_table(item: Dataset, *, is_signed: bool = False) -> LookupTable | None:
    """Read LUT Descriptor and LUT Data of a sequence item.

    Parameters
    ----------
    item : pydicom.Dataset
        Of a Modality LUT, VOI LUT or Presentation LUT Sequence.
    is_signed : bool
        The values looked up may be negative, so the second value of the descriptor is meant so (§C.11.1.1.1).

    Returns
    -------
    LookupTable or None
        None where descriptor or data are missing or do not fit each other.
    """
    descriptor = get_numbers(item, "LUTDescriptor")
    if len(descriptor) != 3:
        return None
    count, first, bits = _read_descriptor(descriptor, is_signed=is_signed)
    entries = read_words(item, "LUTData", count)
    if entries is None or not 8 <= bits <= 16:
        return None
    return LookupTable(first, _correct_depth(entries, bits), bits)


def _read_descriptor(values: Sequence[float], *, is_signed: bool) -> tuple[int, int, int]:
    """Entries (0 stands for 65,536), first input value and bits of an entry."""
    count, first, bits = (int(value) for value in values)
    if is_signed and first > 32_767:
        first -= 65_536
    return (count & 0xFFFF) or _MOST_ENTRIES, first, bits


def _correct_depth(entries: npt.NDArray[np.uint16], bits: int) -> FloatArray:
    """Entries within `bits`: tables exist whose entries have more bits than their descriptor says."""
    return np.minimum(entries, (1 << bits) - 1).astype(np.float64)
