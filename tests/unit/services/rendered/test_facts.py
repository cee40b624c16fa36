"""What attributes say of an instance: its category, and the frame that stands for all."""

from __future__ import annotations

import pytest

from gateway.errors import DecodeError
from gateway.services.rendered.facts import Category, InstanceFacts, is_presentation_state, is_text

CT, US, GSPS = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.3.1", "1.2.840.10008.5.1.4.1.1.11.1"
SR, PDF, WAVEFORM = "1.2.840.10008.5.1.4.1.1.88.11", "1.2.840.10008.5.1.4.1.1.104.1", "1.2.840.10008.5.1.4.1.1.9.1.1"
PLAIN, MPEG4 = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.102"


@pytest.mark.parametrize(
    ("sop_class", "syntax", "attributes", "has_pixels", "category"),
    [
        (CT, PLAIN, {}, True, Category.SINGLE_FRAME),
        (US, PLAIN, {0x00280008: b"1 "}, True, Category.SINGLE_FRAME),
        (US, PLAIN, {0x00280008: b"+2"}, True, Category.MULTI_FRAME),
        (US, MPEG4, {0x00280008: b"30"}, True, Category.VIDEO),
        (SR, PLAIN, {}, False, Category.TEXT),
        (PDF, PLAIN, {}, False, Category.TEXT),
        ("1.2.3", PLAIN, {0x0040A730: b""}, False, Category.TEXT),
        ("1.2.3", PLAIN, {0x00420011: b""}, False, Category.TEXT),
        (GSPS, PLAIN, {}, False, Category.PRESENTATION_STATE),
        (WAVEFORM, PLAIN, {}, False, Category.OTHER),
    ],
)
def test_the_category(
    sop_class: str, syntax: str, attributes: dict[int, bytes], has_pixels: bool, category: Category
) -> None:
    facts = InstanceFacts.from_attributes(sop_class, syntax, attributes, has_pixels=has_pixels)
    assert facts.category is category
    assert category.has_frames is has_pixels


@pytest.mark.parametrize(
    ("attributes", "frame"),
    [
        ({}, 1),
        ({0x00280008: b"4 "}, 2),
        ({0x00280008: b"5 "}, 3),
        ({0x00280008: b"5 ", 0x00286010: b"\5\0"}, 5),
        ({0x00280008: b"5 ", 0x00286010: b"\6\0"}, 3),  # beyond the last
        ({0x00280008: b"0 "}, 1),
    ],
)
def test_the_frame_that_stands_for_all(attributes: dict[int, bytes], frame: int) -> None:
    assert InstanceFacts.from_attributes(CT, PLAIN, attributes, has_pixels=True).telling_frame == frame


def test_values_are_read_as_they_are_written() -> None:
    attributes = {0x00280010: b"\0\2", 0x00280011: b"\1\0", 0x00420012: b"Application/PDF ", 0x00080060: b"CT"}
    facts = InstanceFacts.from_attributes(CT, PLAIN, attributes, has_pixels=True)
    assert (facts.rows, facts.columns, facts.document_type, facts.modality) == (512, 1, "application/pdf", "CT")


@pytest.mark.parametrize("value", [b"1A", b"-1", b"1\\2", b"1234567890123"])
def test_a_number_of_frames_that_is_none(value: bytes) -> None:
    with pytest.raises(DecodeError, match="Number of Frames"):
        InstanceFacts.from_attributes(CT, PLAIN, {0x00280008: value}, has_pixels=True)


def test_kinds_of_classes() -> None:
    assert [is_presentation_state(uid) for uid in (CT, GSPS, GSPS[:-1] + "5", GSPS + "1")] == [
        False,
        True,
        False,
        False,
    ]
    assert [is_text(uid) for uid in (CT, SR, PDF, PDF[:-1] + "3")] == [False, True, True, False]
