"""Store: a request body to the service, the outcome to a response module (PS3.18 §10.5)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from aiohttp import hdrs, web

from gateway.codecs.dicom_xml import encode_native_xml
from gateway.codecs.multipart import MultipartReader, PartChunk, PartEnd, PartStart
from gateway.errors import BadParameter
from gateway.resources import is_valid_uid
from gateway.services.store.incoming import BodyEvent
from gateway.services.store.results import (
    Failed,
    Stored,
    StoreResult,
    Unreadable,
    describe_results,
    encode_results,
    find_study_url,
)
from gateway.web.backends import BackendServices
from gateway.web.negotiation import (
    DocumentForm,
    join_lines,
    negotiate_store_response,
    read_accept_parameter,
    read_store_content_type,
)
from gateway.web.request_body import iter_body
from gateway.web.urls import ServiceUrls

__all__ = ["StoreHandlers", "decide_status"]

NOT_AUTHORIZED = 0x0124
RESOURCE_LIMITATION = 0x0213
RETRY_AFTER_S = 30  # an archive out of resources is rarely so for seconds only


class StoreHandlers:
    """Answers the Store transaction of one backend."""

    def __init__(self, backend: BackendServices) -> None:
        self._backend = backend
        self._urls = ServiceUrls(backend.http)

    async def store_instances(self, request: web.Request) -> web.StreamResponse:
        """Store the instances of the body, of any study or of the one in the path.

        Raises
        ------
        NotAcceptable, UnsupportedMediaType, MalformedBody, TooLarge, UploadTimeout, BadParameter
            The request's fault, and nothing was stored. Where something was, the response module tells it.
        SpoolFailed
            There is no room on disk for bulk data that has to wait, and nothing was stored.
        BackendError, ShuttingDown
            The archive cannot be reached or broke off, and nothing was stored.
        """
        study = request.match_info.get("study")
        if study is not None and not is_valid_uid(study):
            raise BadParameter("study", "not a UID")
        form = negotiate_store_response(
            join_lines(request.headers.getall(hdrs.ACCEPT, [])),
            read_accept_parameter(request.rel_url.raw_query_string),
            require_accept=self._backend.http.require_accept,
        )
        content = read_store_content_type(request.headers.get(hdrs.CONTENT_TYPE))
        base_url = self._urls.base_url_as_addressed(request, self._backend.name)
        target = f"{base_url}/studies{f'/{study}' if study else ''}"
        async with aclosing(self._iter_events(request, content.boundary)) as events:
            results = await self._backend.store.store_instances(
                events, study, metadata_url=target if content.is_metadata else None
            )
        body: bytes | bytearray
        if form.form is DocumentForm.JSON:
            body = encode_results(results, base_url)
        else:
            body = encode_native_xml(describe_results(results, base_url))
        status = decide_status(results)
        headers = {hdrs.CONTENT_TYPE: form.media_type, **_locate(find_study_url(results, base_url))}
        if status == 503:
            headers[hdrs.RETRY_AFTER] = str(RETRY_AFTER_S)
            headers["Warning"] = f'299 {base_url} "A700: Out of memory"'
        return web.Response(status=status, body=body, headers=headers)

    async def _iter_events(self, request: web.Request, boundary: str | None) -> AsyncGenerator[BodyEvent, None]:
        """Yield the events of the body; one that is no multipart counts as a single part."""
        http = self._backend.http
        limits = {"max_bytes": http.max_body_bytes, "max_decoded": http.max_decoded_bytes}
        async with aclosing(iter_body(request, timeout_s=http.body_timeout_s, **limits)) as body:
            if boundary is None:
                yield PartStart({"content-type": request.headers[hdrs.CONTENT_TYPE]})
                async for piece in body:
                    yield PartChunk(piece)
                yield PartEnd()
                return
            reader = MultipartReader(boundary)
            async for piece in body:
                for event in reader.feed(piece):
                    yield event
            reader.finish()


def decide_status(results: Sequence[StoreResult]) -> int:
    """The status of a store (PS3.18 Table 10.5.3-1; 403 and 503 by §8.5).

    Parameters
    ----------
    results
        At least one.
    """
    stored = [result for result in results if isinstance(result, Stored)]
    if stored:
        flawless = len(stored) == len(results) and all(result.warning is None for result in stored)
        return 200 if flawless else 202
    if all(isinstance(result, Unreadable) for result in results):
        return 400
    reasons = {result.reason for result in results if isinstance(result, (Failed, Unreadable))}
    if reasons == {NOT_AUTHORIZED}:
        return 403
    if all(reason & 0xFF00 == 0xA700 or reason == RESOURCE_LIMITATION for reason in reasons):
        return 503
    return 409


def _locate(study_url: str) -> dict[str, str]:
    """Where what was stored can be had, if it is one study (Table 10.5.3-2)."""
    return {hdrs.LOCATION: study_url, hdrs.CONTENT_LOCATION: study_url} if study_url else {}
