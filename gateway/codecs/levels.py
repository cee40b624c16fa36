"""The open data sets, sequences and encapsulated values of a data set being read, as ``tokens`` stacks them.

A level knows where it ends, how its elements are written and what the VRs of Implicit VR elements depend on: private
creators (PS3.5 §7.8.1), Pixel Representation and LUT Descriptor. It reads nothing itself.
"""

from __future__ import annotations

from enum import Enum

from gateway.codecs.value_representations import LONG_VRS, SHORT_VRS, choose_ambiguous_vr, look_up_vr

__all__ = ["MAX_NOTED", "NOTED", "PIXEL_REPRESENTATION", "UNBOUNDED", "Kind", "Level", "is_letters", "is_noted"]

UNBOUNDED = 1 << 63
"""End of a level of which only its delimiter, or the end of the data, tells the end."""

MAX_NOTED = 256
"""Longest value read for the sake of later VRs; a private creator has at most 64 characters."""

PIXEL_REPRESENTATION = 0x00280103
_LUT_DESCRIPTOR = 0x00283002

NOTED = frozenset({PIXEL_REPRESENTATION, _LUT_DESCRIPTOR})
"""What the VRs of later elements depend on, beside private creators."""

# Private creators remembered in one data set; an honest one has a few dozen.
_MAX_CREATORS = 1024


class Kind(Enum):
    """What a level holds."""

    DATA_SET = "elements"
    SEQUENCE = "items"
    ENCAPSULATED = "fragments"


class Level:
    """One open data set, sequence or encapsulated value.

    Parameters
    ----------
    kind : Kind
        What it holds.
    end : int
        Offset in the data set at which it ends unless a delimiter ends it before.
    tag : int
        Of the sequence or encapsulated value; 0 for a data set.
    explicit, little : bool
        How its elements are written.
    detects : bool
        Whether that is to be seen from what comes first.
    pixel_representation : int or None
        (0028,0103) of the nearest enclosing data set; its own value replaces it.
    """

    __slots__ = (
        "_creators",
        "_lut_entries",
        "detects",
        "end",
        "explicit",
        "index",
        "kind",
        "little",
        "pixel_representation",
        "tag",
    )

    def __init__(
        self,
        kind: Kind,
        end: int,
        *,
        tag: int = 0,
        explicit: bool,
        little: bool,
        detects: bool = False,
        pixel_representation: int | None = None,
    ) -> None:
        self.kind = kind
        self.end = end
        self.tag = tag
        self.explicit = explicit
        self.little = little
        self.detects = detects
        self.pixel_representation = pixel_representation
        self.index = -1
        """Of the item or fragment read last, from 0."""
        self._creators: dict[int, str] = {}
        self._lut_entries: int | None = None

    def detect_vr_encoding(self, raw_vr: bytes) -> None:
        """See from the two bytes in the place of the first element's VR whether VRs are written.

        A known VR: they are. Not two capital letters: they are not. Two letters that are no VR: as was
        said before. In Implicit VR, a length that looks like a VR would be of over 16 kB, in a first element.
        """
        if raw_vr in SHORT_VRS or raw_vr in LONG_VRS:
            self.explicit = True
        elif not is_letters(raw_vr):
            self.explicit = False

    def note(self, tag: int, value: bytes) -> None:
        """Remember a value that the VRs of later elements depend on: one of `is_noted`, in little endian."""
        if tag == PIXEL_REPRESENTATION:
            self.pixel_representation = int.from_bytes(value[:2], "little")
        elif tag == _LUT_DESCRIPTOR:
            self._lut_entries = int.from_bytes(value[:2], "little")
        elif len(self._creators) < _MAX_CREATORS:
            self._creators[tag] = value.decode("latin-1").strip("\0 ")

    def find_implicit_vr(self, tag: int) -> str:
        """Return the VR of an element of this data set that is written without one; never an ambiguous one."""
        creator = self._creators.get(tag & 0xFFFF0000 | tag >> 8 & 0xFF) if self._creators else None
        vr = look_up_vr(tag, creator)
        if len(vr) == 2:
            return vr
        return choose_ambiguous_vr(
            vr, tag, pixel_representation=self.pixel_representation, lut_entries=self._lut_entries
        )


def is_letters(raw_vr: bytes) -> bool:
    """Whether both bytes are capital letters: a VR, known or not (PS3.5 §6.2)."""
    return 0x41 <= raw_vr[0] <= 0x5A and 0x41 <= raw_vr[1] <= 0x5A


def is_noted(tag: int) -> bool:
    """Whether the VRs of later elements depend on the value of this one."""
    is_creator = bool(tag & 0x10000) and 0x10 <= tag & 0xFFFF <= 0xFF
    return is_creator or tag in NOTED
