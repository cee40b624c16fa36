"""Pairs of upper layer machines back to back, and readable forms of what they report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from gateway.dimse.ul.connection import NEED_DATA, Connection, Role
from gateway.dimse.ul.events import (
    AssociateAccept,
    AssociateRequest,
    ContextResult,
    PDataFragment,
    ProposedContext,
)

VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT_VR_LE = "1.2.840.10008.1.2"
MAX_LENGTH = 16_384


def make_request(**fields: Any) -> AssociateRequest:
    """An A-ASSOCIATE request for Verification, with `fields` replaced."""
    values: dict[str, Any] = {
        "called_ae_title": "ARCHIVE",
        "calling_ae_title": "GATEWAY",
        "contexts": (ProposedContext(1, VERIFICATION, (IMPLICIT_VR_LE,)),),
        "max_length": MAX_LENGTH,
        "implementation_class_uid": "1.2.826.0.1",
    }
    return AssociateRequest(**values | fields)


def make_accept(**fields: Any) -> AssociateAccept:
    """An A-ASSOCIATE response that accepts what `make_request` proposes, with `fields` replaced."""
    values: dict[str, Any] = {
        "called_ae_title": "ARCHIVE",
        "calling_ae_title": "GATEWAY",
        "results": (ContextResult(1, 0, IMPLICIT_VR_LE),),
        "max_length": MAX_LENGTH,
        "implementation_class_uid": "1.2.826.0.2",
    }
    return AssociateAccept(**values | fields)


def open_pair(**options: Any) -> tuple[Connection, Connection]:
    """Requestor and acceptor with their transports open and nothing said."""
    requestor = Connection(Role.REQUESTOR, max_length=MAX_LENGTH, **options)
    acceptor = Connection(Role.ACCEPTOR, max_length=MAX_LENGTH, **options)
    requestor.transport_connected()
    acceptor.transport_connected()
    return requestor, acceptor


def establish_pair(**options: Any) -> tuple[Connection, Connection]:
    """Requestor and acceptor in Sta6."""
    requestor, acceptor = open_pair(**options)
    acceptor.receive_data(requestor.send(make_request()))
    assert acceptor.next_event() == make_request()
    requestor.receive_data(acceptor.send(make_accept()))
    assert requestor.next_event() == make_accept()
    return requestor, acceptor


def take_events(connection: Connection) -> list[Any]:
    """Every event up to `NEED_DATA`."""
    return list(iter(connection.next_event, NEED_DATA))


def join_fragments(units: Iterable[Any]) -> list[Any]:
    """Join neighbouring pieces of the same command set or data set, so that the cuts do not matter."""
    joined: list[Any] = []
    for unit in units:
        before = joined[-1] if joined else None
        if isinstance(unit, PDataFragment):
            unit = unit._replace(data=bytes(unit.data))
            if isinstance(before, PDataFragment) and not before.last and before[:2] == unit[:2]:
                joined[-1] = unit._replace(data=before.data + unit.data)
                continue
        joined.append(unit)
    return joined


def iter_two_chunks(wire: bytes) -> Iterator[list[bytes]]:
    """Every way to cut `wire` in two."""
    return ([wire[:at], wire[at:]] for at in range(1, len(wire)))


def cut_single_bytes(wire: bytes) -> list[bytes]:
    """`wire` one byte at a time."""
    return [wire[at : at + 1] for at in range(len(wire))]
