"""Requests as well-known viewers, scripts and toolkits send them, letter by letter, and what each needs of the answer.

Paths and headers are theirs; only the UIDs and search words are ours.
"""

from __future__ import annotations

import gzip
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.conformance_site import JSON, Site
from tests.support.small_archive import (
    CT,
    CT_COUNT,
    CT_SERIES,
    CT_STUDY,
    EMPTY_STUDY,
    FRAMES,
    IMPLICIT,
    JPEG,
    JPEG_2000,
    LOOP,
    US_STUDY,
)

VIEWER = "application/dicom+json"
SCRIPT = "application/dicom+json, application/json"
EXPLICIT_LE = "1.2.840.10008.1.2.1"


def studies_of(response_json: list[dict[str, dict[str, list[str]]]]) -> set[str]:
    return {result["0020000D"]["Value"][0] for result in response_json}


# --- a web viewer with a study list ---

STUDY_LIST = (
    "/studies?limit=101&offset=0&fuzzymatching={fuzzy}&includefield=00081030%2C00080060%2C00080090%2C00100030&{filters}"
)


@pytest.mark.parametrize("fuzzy", ["true", "false"])
@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ("", {CT_STUDY, US_STUDY, EMPTY_STUDY}),
        ("PatientName=*M%C3%BCller*", {CT_STUDY}),
        ("00100020=*P-*", {CT_STUDY, US_STUDY}),
        ("AccessionNumber=*A%2B*", {CT_STUDY}),
        ("StudyDescription=*chest*", {CT_STUDY}),
        ("ModalitiesInStudy=CT", {CT_STUDY}),
        ("StudyDate=19700102-20261231", {CT_STUDY, US_STUDY}),
        (
            "PatientName=*ller%5EA*&00100020=*1*&AccessionNumber=*A*&StudyDescription=*CT*"
            "&ModalitiesInStudy=CT&StudyDate=19700102-20261231",
            {CT_STUDY},
        ),
    ],
)
def test_the_study_list_of_a_viewer(site: Site, fuzzy: str, filters: str, found: set[str]) -> None:
    response = site.get(STUDY_LIST.format(fuzzy=fuzzy, filters=filters), VIEWER)
    assert response.status == 200
    assert studies_of(response.json) == found
    for result in response.json:  # what its columns show
        assert {"00081030", "00080061", "00201206", "00201208", "00100010", "00080050"} <= set(result)
        assert result["00080061"]["Value"] and result["00201208"]["Value"]


def test_a_viewer_opens_two_studies(site: Site) -> None:
    response = site.get(f"/studies?StudyInstanceUID={CT_STUDY}%5C{US_STUDY}", VIEWER)
    assert studies_of(response.json) == {CT_STUDY, US_STUDY}


def test_a_viewer_lists_series_and_reads_their_metadata(site: Site) -> None:
    series = site.get(f"/studies/{CT_STUDY}/series?includefield=0008103E%2C00080021", VIEWER).json
    assert {one["00201209"]["Value"][0] for one in series} == {CT_COUNT, 1}
    metadata = site.get(f"/studies/{CT_STUDY}/series/{CT_SERIES}/metadata", VIEWER).json
    assert len(metadata) == CT_COUNT
    assert {model["00280010"]["Value"][0] for model in metadata} == {16}


def test_a_viewer_loads_many_frames_at_once(site: Site) -> None:
    """25 at a time, over fewer associations."""
    accept = "multipart/related; type=application/octet-stream; transfer-syntax=*"
    series = [CT.rpartition("/")[0] + f"/{CT_SERIES}.{1 + number % CT_COUNT}" for number in range(25)]
    with ThreadPoolExecutor(25) as pool:
        responses = list(pool.map(lambda path: site.get(f"{path}/frames/1", accept), series))
    assert {response.status for response in responses} == {200}
    assert {response.parts[0].body for response in responses} == {bytes(range(256)) * 2}


def test_a_viewer_reads_a_bulk_value(site: Site) -> None:
    (model,) = site.get(CT + "/metadata", VIEWER).json
    uri = model["00291001"]["BulkDataURI"]
    response = site.get(uri.removeprefix(site.url), "application/octet-stream, */*")
    body = response.body if response.essence == "application/octet-stream" else response.parts[0].body
    assert (response.status, body) == (200, bytes(range(256)) * 8)


@pytest.mark.parametrize(
    "accept", ["image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", "image/jpeg", "*/*"]
)
@pytest.mark.parametrize("path", [f"{CT}/rendered", f"/studies/{CT_STUDY}/thumbnail?accept=image/jpeg"])
def test_a_viewer_asks_for_a_picture(site: Site, path: str, accept: str) -> None:
    """A browser's Accept in an image element, and what viewers send."""
    response = site.get(path, accept)
    assert (response.status, response.essence) == (200, "image/jpeg")
    assert response.body.startswith(b"\xff\xd8")


@pytest.mark.parametrize(
    ("path", "syntax", "essence"),
    [
        (f"{CT}/frames/1", EXPLICIT_LE, "application/octet-stream"),
        (f"{IMPLICIT}/frames/1", EXPLICIT_LE, "application/octet-stream"),
        (f"{JPEG_2000}/frames/2", "1.2.840.10008.1.2.4.90", "image/jp2"),
        (f"{JPEG}/frames/1", "1.2.840.10008.1.2.4.50", "image/jpeg"),
    ],
)
def test_a_rendering_library_reads_the_transfer_syntax_of_the_part(
    site: Site, path: str, syntax: str, essence: str
) -> None:
    """It takes Implicit VR for granted where a part names no transfer syntax."""
    response = site.get(path, "multipart/related; type=application/octet-stream; transfer-syntax=*")
    assert response.status == 200
    assert [part.content_type for part in response.parts] == [f"{essence}; transfer-syntax={syntax}"]


def test_a_javascript_client_reads_several_frames(site: Site) -> None:
    accept = (
        'multipart/related; type="image/jls",'
        ' multipart/related; type="image/jp2"; transfer-syntax=1.2.840.10008.1.2.4.90,'
        ' multipart/related; type="image/x-jls", multipart/related; type="image/x-dicom-rle"'
    )
    response = site.get(f"{JPEG_2000}/frames/1,2", accept)
    assert [part.body[4] for part in response.parts] == [1, 2]


# --- a Python client, and what stands on it ---


def test_a_script_pages_until_nothing_comes(site: Site) -> None:
    host = site.url.split("/")[2].rpartition(":")[0]  # it leaves the port out
    found: list[str] = []
    while page := site.get(f"/instances?limit=2&offset={len(found)}", SCRIPT, Host=host).json:
        found += [result["00080018"]["Value"][0] for result in page]
        assert page[0]["00081190"]["Value"][0].startswith(site.url)
    assert len(found) == len(set(found)) == 9


@pytest.mark.parametrize("frames", ["1", "1,2,3,4"])
def test_a_script_takes_frames_of_any_type(site: Site, frames: str) -> None:
    response = site.get(f"{LOOP}/frames/{frames}", 'multipart/related; type="*/*"')
    numbers = [int(number) for number in frames.split(",")]
    assert max(numbers) <= FRAMES
    assert [part.body[0] for part in response.parts] == numbers


@pytest.mark.parametrize(
    "accept", ['multipart/related; type="application/dicom"', "multipart/related; type=application/dicom"]
)
def test_a_script_takes_a_series(site: Site, accept: str) -> None:
    response = site.get(f"/studies/{CT_STUDY}/series/{CT_SERIES}", accept)
    assert len(response.parts) == CT_COUNT


@pytest.mark.parametrize("query", ["Modality=CT", f"SeriesInstanceUID={CT_SERIES}"])
def test_an_annotation_server_searches_series_across_studies(site: Site, query: str) -> None:
    (series,) = site.get(f"/series?{query}", SCRIPT).json
    assert series["0020000E"]["Value"] == [CT_SERIES]
    assert series["0020000D"]["Value"] == [CT_STUDY]
    assert series["00100020"]["Value"] == ["P-1"]


# --- a desktop viewer ---


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("/studies?00100020=P-1&includefield=00080020,00080030,00080050,00081030,00100010", 1),
        ("/studies?00080050=A+1", 1),
        (f"/studies?0020000D={CT_STUDY}", 1),
        (f"/series?0020000E={CT_SERIES}", 1),
        (f"/instances?00080018={CT_SERIES}.2", 1),
        (f"/studies/{CT_STUDY}/series?includefield=0008103E,00080060", 3),
        (f"/studies/{CT_STUDY}/series/{CT_SERIES}/instances?includefield=00200013,00280008", CT_COUNT),
    ],
)
@pytest.mark.parametrize("accept", ["application/dicom+json", 'multipart/related;type="application/dicom+xml"'])
def test_a_desktop_viewer_searches(site: Site, path: str, count: int, accept: str) -> None:
    response = site.get(path, accept, Accept_Encoding="gzip")
    coding = response.header("Content-Encoding")
    body = gzip.decompress(response.body) if coding else response.body
    is_short = accept == JSON and len(body) <= 1_400  # one TCP segment, sent no faster compressed
    assert (response.status, coding) == (200, "" if is_short else "gzip")
    tag = b'"00081190"' if accept == JSON else b'tag="00081190"'
    assert body.count(tag) == count


def test_a_desktop_viewer_takes_instances_as_stored(site: Site) -> None:
    response = site.get(
        f"/studies/{US_STUDY}", 'multipart/related;type="application/dicom";transfer-syntax=*', Accept_Encoding="gzip"
    )
    assert (response.status, response.header("Content-Encoding")) == (200, "")
    syntaxes = {part.content_type.partition("transfer-syntax=")[2] for part in response.parts}
    assert syntaxes == {"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.50"}


# --- viewers that follow absolute URIs only ---


def test_bulkdata_uris_have_host_and_scheme_of_the_request(site: Site) -> None:
    (model,) = site.get(CT + "/metadata", VIEWER, Host="localhost:9999").json
    assert model["7FE00010"]["BulkDataURI"].startswith("http://localhost:9999/dicomweb/studies/")
