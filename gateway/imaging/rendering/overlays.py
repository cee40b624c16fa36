"""Overlay planes: graphics of one bit a pixel, in groups of their own or in unused bits of the pixels (PS3.3 §C.9.2).

Planes of type G are drawn over the picture. Planes of type R mark a region of interest for measuring and are left out,
since filled they would hide what they mark. The planes of a presentation state are read with the same functions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from gateway.imaging.description import ImageDescription, is_native
from gateway.imaging.rendering.attributes import get_number, get_numbers, get_text
from gateway.imaging.rendering.element_values import read_octets

__all__ = ["GROUPS", "Mask", "find_overlays", "read_overlay"]

Mask = npt.NDArray[np.bool_]

GROUPS = range(0x6000, 0x6020, 2)
"""The repeating groups of overlays."""

_ROWS, _COLUMNS, _FRAMES, _TYPE, _ORIGIN, _FRAME_ORIGIN = 0x0010, 0x0011, 0x0015, 0x0040, 0x0050, 0x0051
_BITS_ALLOCATED, _BIT_POSITION, _DATA = 0x0100, 0x0102, 0x3000


def find_overlays(header: Dataset, description: ImageDescription, frame: bytes, frame_number: int) -> list[Mask]:
    """The graphic planes of one frame of an image.

    Parameters
    ----------
    header : pydicom.Dataset
        Of the image.
    description : ImageDescription
        Of the same image.
    frame : bytes
        As stored; planes in its unused bits are found where it is native.
    frame_number : int
        From 1.

    Returns
    -------
    list of numpy.ndarray
        (rows, columns) of bool, of the size of the image; what reaches beyond the image is cut off.
    """
    shape = (description.rows, description.columns)
    masks = []
    for group in GROUPS:
        if get_text(header, _tag(group, _TYPE)) != "G":
            continue
        mask = read_overlay(header, group, shape, frame_number)
        if mask is None:
            mask = _extract_embedded(header, group, description, frame)
        if mask is not None:
            masks.append(mask)
    return masks


def read_overlay(data_set: Dataset, group: int, shape: tuple[int, int], frame_number: int = 1) -> Mask | None:
    """The plane held in Overlay Data of `group`, for one frame, on an image of `shape`; None where there is none."""
    octets = read_octets(data_set, _tag(group, _DATA))
    rows, columns = (int(get_number(data_set, _tag(group, element), 0) or 0) for element in (_ROWS, _COLUMNS))
    if not octets or rows < 1 or columns < 1:
        return None
    frames = int(get_number(data_set, _tag(group, _FRAMES), 1) or 1)
    place = frame_number - int(get_number(data_set, _tag(group, _FRAME_ORIGIN), 1) or 1) if frames > 1 else 0
    first = place * rows * columns
    if not 0 <= place < frames or first + rows * columns > len(octets) * 8:
        return None
    bits = np.unpackbits(np.frombuffer(octets, np.uint8), count=first + rows * columns, bitorder="little")
    return _place(bits[first:].reshape(rows, columns).view(np.bool_), shape, _read_origin(data_set, group))


def _extract_embedded(header: Dataset, group: int, description: ImageDescription, frame: bytes) -> Mask | None:
    """The plane held in a bit of the pixels beside the stored bits (retired, PS3.5 §8.1.2)."""
    position = get_number(header, _tag(group, _BIT_POSITION))
    allocated, count = description.bits_allocated, description.rows * description.columns
    usable = is_native(description.transfer_syntax_uid) and description.samples_per_pixel == 1 and allocated in (8, 16)
    if not usable or position is None or not 0 <= position < allocated or len(frame) < count * allocated // 8:
        return None
    if description.high_bit - description.bits_stored < position <= description.high_bit:
        return None
    cells = np.frombuffer(frame, np.dtype(f"<u{allocated // 8}"), count=count)
    mask: Mask = (cells >> int(position) & 1).astype(np.bool_).reshape(description.rows, description.columns)
    return mask


def _read_origin(data_set: Dataset, group: int) -> tuple[int, int]:
    """Row and column of the image that the first pixel of the plane lies on, from 0."""
    origin = get_numbers(data_set, _tag(group, _ORIGIN))
    return (int(origin[0]) - 1, int(origin[1]) - 1) if len(origin) == 2 else (0, 0)


def _place(plane: Mask, shape: tuple[int, int], origin: tuple[int, int]) -> Mask:
    """Cut and pad `plane` so that it has the size of the image."""
    if plane.shape == shape and origin == (0, 0):
        return plane
    mask = np.zeros(shape, dtype=np.bool_)
    targets, sources = [], []
    for start, length, size in zip(origin, plane.shape, shape, strict=True):
        begin, end = max(start, 0), min(start + length, size)
        if begin >= end:
            return mask
        targets.append(slice(begin, end))
        sources.append(slice(begin - start, end - start))
    mask[tuple(targets)] = plane[tuple(sources)]
    return mask


def _tag(group: int, element: int) -> int:
    return group << 16 | element
