"""Which media types can be made of an instance (PS3.18 Table 8.7.4-1); negotiation chooses among them.

A table of names, kept apart from the encoders so that no codec is loaded for it.
"""

from __future__ import annotations

from gateway.codecs.document_types import DOCUMENT_TYPES
from gateway.services.rendered.facts import Category, InstanceFacts

__all__ = ["ANIMATIONS", "REPORTS", "STILLS", "VIDEOS", "list_producible"]

STILLS = ("image/jpeg", "image/png", "image/gif", "image/jp2", "image/jxl")
ANIMATIONS = ("image/gif", "video/mp4")
VIDEOS = ("video/mp4",)
REPORTS = ("text/html", "text/plain", "application/pdf")

_BY_CATEGORY: dict[Category, tuple[str, ...]] = {
    Category.SINGLE_FRAME: STILLS,
    Category.MULTI_FRAME: tuple(dict.fromkeys((*STILLS, *ANIMATIONS))),
    Category.VIDEO: (*VIDEOS, *STILLS),
    Category.PRESENTATION_STATE: STILLS,
    Category.TEXT: REPORTS,
    Category.OTHER: (),
}


def list_producible(facts: InstanceFacts) -> tuple[str, ...]:
    """The media types of one instance, in lower case; an encapsulated document has its own type alone."""
    if facts.category is Category.TEXT and (own := _name_own_type(facts)):
        return (own,)
    return _BY_CATEGORY[facts.category]


def _name_own_type(facts: InstanceFacts) -> str:
    if not facts.is_encapsulated:
        return ""
    return facts.document_type or DOCUMENT_TYPES.get(facts.sop_class_uid, "")
