"""The handlers of rendered resources and thumbnails, over a service that tells what it was asked."""

from __future__ import annotations

import aiohttp
import pytest

from gateway.errors import BadParameter, ImagingFailed, TooBusy, UnknownResource
from gateway.imaging.rendering.parameters import (
    IccProfile,
    RenderParameters,
    SourceRegion,
    Viewport,
    VoiFunction,
    Window,
)
from gateway.resources import ResourcePath
from gateway.services.rendered.facts import InstanceFacts
from gateway.web.rendered import MAX_THUMBNAIL_SIDE, THUMBNAIL_SIDE, read_query, read_thumbnail_viewport
from tests.support.fake_rendered import CT, PLAIN, FakeRendered, open_pictures
from tests.support.wado import Answer, fetch

STUDY, SERIES = "/studies/1", "/studies/1/series/1.1"
INSTANCE = f"{SERIES}/instances/1.1.1"
SR = InstanceFacts("1.2.840.10008.5.1.4.1.1.88.11", PLAIN, has_pixels=False)
LOOP = InstanceFacts(CT, PLAIN, frame_count=3)


async def ask(
    path: str, rendered: FakeRendered | None = None, accept: str | None = "*/*", method: str = "GET"
) -> Answer:
    async with open_pictures(rendered or FakeRendered()) as url:
        answer = await fetch(url + path, accept, method=method)
        assert rendered is None or not rendered.asked or rendered.failure or rendered.is_closed
        return answer


async def test_an_instance_is_a_single_part() -> None:
    answer = await ask(f"{INSTANCE}/rendered")
    assert (answer.status, answer.headers["Content-Type"], answer.body) == (200, "image/jpeg", b"1/1")
    assert answer.headers["Content-Length"] == "3"
    assert answer.headers["Content-Location"].endswith(f"/dicomweb{INSTANCE}/frames/1")


@pytest.mark.parametrize("path", [STUDY, SERIES])
async def test_a_study_and_a_series_are_a_multipart(path: str) -> None:
    answer = await ask(f"{path}/rendered", FakeRendered([InstanceFacts(CT, PLAIN), LOOP]))
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("multipart/related")
    assert [(part.content_type, part.body) for part in answer.parts] == [
        ("image/jpeg", body) for body in (b"1/1", b"2/1", b"2/2", b"2/3")
    ]
    root = answer.parts[0].location.removesuffix("/studies/1/series/1.1/instances/1.1.1/frames/1")
    assert answer.parts[3].location == f"{root}/studies/1/series/1.1/instances/1.1.2/frames/3"


async def test_several_frames_are_a_multipart() -> None:
    answer = await ask(f"{INSTANCE}/frames/1,3/rendered", FakeRendered([LOOP]))
    assert [part.body for part in answer.parts] == [b"1/1", b"1/3"]


async def test_text_says_its_character_set() -> None:
    answer = await ask(f"{INSTANCE}/rendered", FakeRendered([SR]))
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    mixed = await ask(f"{STUDY}/rendered", FakeRendered([SR, LOOP]))
    assert {part.content_type for part in mixed.parts} == {"text/html; charset=utf-8", "image/jpeg"}


async def test_parameters_reach_the_service() -> None:
    rendered = FakeRendered([LOOP])
    query = "window=40,400,sigmoid&viewport=64,32,1,,-5&quality=7&annotation=patient,tea&iccprofile=srgb&x=1&x=2"
    answer = await ask(f"{INSTANCE}/frames/2/rendered?{query}", rendered)
    assert answer.status == 200
    [request] = rendered.asked
    assert (request.path, request.frames) == (ResourcePath("1", "1.1", "1.1.1"), (2,))
    assert request.parameters == RenderParameters(
        viewport=Viewport(64, 32, SourceRegion(1, 0, 5, None, flip_horizontally=True)),
        window=Window(40, 400, VoiFunction.SIGMOID),
        quality=7,
        annotation=("patient",),
        iccprofile=IccProfile.SRGB,
    )
    assert "The following annotation values are not supported: tea" in answer.headers["Warning"]


@pytest.mark.parametrize(
    "query",
    [
        "window=40,400",
        "window=40,0,linear",
        "window=a,b,linear",
        "window=",
        "viewport=0,5",
        "viewport=5",
        "quality=0",
        "quality=101",
        "quality=1&quality=2",
        "annotation=",
        "iccprofile=maybe",
        "accept=image/*",
        "accept=application/dicom,image/jpeg",
    ],
)
async def test_bad_parameters(query: str) -> None:
    rendered = FakeRendered()
    assert (await ask(f"{INSTANCE}/rendered?{query}", rendered)).status == 400
    assert rendered.asked == []


@pytest.mark.parametrize(
    "path", ["/studies/x", f"{INSTANCE}/frames/0", f"{INSTANCE}/frames/2,1", f"{INSTANCE}/frames/a"]
)
@pytest.mark.parametrize("form", ["rendered", "thumbnail"])
async def test_bad_targets(path: str, form: str) -> None:
    assert (await ask(f"{path}/{form}")).status == 400


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        (f"{INSTANCE}/rendered", "application/dicom+json", 406),
        (f"{INSTANCE}/rendered", "application/dicom+json, image/png", 400),
        (f"{INSTANCE}/rendered", "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50", 406),
        (f"{SERIES}/rendered", "image/jpeg", 406),
        (f"{INSTANCE}/rendered", None, 200),
        (f"{INSTANCE}/rendered?accept=image/png", "image/*", 200),
        (f"{STUDY}/thumbnail", "text/html", 406),
        (f"{STUDY}/thumbnail", "image/avif,image/webp,image/*,*/*;q=0.8", 200),
    ],
)
async def test_negotiation(path: str, accept: str | None, status: int) -> None:
    assert (await ask(path, accept=accept)).status == status


async def test_a_missing_accept_header_may_be_refused() -> None:
    async with (
        open_pictures(FakeRendered(), require_accept=True) as url,
        aiohttp.ClientSession(skip_auto_headers=["Accept"]) as client,
    ):
        for form in ("rendered", "thumbnail"):
            async with client.get(f"{url}{INSTANCE}/{form}") as response:
                assert response.status == 406


@pytest.mark.parametrize(
    ("failure", "status"), [(UnknownResource("study"), 404), (ImagingFailed("a bomb"), 502), (TooBusy(), 503)]
)
@pytest.mark.parametrize("form", ["rendered", "thumbnail"])
async def test_failures(failure: UnknownResource, status: int, form: str) -> None:
    answer = await ask(f"{INSTANCE}/{form}", FakeRendered(failure=failure))
    assert answer.status == status
    assert ("Retry-After" in answer.headers) is (status == 503)


async def test_a_head_without_a_body() -> None:
    answer = await ask(f"{INSTANCE}/rendered", method="HEAD")
    assert (answer.status, answer.headers["Content-Type"], answer.body) == (200, "image/jpeg", b"")


# --- thumbnails ---


@pytest.mark.parametrize("path", [STUDY, SERIES, INSTANCE])
async def test_a_thumbnail_is_of_one_instance(path: str) -> None:
    rendered = FakeRendered([LOOP])
    answer = await ask(f"{path}/thumbnail?annotation=patient&window=1", rendered)
    assert (answer.status, answer.headers["Content-Type"], answer.body) == (200, "image/jpeg", b"1/2")
    [request] = rendered.asked
    assert request.path == ResourcePath("1", "1.1", "1.1.1")
    assert request.parameters == RenderParameters(viewport=Viewport(THUMBNAIL_SIDE, THUMBNAIL_SIDE))


async def test_a_thumbnail_of_a_frame() -> None:
    rendered = FakeRendered([LOOP])
    await ask(f"{INSTANCE}/frames/3/thumbnail?viewport=40,30", rendered)
    assert rendered.asked[0].frames == (3,)
    assert rendered.asked[0].parameters.viewport == Viewport(40, 30)


async def test_what_is_not_seen_has_no_thumbnail() -> None:
    assert (await ask(f"{INSTANCE}/thumbnail", FakeRendered([SR]))).status == 404


@pytest.mark.parametrize("viewport", ["5", "5,5,1", "0,1", "a,b"])
async def test_a_bad_size_of_a_thumbnail(viewport: str) -> None:
    assert (await ask(f"{STUDY}/thumbnail?viewport={viewport}")).status == 400


def test_thumbnails_have_a_largest_size() -> None:
    assert read_thumbnail_viewport({"viewport": "8000,20"}) == Viewport(MAX_THUMBNAIL_SIDE, 20)


def test_query_strings_are_decoded_once_and_a_plus_stays() -> None:
    assert read_query("a=%2B1+2%2525&b=3&=4&c", {"a", "c"}) == {"a": "+1+2%25", "c": ""}
    with pytest.raises(BadParameter, match="a"):
        read_query("a=1&b=2&%61=3", {"a"})
