"""A report or an encapsulated document in a media type: the entry of this room (PS3.18 §8.7.4, §10.4.3.3.3).

    page = render_document(data_set, "text/html")

Runs in worker processes, called by ``services/rendered``.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.errors import NotAcceptable
from gateway.imaging.documents.content import Report
from gateway.imaging.documents.encapsulated import extract_document, find_document_type
from gateway.imaging.documents.html_page import write_html
from gateway.imaging.documents.pdf import write_pdf
from gateway.imaging.documents.plain_text import write_text
from gateway.imaging.documents.report_reader import read_report
from gateway.imaging.rendering.attributes import read_header
from gateway.imaging.rendering.render import within_limits

__all__ = ["REPORT_MEDIA_TYPES", "render_document"]

_FROM_RENDERED_INSTANCE = "../../../../../.."  # …/studies/{study}/series/{series}/instances/{instance}/rendered

_WRITERS: dict[str, Callable[[Report, str], bytes]] = {
    "text/html": write_html,
    "text/plain": lambda report, _: write_text(report),
    "application/pdf": lambda report, _: write_pdf(report),
}

REPORT_MEDIA_TYPES = tuple(_WRITERS)
"""Media types of structured reports, the default first; text is UTF-8."""


def render_document(data_set: bytes, media_type: str, base_url: str = _FROM_RENDERED_INSTANCE) -> bytes:
    """Render a structured report, or take out an encapsulated document.

    Parameters
    ----------
    data_set : bytes
        The whole data set, Explicit VR Little Endian, no preamble.
    media_type : str
        Of `REPORT_MEDIA_TYPES` for a report, its own type for an encapsulated document.
    base_url : str
        Service root that links to instances begin with; by default relative to a rendered instance.

    Raises
    ------
    NotAcceptable
        A media type that the instance is not available in.
    ImagingFailed
        The instance holds neither report nor document, or one that cannot be read.
    """
    with within_limits():
        header = read_header(data_set)
        own_type = find_document_type(header)
        available = (own_type,) if own_type else REPORT_MEDIA_TYPES
        if media_type not in available:
            raise NotAcceptable(available)
        if own_type:
            return extract_document(header)
        return _WRITERS[media_type](read_report(header), base_url)
