"""Handlers of the Search transaction (PS3.18 §10.6): a request to the service, its results to the response.

Thin: what a query means is decided in ``gateway/services``, how bytes reach the client in
``gateway/web/streaming.py``. Named in the route table.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from aiohttp import hdrs, web
from multidict import CIMultiDict

from gateway.codecs.dicom_json import dump_json
from gateway.codecs.dicom_xml import encode_native_xml
from gateway.config import EmptySearch
from gateway.resources import Level
from gateway.services.contracts import SearchRequest, SearchResults
from gateway.web.backends import BackendServices
from gateway.web.negotiation import (
    DocumentForm,
    DocumentRepresentation,
    join_lines,
    negotiate_search,
    read_accept_parameter,
)
from gateway.web.streaming import Part, ResponseHead, stream_json_array, stream_multipart
from gateway.web.urls import ServiceUrls, service_path

__all__ = ["SearchHandlers"]

_MISCELLANEOUS = 299  # warn-code of PS3.18 §8.3.4.2
_ONE_WRITE = 32_768  # bytes; with its head below what the transport takes without a pause
_ONE_SEGMENT = 1_400  # bytes; what fits one TCP segment is sent no faster compressed


class SearchHandlers:
    """The handlers of one backend, one for each kind of result."""

    def __init__(self, backend: BackendServices) -> None:
        self._backend = backend
        self._urls = ServiceUrls(backend.http)

    async def search_for_studies(self, request: web.Request) -> web.StreamResponse:
        """Answer ``/studies``."""
        return await self._search(request, Level.STUDY)

    async def search_for_series(self, request: web.Request) -> web.StreamResponse:
        """Answer ``/series`` and ``/studies/{study}/series``."""
        return await self._search(request, Level.SERIES)

    async def search_for_instances(self, request: web.Request) -> web.StreamResponse:
        """Answer ``/instances``, also those of a study and of a series."""
        return await self._search(request, Level.IMAGE)

    async def _search(self, request: web.Request, level: Level) -> web.StreamResponse:
        """Negotiate, search, and stream what is found.

        Raises
        ------
        NotAcceptable, BadParameter, SearchTooBroad, BackendError
            Before the response has begun; later a failure of the archive cuts the connection.
        """
        query = request.rel_url.raw_query_string
        form = negotiate_search(
            join_lines(request.headers.getall(hdrs.ACCEPT, [])),
            read_accept_parameter(query),
            require_accept=self._backend.http.require_accept,
        )
        base_url = self._base_url(request)
        wanted = SearchRequest(
            level, query, base_url, request.match_info.get("study"), request.match_info.get("series")
        )
        async with self._backend.search.search(wanted) as results:
            head = ResponseHead(headers=_warning_headers(results, base_url))
            if results.is_empty and self._has_no_content(form):
                return web.Response(status=204, headers=head.headers)
            return await self._stream(request, results, form, head)

    async def _stream(
        self, request: web.Request, results: SearchResults, form: DocumentRepresentation, head: ResponseHead
    ) -> web.StreamResponse:
        stall_s = self._backend.http.write_timeout_s
        if form.form is DocumentForm.JSON:
            items = _iter_json(results)
            if results.is_whole:
                body = dump_json(await results.take_batch())
                if _is_short(request, body):
                    head.headers[hdrs.CONTENT_TYPE] = form.media_type
                    return web.Response(body=body, headers=head.headers)
                items = _once(body[1:-1])
            return await stream_json_array(request, items, head, content_type=form.media_type, stall_s=stall_s)
        return await stream_multipart(request, _iter_parts(results, form.media_type), head, stall_s=stall_s)

    def _has_no_content(self, form: DocumentRepresentation) -> bool:
        """Whether nothing found means 204: by configuration, and for XML, since a multipart has a part."""
        return form.form is not DocumentForm.JSON or self._backend.search.empty is EmptySearch.NO_CONTENT

    def _base_url(self, request: web.Request) -> str:
        """The service root by the name under which the client addressed it."""
        is_named = request.path.startswith(service_path(self._backend.name) + "/")
        return self._urls.base_url(request, self._backend.name if is_named else None)


def _warning_headers(results: SearchResults, base_url: str) -> CIMultiDict[str]:
    """One Warning field for each text, in the form of PS3.18 §8.3.4.2: ``299 <service>: <text>``."""
    return CIMultiDict((hdrs.WARNING, f"{_MISCELLANEOUS} {base_url}: {text}") for text in results.warnings)


def _is_short(request: web.Request, body: bytes) -> bool:
    """Whether to send an answer as one write with its length: nothing to wait for, to count or to compress."""
    may_compress = "gzip" in ",".join(request.headers.getall(hdrs.ACCEPT_ENCODING, [])).lower()
    return len(body) <= (_ONE_SEGMENT if may_compress else _ONE_WRITE)


async def _iter_json(results: SearchResults) -> AsyncGenerator[bytes, None]:
    """The members of the array, those that came together in one piece."""
    while batch := await results.take_batch():
        yield dump_json(batch)[1:-1]


async def _iter_parts(results: SearchResults, media_type: str) -> AsyncGenerator[Part, None]:
    """One part with a Native DICOM Model document for each result (PS3.18 §10.6.3)."""
    async for result in results:
        yield Part(media_type, None, _once(encode_native_xml(result)))


async def _once(document: bytes) -> AsyncGenerator[bytes, None]:
    yield document
