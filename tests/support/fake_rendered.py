"""A web application whose rendered service draws nothing: it decides as the handlers say, and notes what was asked."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from aiohttp import web

from gateway.config import HttpSettings
from gateway.errors import GatewayError
from gateway.imaging.shared_bytes import SharedBytes
from gateway.resources import ResourcePath
from gateway.services.rendered.facts import InstanceFacts
from gateway.services.rendered.rendition import Picture, RenderRequest, Showing
from gateway.web.backends import BackendServices
from gateway.web.middleware import install
from gateway.web.retry_after import RetryAfter
from gateway.web.routes import add_service_routes
from tests.support.http_server import serve

__all__ = ["CT", "PLAIN", "FakeRendered", "open_pictures"]

CT, PLAIN = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"


@dataclass
class FakeRendered:
    """Stands for ``RenderedService``.

    Parameters
    ----------
    facts
        Of the instances under any path.
    failure
        Raised before anything else.
    """

    facts: Sequence[InstanceFacts] = (InstanceFacts(CT, PLAIN),)
    failure: GatewayError | None = None
    asked: list[RenderRequest] = field(default_factory=list)
    is_closed: bool = False

    async def choose_representative(self, path: ResourcePath) -> ResourcePath:
        return ResourcePath(path.study, path.series or "1.1", path.instance or "1.1.1")

    async def iter_pictures(self, request: RenderRequest) -> AsyncGenerator[Picture, None]:
        self.asked.append(request)
        if self.failure is not None:
            raise self.failure
        try:
            for number, facts in enumerate(self.facts, start=1):
                rendition = request.decide(facts)
                path = ResourcePath(
                    request.path.study, request.path.series or "1.1", request.path.instance or f"1.1.{number}"
                )
                for frame in self._list_frames(request, facts, rendition.showing):
                    yield Picture(
                        path, frame, rendition.media_type, SharedBytes.from_bytes(f"{number}/{frame}".encode())
                    )
        finally:
            self.is_closed = True

    def _list_frames(self, request: RenderRequest, facts: InstanceFacts, showing: Showing) -> Sequence[int | None]:
        if showing is Showing.WHOLE:
            return [None]
        if showing is Showing.ONE_FRAME:
            return request.frames or [facts.telling_frame]
        return request.frames or range(1, facts.frame_count + 1)


class _NoMetadata:
    """Stands for ``MetadataService`` without a cache."""

    keeps = False


@asynccontextmanager
async def open_pictures(rendered: FakeRendered, **http: Any) -> AsyncIterator[str]:
    """Serve one backend with that service alone; gives the address of its service root."""
    nothing = cast(Any, object())

    async def verify() -> None: ...

    backend = BackendServices(
        name="main",
        ae_title="PACS",
        is_default=True,
        http=HttpSettings(**http),
        search=nothing,
        retrieve=nothing,
        metadata=cast(Any, _NoMetadata()),
        pixel_data=nothing,
        conversions=nothing,
        rendered=cast(Any, rendered),
        store=nothing,
        commitment=nothing,
        verify=verify,
        describe=dict,
    )
    app = web.Application()
    install(app, backend.http, RetryAfter())
    add_service_routes(app, backend)
    async with serve(app) as url:
        yield f"{url}/dicomweb"
