"""Exception to HTTP: status, headers and the words of a Status Report (PS3.18 §8.5, §8.6.3).

The one place that decides it. ``_VERDICTS`` names every kind of error, a subclass counts as its parent; DIMSE
failure statuses are decided by operation in tables of their own. Called by ``gateway/web/middleware.py`` before a
response has started; afterwards nothing can be said any more and the connection is cut there. The reasons of
single instances of a store are no concern of this file: they travel in the response module.

Reports are made of AE titles, status codes, their meanings and parameter names: never of host names, never of
exception texts that come from libraries. The one text of the archive, its Error Comment, is cut to the 64
characters of its VR and stripped of control characters.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

import orjson

from gateway import errors
from gateway.codecs.media_types import parse_accept
from gateway.errors import GatewayError
from gateway.web.retry_after import RetryAfter

__all__ = ["StatusReport", "encode_report", "report_error", "report_status"]

_COMMENT_CHARACTERS = 64  # (0000,0902) is of VR LO
_TOO_MANY_MATCHES = re.compile(
    r"too (many|broad)|maximum number|limit (exceeded|reached)|result (set|size)", re.IGNORECASE
)
_GATEWAY_KEYS = frozenset({0x00080005, 0x00080052})  # added to each identifier here, never the client's doing
_UNIQUE_KEYS = frozenset({0x0020000D, 0x0020000E, 0x00080018})  # the UIDs of the URL
_VERIFICATION = "1.2.840.10008.1.1"
_QUERY_RETRIEVE = "1.2.840.10008.5.1.4.1.2."  # prefix of the Query/Retrieve service classes


@dataclass(frozen=True, slots=True)
class StatusReport:
    """What a failed request is answered with.

    `detail` is for people; `dimse` holds what is known of the operation behind, for programs.
    """

    status: int
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)
    dimse: Mapping[str, Any] | None = None

    @property
    def title(self) -> str:
        """The reason phrase of the status."""
        return HTTPStatus(self.status).phrase


def report_error(error: GatewayError, *, retry_after: RetryAfter, strict_dicom_codes: bool) -> StatusReport:
    """Decide how `error` is told to the client.

    Parameters
    ----------
    error : GatewayError
        Anything raised on purpose before the response started.
    retry_after : RetryAfter
        Counts repeated refusals of one archive, so that clients are sent away for longer each time.
    strict_dicom_codes : bool
        Say 503 for 502 and 504, which PS3.18 does not list.
    """
    verdict = next(_VERDICTS[kind] for kind in type(error).__mro__ if kind in _VERDICTS)
    report = verdict(error)
    if strict_dicom_codes and report.status in (HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT):
        report = replace(report, status=HTTPStatus.SERVICE_UNAVAILABLE)
    if report.status == HTTPStatus.SERVICE_UNAVAILABLE:
        seconds = retry_after.seconds(getattr(error, "ae_title", ""))
        report = replace(report, headers={**report.headers, "Retry-After": str(seconds)})
    return report


def report_status(status: int, headers: Mapping[str, str] | None = None) -> StatusReport:
    """The report of a status that has no exception of ours: 404 and 405 of the router, 500 of a defect."""
    return StatusReport(status, HTTPStatus(status).description or HTTPStatus(status).phrase, headers or {})


def encode_report(report: StatusReport, accept: str | None) -> tuple[str, bytes]:
    """Write a report in the form the client likes best: JSON unless it prefers HTML or plain text.

    Returns
    -------
    tuple of str and bytes
        Content-Type and body.
    """
    ranges = parse_accept(accept or "*/*")
    best, form = 0.0, "application/json"
    for candidate in _FORMS:
        matching = [(item.specificity, item.q) for item in ranges if item.covers(candidate, multipart=False)]
        _, q = max(matching, default=((0, 0, 0), 0.0))
        if q > best:
            best, form = q, candidate
    return form + ("" if form == "application/json" else "; charset=utf-8"), _FORMS[form](report)


# --- forms of a report ---


def _encode_json(report: StatusReport) -> bytes:
    body: dict[str, Any] = {"status": int(report.status), "title": report.title, "detail": report.detail}
    if report.dimse is not None:
        body["dimse"] = report.dimse
    return orjson.dumps(body)


def _encode_text(report: StatusReport) -> bytes:
    lines = [f"{int(report.status)} {report.title}", report.detail]
    lines += [f"{name}: {value}" for name, value in (report.dimse or {}).items()]
    return "\n".join([*lines, ""]).encode()


def _encode_html(report: StatusReport) -> bytes:
    title = html.escape(f"{int(report.status)} {report.title}")
    rows = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(str(value))}</dd>"
        for name, value in (report.dimse or {}).items()
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<h1>{title}</h1><p>{html.escape(report.detail)}</p><dl>{rows}</dl></html>\n"
    ).encode()


_FORMS: dict[str, Callable[[StatusReport], bytes]] = {
    "application/json": _encode_json,
    "text/plain": _encode_text,
    "text/html": _encode_html,
}


# --- verdicts: the fault of the client ---


def _bad_parameter(error: errors.BadParameter) -> StatusReport:
    return StatusReport(400, f"{error.name}: {error.reason}")


def _unknown_resource(error: errors.UnknownResource) -> StatusReport:
    return StatusReport(404, f"{error.what} not found")


def _not_acceptable(error: errors.NotAcceptable) -> StatusReport:
    return StatusReport(406, f"{error.reason}; available: {', '.join(error.available) or 'nothing'}")


def _range_not_satisfiable(error: errors.RangeNotSatisfiable) -> StatusReport:
    return StatusReport(416, str(error), {"Content-Range": f"bytes */{error.length}"})


def _unsupported_media_type(error: errors.UnsupportedMediaType) -> StatusReport:
    return StatusReport(
        415,
        f"this Content-Type is not supported; supported: {', '.join(error.supported)}",
        {"Accept-Post": ", ".join(error.supported)},
    )


def _unsupported_coding(error: errors.UnsupportedCoding) -> StatusReport:
    supported = ", ".join(error.supported)
    return StatusReport(
        415, f"this Content-Encoding is not supported; supported: {supported}", {"Accept-Encoding": supported}
    )


def _too_large(error: errors.TooLarge) -> StatusReport:
    return StatusReport(413, f"{error.what} is over the limit of {error.limit} {error.unit}", _CLOSE)


_CLOSE = {"Connection": "close"}  # the rest of the request body is not waited for


# --- verdicts: the archive ---


def _backend(status: int, what: str) -> Callable[[Any], StatusReport]:
    """A verdict that says `what` of the archive and nothing of the exception's text."""

    def verdict(error: errors.BackendError) -> StatusReport:
        return StatusReport(status, f"archive {error.ae_title} {what}", dimse={"peer": error.ae_title})

    return verdict


def _fixed(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Callable[[Any], StatusReport]:
    report = StatusReport(status, detail, headers or {})
    return lambda error: report


def _worded(status: int, otherwise: str, headers: Mapping[str, str] | None = None) -> Callable[[Any], StatusReport]:
    """A verdict in the words of the exception, which are the gateway's own for these kinds."""
    return lambda error: StatusReport(status, str(error) or otherwise, headers or {})


_REJECTIONS = {  # result, source, reason of PS3.8 Table 9-21; transient ones are decided before this table
    (1, 1, 1): "rejected the association without reason",
    (1, 1, 2): "does not support the application context",
    (1, 1, 3): "does not know the calling AE title of the gateway",
    (1, 1, 7): "does not know the called AE title that the gateway is configured with",
    (1, 2, 1): "rejected the association without reason",
    (1, 2, 2): "does not support the protocol version",
}


def _association_rejected(error: errors.AssociationRejected) -> StatusReport:
    if error.result == 2 or (error.source == 3 and error.reason in (1, 2)):
        status, what = 503, "is too busy to accept an association"
    else:
        what = _REJECTIONS.get((error.result, error.source, error.reason), "rejected the association")
        status = 502
    dimse = {
        "operation": "A-ASSOCIATE-RQ",
        "result": error.result,
        "source": error.source,
        "reason": error.reason,
        "peer": error.ae_title,
    }
    return StatusReport(status, f"archive {error.ae_title} {what}", dimse=dimse)


def _association_aborted(error: errors.AssociationAborted) -> StatusReport:
    dimse = {"operation": "A-ABORT", "source": error.source, "reason": error.reason, "peer": error.ae_title}
    return StatusReport(502, f"archive {error.ae_title} aborted the association", dimse=dimse)


_CONTEXT_RESULTS = {  # PS3.8 §9.3.3.2; 0 stands for an accepted context without the SCP role
    0: (501, "does not let the gateway receive by C-GET"),
    1: (502, "refused a presentation context"),
    2: (502, "refused a presentation context without reason"),
    3: (501, "does not support the service or SOP class"),
    4: (406, "cannot deliver in a transfer syntax that is acceptable"),
}


def _no_accepted_context(error: errors.NoAcceptedContext) -> StatusReport:
    status, what = _CONTEXT_RESULTS.get(error.result, (502, "refused a presentation context"))
    is_service = error.abstract_syntax == _VERIFICATION or error.abstract_syntax.startswith(_QUERY_RETRIEVE)
    if error.result == 4 and is_service:
        # No form of instances is at stake: identifiers are readable in each syntax that archives know.
        status, what = 502, "supports no transfer syntax for the service"
    dimse = {
        "operation": "A-ASSOCIATE-RQ",
        "abstractSyntax": error.abstract_syntax,
        "contextResult": error.result,
        "peer": error.ae_title,
    }
    return StatusReport(status, f"archive {error.ae_title} {what}", dimse=dimse)


def _incomplete_retrieval(error: errors.IncompleteRetrieval) -> StatusReport:
    missing = error.expected - error.received
    text = f"{missing} of {error.expected} instances could not be retrieved"
    return StatusReport(
        502,
        f"archive {error.ae_title}: {text}",
        {"Warning": f'299 dicomweb-gateway "{text}"'},
        {"operation": "C-GET-RQ or C-MOVE-RQ", "missing": list(error.missing), "peer": error.ae_title},
    )


# --- verdicts: failure statuses of operations ---

_ANY_OPERATION = {  # PS3.7 Annex C
    0x0110: 502,  # processing failure
    0x0122: 501,  # SOP class not supported
    0x0124: 403,  # not authorised
    0x0211: 501,  # unrecognised operation
    0x0213: 503,  # resource limitation
}
_BY_OPERATION: dict[str, dict[int, int]] = {
    "C-ECHO": {},
    "C-FIND": {0xA700: 503},  # PS3.4 Table C.4-1
    "C-GET": {0xA701: 503, 0xA702: 503, 0x0112: 404, 0xAA00: 404, 0xAA04: 400},  # PS3.4 Table C.4-3, Annex Y
    "C-MOVE": {0xA701: 503, 0xA702: 503, 0x0112: 404, 0xAA00: 404, 0xAA04: 400},  # PS3.4 Table C.4-2
    "N-ACTION": {  # PS3.7 §10.1.4.1.10: what the service lacks, what the request lacks, what it repeats
        **dict.fromkeys((0x0112, 0x0117, 0x0118, 0x0119, 0x0123), 501),
        **dict.fromkeys((0x0114, 0x0115, 0x0212), 400),
        **dict.fromkeys((0x0131, 0x0210), 409),
    },
}
_OUT_OF_RESOURCES = 0xA700  # A7xx of every service class


def _dimse_status(error: errors.DimseStatusError) -> StatusReport:
    meaning = f" ({error.meaning})" if error.meaning else ""
    operation = error.operation.removesuffix("-RQ").removesuffix("-RSP")
    dimse = {
        "operation": f"{operation}-RQ",
        "status": f"{error.status:04X}",
        "errorComment": _clean_comment(error.comment),
        "offendingElement": [f"{tag:08X}" for tag in error.offending_elements],
        "peer": error.ae_title,
    }
    detail = f"archive {error.ae_title} answered {operation} with status {error.status:04X}{meaning}"
    return StatusReport(_decide_status(operation, error), detail, dimse=dimse)


def _decide_status(operation: str, error: errors.DimseStatusError) -> int:
    if operation == "C-FIND" and error.status == 0xA700 and _TOO_MANY_MATCHES.search(error.comment):
        return 413
    if error.status == 0xA900:  # the identifier does not match the SOP class: whose keys were they?
        return 400 if _is_clients_fault(operation, frozenset(error.offending_elements)) else 502
    table = _ANY_OPERATION | _BY_OPERATION.get(operation, {})
    default = 503 if error.status & 0xFF00 == _OUT_OF_RESOURCES else 502
    return table.get(error.status, default)


def _is_clients_fault(operation: str, offending: frozenset[int]) -> bool:
    if operation == "C-FIND":
        return bool(offending - _GATEWAY_KEYS)
    return bool(offending & _UNIQUE_KEYS)


def _clean_comment(comment: str) -> str:
    return "".join(c for c in comment if c.isprintable())[:_COMMENT_CHARACTERS]


_VERDICTS: dict[type, Callable[[Any], StatusReport]] = {
    # the client
    errors.BadParameter: _bad_parameter,
    errors.UnknownResource: _unknown_resource,
    errors.NotAcceptable: _not_acceptable,
    errors.RangeNotSatisfiable: _range_not_satisfiable,
    errors.NotProvided: _worded(501, "the gateway does not do this"),
    errors.UnsupportedMediaType: _unsupported_media_type,
    errors.UnsupportedCoding: _unsupported_coding,
    errors.TooLarge: _too_large,
    errors.SearchTooBroad: _worded(413, "the search would visit more than is configured; narrow it"),
    errors.MalformedBody: _worded(400, "the request body is not well formed or ends early", _CLOSE),
    errors.ConflictingRequest: _worded(409, "the request contradicts itself or what is stored"),
    errors.ResultGone: _worded(410, "the result is no longer available"),
    errors.UploadTimeout: _fixed(408, "no byte of the request body arrived in time", _CLOSE),
    # the gateway
    errors.ConfigurationError: _fixed(500, "the gateway is not configured for this"),
    errors.LocalProtocolError: _fixed(500, "internal error"),
    errors.TooBusy: _fixed(503, "the gateway has too many pictures to render"),
    errors.ShuttingDown: _fixed(503, "the gateway is shutting down", _CLOSE),
    errors.SpoolFailed: _fixed(503, "the gateway has no room on disk for the upload", _CLOSE),
    # the archive
    errors.DecodeError: _fixed(502, "the archive delivered a data set that cannot be read"),
    errors.ImagingFailed: _worded(502, "the archive delivered a picture that cannot be decoded"),
    errors.RemoteProtocolError: _fixed(502, "the archive broke the DICOM protocol"),
    errors.ConnectFailed: _backend(503, "is unreachable"),
    errors.ConnectTimeout: _backend(503, "is unreachable: no connection in time"),
    errors.AssociationTimeout: _backend(504, "did not answer the association request in time"),
    errors.AssociationRejected: _association_rejected,
    errors.AssociationAborted: _association_aborted,
    errors.ConnectionLost: _backend(502, "closed the connection during an operation"),
    errors.NoAcceptedContext: _no_accepted_context,
    errors.PoolTimeout: _backend(503, "is busy: no free association in time"),
    errors.DimseTimeout: _backend(504, "did not respond in time"),
    errors.DimseStatusError: _dimse_status,
    errors.UndecodableResponse: _backend(502, "sent a response that cannot be read"),
    errors.IncompleteRetrieval: _incomplete_retrieval,
    errors.MoveDestinationUnavailable: _backend(502, "cannot send to the gateway: C-MOVE is not set up"),
}
