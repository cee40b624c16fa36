"""The few PDUs and messages that the benchmarks speak themselves, written out as bytes (PS3.8 §9.3, PS3.7 §6.3).

Not for the gateway, and not made of it: what is measured must not measure with itself. `raw_association` is the
requestor, `saturating_scp` the acceptor that use it.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

__all__ = [
    "ASSOCIATE_AC",
    "ASSOCIATE_RQ",
    "CT_IMAGE_STORAGE",
    "EXPLICIT_LE",
    "IMPLICIT_LE",
    "P_DATA",
    "RELEASE_RP",
    "RELEASE_RQ",
    "STUDY_ROOT_FIND",
    "STUDY_ROOT_GET",
    "VERIFICATION",
    "Accepted",
    "ProposedContext",
    "Request",
    "encode_accept",
    "encode_command",
    "encode_identifier",
    "encode_request",
    "frame",
    "parse_accept",
    "parse_request",
    "read_exactly",
    "read_pdu",
    "read_status",
]

ASSOCIATE_RQ, ASSOCIATE_AC, P_DATA, RELEASE_RQ, RELEASE_RP = 0x01, 0x02, 0x04, 0x05, 0x06
_APPLICATION, _CONTEXT_RQ, _CONTEXT_AC, _ABSTRACT, _TRANSFER, _USER = 0x10, 0x20, 0x21, 0x30, 0x40, 0x50
_MAX_LENGTH, _CLASS_UID, _ROLE = 0x51, 0x52, 0x54

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
IMPLEMENTATION = "1.2.826.0.1.3680043.2.9.1"
IMPLICIT_LE, EXPLICIT_LE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
VERIFICATION = "1.2.840.10008.1.1"
STUDY_ROOT_FIND, STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.3"
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"

_HEAD = struct.Struct(">BxL")
_STATUS_ELEMENT = b"\x00\x00\x00\x09\x02\x00\x00\x00"


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """One presentation context of a request."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What an A-ASSOCIATE-RQ says, as far as it matters here; `roles` are whole items as they came."""

    called: bytes
    calling: bytes
    contexts: tuple[ProposedContext, ...]
    max_length: int
    roles: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Accepted:
    """What an A-ASSOCIATE-AC says: the context IDs accepted, and the longest PDU the other side takes."""

    context_ids: frozenset[int]
    max_length: int


def encode_request(
    called: str, calling: str, contexts: Sequence[ProposedContext], *, max_length: int, scp_roles: Sequence[str] = ()
) -> bytes:
    """A-ASSOCIATE-RQ (PS3.8 Table 9-11); `scp_roles` are the classes we want to receive (PS3.7 §D.3.3.4)."""
    items = b"".join(
        _item(
            _CONTEXT_RQ,
            bytes([context.context_id, 0, 0, 0]),
            _item(_ABSTRACT, context.abstract_syntax.encode()),
            *(_item(_TRANSFER, uid.encode()) for uid in context.transfer_syntaxes),
        )
        for context in contexts
    )
    roles = b"".join(_item(_ROLE, struct.pack(">H", len(uid)), uid.encode(), b"\x00\x01") for uid in scp_roles)
    titles = (called.ljust(16).encode(), calling.ljust(16).encode())
    return _associate(ASSOCIATE_RQ, titles, items, max_length, roles)


def encode_accept(request: Request, results: Mapping[int, str], *, max_length: int) -> bytes:
    """A-ASSOCIATE-AC: contexts in `results` with their transfer syntax, all others refused; roles as proposed."""
    items = b"".join(
        _item(
            _CONTEXT_AC,
            bytes([context.context_id, 0, 0 if context.context_id in results else 3, 0]),
            _item(_TRANSFER, results.get(context.context_id, IMPLICIT_LE).encode()),
        )
        for context in request.contexts
    )
    titles = (request.called, request.calling)
    return _associate(ASSOCIATE_AC, titles, items, max_length, b"".join(request.roles))


def _associate(kind: int, titles: tuple[bytes, bytes], items: bytes, max_length: int, roles: bytes) -> bytes:
    user = _item(_MAX_LENGTH, struct.pack(">L", max_length)) + _item(_CLASS_UID, IMPLEMENTATION.encode()) + roles
    fixed = struct.pack(">HH16s16s32x", 1, 0, *titles)
    body = fixed + _item(_APPLICATION, APPLICATION_CONTEXT.encode()) + items + _item(_USER, user)
    return _HEAD.pack(kind, len(body)) + body


def _item(kind: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">BxH", kind, len(body)) + body


def _iter_items(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + 4 <= len(data):
        kind, length = struct.unpack_from(">BxH", data, position)
        yield kind, data[position + 4 : position + 4 + length]
        position += 4 + length


def parse_request(body: bytes) -> Request:
    """Read the body of an A-ASSOCIATE-RQ (what follows the length)."""
    called, calling = struct.unpack_from("16s16s", body, 4)
    contexts = []
    max_length, roles = 0, []
    for kind, value in _iter_items(body[68:]):
        if kind == _CONTEXT_RQ:
            syntaxes = list(_iter_items(value[4:]))
            abstract = next(item for sub, item in syntaxes if sub == _ABSTRACT)
            offered = tuple(item.rstrip(b"\0 ").decode() for sub, item in syntaxes if sub == _TRANSFER)
            contexts.append(ProposedContext(value[0], abstract.rstrip(b"\0 ").decode(), offered))
        elif kind == _USER:
            max_length = _find_max_length(value)
            roles = [_item(sub, item) for sub, item in _iter_items(value) if sub == _ROLE]
    return Request(called, calling, tuple(contexts), max_length, tuple(roles))


def parse_accept(body: bytes) -> Accepted:
    """Read the body of an A-ASSOCIATE-AC."""
    items = list(_iter_items(body[68:]))
    accepted = frozenset(value[0] for kind, value in items if kind == _CONTEXT_AC and value[2] == 0)
    return Accepted(accepted, next((_find_max_length(value) for kind, value in items if kind == _USER), 0))


def _find_max_length(user: bytes) -> int:
    lengths = (struct.unpack(">L", item)[0] for sub, item in _iter_items(user) if sub == _MAX_LENGTH)
    return int(next(lengths, 0))


def encode_command(elements: Mapping[int, int | str]) -> bytes:
    """A command set (PS3.7 §6.3.1): element number of group 0000 → unsigned short or UID."""
    body = b"".join(_encode_element(0, number, value) for number, value in sorted(elements.items()))
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def encode_identifier(elements: Mapping[int, str]) -> bytes:
    """An identifier in Implicit VR Little Endian: tag as one number → text; UIDs are padded with zero bytes."""
    return b"".join(_encode_element(tag >> 16, tag & 0xFFFF, value) for tag, value in sorted(elements.items()))


def _encode_element(group: int, number: int, value: int | str) -> bytes:
    if isinstance(value, int):
        return struct.pack("<HHLH", group, number, 2, value)
    is_uid = bool(value) and value.replace(".", "").replace("\\", "").isdigit()
    data = value.encode()
    data += (b"\0" if is_uid else b" ") * (len(data) % 2)
    return struct.pack("<HHL", group, number, len(data)) + data


def frame(context_id: int, data: bytes, *, is_command: bool = False, is_last: bool = True) -> bytes:
    """One P-DATA-TF with one presentation data value (PS3.8 §9.3.5)."""
    control = is_command | is_last << 1
    return struct.pack(">BxLLBB", P_DATA, len(data) + 6, len(data) + 2, context_id, control) + data


def read_pdu(connection: socket.socket) -> tuple[int, bytes]:
    """Type and body of the next PDU.

    Raises
    ------
    ConnectionError
        The other side closed.
    """
    kind, length = _HEAD.unpack(read_exactly(connection, _HEAD.size))
    return kind, bytes(read_exactly(connection, length))


def read_exactly(connection: socket.socket, size: int) -> bytearray:
    """`size` bytes; raises as `read_pdu`."""
    data = bytearray(size)
    view, have = memoryview(data), 0
    while have < size:
        count = connection.recv_into(view[have:])
        if not count:
            raise ConnectionError("closed by the other side")
        have += count
    return data


def read_status(body: bytes) -> int | None:
    """The status in the body of a P-DATA-TF that carries a command set; None for one that carries none."""
    if len(body) < 6 or not body[5] & 1:
        return None
    position = body.find(_STATUS_ELEMENT)
    return None if position < 0 else int.from_bytes(body[position + 8 : position + 10], "little")
