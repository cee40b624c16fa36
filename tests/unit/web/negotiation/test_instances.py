"""Instances, as rows of a table; from PS3.18 §8.7, Table 10.4.4-1, and from what viewers are known to send."""

from __future__ import annotations

import pytest

from gateway.errors import NotAcceptable
from gateway.resources import Level
from gateway.web.negotiation import (
    InstanceChoice,
    InstanceFrame,
    InstanceRepresentation,
    negotiate_instance_frame,
    negotiate_instances,
    negotiate_zip,
)

IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG_BASELINE, JPEG_LOSSLESS_P14, JPEG_LOSSLESS = (f"1.2.840.10008.1.2.4.{n}" for n in (50, 57, 70))
JLS, JLS_LOSSY, J2K, J2K_LOSSY = (f"1.2.840.10008.1.2.4.{n}" for n in (80, 81, 90, 91))
H264, HEVC = "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.107"
RLE = "1.2.840.10008.1.2.5"
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"

MULTIPART_DICOM = 'multipart/related; type="application/dicom"'
MULTIPART_OCTETS = 'multipart/related; type="application/octet-stream"'
MULTIPART_XML = 'multipart/related; type="application/dicom+xml"'
BROWSER = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


AVAILABLE = (f"{MULTIPART_DICOM}; transfer-syntax=*", "application/zip", MULTIPART_OCTETS)


def multi(*syntaxes: str) -> list[InstanceChoice]:
    return [InstanceChoice(syntax, single_part=False) for syntax in syntaxes]


def single(*syntaxes: str) -> list[InstanceChoice]:
    return [InstanceChoice(syntax, single_part=True) for syntax in syntaxes]


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
            assert caught.value.available == (
                f"{MULTIPART_DICOM}; transfer-syntax=*",
                "application/zip",
                MULTIPART_OCTETS,
            )
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


FILES, ZIP, BULKDATA = InstanceFrame


@pytest.mark.parametrize(
    ("accept", "study", "instance"),
    [
        (None, FILES, FILES),
        ("*/*", FILES, FILES),
        ("application/*", None, FILES),  # a zip archive must be named
        ("multipart/related", FILES, FILES),
        (MULTIPART_DICOM, FILES, FILES),
        ("application/dicom", None, FILES),
        ("application/zip", ZIP, ZIP),
        (f"application/zip;q=0.5, {MULTIPART_DICOM}", FILES, FILES),
        (f"application/zip, {MULTIPART_DICOM};q=0.5", ZIP, ZIP),
        ("application/zip, */*", ZIP, ZIP),
        (MULTIPART_OCTETS, BULKDATA, BULKDATA),
        (f"{MULTIPART_OCTETS}, {MULTIPART_DICOM}", FILES, FILES),
        ("application/octet-stream", None, None),
        ("image/jpeg", None, None),
        ("application/zip;q=0", None, None),
    ],
)
def test_what_instances_are_sent_in(
    accept: str | None, study: InstanceFrame | None, instance: InstanceFrame | None
) -> None:
    for level, expected in ((Level.STUDY, study), (Level.SERIES, study), (Level.IMAGE, instance)):
        if expected is None:
            with pytest.raises(NotAcceptable) as caught:
                negotiate_instance_frame(accept, None, level=level, require_accept=False)
            assert "application/zip" in caught.value.available
        else:
            assert negotiate_instance_frame(accept, None, level=level, require_accept=False) is expected


@pytest.mark.parametrize(
    ("accept", "choices", "delivered", "sent"),
    [
        ("application/zip", ["*"], J2K, J2K),
        ("application/zip", ["*"], IMPLICIT, EXPLICIT),
        ("application/zip; transfer-syntax=*", ["*"], J2K, J2K),
        (f"application/zip; transfer-syntax={JLS}", [JLS], JLS, JLS),
        (f"application/zip; transfer-syntax={JLS}", [JLS], J2K, None),
        (f"application/zip; transfer-syntax={EXPLICIT}, */*;q=0.1", [EXPLICIT], IMPLICIT, EXPLICIT),
    ],
)
def test_the_files_of_a_zip_archive(accept: str, choices: list[str], delivered: str, sent: str | None) -> None:
    found = negotiate_zip(accept, None, require_accept=False)
    assert [choice.transfer_syntax for choice in found.choices] == choices
    if sent is None:
        with pytest.raises(NotAcceptable):
            found.choose(delivered)
    else:
        assert found.choose(delivered).transfer_syntax == sent


@pytest.mark.parametrize("accept", ["application/zip; transfer-syntax=1.2.840.10008.1.2", "application/zip;q=0"])
def test_no_zip_archive_of_what_never_leaves(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        negotiate_zip(accept, None, require_accept=False)
