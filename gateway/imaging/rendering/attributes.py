"""Attributes of a header, read without trusting them: numbers, texts and sequences, also of functional groups.

Not a check of conformance: what cannot be read counts as absent, so that one odd value costs its effect and never the
picture. Called by everything in this room.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset

from gateway.errors import ImagingFailed

__all__ = ["find_macro", "get_items", "get_number", "get_numbers", "get_text", "get_texts", "get_value", "read_header"]

# parsed, a header of tiny elements has fifty times its bytes, and the memory is wanted by other tasks
_SHORT_BYTES = 256 * 1024
_MOST_KEPT_BYTES = 4 * 1024 * 1024

# what pydicom raises, one kind or another, for bytes that break their VR; deep nesting ends in a RecursionError
_UNREADABLE = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


def read_header(header: bytes) -> Dataset:
    """Parse a data set in Explicit VR Little Endian without preamble; nobody changes the result.

    The last few short ones are kept and the last long one: the frames of one instance bring the same header again and
    again, and functional groups of some thousand frames take a second to parse.

    Raises
    ------
    ImagingFailed
        The bytes are no such data set.
    """
    if len(header) <= _SHORT_BYTES:
        return _parse_short(header)
    if header in _last_long:
        return _last_long[header]
    _last_long.clear()  # first, so that two are never there
    data_set = _parse(header)
    if len(header) <= _MOST_KEPT_BYTES:
        _last_long[header] = data_set
    return data_set


def _parse(header: bytes) -> Dataset:
    try:
        return read_dataset(io.BytesIO(header), is_implicit_VR=False, is_little_endian=True)
    except _UNREADABLE as error:
        raise ImagingFailed("the data set is not in Explicit VR Little Endian") from error


_parse_short = lru_cache(maxsize=4)(_parse)
_last_long: dict[bytes, Dataset] = {}


def get_value(data_set: Dataset, tag: int | str) -> Any:
    """The value under a keyword or tag, or None where it is absent or breaks its VR."""
    try:
        element = data_set.get(tag)
    except _UNREADABLE:
        return None
    return getattr(element, "value", element)


def get_numbers(data_set: Dataset, keyword: int | str) -> tuple[float, ...]:
    """All values of `keyword`, empty where one of them is no finite number."""
    value = get_value(data_set, keyword)
    values = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else (value,)
    try:
        numbers = tuple(float(each) for each in values)
    except (TypeError, ValueError, OverflowError):
        return ()
    return numbers if all(map(math.isfinite, numbers)) else ()


def get_number(data_set: Dataset, keyword: int | str, default: float | None = None) -> float | None:
    """The first value of `keyword`, or `default` where there is none."""
    numbers = get_numbers(data_set, keyword)
    return numbers[0] if numbers else default


def get_texts(data_set: Dataset, keyword: int | str) -> tuple[str, ...]:
    """All values of `keyword` as text without padding, empty where absent."""
    value = get_value(data_set, keyword)
    if value is None:
        return ()
    values = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else (value,)
    return tuple(str(each).strip(" \0") for each in values)


def get_text(data_set: Dataset, keyword: int | str) -> str:
    """The first value of `keyword` as text, empty where absent."""
    texts = get_texts(data_set, keyword)
    return texts[0] if texts else ""


def get_items(data_set: Dataset, keyword: str) -> list[Dataset]:
    """Items of the sequence `keyword`, empty where absent or no sequence."""
    value = get_value(data_set, keyword)
    return [item for item in value if isinstance(item, Dataset)] if isinstance(value, Sequence) else []


def find_macro(data_set: Dataset, frame_number: int, keyword: str) -> Dataset | None:
    """The first item of a functional group macro for one frame: its own, else the shared one (PS3.3 §C.7.6.16).

    Parameters
    ----------
    data_set : pydicom.Dataset
        Header of the image.
    frame_number : int
        From 1.
    keyword : str
        Of the macro's sequence, ``"FrameVOILUTSequence"``.
    """
    own = get_items(data_set, "PerFrameFunctionalGroupsSequence")
    groups = own[frame_number - 1 : frame_number] + get_items(data_set, "SharedFunctionalGroupsSequence")[:1]
    for group in groups:
        if items := get_items(group, keyword):
            return items[0]
    return None
