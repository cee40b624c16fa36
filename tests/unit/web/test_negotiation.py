"""Every negotiation case that concerns instances, metadata, frames, searches and stores, as a row of a table.

The rows come from PS3.18 §8.7 and Table 10.4.4-1, and from what viewers are known to send.
"""

from __future__ import annotations

import pytest

from gateway.codecs.transfer_syntax import COMPRESSED, UNCOMPRESSED, get_transfer_syntax
from gateway.errors import BadParameter, MalformedBody, NotAcceptable, UnsupportedMediaType
from gateway.resources import Level
from gateway.web.negotiation import (
    DocumentForm,
    DocumentRepresentation,
    FrameRepresentation,
    InstanceChoice,
    InstanceRepresentation,
    join_lines,
    negotiate_frames,
    negotiate_instances,
    negotiate_metadata,
    negotiate_search,
    negotiate_store_response,
    read_accept_parameter,
    read_store_content_type,
)

IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG_BASELINE, JPEG_LOSSLESS_P14, JPEG_LOSSLESS = (f"1.2.840.10008.1.2.4.{n}" for n in (50, 57, 70))
JLS, JLS_LOSSY, J2K, J2K_LOSSY = (f"1.2.840.10008.1.2.4.{n}" for n in (80, 81, 90, 91))
H264, HEVC = "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.107"
RLE = "1.2.840.10008.1.2.5"
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"

JSON = DocumentRepresentation(DocumentForm.JSON, "application/dicom+json")
LEGACY_JSON = DocumentRepresentation(DocumentForm.JSON, "application/json")
XML_PARTS = DocumentRepresentation(DocumentForm.XML_PARTS, "application/dicom+xml")
XML_DOCUMENT = DocumentRepresentation(DocumentForm.XML_DOCUMENT, "application/dicom+xml")

MULTIPART_DICOM = 'multipart/related; type="application/dicom"'
MULTIPART_OCTETS = 'multipart/related; type="application/octet-stream"'
MULTIPART_XML = 'multipart/related; type="application/dicom+xml"'
BROWSER = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


def multi(*syntaxes: str) -> list[InstanceChoice]:
    return [InstanceChoice(syntax, single_part=False) for syntax in syntaxes]


def single(*syntaxes: str) -> list[InstanceChoice]:
    return [InstanceChoice(syntax, single_part=True) for syntax in syntaxes]


# --- documents ---

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


# --- instances ---

INSTANCE_ROWS = [
    # accept, choices at study level, choices at instance level (None: 406)
    ("*/*", multi(EXPLICIT, "*"), [*multi(EXPLICIT), *single(EXPLICIT), *multi("*"), *single("*")]),
    (MULTIPART_DICOM, multi(EXPLICIT), multi(EXPLICIT)),
    ("multipart/related;type=application/dicom", multi(EXPLICIT), multi(EXPLICIT)),
    ("multipart/related", multi(EXPLICIT, "*"), multi(EXPLICIT, "*")),
    (f"{MULTIPART_DICOM}; transfer-syntax=*", multi("*"), multi("*")),
    ('multipart/related;type="application/dicom";transfer-syntax=*', multi("*"), multi("*")),
    ('multipart/related; type="application/dicom; transfer-syntax=*"', multi("*"), multi("*")),
    ('multipart/related; type="*/*"; transfer-syntax=*', multi("*"), multi("*")),
    (f"{MULTIPART_DICOM}; transfer-syntax={JLS}", multi(JLS), multi(JLS)),
    (
        f"{MULTIPART_DICOM}; transfer-syntax={JLS}; q=0.5, {MULTIPART_DICOM}; transfer-syntax={J2K}",
        multi(J2K, JLS),
        multi(J2K, JLS),
    ),
    (
        f"*/*;q=0.1, {MULTIPART_DICOM}; transfer-syntax={JLS}",
        multi(JLS, EXPLICIT, "*"),
        [*multi(JLS), *multi(EXPLICIT), *single(EXPLICIT), *multi("*"), *single("*")],
    ),
    (f"{MULTIPART_DICOM}; transfer-syntax={IMPLICIT}", None, None),
    (f"{MULTIPART_DICOM}; transfer-syntax={BIG_ENDIAN}", None, None),
    (f"{MULTIPART_DICOM}; transfer-syntax=nonsense", None, None),
    (f"{MULTIPART_DICOM}; q=0", None, None),
    ("application/dicom", None, single(EXPLICIT)),
    ("application/dicom; transfer-syntax=*", None, single("*")),
    (MULTIPART_OCTETS, None, None),
    (f"{MULTIPART_OCTETS}; transfer-syntax=*", None, None),
    ("application/octet-stream", None, None),
    ("application/dicom+json", None, None),
    ("image/jpeg", None, None),
    ("application/zip", None, None),
]


@pytest.mark.parametrize(("accept", "study", "instance"), INSTANCE_ROWS)
def test_choices_of_instances(
    accept: str, study: list[InstanceChoice] | None, instance: list[InstanceChoice] | None
) -> None:
    for level, expected in ((Level.STUDY, study), (Level.SERIES, study), (Level.IMAGE, instance)):
        if expected is None:
            with pytest.raises(NotAcceptable) as caught:
                negotiate_instances(accept, None, level=level, require_accept=False)
            assert caught.value.available == (f"{MULTIPART_DICOM}; transfer-syntax=*",)
        else:
            found = negotiate_instances(accept, None, level=level, require_accept=False)
            assert list(found.choices) == expected


@pytest.mark.parametrize(
    ("accept", "delivered", "sent"),
    [
        (MULTIPART_DICOM, EXPLICIT, EXPLICIT),
        (MULTIPART_DICOM, IMPLICIT, EXPLICIT),
        (MULTIPART_DICOM, BIG_ENDIAN, EXPLICIT),
        (MULTIPART_DICOM, DEFLATED, EXPLICIT),
        (MULTIPART_DICOM, JPEG_BASELINE, JPEG_BASELINE),  # lossy: may be sent as it is
        (MULTIPART_DICOM, J2K_LOSSY, J2K_LOSSY),
        (MULTIPART_DICOM, J2K, None),
        (MULTIPART_DICOM, "1.2.3.4", None),
        (f"{MULTIPART_DICOM}; transfer-syntax={EXPLICIT}", JPEG_BASELINE, None),
        (f"{MULTIPART_DICOM}; transfer-syntax=*", J2K, J2K),
        (f"{MULTIPART_DICOM}; transfer-syntax=*", IMPLICIT, EXPLICIT),
        (f"{MULTIPART_DICOM}; transfer-syntax=*", "1.2.3.4", "1.2.3.4"),
        (f"{MULTIPART_DICOM}; transfer-syntax={JLS}", JLS, JLS),
        (f"{MULTIPART_DICOM}; transfer-syntax={JLS}", EXPLICIT, None),
        (f"{MULTIPART_DICOM}; transfer-syntax={JLS}, {MULTIPART_DICOM};q=0.1", IMPLICIT, EXPLICIT),
        (f"{MULTIPART_DICOM}; transfer-syntax={J2K};q=0, {MULTIPART_DICOM}; transfer-syntax=*", J2K, None),
        (f"{MULTIPART_DICOM}; transfer-syntax={J2K};q=0, {MULTIPART_DICOM}; transfer-syntax=*", JLS, JLS),
        ("*/*", J2K, J2K),
        ("*/*", IMPLICIT, EXPLICIT),
    ],
)
def test_the_form_of_an_instance_as_delivered(accept: str, delivered: str, sent: str | None) -> None:
    found = negotiate_instances(accept, None, level=Level.STUDY, require_accept=False)
    if sent is None:
        with pytest.raises(NotAcceptable) as caught:
            found.choose(delivered)
        assert delivered in caught.value.available[0] or EXPLICIT in caught.value.available[0]
    else:
        assert found.choose(delivered) == InstanceRepresentation(sent, single_part=False)


@pytest.mark.parametrize(
    ("accept", "single_part"),
    [
        ("*/*", False),
        ("application/dicom", True),
        ("application/dicom, */*", True),
        (f"application/dicom; q=0.9, {MULTIPART_DICOM}", False),
        (f"application/dicom, {MULTIPART_DICOM};q=0.9", True),
    ],
)
def test_one_instance_may_be_a_single_part(accept: str, single_part: bool) -> None:
    found = negotiate_instances(accept, None, level=Level.IMAGE, require_accept=False)
    assert found.choose(EXPLICIT) == InstanceRepresentation(EXPLICIT, single_part)


def test_the_query_parameter_narrows_instances_but_the_header_still_holds() -> None:
    found = negotiate_instances(
        "*/*", f"{MULTIPART_DICOM}; transfer-syntax={JLS}", level=Level.STUDY, require_accept=False
    )
    assert list(found.choices) == multi(JLS, EXPLICIT, "*")
    assert found.choose(J2K).transfer_syntax == J2K


def test_an_instance_names_its_transfer_syntax() -> None:
    assert InstanceRepresentation(J2K, False).content_type == f"application/dicom; transfer-syntax={J2K}"


# --- frames and bulk data ---

FRAME_ROWS = [
    # accept, stored, media type, transfer syntax, single part (None: 406)
    ("*/*", EXPLICIT, "application/octet-stream", EXPLICIT, False),
    ("*/*", IMPLICIT, "application/octet-stream", EXPLICIT, False),
    ("*/*", BIG_ENDIAN, "application/octet-stream", EXPLICIT, False),
    ("*/*", J2K, "image/jp2", J2K, False),
    (BROWSER, JPEG_BASELINE, "image/jpeg", JPEG_BASELINE, True),
    ("application/octet-stream", EXPLICIT, "application/octet-stream", EXPLICIT, True),
    ("application/octet-stream", J2K, None, None, None),
    ("application/octet-stream", JPEG_BASELINE, None, None, None),
    ("application/octet-stream, */*", EXPLICIT, "application/octet-stream", EXPLICIT, True),
    ("application/octet-stream, */*", JLS, "image/jls", JLS, False),
    (MULTIPART_OCTETS, EXPLICIT, "application/octet-stream", EXPLICIT, False),
    (MULTIPART_OCTETS, DEFLATED, "application/octet-stream", EXPLICIT, False),
    (MULTIPART_OCTETS, JLS, None, None, None),
    (f"{MULTIPART_OCTETS}; transfer-syntax={EXPLICIT}", JLS, None, None, None),
    (f"{MULTIPART_OCTETS}; transfer-syntax={EXPLICIT}", IMPLICIT, "application/octet-stream", EXPLICIT, False),
    # the viewers built on Cornerstone ask so for everything
    ("multipart/related; type=application/octet-stream; transfer-syntax=*", JLS, "image/jls", JLS, False),
    ("multipart/related; type=application/octet-stream; transfer-syntax=*", RLE, "image/dicom-rle", RLE, False),
    ("multipart/related; type=application/octet-stream; transfer-syntax=*", H264, "video/mp4", H264, False),
    (
        "multipart/related; type=application/octet-stream; transfer-syntax=*",
        IMPLICIT,
        "application/octet-stream",
        EXPLICIT,
        False,
    ),
    (f"{MULTIPART_OCTETS}; transfer-syntax={JLS}", JLS, "image/jls", JLS, False),
    (f"{MULTIPART_OCTETS}; transfer-syntax={JLS}", J2K, None, None, None),
    ("application/octet-stream; transfer-syntax=*", J2K, "image/jp2", J2K, True),
    ('multipart/related; type="*/*"', J2K, "image/jp2", J2K, False),
    ('multipart/related; type="*/*"', EXPLICIT, "application/octet-stream", EXPLICIT, False),
    ("multipart/related", HEVC, "video/H265", HEVC, False),
    ('multipart/related; type="image/*"', JLS_LOSSY, "image/jls", JLS_LOSSY, False),
    ('multipart/related; type="image/*"', EXPLICIT, None, None, None),
    (
        f'multipart/related; type="image/jpeg"; transfer-syntax={JPEG_BASELINE}',
        JPEG_BASELINE,
        "image/jpeg",
        JPEG_BASELINE,
        False,
    ),
    (f'multipart/related; type="image/jpeg"; transfer-syntax={JPEG_BASELINE}', JPEG_LOSSLESS, None, None, None),
    ('multipart/related; type="image/jpeg"', JPEG_LOSSLESS, "image/jpeg", JPEG_LOSSLESS, False),
    ('multipart/related; type="image/jpeg"', JPEG_LOSSLESS_P14, None, None, None),
    ('multipart/related; type="image/jpeg"', JPEG_BASELINE, "image/jpeg", JPEG_BASELINE, False),
    ('multipart/related; type="image/jpeg"', EXPLICIT, None, None, None),
    (
        'multipart/related; type="image/jpeg"; transfer-syntax=*',
        JPEG_LOSSLESS_P14,
        "image/jpeg",
        JPEG_LOSSLESS_P14,
        False,
    ),
    ("image/jls", JLS, "image/jls", JLS, True),
    ("image/x-jls", JLS, "image/jls", JLS, True),
    ('multipart/related; type="image/x-dicom-rle"', RLE, "image/dicom-rle", RLE, False),
    (f'multipart/related; type="image/jls";q=0.5, {MULTIPART_OCTETS}', JLS, "image/jls", JLS, False),
    (f'multipart/related; type="image/jp2", {MULTIPART_OCTETS}', EXPLICIT, "application/octet-stream", EXPLICIT, False),
    (f'multipart/related; type="image/jp2", {MULTIPART_OCTETS}', JLS, None, None, None),
    ("*/*", DEFLATED_FRAMES, "application/octet-stream", DEFLATED_FRAMES, False),
    (f"{MULTIPART_OCTETS}; transfer-syntax=*", DEFLATED_FRAMES, "application/octet-stream", DEFLATED_FRAMES, False),
    (MULTIPART_OCTETS, DEFLATED_FRAMES, None, None, None),
]


@pytest.mark.parametrize(("accept", "stored", "media_type", "syntax", "single_part"), FRAME_ROWS)
def test_the_form_of_one_frame(
    accept: str, stored: str, media_type: str | None, syntax: str | None, single_part: bool | None
) -> None:
    found = negotiate_frames(accept, None, frame_count=1, require_accept=False)
    if media_type is None or syntax is None or single_part is None:
        with pytest.raises(NotAcceptable) as caught:
            found.choose(stored, 1)
        assert caught.value.available
    else:
        assert found.choose(stored, 1) == FrameRepresentation(media_type, syntax, single_part)


@pytest.mark.parametrize(
    "accept", ["image/png", "application/dicom", f"{MULTIPART_DICOM}; transfer-syntax=*", "application/dicom+json"]
)
def test_frames_that_nothing_stored_could_satisfy_are_refused_at_once(accept: str) -> None:
    with pytest.raises(NotAcceptable) as caught:
        negotiate_frames(accept, None, frame_count=1, require_accept=False)
    assert f"{MULTIPART_OCTETS}; transfer-syntax={EXPLICIT}" in caught.value.available
    assert f'multipart/related; type="image/jls"; transfer-syntax={JLS}' in caught.value.available


def test_two_frames_are_no_single_part() -> None:
    with pytest.raises(NotAcceptable):
        negotiate_frames("application/octet-stream", None, frame_count=2, require_accept=False)
    found = negotiate_frames("application/octet-stream, */*;q=0.1", None, frame_count=2, require_accept=False)
    assert found.choose(EXPLICIT, 2) == FrameRepresentation("application/octet-stream", EXPLICIT, False)
    found = negotiate_frames("application/octet-stream", None, frame_count=1, require_accept=False)
    with pytest.raises(NotAcceptable):
        found.choose(EXPLICIT, 2)


def test_every_stored_form_is_given_to_a_client_that_takes_anything() -> None:
    found = negotiate_frames(f"{MULTIPART_OCTETS}; transfer-syntax=*", None, frame_count=3, require_accept=False)
    for uid in (*UNCOMPRESSED, *COMPRESSED):
        expected = get_transfer_syntax(uid).media_type or "application/octet-stream"
        assert found.choose(uid, 3).media_type == expected, uid


def test_a_frame_names_its_transfer_syntax() -> None:
    assert FrameRepresentation("image/jls", JLS, True).content_type == f"image/jls; transfer-syntax={JLS}"


# --- reading the request ---


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


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("application/dicom", None),
        ("application/dicom; transfer-syntax=1.2.840.10008.1.2.1", None),
        ('multipart/related; type="application/dicom"; boundary=abc', "abc"),
        ("multipart/related; type=application/dicom; boundary=abc", "abc"),
        ('Multipart/Related; boundary="a b:c"; type="application/dicom"', "a b:c"),
        ("multipart/related; boundary=abc", "abc"),
    ],
)
def test_what_a_store_may_carry(content_type: str, boundary: str | None) -> None:
    assert read_store_content_type(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "nonsense",
        "application/json",
        'multipart/related; type="application/dicom+json"; boundary=abc',
        "multipart/form-data; boundary=abc",
    ],
)
def test_what_a_store_may_not_carry(content_type: str | None) -> None:
    with pytest.raises(UnsupportedMediaType) as caught:
        read_store_content_type(content_type)
    assert MULTIPART_DICOM in caught.value.supported


@pytest.mark.parametrize("content_type", [MULTIPART_DICOM, f'{MULTIPART_DICOM}; boundary=""'])
def test_a_store_without_boundary_is_malformed(content_type: str) -> None:
    with pytest.raises(MalformedBody):
        read_store_content_type(content_type)


def test_the_lines_of_a_header_are_one_list() -> None:
    assert join_lines([]) is None
    assert join_lines(["image/png"]) == "image/png"
    assert join_lines(["image/png", "text/html;q=0.5"]) == "image/png, text/html;q=0.5"
