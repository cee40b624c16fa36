"""Headers of elements and items: tag, VR and length, in either byte order, with VR or without (PS3.5 §7.1, §7.5).

No state but the level that is passed in. ``scanner`` reads with it, ``data_set_encoder`` finds ends of elements.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from gateway.codecs import Buffer
from gateway.codecs.levels import Level, is_letters
from gateway.codecs.value_representations import LONG_VRS, SHORT_VRS

__all__ = [
    "EXPLICIT_HEADER",
    "ITEM",
    "ITEM_DELIMITATION",
    "ITEM_HEADER",
    "SEQUENCE_DELIMITATION",
    "UNDEFINED_LENGTH",
    "Header",
    "find_element_end",
    "read_header",
    "read_tag",
]

UNDEFINED_LENGTH = 0xFFFFFFFF
ITEM, ITEM_DELIMITATION, SEQUENCE_DELIMITATION = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD

EXPLICIT_HEADER = {True: Struct("<HH2sH").unpack_from, False: Struct(">HH2sH").unpack_from}
"""Group, element, VR and 16-bit length, by whether the order is little endian."""

ITEM_HEADER = {True: Struct("<HHI").unpack_from, False: Struct(">HHI").unpack_from}
"""Group, element and 32-bit length, by whether the order is little endian."""

_LENGTH = {True: Struct("<I").unpack_from, False: Struct(">I").unpack_from}
_SHORT_LENGTH = {True: Struct("<H").unpack_from, False: Struct(">H").unpack_from}
_TAG = {True: Struct("<HH").unpack_from, False: Struct(">HH").unpack_from}


class Header(NamedTuple):
    """An element up to its value, which starts at `start` in the buffer; `implicit` where no VR was written."""

    tag: int
    vr: str
    length: int
    start: int
    implicit: bool


def read_tag(data: Buffer, position: int, *, little: bool) -> int:
    """Return the tag at `position`, of which all four bytes are there."""
    group, number = _TAG[little](data, position)
    return int(group << 16 | number)


def read_header(tag: int, data: Buffer, position: int, level: Level) -> Header | None:
    """Return what precedes the value of the element at `position`; None where it is not all there.

    The first 8 bytes are there. Two letters that are no VR are UN with a 16-bit length; anything else in the place of
    a VR means that this element is written without one.
    """
    start = position + 8
    if level.explicit:
        raw_vr = bytes(data[position + 4 : position + 6])
        if raw_vr in LONG_VRS:
            if len(data) < start + 4:
                return None
            (length,) = _LENGTH[level.little](data, start)
            return Header(tag, LONG_VRS[raw_vr], length, start + 4, implicit=False)
        if is_letters(raw_vr):
            (length,) = _SHORT_LENGTH[level.little](data, position + 6)
            return Header(tag, SHORT_VRS.get(raw_vr, "UN"), length, start, implicit=False)
    (length,) = _LENGTH[level.little](data, position + 4)
    return Header(tag, level.find_implicit_vr(tag), length, start, implicit=True)


def find_element_end(data: bytes, position: int, *, explicit: bool, little: bool) -> int:
    """Return where the element at `position` ends by its length, or any number beyond `data`.

    The first 8 bytes are there. It is the end only of an element that is written as its data set is; whoever compares
    the bytes up to there with those of an element read before knows that.
    """
    if not explicit:
        return int(position + 8 + _LENGTH[little](data, position + 4)[0])
    raw_vr = data[position + 4 : position + 6]
    if raw_vr in SHORT_VRS:
        return int(position + 8 + _SHORT_LENGTH[little](data, position + 6)[0])
    if raw_vr in LONG_VRS and len(data) >= position + 12:
        return int(position + 12 + _LENGTH[little](data, position + 8)[0])
    return len(data) + 1
