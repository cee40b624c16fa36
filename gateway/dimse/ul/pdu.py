"""Protocol data units of the upper layer: types, abort reasons, encoding and decoding of all but P-DATA.

A-ASSOCIATE-RQ and -AC are `associate.py`'s, which is imported for the first association. P-DATA-TF is `framer.py`'s
(reading); its header is encoded here. Called by `connection.py`.

Source: PS3.8 §9.3
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum
from types import ModuleType
from typing import Any, Final

from gateway.dimse.ul.events import (
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ReleaseReply,
    ReleaseRequest,
    RequestEvent,
)
from gateway.errors import LocalProtocolError, RemoteProtocolError

__all__ = [
    "P_DATA_HEADER_LENGTH",
    "PDU_HEADER_LENGTH",
    "PDV_OVERHEAD",
    "AbortReason",
    "PduType",
    "decode_pdu",
    "encode_p_data_header",
    "encode_pdu",
]

PDU_HEADER_LENGTH: Final = 6
"""Bytes before the variable field: type, reserved, length of the rest (PS3.8 §9.3.1)."""
PDV_OVERHEAD: Final = 6
"""Bytes of a PDV item beside its payload: length (4), context ID, message control header (PS3.8 §9.3.5.1)."""
P_DATA_HEADER_LENGTH: Final = PDU_HEADER_LENGTH + PDV_OVERHEAD

_P_DATA_HEADER: Final = struct.Struct(">BxIIBB")
_CONTROL: Final = struct.Struct(">BxI4B")


class PduType(IntEnum):
    """First byte of a PDU (PS3.8 §9.3)."""

    ASSOCIATE_RQ = 0x01
    ASSOCIATE_AC = 0x02
    ASSOCIATE_RJ = 0x03
    P_DATA_TF = 0x04
    RELEASE_RQ = 0x05
    RELEASE_RP = 0x06
    ABORT = 0x07


class AbortReason(IntEnum):
    """Reasons of an A-ABORT whose source is the service provider (PS3.8 Table 9-26)."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNIZED_PARAMETER = 4
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER_VALUE = 6


def encode_p_data_header(context_id: int, is_command: bool, last: bool, length: int) -> bytes:
    """Encode what precedes `length` bytes of payload in a P-DATA-TF PDU with one PDV: 12 bytes.

    Source: PS3.8 §9.3.5, §E.2
    """
    return _P_DATA_HEADER.pack(PduType.P_DATA_TF, length + PDV_OVERHEAD, length + 2, context_id, is_command | last << 1)


def encode_pdu(event: RequestEvent) -> bytes:
    """Encode `event` as a whole PDU.

    Raises
    ------
    LocalProtocolError
        A field does not fit its place in the PDU: AE title, UID, number or length.

    Source: PS3.8 §9.3.2-§9.3.4, §9.3.6-§9.3.8
    """
    try:
        return _ENCODERS[type(event)](event)
    except (ValueError, TypeError, struct.error) as error:
        raise LocalProtocolError(f"{type(event).__name__} cannot be encoded: {error}") from error


def decode_pdu(pdu_type: PduType, body: bytes) -> RequestEvent:
    """Decode the variable field `body` of any PDU but P-DATA-TF.

    Raises
    ------
    RemoteProtocolError
        The body is not what PS3.8 §9.3 says; carries the reason of the A-ABORT to send. Nothing else escapes.
    """
    try:
        return _DECODERS[pdu_type](body)
    # What pynetdicom's item classes raise for bytes they cannot use: short fields, values out of range.
    except (ValueError, TypeError, KeyError, AssertionError, struct.error) as error:
        text = f"{pdu_type.name} with an invalid field ({type(error).__name__})"
        raise RemoteProtocolError(text, reason=AbortReason.INVALID_PARAMETER_VALUE) from error


# --- PDUs of ten bytes ---


def _encode_control(pdu_type: PduType, *fields: int) -> bytes:
    return _CONTROL.pack(pdu_type, 4, *fields)


def _decode_reject(body: bytes) -> AssociateReject:
    _, result, source, reason = body
    return AssociateReject(result, source, reason)


def _decode_abort(body: bytes) -> Abort:
    _, _, source, reason = body
    return Abort(source, reason)


# --- A-ASSOCIATE-RQ and -AC ---


def _associate() -> ModuleType:
    """``associate.py``, imported when the first association is made."""
    from gateway.dimse.ul import associate

    return associate


_ENCODERS: Final[dict[type, Callable[[Any], bytes]]] = {
    AssociateRequest: lambda event: _associate().encode_request(event),
    AssociateAccept: lambda event: _associate().encode_accept(event),
    AssociateReject: lambda event: _encode_control(PduType.ASSOCIATE_RJ, 0, event.result, event.source, event.reason),
    ReleaseRequest: lambda _: _encode_control(PduType.RELEASE_RQ, 0, 0, 0, 0),
    ReleaseReply: lambda _: _encode_control(PduType.RELEASE_RP, 0, 0, 0, 0),
    Abort: lambda event: _encode_control(PduType.ABORT, 0, 0, event.source, event.reason),
}

_DECODERS: Final[dict[PduType, Callable[[bytes], RequestEvent]]] = {
    PduType.ASSOCIATE_RQ: lambda body: _associate().decode_request(body),
    PduType.ASSOCIATE_AC: lambda body: _associate().decode_accept(body),
    PduType.ASSOCIATE_RJ: _decode_reject,
    PduType.RELEASE_RQ: lambda _: ReleaseRequest(),
    PduType.RELEASE_RP: lambda _: ReleaseReply(),
    PduType.ABORT: _decode_abort,
}
