"""Encapsulated documents taken out: PDF, CDA, STL, OBJ and the like (PS3.3 §A.45, §C.24.2)."""

from __future__ import annotations

from pydicom.dataset import Dataset

from gateway.errors import ImagingFailed
from gateway.imaging.rendering.attributes import get_number, get_text
from gateway.imaging.rendering.element_values import read_octets

__all__ = ["extract_document", "find_document_type"]


def find_document_type(data_set: Dataset) -> str:
    """MIME Type of Encapsulated Document (0042,0012) in lower case, empty where the instance has none."""
    return get_text(data_set, "MIMETypeOfEncapsulatedDocument").lower()


def extract_document(data_set: Dataset) -> bytes:
    """The document without its padding: of Encapsulated Document Length, else without one trailing NUL.

    Raises
    ------
    ImagingFailed
        There is no document.
    """
    document = read_octets(data_set, "EncapsulatedDocument")
    if not document:
        raise ImagingFailed("the instance holds no document")
    length = get_number(data_set, "EncapsulatedDocumentLength")
    if length is not None and 0 < length <= len(document):
        return document[: int(length)]
    return document.removesuffix(b"\0")
