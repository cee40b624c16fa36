"""Every exception the gateway raises.

Lower rings raise their own kind; the seam above translates with ``raise ... from``. Exceptions carry fields,
not only text. The HTTP status of each leaf is decided in one place, ``gateway/web/errors.py``.
Messages name AE titles, status codes and parameter names, never patient data.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "AssociationAborted",
    "AssociationRejected",
    "AssociationTimeout",
    "BackendError",
    "BadParameter",
    "ConfigurationError",
    "ConflictingRequest",
    "ConnectFailed",
    "ConnectTimeout",
    "ConnectionLost",
    "DecodeError",
    "DimseStatusError",
    "DimseTimeout",
    "GatewayError",
    "ImagingFailed",
    "IncompleteRetrieval",
    "LocalProtocolError",
    "MalformedBody",
    "MoveDestinationUnavailable",
    "NoAcceptedContext",
    "NotAcceptable",
    "PoolTimeout",
    "ProtocolError",
    "RangeNotSatisfiable",
    "RemoteProtocolError",
    "RequestError",
    "ResultGone",
    "NotProvided",
    "SearchTooBroad",
    "ShuttingDown",
    "SpoolFailed",
    "TooBusy",
    "TooLarge",
    "UndecodableResponse",
    "UnknownResource",
    "UnsupportedCoding",
    "UnsupportedMediaType",
    "UploadTimeout",
]


class GatewayError(Exception):
    """Base of everything raised on purpose."""


class ConfigurationError(GatewayError):
    """A configuration that cannot be used; `key` is the dotted name of the offending setting."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key = key
        self.reason = reason


# --- the HTTP client's fault ---


class RequestError(GatewayError):
    """The request cannot be served as it stands."""


class BadParameter(RequestError):
    """A path segment, query parameter or header value that breaks its grammar (PS3.18 §8.3)."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


class UnknownResource(RequestError):
    """The target does not exist in the archive, or no such backend, frame or bulk data."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} not found")
        self.what = what


class NotAcceptable(RequestError):
    """Nothing that can be produced is acceptable; `available` lists the media types that can be."""

    def __init__(self, available: Sequence[str], reason: str = "no acceptable media type") -> None:
        super().__init__(reason)
        self.available = tuple(available)
        self.reason = reason


class NotProvided(RequestError):
    """Something that the standard leaves to a server, and that this one refuses to do (501)."""


class RangeNotSatisfiable(RequestError):
    """The range asked for has no byte of a body of `length` bytes (RFC 9110 §15.5.17)."""

    def __init__(self, length: int) -> None:
        super().__init__(f"the range is outside the {length} bytes there are")
        self.length = length


class UnsupportedMediaType(RequestError):
    """The request's Content-Type is not taken here; `supported` lists those that are."""

    def __init__(self, content_type: str, supported: Sequence[str]) -> None:
        super().__init__(f"Content-Type {content_type or '(none)'} is not supported")
        self.content_type = content_type
        self.supported = tuple(supported)


class UnsupportedCoding(RequestError):
    """The request's Content-Encoding is not taken here; `supported` lists those that are (RFC 9110 §15.5.16)."""

    def __init__(self, supported: Sequence[str]) -> None:
        super().__init__("the Content-Encoding is not supported")
        self.supported = tuple(supported)


class TooLarge(RequestError):
    """The request body, or one instance in it, is over a configured limit of `limit` bytes, or of another `unit`."""

    def __init__(self, what: str, limit: int, unit: str = "bytes") -> None:
        super().__init__(f"{what} is over the limit of {limit} {unit}")
        self.what = what
        self.limit = limit
        self.unit = unit


class SearchTooBroad(RequestError):
    """A search that would need more work than configured (PS3.18 §10.6.3, status 413)."""


class MalformedBody(RequestError):
    """A request body that breaks multipart grammar or ends early (RFC 2046)."""


class ConflictingRequest(RequestError):
    """A request that contradicts the state or itself (409)."""


class ResultGone(RequestError):
    """A result that was known and is no longer to be had (410)."""


class UploadTimeout(RequestError):
    """No byte of the request body arrived for longer than the limit (408)."""


# --- bytes that cannot be read ---


class DecodeError(GatewayError):
    """Bytes that are not what they should be.

    Parameters
    ---
    reason : str
        What was expected and what was found.
    offset : int
        Bytes from the start of the data set or body, -1 if unknown.
    path : str
        Tag path, ``"00400275/1/00400009"``, empty at the top.
    """

    def __init__(self, reason: str, *, offset: int = -1, path: str = "") -> None:
        where = f" at byte {offset}" if offset >= 0 else ""
        super().__init__(f"{reason}{where}{f' in {path}' if path else ''}")
        self.reason = reason
        self.offset = offset
        self.path = path


class ImagingFailed(GatewayError):
    """A picture that cannot be decoded, converted or rendered, broken, hostile or beyond a limit, as `reason` says."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# --- the DICOM upper layer and message protocol ---


class ProtocolError(GatewayError):
    """A rule of PS3.8 or PS3.7 was broken."""


class LocalProtocolError(ProtocolError):
    """Our own code asked for something the state does not allow: a defect."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol; `reason` is the A-ABORT reason of PS3.8 §9.3.8 (source 2)."""

    def __init__(self, text: str, *, reason: int = 0) -> None:
        super().__init__(text)
        self.reason = reason


# --- the archive behind us ---


class BackendError(GatewayError):
    """Something went wrong with the archive whose AE title is `ae_title`."""

    def __init__(self, ae_title: str, text: str) -> None:
        super().__init__(f"{ae_title}: {text}")
        self.ae_title = ae_title


class ConnectFailed(BackendError):
    """Name resolution failed or TCP was refused or unreachable."""


class ConnectTimeout(BackendError):
    """TCP connect did not finish in time."""


class AssociationTimeout(BackendError):
    """A-ASSOCIATE-RQ was not answered in time."""


class AssociationRejected(BackendError):
    """A-ASSOCIATE-RJ (PS3.8 §9.3.4): `result` 1 permanent, 2 transient; `source` 1–3; `reason`."""

    def __init__(self, ae_title: str, result: int, source: int, reason: int, text: str) -> None:
        super().__init__(ae_title, f"association rejected: {text} (result {result}, source {source}, reason {reason})")
        self.result = result
        self.source = source
        self.reason = reason


class AssociationAborted(BackendError):
    """A-ABORT from the peer (`source` 0 user, 2 provider) while an operation was under way."""

    def __init__(self, ae_title: str, source: int, reason: int) -> None:
        super().__init__(ae_title, f"association aborted (source {source}, reason {reason})")
        self.source = source
        self.reason = reason


class ConnectionLost(BackendError):
    """The transport closed while an operation was under way."""


class NoAcceptedContext(BackendError):
    """No presentation context for what is needed was accepted.

    `abstract_syntax` is the UID asked for; `result` the worst result code of PS3.8 §9.3.3.2:
    1 user rejection, 2 no reason, 3 abstract syntax not supported, 4 transfer syntaxes not supported;
    0 where the context was accepted but not the SCP role.
    """

    def __init__(self, ae_title: str, abstract_syntax: str, result: int) -> None:
        super().__init__(ae_title, f"no presentation context accepted for {abstract_syntax} (result {result})")
        self.abstract_syntax = abstract_syntax
        self.result = result


class PoolTimeout(BackendError):
    """Every association allowed for this backend was busy for longer than the wait limit."""


class DimseTimeout(BackendError):
    """No response, or no byte of a message under way, within its limit."""


class DimseStatusError(BackendError):
    """An operation ended with a failure status (PS3.7 Annex C, PS3.4)."""

    def __init__(
        self,
        ae_title: str,
        operation: str,
        status: int,
        meaning: str = "",
        *,
        comment: str = "",
        offending_elements: Sequence[int] = (),
    ) -> None:
        detail = f"{operation} failed with status {status:04X}"
        super().__init__(ae_title, f"{detail} ({meaning})" if meaning else detail)
        self.operation = operation
        self.status = status
        self.meaning = meaning
        self.comment = comment
        self.offending_elements = tuple(offending_elements)


class UndecodableResponse(BackendError):
    """A response whose command set or data set cannot be read."""


class IncompleteRetrieval(BackendError):
    """A retrieval that ended without everything asked for; `missing` holds SOP Instance UIDs where known."""

    def __init__(self, ae_title: str, received: int, expected: int, missing: Sequence[str] = ()) -> None:
        super().__init__(ae_title, f"{expected - received} of {expected} instances could not be retrieved")
        self.received = received
        self.expected = expected
        self.missing = tuple(missing)


class MoveDestinationUnavailable(BackendError):
    """C-MOVE is needed but the gateway listens on no DIMSE port, or the archive does not know us."""


class ShuttingDown(GatewayError):
    """The gateway is draining and takes no new work (503)."""


class TooBusy(GatewayError):
    """More work is waiting than can be done in time (503)."""


class SpoolFailed(GatewayError):
    """The disk has no room, or fails, for bulk data of an upload that has to wait for other parts (503)."""
