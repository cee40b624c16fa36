"""Frames and bulk data, as rows of a table; from PS3.18 §8.7, and from what viewers are known to send."""

from __future__ import annotations

import pytest

from gateway.codecs.transfer_syntax import COMPRESSED, UNCOMPRESSED, get_transfer_syntax
from gateway.errors import NotAcceptable
from gateway.web.negotiation import FrameRepresentation, negotiate_frames

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


PDF = "application/pdf"


@pytest.mark.parametrize(
    ("accept", "media_type", "single_part"),
    [
        ("*/*", "application/octet-stream", False),
        (MULTIPART_OCTETS, "application/octet-stream", False),
        (PDF, PDF, True),
        (f'multipart/related; type="{PDF}"', PDF, False),
        (f"{PDF}, */*;q=0.5", PDF, True),
        ("text/xml", None, None),
    ],
)
def test_an_encapsulated_document_in_its_own_media_type(
    accept: str, media_type: str | None, single_part: bool | None
) -> None:
    found = negotiate_frames(accept, None, frame_count=1, require_accept=False, documents=True)
    if media_type is None or single_part is None:
        with pytest.raises(NotAcceptable) as caught:
            found.choose(EXPLICIT, 1, PDF)
        assert PDF in caught.value.available
    else:
        form = found.choose(EXPLICIT, 1, PDF)
        assert (form.media_type, form.single_part) == (media_type, single_part)
        assert ("transfer-syntax" in form.content_type) == (media_type != PDF)


def test_frames_are_no_documents() -> None:
    with pytest.raises(NotAcceptable):
        negotiate_frames(PDF, None, frame_count=1, require_accept=False)
