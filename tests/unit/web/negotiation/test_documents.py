"""Metadata, search results and store responses, as rows of a table."""

from __future__ import annotations

import pytest

from gateway.errors import NotAcceptable
from gateway.resources import Level
from gateway.web.negotiation import (
    DocumentForm,
    DocumentRepresentation,
    negotiate_metadata,
    negotiate_search,
    negotiate_store_response,
)

JSON = DocumentRepresentation(DocumentForm.JSON, "application/dicom+json")
LEGACY_JSON = DocumentRepresentation(DocumentForm.JSON, "application/json")
XML_PARTS = DocumentRepresentation(DocumentForm.XML_PARTS, "application/dicom+xml")
XML_DOCUMENT = DocumentRepresentation(DocumentForm.XML_DOCUMENT, "application/dicom+xml")

MULTIPART_DICOM = 'multipart/related; type="application/dicom"'
MULTIPART_OCTETS = 'multipart/related; type="application/octet-stream"'
MULTIPART_XML = 'multipart/related; type="application/dicom+xml"'
BROWSER = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


DOCUMENT_ROWS = [
    # accept, series metadata, instance metadata, search, store response
    (None, JSON, JSON, JSON, JSON),
    ("", JSON, JSON, JSON, JSON),
    ("*/*", JSON, JSON, JSON, JSON),
    ("application/*", JSON, JSON, JSON, JSON),
    ("application/dicom+json", JSON, JSON, JSON, JSON),
    ("application/dicom+json; charset=utf-8; transfer-syntax=*", JSON, JSON, JSON, JSON),
    ("application/json", LEGACY_JSON, LEGACY_JSON, LEGACY_JSON, LEGACY_JSON),
    ("application/dicom+json, application/json", JSON, JSON, JSON, JSON),
    (MULTIPART_XML, XML_PARTS, XML_PARTS, XML_PARTS, XML_PARTS),
    ("multipart/related;type=application/dicom+xml", XML_PARTS, XML_PARTS, XML_PARTS, XML_PARTS),
    ("application/dicom+xml", None, XML_DOCUMENT, None, XML_DOCUMENT),
    (f"application/dicom+json;q=0.1, {MULTIPART_XML}", XML_PARTS, XML_PARTS, XML_PARTS, XML_PARTS),
    (f"{MULTIPART_XML};q=0.1, application/dicom+json", JSON, JSON, JSON, JSON),
    ("application/dicom+json, image/jpeg", JSON, JSON, JSON, JSON),
    (f"application/dicom+json;q=0, {MULTIPART_XML}", XML_PARTS, XML_PARTS, XML_PARTS, XML_PARTS),
    ("image/jpeg", None, None, None, None),
    ("text/*", None, None, None, None),
    ("application/dicom+json;q=0", None, None, None, None),
    (MULTIPART_DICOM, None, None, None, None),
    ("nonsense", None, None, None, None),
    ("nonsense, application/dicom+json", JSON, JSON, JSON, JSON),
    (BROWSER, JSON, JSON, JSON, JSON),
]


@pytest.mark.parametrize(("accept", "series", "instance", "search", "store"), DOCUMENT_ROWS)
def test_documents(
    accept: str | None,
    series: DocumentRepresentation | None,
    instance: DocumentRepresentation | None,
    search: DocumentRepresentation | None,
    store: DocumentRepresentation | None,
) -> None:
    calls = [
        (series, lambda: negotiate_metadata(accept, None, level=Level.SERIES, require_accept=False)),
        (instance, lambda: negotiate_metadata(accept, None, level=Level.IMAGE, require_accept=False)),
        (search, lambda: negotiate_search(accept, None, require_accept=False)),
        (store, lambda: negotiate_store_response(accept, None, require_accept=False)),
    ]
    for expected, call in calls:
        if expected is None:
            with pytest.raises(NotAcceptable) as caught:
                call()
            assert "application/dicom+json" in caught.value.available
        else:
            assert call() == expected
