"""Storage Commitment: request and result check (PS3.18 §13.4, §13.5). Thin: read, ask, write.

Beyond the standard, which knows polling only, a GET that upgrades to a WebSocket gets the result as one text message
when it is there.
"""

from __future__ import annotations

import asyncio
import gc
import secrets
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import WSCloseCode, hdrs, web

from gateway.codecs.dicom_json import dump_json
from gateway.codecs.dicom_xml import encode_native_xml
from gateway.codecs.media_types import MULTIPART_RELATED, MediaType, parse_media_type
from gateway.codecs.multipart import MultipartEncoder, MultipartReader, PartChunk, PartEnd, PartStart
from gateway.codecs.native_xml_reader import read_native_xml
from gateway.errors import BadParameter, DecodeError, MalformedBody, TooLarge, UnsupportedMediaType
from gateway.resources import is_valid_uid
from gateway.services.commitment.modules import Outcome, Reference, describe_outcomes, read_request
from gateway.web.backends import BackendServices
from gateway.web.negotiation import (
    DICOM_JSON,
    DICOM_XML,
    DocumentForm,
    DocumentRepresentation,
    join_lines,
    negotiate_store_response,
    read_accept_parameter,
)
from gateway.web.request_body import iter_body

__all__ = ["CommitmentHandlers"]

RETRY_AFTER_S = 10
HEARTBEAT_S = 30.0
WEBSOCKET_S = 3_600.0
"""How long a WebSocket waits for a result at most; a client that still wants it asks again."""

MAX_PARTS = 1_000
"""Of a multipart request, for instance one a study; a part costs more than its bytes."""
MAX_VALUES = 2_000_000
"""Of all JSON documents of a request; an honest one has some nine for an instance of a hundred bytes."""

Model = dict[str, Any]

_parsing = threading.Lock()


class CommitmentHandlers:
    """Answers the Storage Commitment transactions of one backend."""

    def __init__(self, backend: BackendServices) -> None:
        self._backend = backend

    async def request_commitment(self, request: web.Request) -> web.StreamResponse:
        """Ask the archive to commit to the instances of the body (§13.4).

        Raises
        ------
        BadParameter, MalformedBody, UnsupportedMediaType, NotAcceptable, TooLarge, UploadTimeout
            The request's fault.
        ConflictingRequest
            The Transaction UID was used before.
        BackendError
            The archive was not asked, or refused.
        """
        uid, form = _read_uid(request), self._negotiate(request)
        references = await self._read_body(request)
        outcomes = await self._backend.commitment.request(uid, references)
        return await asyncio.to_thread(_answer, outcomes, form)

    async def check_result(self, request: web.Request) -> web.StreamResponse:
        """Tell the result of a transaction, or that there is none yet (§13.5).

        Raises
        ------
        UnknownResource, ResultGone
            No such transaction; no result any more.
        """
        uid = _read_uid(request)
        if web.WebSocketResponse().can_prepare(request).ok:
            return await self._notify(request, uid)
        form = self._negotiate(request)
        outcomes = await self._backend.commitment.check(uid)
        return await asyncio.to_thread(_answer, outcomes, form)

    async def _notify(self, request: web.Request, uid: str) -> web.StreamResponse:
        """Send the result over a WebSocket when it is there, then close it."""
        _check_origin(request, self._backend.http.cors_origins)
        await self._backend.commitment.check(uid)  # an unknown transaction is told by a status
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S)
        await socket.prepare(request)
        outcomes = await self._backend.commitment.wait(uid, WEBSOCKET_S)
        if outcomes is not None:
            document = await asyncio.to_thread(lambda: dump_json(describe_outcomes(outcomes)))
            await socket.send_str(document.decode())
        await socket.close(code=WSCloseCode.OK if outcomes is not None else WSCloseCode.TRY_AGAIN_LATER)
        return socket

    def _negotiate(self, request: web.Request) -> DocumentRepresentation:
        return negotiate_store_response(
            join_lines(request.headers.getall(hdrs.ACCEPT, [])),
            read_accept_parameter(request.rel_url.raw_query_string),
            require_accept=self._backend.http.require_accept,
        )

    # --- the body ---

    async def _read_body(self, request: web.Request) -> tuple[Reference, ...]:
        media_type = _parse_content_type(request.headers.get(hdrs.CONTENT_TYPE))
        documents: list[bytes]
        if media_type.essence == MULTIPART_RELATED:
            documents = await self._read_parts(request, media_type.parameter("boundary") or "")
            read = _READERS[media_type.representation_type or DICOM_JSON]
        else:
            documents = [b"".join([piece async for piece in self._iter_body(request)])]
            read = _READERS[media_type.essence]
        return await asyncio.to_thread(_read_references, documents, read)

    def _iter_body(self, request: web.Request) -> AsyncGenerator[bytes, None]:
        limit = self._backend.commitment.settings.max_body_bytes
        return iter_body(request, max_bytes=limit, timeout_s=self._backend.http.body_timeout_s)

    async def _read_parts(self, request: web.Request, boundary: str) -> list[bytes]:
        if not boundary:
            raise MalformedBody("the Content-Type names no boundary")
        reader, documents = MultipartReader(boundary), list[bytearray]()
        async with aclosing(self._iter_body(request)) as body:
            async for piece in body:
                for event in reader.feed(piece):
                    match event:
                        case PartStart():
                            if len(documents) == MAX_PARTS:
                                raise TooLarge("the multipart body", MAX_PARTS, "parts")
                            documents.append(bytearray())
                        case PartChunk(data=data):
                            documents[-1] += data
                        case PartEnd():
                            pass
        reader.finish()
        return [bytes(document) for document in documents]


def _read_uid(request: web.Request) -> str:
    uid = request.match_info["transaction"]
    if not is_valid_uid(uid):
        raise BadParameter("transactionUID", "not a UID")
    return uid


def _parse_content_type(text: str | None) -> MediaType:
    try:
        media_type = parse_media_type(text or "")
    except DecodeError as error:
        raise UnsupportedMediaType(text or "", tuple(_READERS)) from error
    is_multipart = media_type.essence == MULTIPART_RELATED
    if (media_type.representation_type or DICOM_JSON if is_multipart else media_type.essence) not in _READERS:
        raise UnsupportedMediaType(text or "", tuple(_READERS))
    return media_type


def _read_references(documents: Sequence[bytes], read: Callable[[bytes], Sequence[Model]]) -> tuple[Reference, ...]:
    """The instances of all documents, each once. For a thread: a hundred thousand of them take a second."""
    if read is _read_json and sum(document.count(mark) for document in documents for mark in b"{[,") > MAX_VALUES:
        raise TooLarge("the request", MAX_VALUES, "values")
    try:
        modules = [module for document in documents for module in read(document)]
    except DecodeError as error:
        raise BadParameter("body", f"not a DICOM document: {error.reason}") from error
    if not modules:
        raise BadParameter("body", "no data set")
    return tuple(dict.fromkeys(reference for module in modules for reference in read_request(module)))


def _read_json(document: bytes) -> Sequence[Model]:
    try:
        found = _parse_json(document)
    except orjson.JSONDecodeError:
        raise DecodeError("not JSON") from None
    models = found if isinstance(found, list) else [found]
    if not all(isinstance(model, dict) for model in models):
        raise DecodeError("neither a JSON object nor an array of them")
    return models


def _parse_json(document: bytes) -> Any:
    """Parse without the garbage collector, which looks at all new objects again and again, for most of the time.

    The parser lets no other thread run, so that this is time in which the whole gateway stands. One thread at a time,
    lest one switches the collector on while another takes it for off by choice.
    """
    with _parsing:
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            return orjson.loads(document)
        finally:
            if was_enabled:
                gc.enable()


_READERS: dict[str, Callable[[bytes], Sequence[Model]]] = {
    DICOM_JSON: _read_json,
    "application/json": _read_json,
    DICOM_XML: lambda document: [read_native_xml(document)],
}


def _check_origin(request: web.Request, allowed: Sequence[str]) -> None:
    """Browsers let any page open a WebSocket to anywhere: only our own and those configured may."""
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None or "*" in allowed or origin in allowed:
        return
    if origin.partition("://")[2] != request.headers.get(hdrs.HOST):
        raise BadParameter("Origin", "pages from there may not open a WebSocket here; see http.cors_origins")


# --- answers ---


def _answer(outcomes: Sequence[Outcome] | None, form: DocumentRepresentation) -> web.Response:
    if outcomes is None:
        return web.Response(status=HTTPStatus.ACCEPTED, headers={hdrs.RETRY_AFTER: str(RETRY_AFTER_S)})
    module = describe_outcomes(outcomes)
    if form.form is DocumentForm.JSON:
        return _document(dump_json(module), form.media_type)
    document = encode_native_xml(module)
    if form.form is DocumentForm.XML_DOCUMENT:
        return _document(document, form.media_type)
    encoder = MultipartEncoder(form.media_type, secrets.token_hex(16))
    return _document(encoder.part_header(form.media_type) + document + encoder.closing(), encoder.content_type)


def _document(body: bytes, content_type: str) -> web.Response:
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type, hdrs.CACHE_CONTROL: "no-store"})
