"""What happens around every handler: request id, limits, cross-origin rules, log line, errors into responses.

`install` hooks it all into an aiohttp application. Outermost is the log line, innermost the translation of
exceptions, whose words come from ``gateway/web/errors.py``. A failure after the response has started cannot be
told any more: the connection is cut, without closing boundary or last chunk, so that no client takes the
answer for complete.

The log holds method, path pattern, status and durations: no query values and no UIDs, which lead to patients.
"""

from __future__ import annotations

import re
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from gateway.config import HttpSettings
from gateway.errors import GatewayError, TooLarge
from gateway.web.errors import StatusReport, encode_report, report_error, report_status
from gateway.web.negotiation import join_lines
from gateway.web.retry_after import RetryAfter

__all__ = ["REQUEST_ID", "install"]

REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
"""What log lines and the response header X-Request-ID call a request."""

_STARTED: web.RequestKey[web.StreamResponse] = web.RequestKey("started_response", web.StreamResponse)
_CUT: web.RequestKey[bool] = web.RequestKey("cut", bool)
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CLIENT_GONE = 499  # customary in logs for a client that left; never sent
_PREFLIGHT_MAX_AGE_S = 600
_METHODS = "GET, HEAD, POST, OPTIONS"
_REQUEST_HEADERS = (
    "Accept, Accept-Charset, Authorization, Cache-Control, Content-Type, If-None-Match, Range, X-Request-ID"
)
_EXPOSED_HEADERS = "Content-Location, Content-Type, ETag, Location, Retry-After, Warning, X-Request-ID"
_log = structlog.get_logger(__name__)


def install(app: web.Application, settings: HttpSettings, retry_after: RetryAfter) -> None:
    """Add the middlewares, and the headers that every response carries, to `app`; call it once."""
    app.middlewares.extend(
        [_log_requests, _answer_preflights(settings), _translate_errors(settings, retry_after), _limit(settings)]
    )
    app.on_response_prepare.append(_complete_headers(settings))


@web.middleware
async def _log_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    asked = request.headers.get("X-Request-ID", "")
    request_id = asked if _SANE_ID.fullmatch(asked) else uuid.uuid4().hex
    request[REQUEST_ID] = request_id
    status, began = _CLIENT_GONE, time.monotonic()
    with structlog.contextvars.bound_contextvars(request_id=request_id):
        try:
            response = await handler(request)
            status = response.status
            return response
        except web.HTTPException as redirect:
            status = redirect.status
            raise
        finally:
            _log.info(
                "request",
                method=request.method,
                route=_path_pattern(request),
                status=status,
                cut=request.get(_CUT, False),
                seconds=round(time.monotonic() - began, 4),
            )


def _path_pattern(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"


def _translate_errors(settings: HttpSettings, retry_after: RetryAfter) -> Middleware:
    @web.middleware
    async def translate_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return _answer(request, error, report_status(error.status, _kept_headers(error)))
        except GatewayError as error:
            report = report_error(error, retry_after=retry_after, strict_dicom_codes=settings.strict_dicom_codes)
            return _answer(request, error, report)
        except Exception as error:  # noqa: BLE001 - the boundary of a request: a defect must not stop the server
            return _answer(request, error, report_status(500))

    return translate_errors


def _answer(request: web.Request, error: Exception, report: StatusReport) -> web.StreamResponse:
    """Tell the client of `error`, or cut the connection where a response has begun."""
    started: web.StreamResponse | None = request.get(_STARTED)
    if isinstance(error, ConnectionError) and _is_client_gone(request):
        _log.info("client_left", route=_path_pattern(request), error=type(error).__name__)
    elif report.status >= 500 or started is not None:
        _log_failure(request, error, report)
    if started is None:
        content_type, body = encode_report(report, join_lines(request.headers.getall(hdrs.ACCEPT, [])))
        headers = {**report.headers, hdrs.CONTENT_TYPE: content_type}
        return web.Response(status=report.status, headers=headers, body=body)
    request[_CUT] = True
    if request.transport is not None:
        request.transport.abort()
    # Ending this response on a closed transport writes nothing; raising instead would have the server log the
    # text of the exception together with the address of the client.
    return started


def _log_failure(request: web.Request, error: Exception, report: StatusReport) -> None:
    """Log what failed; for a defect also where, but never the exception's text, which may quote data."""
    fields = {"route": _path_pattern(request), "error": type(error).__name__, "status": report.status}
    if isinstance(error, GatewayError):
        _log.warning("request_failed", detail=report.detail, **fields)
    else:
        frames = traceback.extract_tb(error.__traceback__)[-3:]
        where = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
        _log.error("request_failed", where=where, **fields)


def _is_client_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _kept_headers(error: web.HTTPException) -> dict[str, str]:
    return {name: error.headers[name] for name in (hdrs.ALLOW, hdrs.RETRY_AFTER) if name in error.headers}


def _limit(settings: HttpSettings) -> Middleware:
    @web.middleware
    async def limit(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse a body that announces itself as too long; one that does not is counted as it arrives."""
        most = settings.max_body_bytes
        if most and (request.content_length or 0) > most:
            raise TooLarge("the request body", most)
        return await handler(request)

    return limit


def _answer_preflights(settings: HttpSettings) -> Middleware:
    @web.middleware
    async def answer_preflights(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a browser that asks whether it may ask; other OPTIONS requests go to the router."""
        asks = hdrs.ORIGIN in request.headers and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
        if request.method != hdrs.METH_OPTIONS or not asks:
            return await handler(request)
        response = web.Response(status=204)
        if _allowed_origin(request, settings) is not None:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = _METHODS
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = _REQUEST_HEADERS
            response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = str(_PREFLIGHT_MAX_AGE_S)
        return response

    return answer_preflights


def _allowed_origin(request: web.Request, settings: HttpSettings) -> str | None:
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None:
        return None
    if "*" in settings.cors_origins:
        return "*"
    return origin if origin in settings.cors_origins else None


def _complete_headers(
    settings: HttpSettings,
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    async def complete_headers(request: web.Request, response: web.StreamResponse) -> None:
        """Add what each response carries, and note that it has begun."""
        request[_STARTED] = response
        headers = response.headers
        if request.can_read_body:  # refused before its body was read: the client need not send the rest
            response.force_close()
            headers[hdrs.CONNECTION] = "close"
        headers["X-Request-ID"] = request.get(REQUEST_ID, "")
        headers.setdefault(hdrs.CACHE_CONTROL, "private, no-store")  # patient data stays out of shared caches
        vary = [hdrs.ACCEPT, hdrs.ACCEPT_ENCODING]
        origin = _allowed_origin(request, settings)
        if settings.cors_origins:
            vary.append(hdrs.ORIGIN)
        if origin is not None:
            headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED_HEADERS
        headers[hdrs.VARY] = ", ".join(vary)

    return complete_headers
