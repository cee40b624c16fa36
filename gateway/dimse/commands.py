"""Command sets: what a DIMSE message says before its data set (PS3.7 §6.3, §9.3, §10.3, Annex E).

One frozen value, :class:`Command`, carries every element that any service uses; absent ones are None. A command
set is always Implicit VR Little Endian, whatever the presentation context. Pure: bytes in, values out.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from gateway.errors import RemoteProtocolError

__all__ = ["Command", "CommandField", "decode_command", "encode_command", "encode_store_response"]

NO_DATA_SET = 0x0101
WITH_DATA_SET = 0x0001


class CommandField(IntEnum):
    """(0000,0100); a response is its request with bit 15 set (PS3.7 Annex E)."""

    C_STORE_RQ = 0x0001
    C_STORE_RSP = 0x8001
    C_GET_RQ = 0x0010
    C_GET_RSP = 0x8010
    C_FIND_RQ = 0x0020
    C_FIND_RSP = 0x8020
    C_MOVE_RQ = 0x0021
    C_MOVE_RSP = 0x8021
    C_ECHO_RQ = 0x0030
    C_ECHO_RSP = 0x8030
    C_CANCEL_RQ = 0x0FFF
    N_EVENT_REPORT_RQ = 0x0100
    N_EVENT_REPORT_RSP = 0x8100
    N_GET_RQ = 0x0110
    N_GET_RSP = 0x8110
    N_SET_RQ = 0x0120
    N_SET_RSP = 0x8120
    N_ACTION_RQ = 0x0130
    N_ACTION_RSP = 0x8130
    N_CREATE_RQ = 0x0140
    N_CREATE_RSP = 0x8140
    N_DELETE_RQ = 0x0150
    N_DELETE_RSP = 0x8150

    @property
    def is_response(self) -> bool:
        """Whether this answers a request."""
        return self & 0x8000 != 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command set; fields are the keywords of PS3.7 Table E.1-1 in lower case.

    `has_data_set` stands for Command Data Set Type (0000,0800): false is 0101H.
    """

    command_field: CommandField
    has_data_set: bool = False
    affected_sop_class_uid: str | None = None
    requested_sop_class_uid: str | None = None
    message_id: int | None = None
    message_id_being_responded_to: int | None = None
    move_destination: str | None = None
    priority: int | None = None
    status: int | None = None
    offending_elements: tuple[int, ...] | None = None
    error_comment: str | None = None
    error_id: int | None = None
    affected_sop_instance_uid: str | None = None
    requested_sop_instance_uid: str | None = None
    event_type_id: int | None = None
    attribute_identifiers: tuple[int, ...] | None = None
    action_type_id: int | None = None
    remaining_suboperations: int | None = None
    completed_suboperations: int | None = None
    failed_suboperations: int | None = None
    warning_suboperations: int | None = None
    move_originator_ae_title: str | None = None
    move_originator_message_id: int | None = None


def _encode_us(value: int) -> bytes:
    return value.to_bytes(2, "little")


def _encode_uid(value: str) -> bytes:
    raw = value.encode("ascii", "replace")  # a response echoes what the peer sent, garbage included
    return raw + b"\0" * (len(raw) % 2)


def _encode_text(value: str) -> bytes:
    raw = value.encode("ascii", "replace")
    return raw + b" " * (len(raw) % 2)


def _encode_tags(value: tuple[int, ...]) -> bytes:
    return b"".join(struct.pack("<HH", tag >> 16, tag & 0xFFFF) for tag in value)


def _decode_us(raw: bytes) -> int:
    return int.from_bytes(raw[:2], "little")


def _decode_text(raw: bytes) -> str:
    return raw.decode("ascii", "replace").strip(" \0")


def _decode_tags(raw: bytes) -> tuple[int, ...]:
    return tuple(group << 16 | element for group, element in struct.iter_unpack("<HH", raw[: len(raw) // 4 * 4]))


_CODECS: dict[str, tuple[Any, Any]] = {
    "US": (_encode_us, _decode_us),
    "UI": (_encode_uid, _decode_text),
    "AE": (_encode_text, _decode_text),
    "LO": (_encode_text, _decode_text),
    "AT": (_encode_tags, _decode_tags),
}

_ELEMENTS: tuple[tuple[int, str, str], ...] = (
    (0x0002, "UI", "affected_sop_class_uid"),
    (0x0003, "UI", "requested_sop_class_uid"),
    (0x0100, "US", "command_field"),
    (0x0110, "US", "message_id"),
    (0x0120, "US", "message_id_being_responded_to"),
    (0x0600, "AE", "move_destination"),
    (0x0700, "US", "priority"),
    (0x0800, "US", "has_data_set"),
    (0x0900, "US", "status"),
    (0x0901, "AT", "offending_elements"),
    (0x0902, "LO", "error_comment"),
    (0x0903, "US", "error_id"),
    (0x1000, "UI", "affected_sop_instance_uid"),
    (0x1001, "UI", "requested_sop_instance_uid"),
    (0x1002, "US", "event_type_id"),
    (0x1005, "AT", "attribute_identifiers"),
    (0x1008, "US", "action_type_id"),
    (0x1020, "US", "remaining_suboperations"),
    (0x1021, "US", "completed_suboperations"),
    (0x1022, "US", "failed_suboperations"),
    (0x1023, "US", "warning_suboperations"),
    (0x1030, "AE", "move_originator_ae_title"),
    (0x1031, "US", "move_originator_message_id"),
)
_DECODERS = {element: (_CODECS[vr][1], name) for element, vr, name in _ELEMENTS}
_FIELDS = {field.value: field for field in CommandField}
_ELEMENT_HEADER = struct.Struct("<HHI")
_PAIR_OF_US = struct.Struct("<HHIHHHIH")
_GROUP_LENGTH = struct.Struct("<HHII")
_C_STORE_RSP = CommandField.C_STORE_RSP.to_bytes(2, "little")


def encode_command(command: Command) -> bytes:
    """Encode `command`, group length first, tags ascending.

    Source: PS3.7 §6.3.1, Annex E
    """
    body = bytearray()
    for element, vr, name in _ELEMENTS:
        value = getattr(command, name)
        if name == "has_data_set":
            value = WITH_DATA_SET if value else NO_DATA_SET
        if value is not None:
            raw = _CODECS[vr][0](value)
            body += _ELEMENT_HEADER.pack(0, element, len(raw)) + raw
    return _GROUP_LENGTH.pack(0, 0, 4, len(body)) + bytes(body)


def encode_store_response(request: Command, status: int) -> bytes:
    """Encode the C-STORE-RSP to `request`: the same as `encode_command` does, once for each instance received.

    Source: PS3.7 §9.3.1.2
    """
    body = b""
    if request.affected_sop_class_uid is not None:
        raw = _encode_uid(request.affected_sop_class_uid)
        body = _ELEMENT_HEADER.pack(0, 0x0002, len(raw)) + raw
    body += _ELEMENT_HEADER.pack(0, 0x0100, 2) + _C_STORE_RSP
    if request.message_id is not None:
        body += _ELEMENT_HEADER.pack(0, 0x0120, 2) + request.message_id.to_bytes(2, "little")
    body += _PAIR_OF_US.pack(0, 0x0800, 2, NO_DATA_SET, 0, 0x0900, 2, status)
    if request.affected_sop_instance_uid is not None:
        raw = _encode_uid(request.affected_sop_instance_uid)
        body += _ELEMENT_HEADER.pack(0, 0x1000, len(raw)) + raw
    return _GROUP_LENGTH.pack(0, 0, 4, len(body)) + body


def decode_command(raw: bytes) -> Command:
    """Decode a whole command set; unknown elements (retired, private) are passed over.

    So are other groups than 0000: Orthanc puts the Failed SOP Instance UID List (0008,0058) of a C-GET response
    into the command set.

    Raises
    ------
    RemoteProtocolError
        Not a command set: cut short, no or an unknown Command Field.
    """
    values: dict[str, Any] = {}
    position, end = 0, len(raw)
    while position < end:
        start = position + 8
        if start > end:
            raise RemoteProtocolError("command set ends inside an element header")
        group, element, length = _ELEMENT_HEADER.unpack_from(raw, position)
        position = start + length
        if position > end:
            raise RemoteProtocolError("command set ends inside a value")
        if length and group == 0 and element in _DECODERS:
            decode, name = _DECODERS[element]
            values[name] = decode(raw[start:position])
    values["has_data_set"] = values.get("has_data_set", NO_DATA_SET) != NO_DATA_SET
    field = _FIELDS.get(values.get("command_field", 0))
    if field is None:
        raise RemoteProtocolError("command set without a known Command Field (0000,0100)")
    values["command_field"] = field
    return Command(**values)
