"""Bulk data and pixel data over HTTP: by level, by URI, in ranges, documents and videos."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import MPEG2MPML, JPEGBaseline8Bit

from tests.support.retrieve_site import METHODS
from tests.support.wado import Answer, fetch
from tests.unit.sandbox.conftest import make_instance, save
from tests.unit.web.test_retrieve import INSTANCE, JSON, OCTETS, SERIES, STUDY, Site, open_site

PDF = "1.2.840.10008.5.1.4.1.1.104.1"
ANY_OCTETS = f"{OCTETS}; transfer-syntax=*"
STREAM = b"\0\0\1\xb3" + bytes(range(256)) * 40


def add(site: Site, folder: Path, uid: str, syntax: str = "", **attributes: object) -> str:
    """Add an instance; its path."""
    instance = make_instance(uid, **attributes)
    if syntax:
        instance.file_meta.TransferSyntaxUID = syntax
        instance["PixelData"].VR = "OB"
    site.sandbox.index.add_file(save(instance, folder / "files"))
    series = uid.rsplit(".", 1)[0]
    return f"/studies/{series.rsplit('.', 1)[0]}/series/{series}/instances/{uid}"


def add_document(site: Site, folder: Path) -> str:
    path = add(site, folder, "1.2.5.1.1", SOPClassUID=PDF, Modality="DOC")
    instance = make_instance("1.2.5.1.1", SOPClassUID=PDF, EncapsulatedDocument=b"%PDF-1.4 " + bytes(2_000) + b"\n")
    instance.MIMETypeOfEncapsulatedDocument = "application/pdf"
    del instance.PixelData
    site.sandbox.index.add_file(save(instance, folder / "files"))
    return path


def add_frames(site: Site, folder: Path) -> str:
    frames = [b"\xff\xd8" + bytes([n]) * 20 + b"\xff\xd9" for n in (1, 2, 3)]
    return add(site, folder, "1.2.6.1.1", JPEGBaseline8Bit, PixelData=encapsulate(frames), NumberOfFrames=3)


async def get(site: Site, path: str, accept: str | None, **headers: str) -> Answer:
    async with aiohttp.ClientSession() as client:
        sent = {**headers, **({} if accept is None else {"Accept": accept})}
        async with client.get(site.url + path, headers=sent) as response:
            return Answer(response.status, response.headers, await response.read())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("path", "count"), [(STUDY, 4), (SERIES, 3), (INSTANCE, 1)])
async def test_bulk_data_and_pixel_data_of_each_level(tmp_path: Path, method: str, path: str, count: int) -> None:
    async with open_site(tmp_path, retrieve=method) as site:
        models = json.loads((await site.get(f"{path}/metadata", JSON)).body)
        named = sorted(model["7FE00010"]["BulkDataURI"] for model in models)
        for accept in ("*/*", OCTETS):
            bulk = await site.get(f"{path}/bulkdata", accept)
            assert sorted(part.location for part in bulk.parts) == named and len(named) == count
            pixels = await site.get(f"{path}/pixeldata", accept)
            assert sorted(part.location for part in pixels.parts) == [
                uri.replace("/bulkdata/7FE00010", "/pixeldata") for uri in named
            ]
            for part in (*bulk.parts, *pixels.parts):
                assert part.body == bytes(range(128))
                assert part.content_type == "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
        same = await site.get(path, OCTETS)  # before 2016 the resource itself was asked for its bulk data
        assert sorted(part.location for part in same.parts) == named
        await site.check_clean()


async def test_compressed_pixel_data_comes_by_frames_and_each_value_in_its_form(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        add_frames(site, tmp_path)
        add(site, tmp_path, "1.2.6.2.1", RedPaletteColorLookupTableData=bytes(4_000))
        bulk = (await site.get("/studies/1.2.6/bulkdata", ANY_OCTETS)).parts
        below = f"{site.url}/studies/1.2.6/series/"
        assert [(part.location.removeprefix(below), part.content_type.partition(";")[0]) for part in bulk] == [
            *[("1.2.6.1/instances/1.2.6.1.1/bulkdata/7FE00010", "image/jpeg")] * 3,
            ("1.2.6.2/instances/1.2.6.2.1/bulkdata/00281201", "application/octet-stream"),
            ("1.2.6.2/instances/1.2.6.2.1/bulkdata/7FE00010", "application/octet-stream"),
        ]
        pixels = (await site.get("/studies/1.2.6/pixeldata", ANY_OCTETS)).parts
        assert [part.location.removeprefix(below) for part in pixels] == [
            *[f"1.2.6.1/instances/1.2.6.1.1/frames/{n}" for n in (1, 2, 3)],
            "1.2.6.2/instances/1.2.6.2.1/pixeldata",
        ]
        assert [part.body[2] for part in pixels[:3]] == [1, 2, 3]
        await site.check_clean()


REFUSED = [
    ("/bulkdata", "application/octet-stream", 406),  # many items by nature
    ("/bulkdata", 'multipart/related; type="image/jpeg"', 406),  # other values have octets only
    ("/bulkdata", "application/dicom+json", 406),
    ("/bulkdata", "application/octet-stream, image/png", 400),
    ("/pixeldata", "image/png", 406),
    ("/pixeldata", "application/pdf", 406),
    ("/pixeldata", 'multipart/related; type="image/jls"', 406),  # known when the first has come
]


@pytest.mark.parametrize(("below", "accept", "status"), REFUSED)
async def test_what_is_not_acceptable_of_a_level(tmp_path: Path, below: str, accept: str, status: int) -> None:
    async with open_site(tmp_path) as site:
        answer = await site.get(SERIES + below, accept)
        assert answer.status == status
        assert status == 400 or b"application/octet-stream" in answer.body
        await site.check_clean()


async def test_what_is_not_there(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        path = add_document(site, tmp_path)
        assert (await site.get(f"{path}/pixeldata", OCTETS)).status == 404
        assert (await site.get(f"{path}/frames/1", OCTETS)).status == 404
        assert (await site.get("/studies/1.9/bulkdata", OCTETS)).status == 404
        assert (await site.get("/studies/1.9/pixeldata", OCTETS)).status == 404
        await site.check_clean()


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("application/pdf", "application/pdf"),
        ('multipart/related; type="application/pdf"', "application/pdf"),
        ("*/*", "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"),
    ],
)
async def test_an_encapsulated_document_in_its_own_type(tmp_path: Path, accept: str, content_type: str) -> None:
    async with open_site(tmp_path) as site:
        path = add_document(site, tmp_path)
        (model,) = json.loads((await site.get(f"{path}/metadata", JSON)).body)
        answer = await fetch(model["00420011"]["BulkDataURI"], accept)
        if accept == "application/pdf":
            assert answer.headers["Content-Type"] == content_type and answer.body.startswith(b"%PDF-1.4 ")
        else:
            (part,) = answer.parts
            assert part.content_type == content_type and part.body.startswith(b"%PDF-1.4 ")
        (part,) = (await site.get(f"{path}/bulkdata", f"{OCTETS};q=0.5, */*")).parts
        assert part.location == model["00420011"]["BulkDataURI"]
        assert (await site.get(f"{path}/bulkdata/00420012", "application/pdf")).status == 406
        await site.check_clean()


RANGES = [
    ("bytes=0-9", "bytes 0-9/128", slice(0, 10)),
    ("bytes=100-", "bytes 100-127/128", slice(100, 128)),
    ("bytes=-1", "bytes 127-127/128", slice(127, 128)),
    ("bytes=0-", "bytes 0-127/128", slice(0, 128)),
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("below", ["/frames/1", "/bulkdata/7FE00010"])
async def test_a_range_of_a_single_part(tmp_path: Path, method: str, below: str) -> None:
    async with open_site(tmp_path, retrieve=method) as site:
        whole = await get(site, INSTANCE + below, "application/octet-stream")
        assert (whole.status, whole.headers["Accept-Ranges"], len(whole.body)) == (200, "bytes", 128)
        for text, content_range, place in RANGES:
            answer = await get(site, INSTANCE + below, "application/octet-stream", Range=text)
            assert (answer.status, answer.body) == (206, whole.body[place])
            assert answer.headers["Content-Range"] == content_range
            assert answer.headers["Content-Length"] == str(len(answer.body))
            assert answer.headers["Content-Type"] == whole.headers["Content-Type"]
        beyond = await get(site, INSTANCE + below, "application/octet-stream", Range="bytes=128-")
        assert (beyond.status, beyond.headers["Content-Range"]) == (416, "bytes */128")
        for passed_over in ({"Range": "bytes=0-1,5-6"}, {"Range": "bytes=0-1", "If-Range": '"x"'}):
            assert (await get(site, INSTANCE + below, "application/octet-stream", **passed_over)).status == 200
        multipart = await get(site, INSTANCE + below, OCTETS, Range="bytes=0-9")
        assert (multipart.status, len(multipart.parts)) == (200, 1)
        await site.check_clean()


async def test_a_range_near_the_start_of_a_long_value_does_not_read_the_rest(tmp_path: Path) -> None:
    async with open_site(tmp_path, retrieve="c-get") as site:
        path = add(site, tmp_path, "1.2.7.1.1", PixelData=bytes(64_000_000), Rows=8000, Columns=4000)
        answer = await get(site, f"{path}/frames/1", "application/octet-stream", Range="bytes=10-19")
        assert (answer.status, answer.body) == (206, bytes(10))
        await site.check_clean()
        assert site.gateway.archives["main"].pool.statistics.aborted == 1  # the rest was cut off


async def test_a_video_is_one_stream_and_has_ranges(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        path = add(site, tmp_path, "1.2.8.1.1", MPEG2MPML, PixelData=encapsulate([STREAM]), NumberOfFrames=25)
        for below in ("/bulkdata/7FE00010", "/pixeldata"):
            (part,) = (await site.get(path + below, 'multipart/related; type="video/mpeg"; transfer-syntax=*')).parts
            assert part.body == STREAM and part.content_type == f"video/mpeg; transfer-syntax={MPEG2MPML}"
        for accept in ("video/mpeg", "video/*"):
            whole = await get(site, f"{path}/bulkdata/7FE00010", accept)
            assert (whole.status, whole.body, whole.headers["Accept-Ranges"]) == (200, STREAM, "bytes")
        part_of_it = await get(site, f"{path}/bulkdata/7FE00010", "video/mpeg", Range="bytes=1000-1999")
        assert (part_of_it.status, part_of_it.body) == (206, STREAM[1000:2000])
        assert (await get(site, f"{path}/bulkdata/7FE00010", "video/mpeg", Range="bytes=0-")).body == STREAM
        assert (await site.get(f"{path}/frames/1", "*/*")).status == 406
        await site.check_clean()


async def test_a_video_in_more_fragments_than_its_syntax_allows(tmp_path: Path) -> None:
    """Whole it goes through; a range of what was thought to be all of it does not look complete."""
    async with open_site(tmp_path) as site:
        data = encapsulate([STREAM, STREAM], has_bot=False)
        path = add(site, tmp_path, "1.2.8.1.1", MPEG2MPML, PixelData=data, NumberOfFrames=25)
        whole = await get(site, f"{path}/bulkdata/7FE00010", "video/mpeg")
        assert whole.body == STREAM + STREAM
        beginning = await get(site, f"{path}/bulkdata/7FE00010", "video/mpeg", Range="bytes=0-")
        assert beginning.status == 502  # a longer one is cut
        await site.check_clean()


async def test_frames_below_their_other_name(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        (part,) = (await site.get(f"{INSTANCE}/frames/1/pixeldata", OCTETS)).parts
        assert part.location == f"{site.url}{INSTANCE}/frames/1"
