"""The URI service (PS3.18 §9) over HTTP, and the requests that well-known clients send to it."""

from __future__ import annotations

from io import BytesIO
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from tests.support.conformance_site import Site
from tests.support.small_archive import BIG_ENDIAN, CT, IMPLICIT, JPEG, JPEG_2000, LOOP, REPORT
from tests.support.web_client import WebResponse, ask

NATIVE, J2K, BASELINE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.50"
DICOM = "application/dicom"


def ask_for(site: Site, path: str, accept: str | None = "*/*", place: str = "/wado", **query: str) -> WebResponse:
    """Ask for the instance at `path`, the parameters in an order of chance (§9.1.2.1)."""
    _, study, _, series, _, instance = path.strip("/").split("/")
    uids = {"objectUID": instance, "studyUID": study, "requestType": "WADO", "seriesUID": series}
    return site.get(f"{place}?{urlencode({**query, **uids})}", accept)


def open_picture(response: WebResponse) -> Image.Image:
    assert response.status == 200, response.body
    image = Image.open(BytesIO(response.body))
    image.load()
    return image


def read_file(response: WebResponse) -> Any:
    assert (response.status, response.header("Content-Type")) == (200, DICOM), response.body
    return dcmread(BytesIO(response.body))


# --- Retrieve DICOM Instance, §9.4 ---


@pytest.mark.parametrize(
    ("path", "query", "syntax"),
    [
        (CT, {}, NATIVE),
        (IMPLICIT, {}, NATIVE),
        (BIG_ENDIAN, {"transferSyntax": "*"}, NATIVE),
        (CT, {"transferSyntax": NATIVE}, NATIVE),
        (JPEG_2000, {"transferSyntax": J2K}, J2K),
        (JPEG_2000, {"transferSyntax": "*"}, J2K),
        (JPEG, {}, BASELINE),  # held in lossy form only, §8.7.3.4
        (CT, {"transferSyntax": J2K}, J2K),  # converted
    ],
)
@pytest.mark.parametrize("place", ["", "/", "/wado"])
def test_a_file(site: Site, path: str, query: dict[str, str], syntax: str, place: str) -> None:
    """§9.4.1.2.3; the media type has no parameter here (§9.1.3)."""
    response = ask_for(site, path, place=place, contentType=DICOM, **query)
    found = read_file(response)
    assert found.file_meta.TransferSyntaxUID == syntax
    assert found.SOPInstanceUID == path.rsplit("/", 1)[1]
    assert response.header("Content-Location") == site.url + path


def test_a_file_by_the_accept_header(site: Site) -> None:
    """§9.3: the Selected Media Type tells both transactions apart."""
    assert read_file(ask_for(site, CT, DICOM)).Rows == 16


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"transferSyntax": "1.2.840.10008.1.2"}, 406),
        ({"transferSyntax": "1.2.840.10008.1.2.2"}, 406),
        ({"transferSyntax": "1.2.840.10008.1.2.4.100"}, 406),  # a video
        ({"transferSyntax": "1.2.3"}, 406),
        ({"transferSyntax": "explicit"}, 400),
        ({"windowCenter": "5", "windowWidth": "5"}, 400),
        ({"anonymize": "yes"}, 501),
        ({"anonymize": "no"}, 400),
        ({"annotation": "patient", "rows": "5"}, 200),  # without meaning here
    ],
)
def test_parameters_of_a_file(site: Site, query: dict[str, str], status: int) -> None:
    """§9.4.2."""
    assert ask_for(site, CT, contentType=DICOM, **query).status == status


# --- Retrieve Rendered Instance, §9.5 ---


@pytest.mark.parametrize("accept", ["*/*", None, "image/avif,image/webp,image/*,*/*;q=0.8"])
def test_jpeg_is_the_default(site: Site, accept: str | None) -> None:
    """§9.3; of what has several frames, one that stands for all."""
    response = ask_for(site, CT, accept)
    assert (open_picture(response).format, response.essence) == ("JPEG", "image/jpeg")
    loop = ask_for(site, LOOP, accept)
    assert open_picture(loop).format == "JPEG"
    assert loop.header("Content-Location") == f"{site.url}{LOOP}/frames/2"


@pytest.mark.parametrize(
    ("content_type", "form"),
    [("image/png", "PNG"), ("image/gif", "GIF"), ("image/jp2", "JPEG2000"), ("image/jph,image/png;q=0.5", "PNG")],
)
def test_other_media_types(site: Site, content_type: str, form: str) -> None:
    assert open_picture(ask_for(site, CT, contentType=content_type)).format == form


def test_several_frames(site: Site) -> None:
    """§9.5.2.1."""
    frames = [ask_for(site, LOOP, contentType="image/png", frameNumber=str(n)) for n in (1, 4)]
    assert [frame.header("Content-Location")[-1] for frame in frames] == ["1", "4"]
    assert getattr(open_picture(ask_for(site, LOOP, contentType="image/gif")), "n_frames", 1) == 4
    for number in ("0", "5", "x", "1,2"):
        assert ask_for(site, LOOP, frameNumber=number).status == 400
    assert ask_for(site, CT, frameNumber="1").status == 400


def render(site: Site, **query: str) -> np.ndarray:
    return np.asarray(open_picture(ask_for(site, CT, contentType="image/png", **query)).convert("L"))


def test_size_and_region(site: Site) -> None:
    """§9.5.2.5, §9.5.1.2.5: each is a maximum; a region before the size."""
    whole = render(site)
    assert whole.shape == (16, 16)
    assert render(site, rows="32").shape == render(site, columns="32", rows="99").shape == (32, 32)
    part = render(site, region="0.5,0.25,1,0.5")
    assert (part == whole[4:8, 8:16]).all()
    assert render(site, region="0.5,0.25,1,0.5", columns="16").shape == (8, 16)


def test_the_window(site: Site) -> None:
    assert set(np.unique(render(site, windowCenter="30000", windowWidth="1"))) == {0, 255}


def test_annotation_under_both_names(site: Site) -> None:
    """Table 9.5.1-1 and §8.3.5.1.1 disagree about the name."""
    for name in ("annotation", "imageAnnotation"):
        response = ask_for(site, CT, **{name: "technique,tea"})
        assert response.status == 200
        assert "not supported: tea" in response.header("Warning")


def test_a_report_that_says_nothing_is_told(site: Site) -> None:
    response = ask_for(site, REPORT)
    assert response.status == 502 and response.json["detail"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"rows": "0"}, 400),
        ({"region": "0,0,2,1"}, 400),
        ({"windowCenter": "5"}, 400),
        ({"imageQuality": "101"}, 400),
        ({"presentationUID": "1.2"}, 400),
        ({"presentationUID": "1.2", "presentationSeriesUID": "1.2"}, 400),
        ({"contentType": f"{DICOM},image/jpeg"}, 400),
        ({"contentType": f"{DICOM};transfer-syntax={NATIVE}"}, 400),
        ({"contentType": "image/*"}, 400),
        ({"contentType": "text/html"}, 200),  # cannot be had: the header decides
        ({"charset": "UTF-8", "nonsense": "x"}, 200),
    ],
)
def test_parameters_of_a_picture(site: Site, query: dict[str, str], status: int) -> None:
    """§9.5.1.2, §8.3."""
    assert ask_for(site, CT, **query).status == status


def test_what_is_not_there(site: Site) -> None:
    """Table 9.4.3-1."""
    for content_type in (DICOM, "image/jpeg"):
        assert ask_for(site, CT + "9", contentType=content_type).status == 404
        assert ask_for(site, CT.replace("/series/", "/series/1."), contentType=content_type).status == 404


@pytest.mark.parametrize("query", ["", "requestType=WADO", "requestType=WADO&studyUID=1.2&seriesUID=1.2", "studyUID=1"])
def test_what_is_no_request(site: Site, query: str) -> None:
    """§9.4.2.1–2."""
    assert site.get(f"/wado?{query}", "*/*").status == 400


# --- as clients send it ---


def test_a_library_asks_at_the_service_root(site: Site) -> None:
    """In this order, transferSyntax with an asterisk."""
    _, study, _, series, _, instance = CT.strip("/").split("/")
    query = f"requestType=WADO&studyUID={study}&seriesUID={series}&objectUID={instance}"
    response = site.get(f"?{query}&contentType=application/dicom&transferSyntax=*", "application/dicom, */*")
    assert read_file(response).SOPInstanceUID == instance


def test_a_desktop_viewer_asks_where_servers_used_to_have_it(site: Site) -> None:
    """No Accept header, percent-encoded media type; thumbnails by rows and columns."""
    _, study, _, series, _, instance = CT.strip("/").split("/")
    root = site.url.removesuffix("/dicomweb") + "/wado"
    query = f"requestType=WADO&studyUID={study}&seriesUID={series}&objectUID={instance}"
    assert read_file(ask(f"{root}?{query}&contentType=application%2Fdicom")).SOPInstanceUID == instance
    thumbnail = ask(f"{root}?{query}&contentType=image/jpeg&imageQuality=70&rows=96&columns=96")
    assert open_picture(thumbnail).size == (96, 96)
