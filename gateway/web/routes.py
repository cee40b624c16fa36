"""The route table: one line per resource, its section of PS3.18 beside each group."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from gateway.web.backends import BackendServices
from gateway.web.commitment import CommitmentHandlers
from gateway.web.rendered import RenderedHandlers
from gateway.web.request_body import defer_invitation
from gateway.web.retrieve import RetrieveHandlers
from gateway.web.search import SearchHandlers
from gateway.web.store import StoreHandlers
from gateway.web.uri import UriHandlers
from gateway.web.urls import service_path

__all__ = ["add_service_routes"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STUDY = "/studies/{study}"
SERIES = STUDY + "/series/{series}"
INSTANCE = SERIES + "/instances/{instance}"
COMMITMENT = "/commitment-requests/{transaction}"
FRAMES = INSTANCE + "/frames/{frames}"


def list_routes(backend: BackendServices) -> list[tuple[str, str, Handler]]:
    """Method, path below the service root, handler."""
    search, retrieve, store = SearchHandlers(backend), RetrieveHandlers(backend), StoreHandlers(backend)
    commitment, rendered, uri = CommitmentHandlers(backend), RenderedHandlers(backend), UriHandlers(backend)
    bulk = retrieve.bulk
    return [
        # Search, §10.6
        ("GET", "/studies", search.search_for_studies),
        ("GET", STUDY + "/series", search.search_for_series),
        ("GET", STUDY + "/instances", search.search_for_instances),
        ("GET", SERIES + "/instances", search.search_for_instances),
        ("GET", "/series", search.search_for_series),
        ("GET", "/instances", search.search_for_instances),
        # Store, §10.5
        ("POST", "/studies", store.store_instances),
        ("POST", STUDY, store.store_instances),
        # Storage Commitment, §13
        ("POST", COMMITMENT, commitment.request_commitment),
        ("GET", COMMITMENT, commitment.check_result),
        # Retrieve: instances, §10.4.1.1.1
        ("GET", STUDY, retrieve.retrieve_instances),
        ("GET", SERIES, retrieve.retrieve_instances),
        ("GET", INSTANCE, retrieve.retrieve_instances),
        # Retrieve: metadata, §10.4.1.1.2
        ("GET", STUDY + "/metadata", retrieve.retrieve_metadata),
        ("GET", SERIES + "/metadata", retrieve.retrieve_metadata),
        ("GET", INSTANCE + "/metadata", retrieve.retrieve_metadata),
        # Retrieve: frames, §10.4.1.1.6
        ("GET", FRAMES, bulk.retrieve_frames),
        ("GET", FRAMES + "/pixeldata", bulk.retrieve_frames),  # named in Table H-1 only
        # Retrieve: bulk data by URI, §10.4.1.1.5
        ("GET", INSTANCE + "/bulkdata/{path:.+}", bulk.retrieve_bulkdata),
        # Retrieve: all bulk data, all pixel data, §10.4.1.1.5–6
        *(("GET", target + "/bulkdata", bulk.retrieve_all_bulkdata) for target in (STUDY, SERIES, INSTANCE)),
        *(("GET", target + "/pixeldata", bulk.retrieve_pixel_data) for target in (STUDY, SERIES, INSTANCE)),
        # Retrieve: pictures, §10.4.1.1.3–4
        *(("GET", target + "/rendered", rendered.retrieve_rendered) for target in (STUDY, SERIES, INSTANCE, FRAMES)),
        *(("GET", target + "/thumbnail", rendered.retrieve_thumbnail) for target in (STUDY, SERIES, INSTANCE, FRAMES)),
        # URI service, §9
        ("GET", "", uri.retrieve_at_root),
        ("GET", "/", uri.retrieve_at_root),
        ("GET", "/wado", uri.retrieve),
    ]


WADO = "/wado"
"""Where clients of the URI service look for it since before there was DICOMweb."""


def add_service_routes(app: web.Application, backend: BackendServices) -> None:
    """Add the routes of one backend: by name always, and as the default one where it is that."""
    if backend.is_default:
        app.router.add_get(WADO, UriHandlers(backend).retrieve)
    roots = [service_path(backend.name)] + ([service_path(None)] if backend.is_default else [])
    for root in roots:
        for method, path, handler in list_routes(backend):
            app.router.add_route(method, root + path, handler, expect_handler=defer_invitation)
            if method == "GET":
                app.router.add_route("HEAD", root + path, handler)  # RFC 9110 §9.1: every GET has its HEAD
