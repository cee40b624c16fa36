"""Encapsulated documents (PS3.3 §C.24.2)."""

from __future__ import annotations

import pytest

from gateway.errors import ImagingFailed
from gateway.imaging.documents.encapsulated import extract_document, find_document_type
from tests.support.pictures import make_item


@pytest.mark.parametrize(
    ("attributes", "document"),
    [
        ({"EncapsulatedDocument": b"%PDF\n1\0", "EncapsulatedDocumentLength": 6}, b"%PDF\n1"),
        ({"EncapsulatedDocument": b"%PDF\n1\0\0"}, b"%PDF\n1\0"),
        ({"EncapsulatedDocument": b"%PDF", "EncapsulatedDocumentLength": 99}, b"%PDF"),
        ({"EncapsulatedDocument": b"%PDF", "EncapsulatedDocumentLength": 0}, b"%PDF"),
    ],
)
def test_padding_is_left_out(attributes: dict[str, object], document: bytes) -> None:
    assert extract_document(make_item(**attributes)) == document


def test_no_document() -> None:
    for item in (make_item(), make_item(EncapsulatedDocument=b"")):
        with pytest.raises(ImagingFailed):
            extract_document(item)


def test_types() -> None:
    assert find_document_type(make_item(MIMETypeOfEncapsulatedDocument="Application/PDF ")) == "application/pdf"
    assert find_document_type(make_item()) == ""
