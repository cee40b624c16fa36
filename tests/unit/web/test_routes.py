"""The route table: every resource below every root, every GET with its HEAD, 405 with Allow."""

from __future__ import annotations

from typing import Any, cast

import pytest
from aiohttp import ClientSession, web

from gateway.config import HttpSettings
from gateway.web.backends import BackendServices
from gateway.web.middleware import install
from gateway.web.retry_after import RetryAfter
from gateway.web.routes import add_service_routes, list_routes
from tests.support.http_server import serve


def make_backend(*, is_default: bool) -> BackendServices:
    nothing = cast(Any, object())

    async def verify() -> None: ...

    return BackendServices(
        name="main",
        ae_title="PACS",
        is_default=is_default,
        http=HttpSettings(),
        search=nothing,
        retrieve=nothing,
        metadata=nothing,
        pixel_data=nothing,
        conversions=nothing,
        rendered=nothing,
        store=nothing,
        commitment=nothing,
        verify=verify,
        describe=dict,
    )


@pytest.mark.parametrize("is_default", [False, True])
def test_a_backend_is_there_by_name_and_the_default_one_without(is_default: bool) -> None:
    app = web.Application()
    backend = make_backend(is_default=is_default)
    add_service_routes(app, backend)
    found = {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource is not None}
    roots = ["/backends/main/dicomweb", *(["/dicomweb"] if is_default else [])]
    table = {(method, path.replace(":.+}", "}")) for method, path, _ in list_routes(backend)}
    table |= {("HEAD", path) for method, path in table if method == "GET"}
    old = {("GET", "/wado"), ("HEAD", "/wado")} if is_default else set()
    assert found == {(method, root + path) for root in roots for method, path in table} | old


def test_the_path_of_a_backend() -> None:
    assert make_backend(is_default=True).path == "/dicomweb"
    assert make_backend(is_default=False).path == "/backends/main/dicomweb"


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("DELETE", "/dicomweb/studies/1.2", 405, {"GET", "HEAD", "POST"}),
        ("POST", "/dicomweb/studies/1.2/metadata", 405, {"GET", "HEAD"}),
        ("GET", "/dicomweb/studies/1.2/nonsense", 404, None),
        ("GET", "/backends/other/dicomweb/studies", 404, None),
    ],
)
async def test_what_is_not_in_the_table(method: str, path: str, status: int, allowed: set[str] | None) -> None:
    app = web.Application()
    install(app, HttpSettings(), RetryAfter())
    add_service_routes(app, make_backend(is_default=True))
    async with serve(app) as url, ClientSession() as client, client.request(method, url + path) as response:
        assert response.status == status
        assert allowed is None or set(response.headers["Allow"].split(",")) == allowed
