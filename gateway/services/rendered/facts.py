"""What the attributes before the pixel data say of an instance, as far as rendering depends on it.

Plain values: ``instance_reader.py`` gathers them in flight, ``web`` negotiates by them, ``service.py`` chooses frames
by them. What a picture looks like is decided in ``gateway/imaging``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Self

from gateway.codecs.transfer_syntax import get_transfer_syntax
from gateway.errors import DecodeError

__all__ = ["FACTS", "SEGMENTATIONS", "Category", "InstanceFacts", "is_presentation_state", "is_text"]

SOP_CLASS, MODALITY, REPRESENTATIVE_FRAME = 0x00080016, 0x00080060, 0x00286010
FRAMES, ROWS, COLUMNS = 0x00280008, 0x00280010, 0x00280011
CONTENT_SEQUENCE, ENCAPSULATED_DOCUMENT, DOCUMENT_TYPE = 0x0040A730, 0x00420011, 0x00420012

FACTS = frozenset(
    {SOP_CLASS, MODALITY, REPRESENTATIVE_FRAME, FRAMES, ROWS, COLUMNS, CONTENT_SEQUENCE, ENCAPSULATED_DOCUMENT}
    | {DOCUMENT_TYPE}
)
"""The attributes, at the top of the data set, that facts are made of."""

SEGMENTATIONS = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
"""Classes whose frames lie over those of images: Segmentation and Label Map Segmentation."""

MOST_DIGITS = 12

_ROOT = "1.2.840.10008.5.1.4.1.1."
# Grayscale, Color, Pseudo-Color and Blending Softcopy
_PRESENTATION_STATES = tuple(f"{_ROOT}11.{number}" for number in range(1, 5))
_TEXTS = (f"{_ROOT}88.", f"{_ROOT}104.1", f"{_ROOT}104.2")  # SR and key objects; encapsulated PDF and CDA


class Category(Enum):
    """Resource categories (PS3.18 Table 8.7.2-1); presentation states stand apart, for they show other instances."""

    SINGLE_FRAME = "single frame image"
    MULTI_FRAME = "multi-frame image"
    VIDEO = "video"
    TEXT = "text"
    PRESENTATION_STATE = "presentation state"
    OTHER = "other"

    @property
    def has_frames(self) -> bool:
        """Whether its instances have pixel data of their own."""
        return self in (Category.SINGLE_FRAME, Category.MULTI_FRAME, Category.VIDEO)


def is_presentation_state(sop_class_uid: str) -> bool:
    """Whether instances of the class say how to show others and can be applied here (PS3.4 §N)."""
    return sop_class_uid in _PRESENTATION_STATES


def is_text(sop_class_uid: str) -> bool:
    """Whether instances of the class are read, not looked at: SR documents, encapsulated PDF and CDA."""
    return sop_class_uid.startswith(_TEXTS[0]) or sop_class_uid in _TEXTS[1:]


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """One instance.

    Parameters
    ----------
    sop_class_uid, transfer_syntax_uid
        As the archive sends it.
    has_pixels
        Whether it has Pixel Data, Float or Double Float Pixel Data at the top.
    rows, columns
        0 where they are absent.
    frame_count
        Number of Frames (0028,0008), 1 where it is absent.
    representative_frame
        Representative Frame Number (0028,6010), 0 where it is absent or beyond the last.
    document_type
        MIME Type of Encapsulated Document (0042,0012); "" where it is absent.
    is_report
        Whether it has a Content Sequence (0040,A730).
    is_encapsulated
        Whether it has an Encapsulated Document (0042,0011).
    """

    sop_class_uid: str
    transfer_syntax_uid: str
    has_pixels: bool = True
    rows: int = 0
    columns: int = 0
    frame_count: int = 1
    representative_frame: int = 0
    document_type: str = ""
    is_report: bool = False
    is_encapsulated: bool = False
    modality: str = ""

    @classmethod
    def from_attributes(
        cls, sop_class_uid: str, transfer_syntax_uid: str, attributes: Mapping[int, bytes], *, has_pixels: bool
    ) -> Self:
        """Read them from raw values by tag, little endian.

        Raises
        ------
        DecodeError
            Number of Frames is no number.
        """
        count = max(_read_number(attributes.get(FRAMES, b"")), 1)
        representative = _read_short(attributes, REPRESENTATIVE_FRAME)
        return cls(
            sop_class_uid,
            transfer_syntax_uid,
            has_pixels,
            _read_short(attributes, ROWS),
            _read_short(attributes, COLUMNS),
            count,
            representative if representative <= count else 0,
            attributes.get(DOCUMENT_TYPE, b"").decode("ascii", "replace").strip(" \0").lower(),
            CONTENT_SEQUENCE in attributes,
            ENCAPSULATED_DOCUMENT in attributes,
            attributes.get(MODALITY, b"").decode("ascii", "replace").strip(" \0"),
        )

    @property
    def category(self) -> Category:
        """The resource category."""
        if not self.has_pixels:
            if is_presentation_state(self.sop_class_uid):
                return Category.PRESENTATION_STATE
            is_read = self.is_report or self.is_encapsulated or is_text(self.sop_class_uid)
            return Category.TEXT if is_read else Category.OTHER
        if get_transfer_syntax(self.transfer_syntax_uid).video:
            return Category.VIDEO
        return Category.MULTI_FRAME if self.frame_count > 1 else Category.SINGLE_FRAME

    @property
    def telling_frame(self) -> int:
        """The frame that stands for all: the one the instance names, else the middle one."""
        return self.representative_frame or (self.frame_count + 1) // 2


def _read_short(attributes: Mapping[int, bytes], tag: int) -> int:
    return int.from_bytes(attributes.get(tag, b"")[:2], "little")


def _read_number(value: bytes) -> int:
    text = value.strip(b" \0") or b"1"
    if not text.removeprefix(b"+").isdigit() or len(text) > MOST_DIGITS:
        raise DecodeError("Number of Frames is no number", path="00280008")
    return int(text)
