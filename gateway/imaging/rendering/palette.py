"""Palette Color Lookup Tables: one stored value into red, green and blue (PS3.3 §C.7.6.3.1.5, §C.7.6.3.1.6).

Tables of 8 and 16 bits and the segmented form (§C.7.9.2), for PALETTE COLOR images, supplemental palettes, label
maps, pseudo-color and blending presentation states.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from gateway.errors import ImagingFailed
from gateway.imaging.pixels import PixelArray
from gateway.imaging.rendering.attributes import get_numbers
from gateway.imaging.rendering.element_values import read_octets, read_words
from gateway.imaging.rendering.lookup_tables import FloatArray

__all__ = ["Palette", "expand_segments", "read_palette"]

_COLOURS = ("Red", "Green", "Blue")
_MOST_ENTRIES = 65_536
_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours for the stored values from `first` on; values outside take the first or last colour.

    Parameters
    ----------
    first : int
        The stored value that the first colour is for.
    colours : numpy.ndarray
        (n, 3) of uint8.
    """

    first: int
    colours: npt.NDArray[np.uint8] = field(repr=False)

    def apply(self, pixels: PixelArray) -> npt.NDArray[np.uint8]:
        """Stored values of integer type in, of any shape; the same shape with three colours out."""
        if not pixels.size:
            return np.zeros((*pixels.shape, 3), np.uint8)
        least, greatest = int(pixels.min()), int(pixels.max())
        if greatest - least >= _MOST_ENTRIES:
            return self._take(pixels.astype(np.int64))
        # looked up once for each value there is: places of eight bytes for each pixel would be the larger part
        table = self._take(np.arange(least, greatest + 1))
        offsets = (pixels - pixels.dtype.type(least)).view(f"<u{pixels.dtype.itemsize}") if least else pixels
        return np.take(table, offsets, axis=0)

    def _take(self, values: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        return np.take(self.colours, np.clip(values - self.first, 0, len(self.colours) - 1), axis=0)

    def scale(self, values: FloatArray) -> npt.NDArray[np.uint8]:
        """P-Values of 0 to 1 in, spread over all colours (PS3.3 §C.11.13, pseudo-color)."""
        places = np.rint(np.clip(np.nan_to_num(values), 0, 1) * (len(self.colours) - 1)).astype(np.intp)
        return np.take(self.colours, places, axis=0)


def read_palette(data_set: Dataset, *, is_signed: bool = False) -> Palette | None:
    """Read the three tables of an image, a presentation state or a color palette instance.

    Parameters
    ----------
    data_set : pydicom.Dataset
        Holds the Palette Color Lookup Table attributes.
    is_signed : bool
        Stored values may be negative, so the second value of a descriptor is meant so.

    Returns
    -------
    Palette or None
        None where no table is there.

    Raises
    ------
    ImagingFailed
        There are tables, but not three that fit their descriptors.
    """
    descriptors = [get_numbers(data_set, f"{colour}PaletteColorLookupTableDescriptor") for colour in _COLOURS]
    if not any(descriptors):
        return None
    if any(len(descriptor) != 3 for descriptor in descriptors):
        raise ImagingFailed("a Palette Color Lookup Table Descriptor is missing or has not three values")
    counts = [int(descriptor[0]) & 0xFFFF or _MOST_ENTRIES for descriptor in descriptors]
    first = int(descriptors[0][1])
    bits = 16 if descriptors[0][2] > 8 else 8
    planes = [_read_plane(data_set, colour, min(counts), bits) for colour in _COLOURS]
    return Palette(first - 65_536 if is_signed and first > 32_767 else first, np.stack(_reduce(planes, bits), axis=-1))


def _reduce(planes: list[npt.NDArray[np.uint16]], bits: int) -> list[npt.NDArray[np.uint8]]:
    """Eight bits of each entry; tables of 16 bits that hold values up to 255 only are taken as 8 bits."""
    shift = 8 if bits == 16 and any(plane.max(initial=0) > 255 for plane in planes) else 0
    return [(plane >> shift).astype(np.uint8) for plane in planes]


def _read_plane(data_set: Dataset, colour: str, count: int, bits: int) -> npt.NDArray[np.uint16]:
    segments = read_octets(data_set, f"Segmented{colour}PaletteColorLookupTableData")
    if segments:
        words = np.frombuffer(segments[: len(segments) // 2 * 2], dtype="<u2") if bits == 16 else segments
        entries = expand_segments([int(word) for word in words], bits)
        found: npt.NDArray[np.uint16] | None = np.array(entries[:count], dtype=np.uint16)
    else:
        found = read_words(data_set, f"{colour}PaletteColorLookupTableData", count)
    if found is None or len(found) < count:
        raise ImagingFailed("Palette Color Lookup Table Data is missing or shorter than its descriptor says")
    return found


def expand_segments(words: Sequence[int], bits: int) -> list[int]:
    """Expand a segmented table (PS3.3 §C.7.9.2).

    Parameters
    ----------
    words : sequence of int
        Segments in words of `bits`; one word of padding may follow.
    bits : int
        8 or 16.

    Returns
    -------
    list of int
        At most 65,536 entries: expansion stops there, so that no table can grow without limit.

    Raises
    ------
    ImagingFailed
        An unknown segment type, a segment that ends early, or one that refers back to an indirect one.
    """
    entries: list[int] = []
    place = 0
    while place + 1 < len(words) and len(entries) < _MOST_ENTRIES:
        if words[place] == _INDIRECT:
            start, end = _read_offset(words, place + 2, bits), place + (4 if bits == 16 else 6)
            for segment in _iter_direct(words, start, words[place + 1]):
                _extend(entries, *segment)
            place = end
        else:
            kind, values, length, place = _read_segment(words, place)
            _extend(entries, kind, values, length)
    return entries[:_MOST_ENTRIES]


def _read_offset(words: Sequence[int], place: int, bits: int) -> int:
    """The place of the segments that an indirect segment copies, given in bytes, least significant word first."""
    parts = words[place : place + (2 if bits == 16 else 4)]
    return sum(part << (bits * index) for index, part in enumerate(parts)) // (bits // 8)


def _iter_direct(words: Sequence[int], place: int, count: int) -> Iterator[tuple[int, Sequence[int], int]]:
    for _ in range(count):
        kind, values, length, place = _read_segment(words, place)
        yield kind, values, length


def _read_segment(words: Sequence[int], place: int) -> tuple[int, Sequence[int], int, int]:
    """Type, values, length and the place after a discrete or linear segment."""
    if place + 2 >= len(words) or words[place] not in (_DISCRETE, _LINEAR):
        raise ImagingFailed("a segmented Palette Color Lookup Table has a segment that cannot be read")
    kind, length = words[place], words[place + 1]
    end = place + 2 + (length if kind == _DISCRETE else 1)
    if end > len(words):
        raise ImagingFailed("a segmented Palette Color Lookup Table ends inside a segment")
    return kind, words[place + 2 : end], length, end


def _extend(entries: list[int], kind: int, values: Sequence[int], length: int) -> None:
    if len(entries) >= _MOST_ENTRIES:
        return
    if kind == _DISCRETE:
        entries.extend(values)
    elif not entries:
        raise ImagingFailed("a segmented Palette Color Lookup Table begins with a linear segment")
    else:
        entries.extend(int(value) for value in np.rint(np.linspace(entries[-1], values[0], length + 1)[1:]))
