"""Errors become responses, started responses are cut, and nothing of a patient gets into the log."""

from __future__ import annotations

import json

import aiohttp
import pytest
import structlog
from aiohttp import web

from gateway.config import HttpSettings
from gateway.errors import BadParameter, PoolTimeout, UnknownResource
from gateway.web.middleware import REQUEST_ID, install
from gateway.web.request_body import iter_body
from gateway.web.retry_after import RetryAfter
from tests.support.http_server import serve

ORIGIN = "https://viewer.example"


async def answer(request: web.Request) -> web.Response:
    return web.Response(text=request[REQUEST_ID])


async def fail(request: web.Request) -> web.Response:
    raise {
        "unknown": UnknownResource("study"),
        "bad": BadParameter("limit", "not a number"),
        "busy": PoolTimeout("PACS", "pacs.hospital.example"),
        "defect": ValueError("DOE^JANE"),
        "lost": ConnectionResetError("pacs.hospital.example"),
    }[request.match_info["how"]]


async def fail_late(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"half")
    raise {"known": PoolTimeout("PACS", "gone"), "defect": ValueError("DOE^JANE")}[request.match_info["how"]]


async def leave(request: web.Request) -> web.Response:
    """Stands for a write that fails because the client has left."""
    assert request.transport is not None
    request.transport.abort()
    raise ConnectionResetError


async def redirect(request: web.Request) -> web.Response:
    raise web.HTTPFound("/ok")


async def store(request: web.Request) -> web.Response:
    settings = HttpSettings(max_body_bytes=10)
    received = [piece async for piece in iter_body(request, max_bytes=settings.max_body_bytes, timeout_s=60)]
    return web.Response(body=b"".join(received))


def make_app(**settings: object) -> web.Application:
    app = web.Application()
    install(app, HttpSettings.model_validate(settings), RetryAfter())
    app.router.add_get("/ok", answer)
    app.router.add_get("/studies/{study}/fail/{how}", fail)
    app.router.add_get("/late/{how}", fail_late)
    app.router.add_get("/leave", leave)
    app.router.add_get("/redirect", redirect)
    app.router.add_post("/store", store)
    app.router.add_options("/ok", answer)
    return app


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/studies/1.2/fail/unknown", 404, "study not found"),
        ("/studies/1.2/fail/bad", 400, "limit: not a number"),
        ("/studies/1.2/fail/busy", 503, "archive PACS is busy: no free association in time"),
        ("/studies/1.2/fail/defect", 500, "Server got itself in trouble"),
        ("/studies/1.2/fail/lost", 500, "Server got itself in trouble"),
        ("/nowhere", 404, "Nothing matches the given URI"),
    ],
)
async def test_an_exception_becomes_a_status_report(path: str, status: int, detail: str) -> None:
    async with serve(make_app()) as url, aiohttp.ClientSession() as client, client.get(url + path) as response:
        assert response.status == status
        assert response.content_type == "application/json"
        report = await response.json()
        assert (report["status"], report["detail"]) == (status, detail)
        assert ("Retry-After" in response.headers) is (status == 503)
        assert response.headers["Vary"] == "Accept, Accept-Encoding"
        assert response.headers["Cache-Control"] == "private, no-store"


async def test_a_wrong_method_is_told_with_the_right_ones() -> None:
    async with serve(make_app()) as url, aiohttp.ClientSession() as client:
        async with client.delete(url + "/ok", headers={"Accept": "text/plain"}) as response:
            assert response.status == 405
            assert response.headers["Allow"] == "GET,HEAD,OPTIONS"
            assert (await response.text()).startswith("405 Method Not Allowed\n")


async def test_strict_codes_know_no_502() -> None:
    app = make_app(strict_dicom_codes=True)
    async with serve(app) as url, aiohttp.ClientSession() as client:
        async with client.get(url + "/studies/1.2/fail/busy") as response:
            assert response.status == 503


@pytest.mark.parametrize("how", ["known", "defect"])
async def test_a_response_that_has_begun_is_cut(how: str) -> None:
    with structlog.testing.capture_logs() as logs:
        async with serve(make_app()) as url, aiohttp.ClientSession() as client:
            with pytest.raises(aiohttp.ClientError):
                async with client.get(f"{url}/late/{how}") as response:
                    assert response.status == 200
                    await response.read()
    (line,) = [line for line in logs if line["event"] == "request"]
    assert line["cut"] is True
    assert "DOE" not in json.dumps(logs)


async def test_a_client_that_left_is_no_failure() -> None:
    with structlog.testing.capture_logs() as logs:
        async with serve(make_app()) as url, aiohttp.ClientSession() as client:
            with pytest.raises(aiohttp.ClientError):
                await client.get(url + "/leave")
    assert {line["event"] for line in logs} == {"client_left", "request"}  # aiohttp asks a second time


async def test_a_redirect_passes() -> None:
    async with serve(make_app()) as url, aiohttp.ClientSession() as client:
        async with client.get(url + "/redirect", allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (302, "/ok")


async def test_the_log_names_the_pattern_not_the_patient(capfd: pytest.CaptureFixture[str]) -> None:
    with structlog.testing.capture_logs() as logs:
        async with serve(make_app()) as url, aiohttp.ClientSession() as client:
            for how in ("unknown", "defect", "lost"):
                async with client.get(f"{url}/studies/1.2.3.4/fail/{how}?PatientName=DOE^JANE") as response:
                    await response.read()
    requests = [line for line in logs if line["event"] == "request"]
    assert [line["status"] for line in requests] == [404, 500, 500]
    assert {line["route"] for line in requests} == {"/studies/{study}/fail/{how}"}
    written = json.dumps(logs) + capfd.readouterr().err
    assert "DOE" not in written
    assert "1.2.3.4" not in written
    assert "hospital" not in written
    (defect,) = [line for line in logs if line.get("error") == "ValueError"]
    assert "in fail" in defect["where"][-1]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("abc-123", True), ("", False), ("x" * 65, False), ("two words", False)],
)
async def test_a_request_has_an_id(sent: str, kept: bool) -> None:
    async with serve(make_app()) as url, aiohttp.ClientSession() as client:
        async with client.get(url + "/ok", headers={"X-Request-ID": sent}) as response:
            told = response.headers["X-Request-ID"]
            assert told == await response.text()
            assert (told == sent) is kept
            assert told


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        ((), ORIGIN, None),
        ((ORIGIN,), ORIGIN, ORIGIN),
        ((ORIGIN,), "https://evil.example", None),
        (("*",), ORIGIN, "*"),
        ((ORIGIN,), None, None),
    ],
)
async def test_other_origins(origins: tuple[str, ...], origin: str | None, allowed: str | None) -> None:
    headers = {"Origin": origin} if origin else {}
    async with serve(make_app(cors_origins=origins)) as url, aiohttp.ClientSession() as client:
        for path in ("/ok", "/studies/1.2/fail/unknown"):
            async with client.get(url + path, headers=headers) as response:
                assert response.headers.get("Access-Control-Allow-Origin") == allowed
                assert ("Warning" in response.headers.get("Access-Control-Expose-Headers", "")) is bool(allowed)
                assert ("Origin" in response.headers["Vary"].split(", ")) is bool(origins)
        asks = {**headers, "Access-Control-Request-Method": "GET"}
        async with client.options(url + "/studies/1.2/fail/unknown", headers=asks) as response:
            assert response.headers.get("Access-Control-Allow-Origin") == allowed
            assert ("GET" in response.headers.get("Access-Control-Allow-Methods", "")) is bool(allowed)
            assert response.status == (204 if origin else 405)


async def test_options_without_a_preflight_reach_the_handler() -> None:
    async with serve(make_app(cors_origins=("*",))) as url, aiohttp.ClientSession() as client:
        async with client.options(url + "/ok", headers={"Origin": ORIGIN}) as response:
            assert response.status == 200


async def test_a_body_that_announces_itself_as_too_long_is_refused() -> None:
    async with serve(make_app(max_body_bytes=10)) as url, aiohttp.ClientSession() as client:
        async with client.post(url + "/store", data=b"x" * 11) as response:
            assert response.status == 413
        async with client.post(url + "/store", data=b"x" * 10) as response:
            assert (response.status, await response.read()) == (200, b"x" * 10)


async def test_a_body_that_nobody_reads_ends_the_connection() -> None:
    async with serve(make_app()) as url, aiohttp.ClientSession() as client:
        async with client.post(url + "/nowhere", data=b"x" * 100_000) as response:
            assert (response.status, response.headers["Connection"]) == (404, "close")
        async with client.post(url + "/store", data=b"x") as response:
            assert response.status == 200 and "Connection" not in response.headers
