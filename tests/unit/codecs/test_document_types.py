"""The table of encapsulated documents agrees with the dictionary of SOP classes."""

from __future__ import annotations

from pydicom.datadict import tag_for_keyword
from pydicom.uid import UID

from gateway.codecs.document_types import DOCUMENT_TYPES, ENCAPSULATED_DOCUMENT


def test_each_class_is_an_encapsulated_document() -> None:
    for uid, media_type in DOCUMENT_TYPES.items():
        assert UID(uid).keyword.startswith("Encapsulated")
        assert media_type.split("/")[1].upper() in UID(uid).name.upper() or UID(uid).keyword == "EncapsulatedCDAStorage"
    assert int(ENCAPSULATED_DOCUMENT, 16) == tag_for_keyword("EncapsulatedDocument")
