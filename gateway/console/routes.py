"""The web page that people look at: ``/`` and its files below ``/console/``.

Plain files out of the package, read once at start and served from memory; no build step, and nothing is loaded
from elsewhere, so that it works in a hospital network without internet. All the page knows it fetches itself, from
``/backends`` and the DICOMweb services: nothing here knows an archive. Called by ``gateway/app.py``.

The headers let the page run its own files and nothing else (Content Security Policy level 3): no inline script,
no foreign origin, no frame around it. Reports are shown in frames that inherit this policy, so the style they come with
is named by its sum. Values of DICOM data sets are shown as text, never as markup; the policy
stands behind that should it ever fail.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from importlib import resources

from aiohttp import hdrs, web

from gateway.console.names import encode_names
from gateway.imaging.documents.html_page import STYLE

__all__ = ["add_console_routes"]

_INDEX = "index.html"
_NAMES = "names.json"
_PREFIX = "/console/"
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}

_REPORT_STYLE = f"'sha256-{b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        f"style-src 'self' {_REPORT_STYLE}",
        "img-src 'self' blob:",  # pictures that the page fetched itself
        "connect-src 'self'",
        "frame-src 'self' blob:",  # what a report links to; documents that the page fetched itself
        "base-uri 'none'",
        "form-action 'none'",  # the search form is answered in the page
        "frame-ancestors 'none'",
    ]
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    hdrs.CACHE_CONTROL: "no-cache",  # kept, but asked for again with its entity tag: an update shows at once
}


@dataclass(frozen=True, slots=True)
class _Page:
    """A file as it is served; `etag` is made of its content, so that replicas agree on it."""

    content: bytes
    media_type: str
    etag: str


def add_console_routes(app: web.Application) -> None:
    """Add ``/`` and ``/console/{file}`` to `app`; HEAD and conditional requests are answered too."""
    pages = _read_pages()

    async def show_console(request: web.Request) -> web.Response:
        return _answer(request, pages[_INDEX])

    async def send_file(request: web.Request) -> web.Response:
        page = pages.get(request.match_info["file"])
        if page is None:
            raise web.HTTPNotFound
        return _answer(request, page)

    app.router.add_get("/", show_console)
    app.router.add_get(_PREFIX + "{file}", send_file)


def _read_pages() -> dict[str, _Page]:
    """Every file of the package that is for the browser, and the one made from dictionaries, by name."""
    files = [file for file in resources.files(__package__).iterdir() if _suffix(file.name) in _MEDIA_TYPES]
    pages = {file.name: _make_page(file.name, file.read_bytes()) for file in files}
    return pages | {_NAMES: _make_page(_NAMES, encode_names())}


def _make_page(name: str, content: bytes) -> _Page:
    return _Page(content, _MEDIA_TYPES[_suffix(name)], hashlib.sha256(content).hexdigest()[:32])


def _suffix(name: str) -> str:
    return "." + name.rpartition(".")[2]


def _answer(request: web.Request, page: _Page) -> web.Response:
    """Send the page, or 304 where the browser has it already (RFC 9110 §13.1.2)."""
    known = request.if_none_match or ()
    if any(tag.value in (page.etag, "*") for tag in known):
        response = web.Response(status=304, headers=_HEADERS)
    else:
        response = web.Response(body=page.content, headers={**_HEADERS, hdrs.CONTENT_TYPE: page.media_type})
    response.etag = page.etag
    return response
