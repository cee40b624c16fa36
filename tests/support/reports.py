"""Structured reports made for tests."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset

from tests.support.pictures import encode_header, make_item

__all__ = ["encode_report", "make_concept", "make_content", "make_report"]


def make_concept(meaning: str, value: str = "1", scheme: str = "99TEST") -> list[Dataset]:
    """A code sequence of one item."""
    return [make_item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)]


def make_content(value_type: str, name: str = "", **attributes: Any) -> Dataset:
    """A content item, CONTAINS unless told otherwise."""
    item = make_item(**{"RelationshipType": "CONTAINS", "ValueType": value_type, **attributes})
    if name:
        item.ConceptNameCodeSequence = make_concept(name)
    return item


def make_report(*children: Dataset, **attributes: Any) -> Dataset:
    """A report about Jane Doe."""
    report = make_item(
        **{
            "SpecificCharacterSet": "ISO_IR 192",
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.33",
            "SOPInstanceUID": "1.2.3",
            "PatientName": "Doe^Jane^^Dr",
            "PatientID": "4711",
            "ContentDate": "20240131",
            "ContentTime": "1345",
            "CompletionFlag": "COMPLETE",
            "ValueType": "CONTAINER",
            **attributes,
        }
    )
    report.ConceptNameCodeSequence = make_concept("Chest Report", "121", "DCM")
    if children:
        report.ContentSequence = list(children)
    return report


def encode_report(*children: Dataset, **attributes: Any) -> bytes:
    """The same as the bytes of a data set."""
    return encode_header(make_report(*children, **attributes))
