"""The console's routes: headers, conditional requests, and files that need nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from importlib import resources

import pytest
from aiohttp import ClientSession, web

from gateway.console.routes import add_console_routes
from gateway.imaging.documents.html_page import STYLE
from tests.support.http_server import serve

FILES = sorted(
    file.name
    for file in resources.files("gateway.console").iterdir()
    if file.name.endswith((".html", ".css", ".js", ".svg"))
)
REPORT_STYLE = f"'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
SCRIPTS = [name for name in FILES if name.endswith(".js")]


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    app = web.Application()
    add_console_routes(app)
    async with serve(app) as url, ClientSession(url) as session:
        yield session


def read(name: str) -> str:
    return resources.files("gateway.console").joinpath(name).read_text("utf-8")


def policy_of(header: str) -> dict[str, list[str]]:
    directives = [part.split() for part in header.split(";")]
    return {name: sources for name, *sources in directives}


async def test_the_root_is_the_page(client: ClientSession) -> None:
    async with client.get("/") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert await response.text() == read("index.html")


@pytest.mark.parametrize("path", ["/", *(f"/console/{name}" for name in FILES)])
async def test_every_file_is_served_with_strict_headers(client: ClientSession, path: str) -> None:
    async with client.get(path) as response:
        assert response.status == 200
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cache-Control"] == "no-cache"
        policy = policy_of(response.headers["Content-Security-Policy"])
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == ["'none'"]
    assert policy["script-src"] == policy["connect-src"] == ["'self'"]
    assert policy["style-src"] == ["'self'", REPORT_STYLE]
    assert policy["frame-src"] == ["'self'", "blob:"]
    assert not {"'unsafe-inline'", "'unsafe-eval'", "*"} & {source for sources in policy.values() for source in sources}


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        (
            name,
            {"js": "text/javascript", "css": "text/css", "html": "text/html", "svg": "image/svg+xml"}[
                name.rpartition(".")[2]
            ],
        )
        for name in FILES
    ],
)
async def test_media_types_are_those_a_strict_browser_takes(client: ClientSession, name: str, media_type: str) -> None:
    async with client.get(f"/console/{name}") as response:
        assert response.content_type == media_type


async def test_a_known_entity_tag_saves_the_transfer(client: ClientSession) -> None:
    async with client.get("/") as first:
        tag = first.headers["ETag"]
    async with client.get("/", headers={"If-None-Match": tag}) as again:
        assert (again.status, await again.read()) == (304, b"")
        assert again.headers["ETag"] == tag
        assert "Content-Security-Policy" in again.headers
    async with client.get("/", headers={"If-None-Match": '"other"'}) as other:
        assert other.status == 200


async def test_head_has_the_headers_without_the_body(client: ClientSession) -> None:
    async with client.head("/") as response:
        assert response.status == 200
        assert response.headers["Content-Length"] == str(len(read("index.html").encode()))


@pytest.mark.parametrize("name", ["routes.py", "__init__.py", "missing.js", "..%2Froutes.py", "%2e%2e/app.py"])
async def test_nothing_but_the_page_is_served(client: ClientSession, name: str) -> None:
    async with client.get(f"/console/{name}") as response:
        assert response.status == 404


def test_files_name_no_other_place() -> None:
    for name in FILES:
        found = re.findall(r"""(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s"'`)]*""", read(name), re.IGNORECASE)
        assert [url for url in found if not url.startswith("http://www.w3.org/")] == [], name


def test_no_markup_is_made_of_values() -> None:
    forbidden = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser")
    assert [name for name in SCRIPTS if forbidden.search(read(name))] == []


def test_the_page_has_no_inline_script_or_style() -> None:
    page = read("index.html")
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\son[a-z]+=|\sstyle=|javascript:", page) == []
