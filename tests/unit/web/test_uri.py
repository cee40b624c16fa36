"""The URI service: its parameters and errors over a service that tells what it was asked, and files from an archive."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest
from pydicom import dcmread

from gateway.errors import NotAcceptable, UnknownResource
from gateway.imaging.rendering.parameters import NormalizedRegion, RenderParameters, Viewport, Window
from gateway.resources import ResourcePath
from gateway.services.rendered.facts import InstanceFacts
from gateway.services.rendered.rendition import Rendition, Showing
from gateway.web.negotiation import negotiate_rendered
from gateway.web.uri import UriChooser
from tests.support.fake_rendered import CT, PLAIN, FakeRendered, open_pictures
from tests.support.wado import Answer, fetch
from tests.unit.web.test_retrieve import open_site

UIDS = {"requestType": "WADO", "studyUID": "1", "seriesUID": "1.1", "objectUID": "1.1.1"}
HELD = {"requestType": "WADO", "studyUID": "1.2.1", "seriesUID": "1.2.1.1", "objectUID": "1.2.1.1.2"}
SR, GSPS = "1.2.840.10008.5.1.4.1.1.88.11", "1.2.840.10008.5.1.4.1.1.11.1"
IMAGE, LOOP = InstanceFacts(CT, PLAIN), InstanceFacts(CT, PLAIN, frame_count=9)
VIDEO = InstanceFacts(CT, "1.2.840.10008.1.2.4.102", frame_count=9)
REPORT = InstanceFacts(SR, PLAIN, has_pixels=False)
NATIVE, IMPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
STATE = {"presentationSeriesUID": "1.9", "presentationUID": "1.9.1"}


def query(**parameters: str) -> str:
    return urlencode({**UIDS, **parameters})


async def ask(
    query: str, rendered: FakeRendered | None = None, accept: str | None = "*/*", place: str = "/wado"
) -> Answer:
    async with open_pictures(rendered or FakeRendered()) as url:
        return await fetch(f"{url}{place}?{query}", accept)


@pytest.mark.parametrize("place", ["", "/", "/wado"])
async def test_a_picture_by_default(place: str) -> None:
    rendered = FakeRendered()
    answer = await ask(query(), rendered, place=place)
    assert (answer.status, answer.headers["Content-Type"], answer.body) == (200, "image/jpeg", b"1/1")
    assert answer.headers["Content-Location"].endswith("/dicomweb/studies/1/series/1.1/instances/1.1.1/frames/1")
    [request] = rendered.asked
    assert request.path == ResourcePath("1", "1.1", "1.1.1")
    assert (request.parameters, request.frames, request.state) == (RenderParameters(), (), None)


@pytest.mark.parametrize("place", ["", "/"])
async def test_there_is_nothing_else_at_the_root(place: str) -> None:
    assert (await ask("limit=5", place=place)).status == 404


@pytest.mark.parametrize(
    "change",
    [
        {"requestType": "wado"},
        {"requestType": ""},
        {"studyUID": ""},
        {"studyUID": "x"},
        {"seriesUID": "1.2.a"},
        {"objectUID": "1" * 65},
        {"contentType": "*/*"},
        {"contentType": "image/*"},
        {"contentType": ","},
        {"contentType": "application/dicom,image/jpeg"},
        {"contentType": "application/dicom;transfer-syntax=1.2.840.10008.1.2.1"},
        {"contentType": "text/html;charset=utf-8"},
        {"contentType": "application/dicom", "windowCenter": "4", "windowWidth": "5"},
        {"contentType": "application/dicom", "transferSyntax": "big"},
        {"anonymize": "no"},
        {"anonymize": ""},
        {"rows": "0"},
        {"columns": "-5"},
        {"rows": "1.5"},
        {"region": "0,0,1"},
        {"region": "0,0,1,1.1"},
        {"region": "0.5,0,0.5,1"},
        {"windowCenter": "1"},
        {"windowWidth": "1"},
        {"windowCenter": "a", "windowWidth": "1"},
        {"imageQuality": "0"},
        {"imageQuality": "high"},
        {"frameNumber": "0"},
        {"frameNumber": "1,2"},
        {"frameNumber": "1"},  # the image has no others
        {"annotation": ""},
        {"imageAnnotation": "a b"},
        {"presentationUID": "1.9.1"},
        {"presentationSeriesUID": "1.9"},
        {**STATE, "presentationUID": "x"},
        {**STATE, "windowCenter": "1", "windowWidth": "2"},
        {**STATE, "frameNumber": "1"},
    ],
)
async def test_bad_requests(change: dict[str, str]) -> None:
    answer = await ask(query(**change))
    assert answer.status == 400, answer.body


@pytest.mark.parametrize("missing", list(UIDS))
async def test_what_must_be_there(missing: str) -> None:
    left = urlencode({name: value for name, value in UIDS.items() if name != missing})
    assert (await ask(left)).status == 400
    assert (await ask(query() + f"&{missing}=1")).status == 400  # once


@pytest.mark.parametrize(
    ("change", "accept", "status"),
    [
        ({"contentType": "image/png"}, "image/jpeg", 200),  # the header's choice
        ({"contentType": "image/png"}, "image/*", 200),
        ({"contentType": "text/html"}, "text/html", 406),
        ({"contentType": "application/dicom+json"}, "*/*", 200),  # not of this service: the header's choice
        ({"contentType": "application/dicom+json"}, "application/dicom+json", 406),
        ({"contentType": "application/dicom"}, "image/jpeg", 406),
        ({}, "application/dicom, image/jpeg", 400),
        ({}, "application/dicom+json", 406),
        ({}, 'multipart/related; type="image/jpeg"', 406),
        ({"contentType": "application/dicom", "transferSyntax": IMPLICIT}, "*/*", 406),
        ({"contentType": "application/dicom", "transferSyntax": BIG_ENDIAN}, "*/*", 406),
        ({"anonymize": "yes", "contentType": "application/dicom"}, "*/*", 501),
        ({"anonymize": "yes"}, "*/*", 501),
        ({"charset": "nonsense", "unknown": "x"}, "*/*", 200),
    ],
)
async def test_negotiation(change: dict[str, str], accept: str, status: int) -> None:
    answer = await ask(query(**change), accept=accept)
    assert answer.status == status, answer.body


async def test_the_look_of_a_picture() -> None:
    rendered = FakeRendered([LOOP])
    change = {
        "contentType": "image/png",
        "rows": "64",
        "columns": "32",
        "region": "0,0.25,1,1.0",
        "windowCenter": "-40.5",
        "windowWidth": "4e2",
        "imageQuality": "70",
        "imageAnnotation": "technique,tea",
        "frameNumber": "4",
    }
    answer = await ask(query(**change), rendered)
    assert (answer.status, answer.headers["Content-Type"], answer.body) == (200, "image/png", b"1/4")
    [request] = rendered.asked
    assert request.frames == (4,)
    assert request.parameters == RenderParameters(
        viewport=Viewport(32, 64),
        region=NormalizedRegion(0, 0.25, 1, 1),
        window=Window(-40.5, 400),
        quality=70,
        annotation=("technique",),
    )
    assert "not supported: tea" in answer.headers["Warning"]


async def test_one_side_of_the_size_is_enough() -> None:
    rendered = FakeRendered()
    assert (await ask(query(rows="64"), rendered)).status == 200
    assert rendered.asked[0].parameters.viewport == Viewport(None, 64)


async def test_a_presentation_state() -> None:
    rendered = FakeRendered()
    assert (await ask(query(**STATE, rows="5", region="0,0,1,1", annotation="patient"), rendered)).status == 200
    assert rendered.asked[0].state == ResourcePath("1", "1.9", "1.9.1")


async def test_a_report_is_hypertext() -> None:
    answer = await ask(query(), FakeRendered([REPORT]))
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


async def test_what_is_not_there() -> None:
    assert (await ask(query(), FakeRendered(failure=UnknownResource("instance")))).status == 404


# --- the form of what has several frames ---


def decide(accept: str, facts: InstanceFacts, frame: int = 0) -> Rendition:
    return UriChooser(negotiate_rendered(accept, None, require_accept=False), RenderParameters(), frame).decide(facts)


@pytest.mark.parametrize(
    ("accept", "facts", "frame", "form"),
    [
        ("*/*", LOOP, 0, ("image/jpeg", Showing.ONE_FRAME)),
        ("image/avif,image/webp,image/*,*/*;q=0.8", LOOP, 0, ("image/jpeg", Showing.ONE_FRAME)),
        ("image/png", LOOP, 0, ("image/png", Showing.ONE_FRAME)),
        ("image/gif", LOOP, 0, ("image/gif", Showing.WHOLE)),
        ("image/gif", LOOP, 2, ("image/gif", Showing.ONE_FRAME)),
        ("video/mp4", LOOP, 0, ("video/mp4", Showing.WHOLE)),
        ("*/*", VIDEO, 0, ("image/jpeg", Showing.ONE_FRAME)),
        ("video/mp4", VIDEO, 0, ("video/mp4", Showing.WHOLE)),
        ("*/*", VIDEO, 9, ("image/jpeg", Showing.ONE_FRAME)),
        ("*/*", InstanceFacts(GSPS, PLAIN, has_pixels=False), 0, ("image/jpeg", Showing.EACH_FRAME)),
        ("image/*", InstanceFacts(GSPS, PLAIN, False, frame_count=3), 0, ("image/jpeg", Showing.ONE_FRAME)),
    ],
)
def test_one_representation(accept: str, facts: InstanceFacts, frame: int, form: tuple[str, Showing]) -> None:
    assert decide(accept, facts, frame) == Rendition(*form)


@pytest.mark.parametrize(("accept", "frame"), [("video/mp4", 1), ('multipart/related; type="image/jpeg"', 0)])
def test_what_is_no_single_picture(accept: str, frame: int) -> None:
    with pytest.raises(NotAcceptable):
        decide(accept, LOOP, frame)


# --- files ---


@pytest.mark.parametrize("change", [{}, {"transferSyntax": NATIVE}, {"transferSyntax": "*"}])
async def test_a_file(tmp_path: Path, change: dict[str, str]) -> None:
    async with open_site(tmp_path) as site:
        text = urlencode({**HELD, "contentType": "application/dicom", "annotation": "patient", **change})
        answer = await site.get(f"/wado?{text}", "*/*")
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/dicom")
        found = dcmread(BytesIO(answer.body))
        assert (found.SOPInstanceUID, found.file_meta.TransferSyntaxUID) == ("1.2.1.1.2", NATIVE)
        path = "/studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.2"
        assert answer.headers["Content-Location"] == site.url + path
        await site.check_clean()


async def test_a_file_by_the_header_alone(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        answer = await site.get(f"?{urlencode(HELD)}", "application/dicom")
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/dicom")


@pytest.mark.parametrize(("change", "status"), [({"objectUID": "1.2.9"}, 404), ({"seriesUID": "1.2.1.2"}, 404)])
async def test_files_that_are_not_there(tmp_path: Path, change: dict[str, str], status: int) -> None:
    async with open_site(tmp_path) as site:
        text = urlencode({**HELD, "contentType": "application/dicom", **change})
        assert (await site.get(f"/wado?{text}", "*/*")).status == status


async def test_the_old_address_of_the_default_backend(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site, aiohttp.ClientSession() as client:
        url = site.url.removesuffix("/dicomweb") + "/wado"
        async with client.get(url, params={**HELD, "contentType": "application/dicom"}) as response:
            assert response.status == 200
            assert response.headers["Content-Location"].startswith(site.url)
