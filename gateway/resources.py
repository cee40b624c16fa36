"""Value objects for what a request is about: the path of a resource and its level (PS3.18 §10.1).

They know nothing of HTTP or DIMSE; ``web`` makes them, ``services`` read them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Self

from gateway.errors import BadParameter

__all__ = ["Level", "ResourcePath", "is_valid_uid", "parse_frame_list"]

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


class Level(Enum):
    """Query/Retrieve levels; the value is what (0008,0052) carries (PS3.4 §C.3)."""

    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


@lru_cache(maxsize=4_096)
def is_valid_uid(text: str) -> bool:
    """Whether `text` is a UID of 1 to 64 characters (PS3.5 §9.1), leading zeros in components tolerated.

    Archives hold instances whose UIDs break the no-leading-zero rule; refusing them would hide images.
    """
    return len(text) <= 64 and _UID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class ResourcePath:
    """A study, a series of it or an instance of that; lower parts None where the path is shorter.

    Raises
    ------
    BadParameter
        A UID that breaks PS3.5 §9.1, or an instance without its series.
    """

    study: str
    series: str | None = None
    instance: str | None = None

    def __post_init__(self) -> None:
        named = {"study": self.study, "series": self.series, "instance": self.instance}
        for name, uid in named.items():
            if uid is not None and not is_valid_uid(uid):
                raise BadParameter(name, "not a UID")
        if self.instance is not None and self.series is None:
            raise BadParameter("series", "missing above an instance")

    @property
    def level(self) -> Level:
        """The level this path names."""
        if self.instance is not None:
            return Level.IMAGE
        return Level.SERIES if self.series is not None else Level.STUDY

    @property
    def url_path(self) -> str:
        """Path below the service root, ``/studies/1.2/series/1.3`` (PS3.18 Table 10.1-1)."""
        path = f"/studies/{self.study}"
        if self.series is not None:
            path += f"/series/{self.series}"
        if self.instance is not None:
            path += f"/instances/{self.instance}"
        return path

    def with_instance(self, series: str, instance: str) -> Self:
        """The path of one instance of the same study."""
        return type(self)(self.study, series, instance)


def parse_frame_list(text: str) -> tuple[int, ...]:
    """Read ``{frames}``: a comma list of frame numbers from 1, strictly ascending (PS3.18 §10.1).

    Raises
    ------
    BadParameter
        Not a number, zero, out of order or repeated.
    """
    try:
        numbers = tuple(int(part) if part.isascii() and part.isdigit() else 0 for part in text.split(","))
    except ValueError as error:
        raise BadParameter("frames", "not a list of frame numbers") from error
    if any(number < 1 for number in numbers):
        raise BadParameter("frames", "frame numbers are positive integers")
    if any(after <= before for before, after in zip(numbers, numbers[1:], strict=False)):
        raise BadParameter("frames", "frame numbers ascend without repetition")
    return numbers
