"""Rendered media types, as rows of a table: Table 8.7.4-1, Table 10.4.4-1 and what viewers are known to send."""

from __future__ import annotations

import pytest

from gateway.errors import NotAcceptable
from gateway.web.negotiation import RenderedCategory, RenderedScope, negotiate_rendered
from gateway.web.negotiation.rendered import RENDERED_TYPES

SINGLE, MULTI, VIDEO, TEXT = RenderedCategory
EACH, WHOLE, ONE = RenderedScope
BROWSER = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
PAGE = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"
JPEGS = 'multipart/related; type="image/jpeg"'

ROWS = [
    # accept, category, alone; media type, single part, scope (None: 406)
    ("*/*", SINGLE, True, ("image/jpeg", True, EACH)),
    (None, SINGLE, True, ("image/jpeg", True, EACH)),
    (BROWSER, SINGLE, True, ("image/jpeg", True, EACH)),
    (PAGE, SINGLE, True, ("image/jpeg", True, EACH)),
    ("image/png;q=0.5, image/jpeg", SINGLE, True, ("image/jpeg", True, EACH)),
    ("image/png, image/jpeg;q=0.5", SINGLE, True, ("image/png", True, EACH)),
    ("image/jpeg;q=0, image/*", SINGLE, True, ("image/png", True, EACH)),
    ("image/*", SINGLE, True, ("image/jpeg", True, EACH)),
    (JPEGS, SINGLE, True, ("image/jpeg", False, EACH)),
    ('multipart/related; type="*/*"', SINGLE, True, ("image/jpeg", False, EACH)),
    ("image/jph", SINGLE, True, ("image/jph", True, EACH)),
    ("text/html", SINGLE, True, None),
    ("video/mp4", SINGLE, True, None),
    ("*/*", SINGLE, False, ("image/jpeg", False, EACH)),
    ("image/jpeg", SINGLE, False, None),
    (f"image/jpeg, {JPEGS};q=0.1", SINGLE, False, ("image/jpeg", False, EACH)),
    ("*/*", MULTI, True, ("image/jpeg", False, EACH)),
    ("image/jpeg", MULTI, True, ("image/jpeg", True, ONE)),
    ("image/gif", MULTI, True, ("image/gif", True, WHOLE)),
    ("video/mp4", MULTI, True, ("video/mp4", True, WHOLE)),
    (BROWSER, MULTI, True, ("image/gif", True, WHOLE)),
    (JPEGS, MULTI, True, ("image/jpeg", False, EACH)),
    ('multipart/related; type="video/mp4"', MULTI, True, ("video/mp4", False, WHOLE)),
    ("image/gif", MULTI, False, None),
    ("*/*", VIDEO, True, ("video/mp4", True, WHOLE)),
    ("video/*", VIDEO, True, ("video/mp4", True, WHOLE)),
    ("image/jpeg", VIDEO, True, ("image/jpeg", True, ONE)),
    (JPEGS, VIDEO, True, ("image/jpeg", False, EACH)),
    ("*/*", TEXT, True, ("text/html", True, WHOLE)),
    (PAGE, TEXT, True, ("text/html", True, WHOLE)),
    ("text/*", TEXT, True, ("text/html", True, WHOLE)),
    ("text/plain", TEXT, True, ("text/plain", True, WHOLE)),
    ("text/plain; charset=iso-8859-1", TEXT, True, ("text/plain", True, WHOLE)),
    ("application/pdf", TEXT, True, ("application/pdf", True, WHOLE)),
    ("image/jpeg", TEXT, True, None),
    ("*/*", TEXT, False, ("text/html", False, WHOLE)),
]


@pytest.mark.parametrize(("accept", "category", "alone", "expected"), ROWS)
def test_the_form_of_a_rendering(
    accept: str | None,
    category: RenderedCategory,
    alone: bool,
    expected: tuple[str, bool, RenderedScope] | None,
) -> None:
    accepted = negotiate_rendered(accept, None, require_accept=False)
    if expected is None:
        with pytest.raises(NotAcceptable) as caught:
            accepted.choose(category, alone=alone)
        assert caught.value.available
    else:
        found = accepted.choose(category, alone=alone)
        assert (found.media_type, found.single_part, found.scope) == expected


@pytest.mark.parametrize(
    "accept",
    [
        "application/dicom+json",
        "application/dicom",
        "application/octet-stream",
        "image/webp",
        "image/jpeg;q=0",
        "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50",
        "nonsense",
    ],
)
def test_what_no_rendering_could_satisfy_is_refused_at_once(accept: str) -> None:
    with pytest.raises(NotAcceptable) as caught:
        negotiate_rendered(accept, None, require_accept=False)
    assert {"image/jpeg", "text/html"} <= set(caught.value.available)


def test_a_transfer_syntax_voids_its_range_only() -> None:
    accepted = negotiate_rendered("image/jpeg; transfer-syntax=*, image/png;q=0.1", None, require_accept=False)
    assert accepted.choose(SINGLE, alone=True).media_type == "image/png"


def test_the_query_parameter_of_a_hyperlink() -> None:
    accepted = negotiate_rendered(BROWSER, "image/png", require_accept=False)
    assert accepted.choose(SINGLE, alone=True).media_type == "image/png"
    accepted = negotiate_rendered("image/jpeg", "image/png", require_accept=False)
    assert accepted.choose(SINGLE, alone=True).media_type == "image/jpeg"


def test_only_what_can_be_made_is_chosen() -> None:
    accepted = negotiate_rendered("*/*", None, require_accept=False)
    assert accepted.choose(TEXT, alone=True, producible=("application/pdf",)).media_type == "application/pdf"
    assert accepted.choose(TEXT, alone=True, producible=("model/stl",)).media_type == "model/stl"
    with pytest.raises(NotAcceptable) as caught:
        negotiate_rendered("image/gif", None, require_accept=False).choose(
            SINGLE, alone=True, producible=("image/jpeg", "image/png")
        )
    assert set(caught.value.available) == {
        "image/jpeg",
        "image/png",
        'multipart/related; type="image/jpeg"',
        'multipart/related; type="image/png"',
    }


def test_the_header_may_be_required() -> None:
    with pytest.raises(NotAcceptable):
        negotiate_rendered(None, None, require_accept=True)


def test_each_category_has_the_defaults_and_required_types_of_the_standard() -> None:
    assert RENDERED_TYPES[SINGLE][0] == "image/jpeg" and {"image/gif", "image/png"} <= set(RENDERED_TYPES[SINGLE])
    assert RENDERED_TYPES[TEXT][0] == "text/html" and {"text/plain", "text/xml"} <= set(RENDERED_TYPES[TEXT])
