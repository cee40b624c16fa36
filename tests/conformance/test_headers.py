"""Methods, headers and Status Reports of every transaction (PS3.18 §8.4 to §8.6, RFC 9110); sections in docstrings."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.sandbox import SandboxArchive
from tests.support.conformance_site import JSON, Site, open_site
from tests.support.small_archive import CT, CT_SERIES, CT_STUDY, JPEG_2000, LOOP
from tests.support.web_client import ask

SERIES = f"/studies/{CT_STUDY}/series/{CT_SERIES}"
GETTABLE = ["/studies", "/series", "/instances", SERIES, CT, CT + "/metadata", LOOP + "/frames/1"]
FILES = 'multipart/related; type="application/dicom"; transfer-syntax=*'

# --- methods and routes ---

ALLOWED = {
    "/studies": {"GET", "HEAD", "POST"},
    f"/studies/{CT_STUDY}": {"GET", "HEAD", "POST"},
    "/series": {"GET", "HEAD"},
    SERIES: {"GET", "HEAD"},
    CT: {"GET", "HEAD"},
    CT + "/metadata": {"GET", "HEAD"},
    LOOP + "/frames/1": {"GET", "HEAD"},
    CT + "/bulkdata/7FE00010": {"GET", "HEAD"},
}


@pytest.mark.parametrize(("path", "allowed"), ALLOWED.items())
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "POST", "OPTIONS"])
def test_other_methods_are_405_with_allow(site: Site, path: str, allowed: set[str], method: str) -> None:
    """§8.5, RFC 9110 §15.5.6: Allow names the methods of the resource."""
    if method in allowed:
        return
    response = site.send(method, path, "*/*")
    assert response.status == 405
    assert {name.strip() for name in response.header("Allow").split(",")} == allowed
    assert response.json["status"] == 405


@pytest.mark.parametrize(
    "path", ["/nothing", "/studies/", "/Studies", SERIES + "/series", "/studies/1.2/frames/1", "/patients"]
)
def test_unknown_resources_are_404(site: Site, path: str) -> None:
    """§8.5; paths are case-sensitive."""
    response = site.get(path)
    assert (response.status, response.json["status"]) == (404, 404)


@pytest.mark.parametrize(
    "path", ["/dicomweb/nothing", "/backends/main/dicomweb/nothing", "/backends/nobody/dicomweb/studies"]
)
def test_unknown_backends_are_404(site: Site, path: str) -> None:
    """§8.5."""
    assert ask(site.running.gateway.url + path).status == 404


def test_a_backend_is_served_by_name_and_says_so(site: Site) -> None:
    """§8.2: URLs in an answer begin as the client addressed the service."""
    named = f"{site.running.gateway.url}/backends/main/dicomweb"
    (study,) = ask(f"{named}/studies?StudyInstanceUID={CT_STUDY}").json
    assert study["00081190"]["Value"] == [f"{named}/studies/{CT_STUDY}"]
    (model,) = ask(f"{named}{CT}/metadata").json
    assert model["7FE00010"]["BulkDataURI"].startswith(f"{named}/studies/")
    assert ask(f"{named}{CT}").parts[0].location == f"{named}{CT}"


@pytest.mark.parametrize("path", GETTABLE)
def test_head_of_everything_that_can_be_got(site: Site, path: str) -> None:
    """RFC 9110 §9.3.2: the same status and type, no body."""
    get, head = site.get(path, "*/*"), site.send("HEAD", path, "*/*")
    assert (head.status, head.essence, head.body) == (200, get.essence, b"")
    assert head.header("Vary") == get.header("Vary")


# --- Status Reports ---

FAILURES = {"/studies?limit=x": 400, "/studies/1.2.3": 404, "/nothing": 404, CT + "x": 400}


@pytest.mark.parametrize(("path", "status"), FAILURES.items())
@pytest.mark.parametrize(
    ("accept", "essence"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        (f"{FILES}, {JSON}, */*;q=0.1", "application/json"),
        ("application/json, */*;q=0.5", "application/json"),
        ("text/html, */*;q=0.5", "text/html"),
        ("text/plain, */*;q=0.5", "text/plain"),
        ("text/plain;q=0.2, text/html;q=0.9, */*;q=0.1", "text/html"),
    ],
)
def test_status_reports(site: Site, path: str, status: int, accept: str | None, essence: str) -> None:
    """§8.6.3: an explanation in an acceptable type."""
    response = site.get(path, accept)
    assert (response.status, response.essence) == (status, essence)
    assert str(status).encode() in response.body
    if essence == "application/json":
        assert set(response.json) >= {"status", "title", "detail"}
    else:
        assert response.header("Content-Type").endswith("; charset=utf-8")


def test_a_report_quotes_nothing_into_html(site: Site) -> None:
    """§8.6.3: a parameter name comes back as text, not as markup."""
    body = site.get("/studies?%3Cscript%3E.x=1&limit=%3Cb%3E", "text/html").body
    assert b"<script>" not in body and b"<b>" not in body


def test_a_report_for_browsers_where_nothing_is_acceptable(site: Site) -> None:
    """§8.1.2.3: 406 is explained all the same."""
    response = site.get(CT + "/metadata", "image/webp")
    assert response.status == 406
    assert JSON in response.json["detail"]


# --- Accept ---


@pytest.fixture(scope="module")
def strict_site(small_archive: SandboxArchive) -> Iterator[Site]:
    http = {
        "require_accept": True,
        "cors_origins": ("https://viewer.example",),
        "public_url": "https://pacs.example/imaging/dicomweb",
    }
    with open_site(small_archive, http=http) as site:
        yield site


@pytest.mark.parametrize("path", GETTABLE)
def test_accept_is_mandatory_by_configuration(strict_site: Site, site: Site, path: str) -> None:
    """§8.4.1.1, §8.7.5: 406 without Accept; by default it means anything, as RFC 9110 §12.5.1 has it."""
    assert strict_site.get(path, None).status == 406
    assert strict_site.get(path, "*/*").status == 200
    assert site.get(path, None).status == 200


@pytest.mark.parametrize(
    ("header", "parameter", "essence"),
    [
        ("*/*", "application/dicom+json", JSON),
        ("*/*", "application/dicom%2Bjson", JSON),
        ("*/*", "multipart/related;type=%22application/dicom+xml%22", "multipart/related"),
        ("*/*", "multipart%2Frelated%3B%20type%3Dapplication%2Fdicom%2Bxml", "multipart/related"),
        (JSON, "image/png", JSON),  # not compatible with the header: the header decides
        (JSON, "multipart/related;type=%22application/dicom%2Bxml%22", JSON),
        (None, "text/html", JSON),  # nothing of it can be had: the default
    ],
)
def test_the_accept_parameter(site: Site, header: str | None, parameter: str, essence: str) -> None:
    """§8.3.3.1, §8.7.8.1."""
    for path in ("/studies", SERIES + "/metadata"):
        response = site.get(f"{path}?accept={parameter}", header)
        assert (response.status, response.essence) == (200, essence)


@pytest.mark.parametrize("parameter", ["*/*", "application/*", "", "garbage"])
def test_a_bad_accept_parameter_is_400(site: Site, parameter: str) -> None:
    """§8.3.3.1: the parameter has no wildcards."""
    response = site.get(f"/studies?accept={parameter}", "*/*")
    assert response.status == 400
    assert "accept" in response.json["detail"]


def test_several_accept_lines_are_one_list(site: Site) -> None:
    """RFC 9110 §5.3."""
    for path in ("/studies", SERIES + "/metadata"):
        response = site.get(path, 'multipart/related; type="application/dicom+xml"', accept="application/pdf")
        assert (response.status, response.essence) == (200, "multipart/related")
    report = site.get("/nothing", "text/plain", accept="image/png")
    assert report.essence == "text/plain"
    packed = site.get("/studies", accept_encoding="br", Accept_Encoding="gzip")
    assert packed.header("Content-Encoding") == "gzip"


# --- compression, caches, ranges ---


@pytest.mark.parametrize("accept", [JSON, 'multipart/related; type="application/dicom+xml"'])
@pytest.mark.parametrize("path", ["/studies", SERIES + "/metadata"])
def test_json_and_xml_are_compressed_on_demand(site: Site, path: str, accept: str) -> None:
    """RFC 9110 §8.4: gzip where the client takes it."""
    plain = site.get(path, accept)
    packed = site.get(path, accept, Accept_Encoding="deflate, gzip;q=0.8, br")
    assert plain.header("Content-Encoding") == ""
    assert packed.header("Content-Encoding") == "gzip"
    unpacked = gzip.decompress(packed.body)
    assert unpacked == plain.body if accept == JSON else unpacked.count(b"<NativeDicomModel") == len(plain.parts)
    assert "Accept-Encoding" in packed.header("Vary")


@pytest.mark.parametrize("encoding", ["gzip;q=0", "identity", "br", "gzip;q=0.000", ""])
def test_not_compressed_where_not_wanted(site: Site, encoding: str) -> None:
    """RFC 9110 §12.5.3."""
    assert site.get("/studies", JSON, Accept_Encoding=encoding).header("Content-Encoding") == ""


@pytest.mark.parametrize("path", [CT, JPEG_2000, LOOP + "/frames/1", CT + "/bulkdata/7FE00010"])
def test_instances_and_pixels_are_never_compressed(site: Site, path: str) -> None:
    """PS3.18 names no content coding for them, and compressed pixels gain nothing."""
    assert site.get(path, "*/*", Accept_Encoding="gzip").header("Content-Encoding") == ""


@pytest.mark.parametrize("path", [*GETTABLE, "/nothing", "/studies?limit=x"])
def test_headers_of_every_answer(site: Site, path: str) -> None:
    """RFC 9111 §4.1 Vary on what was negotiated; patient data stays out of shared caches; a request id."""
    response = site.get(path, "*/*")
    assert {"Accept", "Accept-Encoding"} <= {name.strip() for name in response.header("Vary").split(",")}
    caching = response.header("Cache-Control")
    assert caching == ("private, no-cache" if response.header("ETag") else "private, no-store")
    assert len(response.header("X-Request-ID")) >= 16


@pytest.mark.parametrize(("sent", "kept"), [("abc-1.2_3", True), ("evil id", False), ("x" * 65, False)])
def test_a_sane_request_id_is_kept(site: Site, sent: str, kept: bool) -> None:
    """So that log lines of proxy and gateway can be joined."""
    assert (site.get("/studies", X_Request_ID=sent).header("X-Request-ID") == sent) is kept


def test_a_range_of_a_single_part(site: Site) -> None:
    """RFC 9110 §14.2 for a part whose length is known; a server may ignore Range elsewhere."""
    whole = site.get(CT + "/bulkdata/7FE00010", "application/octet-stream").body
    response = site.get(CT + "/bulkdata/7FE00010", "application/octet-stream", Range="bytes=2-11")
    assert (response.status, response.body) == (206, whole[2:12])
    ignored = site.get(SERIES, 'multipart/related; type="application/dicom"', Range="bytes=0-9")
    assert (ignored.status, len(ignored.parts)) == (200, 3)


# --- cross-origin requests ---


def test_a_preflight_of_an_allowed_origin(strict_site: Site) -> None:
    """Fetch standard: OPTIONS with Origin and Access-Control-Request-Method is answered before anything else."""
    response = strict_site.send(
        "OPTIONS",
        "/studies",
        Origin="https://viewer.example",
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="content-type, accept",
    )
    assert (response.status, response.body) == (204, b"")
    assert response.header("Access-Control-Allow-Origin") == "https://viewer.example"
    assert {"GET", "POST"} <= {name.strip() for name in response.header("Access-Control-Allow-Methods").split(",")}
    allowed = response.header("Access-Control-Allow-Headers").lower()
    assert "content-type" in allowed and "accept" in allowed and "authorization" in allowed
    assert "Origin" in response.header("Vary")


def test_a_preflight_of_another_origin(strict_site: Site, site: Site) -> None:
    """Fetch standard: without the header the browser refuses."""
    for one in (strict_site, site):
        response = one.send("OPTIONS", "/studies", Origin="https://evil.example", Access_Control_Request_Method="GET")
        assert response.header("Access-Control-Allow-Origin") == ""
        assert response.header("Access-Control-Allow-Methods") == ""


@pytest.mark.parametrize("path", ["/studies", "/studies?limit=x", "/nothing", CT])
def test_answers_to_an_allowed_origin(strict_site: Site, path: str) -> None:
    """Fetch standard: also failures can be read, and the headers a viewer needs."""
    response = strict_site.get(path, "*/*", Origin="https://viewer.example")
    assert response.header("Access-Control-Allow-Origin") == "https://viewer.example"
    assert "Warning" in response.header("Access-Control-Expose-Headers")
    assert "Origin" in response.header("Vary")


def test_any_origin_by_configuration(archive: SandboxArchive) -> None:
    """Fetch standard: the wildcard."""
    with open_site(archive, http={"cors_origins": ("*",)}) as site:
        assert site.get("/studies", Origin="https://x.example").header("Access-Control-Allow-Origin") == "*"


# --- the client's view of our address ---


def urls_of(site: Site, **headers: str) -> set[str]:
    """What the URLs of a search, of metadata and of parts begin with."""
    (study,) = site.get(f"/studies?StudyInstanceUID={CT_STUDY}", **headers).json
    (model,) = site.get(CT + "/metadata", **headers).json
    (part,) = site.get(CT, FILES, **headers).parts
    urls = [study["00081190"]["Value"][0], model["7FE00010"]["BulkDataURI"], part.location]
    return {url.partition("/studies/")[0] for url in urls}


def test_public_url_is_used_everywhere(strict_site: Site) -> None:
    """§8.2: the service as configured, whatever Host says; warnings name it too."""
    assert urls_of(strict_site, Host="internal:8080") == {"https://pacs.example/imaging/dicomweb"}
    (warning,) = strict_site.get("/studies?limit=1").all_of("Warning")
    assert warning.startswith("299 https://pacs.example/imaging/dicomweb: There are ")


FORWARDED: list[tuple[dict[str, str], str]] = [
    ({"Forwarded": "for=10.0.0.1;proto=https;host=pacs.example"}, "https://pacs.example/dicomweb"),
    ({"Forwarded": 'for=10.0.0.1;proto=https;host="pacs.example:8443"'}, "https://pacs.example:8443/dicomweb"),
    ({"X_Forwarded_Proto": "https", "X_Forwarded_Host": "pacs.example"}, "https://pacs.example/dicomweb"),
    (
        {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "pacs.example", "X_Forwarded_Prefix": "/imaging"},
        "https://pacs.example/imaging/dicomweb",
    ),
    (
        {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "pacs.example", "X_Forwarded_Port": "8443"},
        "https://pacs.example:8443/dicomweb",
    ),
]


@pytest.fixture(scope="module")
def proxied_site(small_archive: SandboxArchive) -> Iterator[Site]:
    with open_site(small_archive, http={"trusted_proxies": ("127.0.0.0/8",)}) as site:
        yield site


@pytest.mark.parametrize(("headers", "base"), FORWARDED)
def test_behind_a_trusted_proxy(proxied_site: Site, site: Site, headers: dict[str, str], base: str) -> None:
    """RFC 7239: Retrieve and Bulkdata URLs as the client needs them; anybody else's headers are ignored."""
    assert urls_of(proxied_site, **headers) == {base}
    assert urls_of(site, **headers) == {site.url}


@pytest.mark.parametrize(
    ("client", "proxy"),
    [
        ({"forwarded": "for=6.6.6.6;host=evil.example"}, {"Forwarded": "for=6.6.6.6;proto=https;host=pacs.example"}),
        (
            {"x_forwarded_for": "1.2.3.4", "x_forwarded_host": "evil.example", "x_forwarded_proto": "http"},
            {"X_Forwarded_For": "6.6.6.6", "X_Forwarded_Host": "pacs.example", "X_Forwarded_Proto": "https"},
        ),
    ],
)
def test_a_client_cannot_speak_for_the_proxy(proxied_site: Site, client: dict[str, str], proxy: dict[str, str]) -> None:
    """RFC 7239 §8.1, RFC 9110 §5.3: a line of the client's stands above the one that the proxy adds."""
    assert urls_of(proxied_site, **client, **proxy) == {"https://pacs.example/dicomweb"}


@pytest.mark.parametrize("host", ["pacs.example:8080", "pacs.example", "[::1]:8080"])
def test_the_host_header_counts_otherwise(site: Site, host: str) -> None:
    """RFC 9110 §7.2; some clients leave the port out, which is then that of the connection."""
    port = site.running.gateway.url.rpartition(":")[2]
    expected = host if host.rpartition("]")[2].count(":") else f"{host}:{port}"
    assert urls_of(site, Host=host) == {f"http://{expected}/dicomweb"}


@pytest.mark.parametrize("host", ["evil<script>", "a b", "x/../y"])
def test_a_host_that_is_none_is_not_echoed(site: Site, host: str) -> None:
    """RFC 9110 §7.2: refused, or not used."""
    response = site.get(f"/studies?StudyInstanceUID={CT_STUDY}", Host=host)
    assert response.status in (200, 400)
    assert host.encode() not in response.body


# --- JSON as text ---


def test_json_is_utf_8_without_padding(site: Site) -> None:
    """F.2.2, §8.3.1: UIDs without NUL, text without trailing blanks, UTF-8 as it is and not escaped."""
    body = site.get(CT + "/metadata").body
    assert "Müller^Anna".encode() in body

    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for inner in value.values():
                yield from walk(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from walk(inner)
        elif isinstance(value, str):
            yield value

    texts = list(walk(json.loads(body)))
    assert texts and not any(text.endswith(("\0", " ")) for text in texts)
