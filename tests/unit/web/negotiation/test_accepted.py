"""What both lists of a request say: the header, the query parameter, and what they must not say."""

from __future__ import annotations

import pytest

from gateway.errors import BadParameter, NotAcceptable
from gateway.resources import Level
from gateway.web.negotiation import (
    DocumentForm,
    DocumentRepresentation,
    join_lines,
    negotiate_frames,
    negotiate_instances,
    negotiate_metadata,
    negotiate_rendered,
    negotiate_search,
    negotiate_store_response,
    read_accept_parameter,
)

JSON = DocumentRepresentation(DocumentForm.JSON, "application/dicom+json")
LEGACY_JSON = DocumentRepresentation(DocumentForm.JSON, "application/json")
XML_PARTS = DocumentRepresentation(DocumentForm.XML_PARTS, "application/dicom+xml")
XML_DOCUMENT = DocumentRepresentation(DocumentForm.XML_DOCUMENT, "application/dicom+xml")

MULTIPART_DICOM = 'multipart/related; type="application/dicom"'
MULTIPART_OCTETS = 'multipart/related; type="application/octet-stream"'
MULTIPART_XML = 'multipart/related; type="application/dicom+xml"'
BROWSER = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


def test_a_missing_accept_header_is_refused_where_the_standard_is_taken_by_its_word() -> None:
    for call in (
        lambda: negotiate_metadata(None, None, level=Level.STUDY, require_accept=True),
        lambda: negotiate_metadata(None, "application/dicom+json", level=Level.STUDY, require_accept=True),
        lambda: negotiate_search(None, None, require_accept=True),
        lambda: negotiate_store_response(None, None, require_accept=True),
        lambda: negotiate_instances(None, None, level=Level.STUDY, require_accept=True),
        lambda: negotiate_frames(None, None, frame_count=1, require_accept=True),
    ):
        with pytest.raises(NotAcceptable) as caught:
            call()
        assert caught.value.available
    assert negotiate_search("*/*", None, require_accept=True) == JSON


@pytest.mark.parametrize(
    ("header", "parameter", "expected"),
    [
        ("*/*", MULTIPART_XML, XML_PARTS),
        (None, MULTIPART_XML, XML_PARTS),
        (f"application/dicom+json, {MULTIPART_XML}", MULTIPART_XML, XML_PARTS),
        ("application/dicom+json", MULTIPART_XML, JSON),  # not compatible with the header: the header decides
        (f"{MULTIPART_XML};q=0, application/dicom+json", MULTIPART_XML, JSON),
        ("*/*", "image/png", JSON),  # not possible here: the default
        ("*/*", f"application/dicom+json;q=0.5, {MULTIPART_XML}", XML_PARTS),
        ("image/jpeg", "application/dicom+json", None),
        ("image/jpeg", "image/png", None),
    ],
)
def test_the_query_parameter_comes_first_as_far_as_the_header_agrees(
    header: str | None, parameter: str, expected: DocumentRepresentation | None
) -> None:
    if expected is None:
        with pytest.raises(NotAcceptable):
            negotiate_search(header, parameter, require_accept=False)
    else:
        assert negotiate_search(header, parameter, require_accept=False) == expected


@pytest.mark.parametrize("parameter", ["*/*", "application/*", 'multipart/related; type="*/*"', "", "nonsense"])
def test_a_query_parameter_that_breaks_its_grammar_is_told(parameter: str) -> None:
    with pytest.raises(BadParameter) as caught:
        negotiate_search("*/*", parameter, require_accept=False)
    assert caught.value.name == "accept"


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("", None),
        ("limit=1", None),
        ("accept=application/dicom+json", "application/dicom+json"),
        ("limit=1&accept=application/dicom%2Bjson", "application/dicom+json"),
        ("accept=multipart/related;type=%22application/dicom+xml%22", MULTIPART_XML.replace("; ", ";")),
        ("accept=a/b&accept=c/d", "a/b"),
        ("accept", ""),
        ("Accept=a/b", None),
    ],
)
def test_the_query_parameter_is_percent_decoded_once_and_a_plus_stays(query: str, value: str | None) -> None:
    assert read_accept_parameter(query) == value


def test_the_lines_of_a_header_are_one_list() -> None:
    assert join_lines([]) is None
    assert join_lines(["image/png"]) == "image/png"
    assert join_lines(["image/png", "text/html;q=0.5"]) == "image/png, text/html;q=0.5"


MIXED = [  # Accept, refused for stored forms, refused for rendered ones (§8.7.5)
    ("application/dicom+json, image/png", True, True),
    ("application/dicom+json, image/jpeg", False, True),  # bulk data has image/jpeg too
    ("application/dicom+json, image/png;q=0", False, False),
    ("application/dicom+json, image/png, */*;q=0.1", False, False),
    ("application/dicom+json, text/html", False, True),  # a status report may be text
    ("image/jls, image/gif", True, False),
    ("image/png, text/html", False, False),
    (f"{MULTIPART_DICOM}, application/pdf", False, True),
    (BROWSER, False, False),
]


@pytest.mark.parametrize(("accept", "stored", "rendered"), MIXED)
def test_dicom_and_rendered_types_beside_each_other(accept: str, stored: bool, rendered: bool) -> None:
    calls = [
        (stored, lambda: negotiate_metadata(accept, None, level=Level.STUDY, require_accept=False)),
        (stored, lambda: negotiate_frames(accept, None, frame_count=1, require_accept=False)),
        (rendered, lambda: negotiate_rendered(accept, None, require_accept=False)),
    ]
    for is_refused, call in calls:
        try:
            call()
        except BadParameter as error:
            assert is_refused and error.name == "Accept"
        except NotAcceptable:
            assert not is_refused
        else:
            assert not is_refused


def test_a_mixture_in_the_query_parameter_is_named_so() -> None:
    with pytest.raises(BadParameter) as caught:
        negotiate_metadata("*/*", "application/dicom+json,image/gif", level=Level.STUDY, require_accept=False)
    assert caught.value.name == "accept"
