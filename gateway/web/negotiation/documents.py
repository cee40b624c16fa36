"""Metadata, search results and store responses: DICOM JSON or Native XML (PS3.18 §8.7.3.2, §10.4.4–10.6.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from gateway.errors import NotAcceptable
from gateway.resources import Level
from gateway.web.negotiation.accepted import DICOM_JSON, DICOM_XML, Offer, format_offer, read_request

__all__ = [
    "DocumentForm",
    "DocumentRepresentation",
    "negotiate_metadata",
    "negotiate_search",
    "negotiate_store_response",
]


class DocumentForm(Enum):
    """How DICOM JSON or Native XML documents are framed."""

    JSON = "one JSON document"
    XML_PARTS = "one XML document in each part of a multipart"
    XML_DOCUMENT = "one XML document"


@dataclass(frozen=True, slots=True)
class DocumentRepresentation:
    """The form of documents; `media_type` is that of the document or of each part."""

    form: DocumentForm
    media_type: str


_FORMS = {
    Offer(DICOM_JSON, multipart=False): DocumentForm.JSON,
    Offer("application/json", multipart=False): DocumentForm.JSON,  # the name before 2016, still sent
    Offer(DICOM_XML, multipart=True): DocumentForm.XML_PARTS,
    Offer(DICOM_XML, multipart=False): DocumentForm.XML_DOCUMENT,
}
_ONE_DOCUMENT = tuple(_FORMS)
_MANY_DOCUMENTS = tuple(offer for offer, form in _FORMS.items() if form is not DocumentForm.XML_DOCUMENT)


def negotiate_metadata(
    header: str | None, parameter: str | None, *, level: Level, require_accept: bool
) -> DocumentRepresentation:
    """Decide the form of metadata: JSON by default, else XML (PS3.18 Table 10.4.4-1).

    A bare XML document is given where the target is one instance. Arguments and exceptions are those of
    ``negotiate_instances``.
    """
    offers = _ONE_DOCUMENT if level is Level.IMAGE else _MANY_DOCUMENTS
    return _negotiate_document(header, parameter, require_accept, offers)


def negotiate_search(header: str | None, parameter: str | None, *, require_accept: bool) -> DocumentRepresentation:
    """Decide the form of search results: JSON by default, else XML parts (PS3.18 §10.6.4)."""
    return _negotiate_document(header, parameter, require_accept, _MANY_DOCUMENTS)


def negotiate_store_response(
    header: str | None, parameter: str | None, *, require_accept: bool
) -> DocumentRepresentation:
    """Decide the form of the Store Instances Response Module: JSON by default, else XML (PS3.18 §10.5.4)."""
    return _negotiate_document(header, parameter, require_accept, _ONE_DOCUMENT)


@lru_cache(maxsize=64)  # clients ask the same way again and again
def _negotiate_document(
    header: str | None, parameter: str | None, require_accept: bool, offers: Sequence[Offer]
) -> DocumentRepresentation:
    available = [format_offer(offer) for offer in offers if offer.essence != "application/json"]
    best = read_request(header, parameter, require_accept, available).best(offers)
    if best is None:
        raise NotAcceptable(available)
    return DocumentRepresentation(_FORMS[best], best.essence)
