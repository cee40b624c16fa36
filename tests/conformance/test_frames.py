"""Frames of the Retrieve transaction (PS3.18 §10.4.1.1.6, §10.4.3.3.6); sections stand in the docstrings."""

from __future__ import annotations

import pytest

from tests.support.conformance_site import Site
from tests.support.small_archive import BIG_ENDIAN, FRAMES, IMPLICIT, JPEG, JPEG_2000, LOOP, REPORT

OCTETS = 'multipart/related; type="application/octet-stream"'
EXPLICIT_LE, J2K, BASELINE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.50"


@pytest.mark.parametrize(
    ("frames", "found"), [("1", [1]), ("2", [2]), ("1,3", [1, 3]), ("1,2,3,4", [1, 2, 3, 4]), ("2%2C4", [2, 4])]
)
def test_frames_are_the_ones_asked_for(site: Site, frames: str, found: list[int]) -> None:
    """§10.4.3.3.6: one part a frame in the order asked, each with its own location."""
    response = site.get(f"{LOOP}/frames/{frames}", OCTETS)
    assert [part.body for part in response.parts] == [bytes([number]) * 64 for number in found]
    assert [part.location for part in response.parts] == [f"{site.url}{LOOP}/frames/{number}" for number in found]
    assert {part.content_type for part in response.parts} == {
        f"application/octet-stream; transfer-syntax={EXPLICIT_LE}"
    }


@pytest.mark.parametrize("frames", ["0", "2,1", "1,1", "x", "1-2", "1,,2", "-1", "1.0", "%C2%B2", "1,", "9" * 5000])
def test_a_bad_frame_list_is_400(site: Site, frames: str) -> None:
    """§10.1: ascending comma list of numbers from 1."""
    response = site.get(f"{LOOP}/frames/{frames}", OCTETS)
    assert response.status == 400
    assert "frames" in response.json["detail"]


@pytest.mark.parametrize(
    "path", [f"{LOOP}/frames/{FRAMES + 1}", f"{LOOP}/frames/1,99", f"{REPORT}/frames/1", f"{JPEG_2000}/frames/4"]
)
def test_a_frame_that_is_not_there_is_404(site: Site, path: str) -> None:
    """Table 10.4.3-1."""
    assert site.get(path, "*/*").status == 404


FRAME_NEGOTIATION = [  # target, frames, Accept, status, Content-Type of the part or body
    (LOOP, "1", "*/*", 200, f"application/octet-stream; transfer-syntax={EXPLICIT_LE}"),
    (LOOP, "1", "application/octet-stream", 200, f"application/octet-stream; transfer-syntax={EXPLICIT_LE}"),
    (LOOP, "1,2", "application/octet-stream", 406, ""),
    (LOOP, "1", 'multipart/related; type="image/jpeg"', 200, "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.70"),
    (LOOP, "1", 'multipart/related; type="image/jpx"', 406, ""),
    (
        LOOP,
        "1",
        'multipart/related; type="image/jpeg", */*;q=0.1',
        200,
        f"application/octet-stream; transfer-syntax={EXPLICIT_LE}",
    ),
    (JPEG_2000, "2", "*/*", 200, f"image/jp2; transfer-syntax={J2K}"),
    (JPEG_2000, "2", 'multipart/related; type="image/jp2"', 200, f"image/jp2; transfer-syntax={J2K}"),
    (JPEG_2000, "2", "image/jp2", 200, f"image/jp2; transfer-syntax={J2K}"),
    (
        JPEG_2000,
        "2",
        f'multipart/related; type="image/jp2"; transfer-syntax={J2K}',
        200,
        f"image/jp2; transfer-syntax={J2K}",
    ),
    (JPEG_2000, "2", 'multipart/related; type="image/*"', 200, f"image/jp2; transfer-syntax={J2K}"),
    (JPEG_2000, "2", OCTETS, 502, ""),  # its frames are no pictures
    (JPEG_2000, "2", 'multipart/related; type="image/jpx"', 406, ""),
    (JPEG, "1", 'multipart/related; type="image/jpeg"', 200, f"image/jpeg; transfer-syntax={BASELINE}"),  # lossy only
    (
        JPEG,
        "1",
        f'multipart/related; type="image/jpeg"; transfer-syntax={BASELINE}',
        200,
        f"image/jpeg; transfer-syntax={BASELINE}",
    ),
    (IMPLICIT, "1", OCTETS, 200, f"application/octet-stream; transfer-syntax={EXPLICIT_LE}"),
    (BIG_ENDIAN, "1", OCTETS, 200, f"application/octet-stream; transfer-syntax={EXPLICIT_LE}"),
]


@pytest.mark.parametrize(("path", "frames", "accept", "status", "content_type"), FRAME_NEGOTIATION)
def test_negotiation_of_frames(site: Site, path: str, frames: str, accept: str, status: int, content_type: str) -> None:
    """Tables 8.7.3-4, 8.7.3-5 and 10.4.4-1; 406 names what there is (§8.7.8.1)."""
    response = site.get(f"{path}/frames/{frames}", accept)
    assert response.status == status
    if status == 200 and response.essence == "multipart/related":
        assert [part.content_type for part in response.parts] == [content_type]
    elif status == 200:
        assert response.header("Content-Type") == content_type
        assert response.header("Content-Location") == f"{site.url}{path}/frames/{frames}"
    elif status == 406:
        expected = "application/octet-stream" if path == LOOP else "image/jp2"
        assert expected in response.json["detail"]
