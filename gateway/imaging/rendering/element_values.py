"""Binary values of elements as arrays of words: table data, contours, overlay bits.

The VR decides nothing here: LUT Data is met as US, SS, OW and even UN, palette data as OW or OB.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from gateway.imaging.rendering.attributes import get_value

__all__ = ["read_octets", "read_words"]


def read_octets(data_set: Dataset, tag: int | str) -> bytes | None:
    """The value as bytes in little endian order, None where absent or of another kind."""
    value = get_value(data_set, tag)
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    return None if value is None else _pack_words(value)


def _pack_words(value: Any) -> bytes | None:
    """Numbers of US or SS, one or several, as the words they came from."""
    numbers = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
    try:
        return np.array([int(number) & 0xFFFF for number in numbers], dtype="<u2").tobytes()
    except (TypeError, ValueError, OverflowError):
        return None


def read_words(data_set: Dataset, tag: int | str, count: int) -> npt.NDArray[np.uint16] | None:
    """`count` unsigned words, also where each was packed into one byte.

    Returns
    -------
    numpy.ndarray or None
        (count,) of uint16; None where the value is shorter than `count` bytes.
    """
    octets = read_octets(data_set, tag)
    if octets is None or len(octets) < count:
        return None
    if len(octets) >= 2 * count:
        return np.frombuffer(octets, dtype="<u2", count=count).astype(np.uint16)
    return np.frombuffer(octets, dtype=np.uint8, count=count).astype(np.uint16)
