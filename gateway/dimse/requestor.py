"""Opening an association as requestor: connect, A-ASSOCIATE-RQ, the answer (PS3.8 §7.1, PS3.7 Annex D)."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from dataclasses import dataclass

from gateway import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gateway.dimse.association import Association
from gateway.dimse.contexts import Negotiated, Proposal
from gateway.dimse.transport import Transport, connect
from gateway.dimse.ul.connection import NEED_DATA, Connection, Role
from gateway.dimse.ul.events import (
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    TransportClosed,
    UserIdentity,
)
from gateway.errors import (
    AssociationAborted,
    AssociationRejected,
    AssociationTimeout,
    BackendError,
    ConnectFailed,
    ConnectionLost,
    ConnectTimeout,
    RemoteProtocolError,
    UndecodableResponse,
)

__all__ = ["Peer", "open_association"]

_REJECTION_REASONS = {
    (1, 1): "no reason given",
    (1, 2): "application context name not supported",
    (1, 3): "calling AE title not recognized",
    (1, 7): "called AE title not recognized",
    (2, 1): "no reason given",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}
"""(source, reason) of PS3.8 Table 9-21."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Where an archive is and how we introduce ourselves; times in seconds, lengths in bytes."""

    host: str
    port: int
    ae_title: str
    calling_ae_title: str
    max_length: int
    connect_timeout_s: float
    associate_timeout_s: float
    silence_timeout_s: float
    user_identity: UserIdentity | None = None
    tls: ssl.SSLContext | None = None


async def open_association(peer: Peer, proposal: Proposal) -> Association:
    """Connect and negotiate; the caller ends the association.

    Raises
    ------
    ConnectFailed, ConnectTimeout
        No TCP connection.
    AssociationTimeout, AssociationRejected, AssociationAborted, ConnectionLost, UndecodableResponse
        The peer did not accept. An acceptance without any accepted context is an association all the same: what
        it is good for is the caller's question.
    """
    transport = await _connect(peer)
    try:
        return await _negotiate(peer, proposal, transport)
    except BaseException:
        transport.close_soon()
        raise


async def _connect(peer: Peer) -> Transport:
    try:
        async with asyncio.timeout(peer.connect_timeout_s):
            return await connect(peer.host, peer.port, tls=peer.tls)
    except TimeoutError as error:
        text = f"no connection within {peer.connect_timeout_s:g} s"
        raise ConnectTimeout(peer.ae_title, text) from error
    except (OSError, UnicodeError) as error:  # the latter: a host name that cannot be one (RFC 3490)
        raise ConnectFailed(peer.ae_title, f"archive unreachable ({_describe_failure(error)})") from error


def _describe_failure(error: OSError | UnicodeError) -> str:
    """The kind of failure, without the address that the error's own text names."""
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return "its name cannot be resolved"
    if isinstance(error, ssl.SSLError):
        return "TLS handshake failed"
    return os.strerror(error.errno).lower() if error.errno else "none of its addresses answers"


async def _negotiate(peer: Peer, proposal: Proposal, transport: Transport) -> Association:
    connection = Connection(Role.REQUESTOR, max_length=peer.max_length)
    contexts = proposal.number_contexts()
    request = AssociateRequest(
        called_ae_title=peer.ae_title,
        calling_ae_title=peer.calling_ae_title,
        contexts=contexts,
        max_length=peer.max_length,
        implementation_class_uid=IMPLEMENTATION_CLASS_UID,
        implementation_version_name=IMPLEMENTATION_VERSION_NAME,
        roles=proposal.select_roles(),
        extended=proposal.extended,
        user_identity=peer.user_identity,
    )
    connection.transport_connected()
    transport.write(connection.send(request))
    try:
        async with asyncio.timeout(peer.associate_timeout_s):
            answer = await _await_answer(peer, connection, transport)
    except TimeoutError as error:
        if answer_bytes := connection.send(Abort(0, 0)):
            transport.write(answer_bytes)
        text = f"no answer to A-ASSOCIATE-RQ within {peer.associate_timeout_s:g} s"
        raise AssociationTimeout(peer.ae_title, text) from error
    negotiated = Negotiated(contexts, answer)
    return Association(
        transport,
        connection,
        negotiated,
        ae_title=peer.ae_title,
        silence_timeout_s=peer.silence_timeout_s,
        proposal=proposal,
        extended=negotiated.extended,
    )


async def _await_answer(peer: Peer, connection: Connection, transport: Transport) -> AssociateAccept:
    while True:
        connection.receive_data(await transport.read())
        try:
            event = connection.next_event()
        except RemoteProtocolError as error:
            transport.write(connection.bytes_to_send())
            raise UndecodableResponse(peer.ae_title, str(error)) from error
        if event is NEED_DATA:
            continue
        if isinstance(event, AssociateAccept):
            return event
        raise _refusal(peer.ae_title, event)


def _refusal(ae_title: str, event: object) -> BackendError:
    match event:
        case AssociateReject(result=result, source=source, reason=reason):
            text = _REJECTION_REASONS.get((source, reason), "unknown reason")
            return AssociationRejected(ae_title, result, source, reason, text)
        case Abort(source=source, reason=reason):
            return AssociationAborted(ae_title, source, reason)
        case TransportClosed():
            return ConnectionLost(ae_title, "connection closed during association negotiation")
    return UndecodableResponse(ae_title, "unexpected answer to A-ASSOCIATE-RQ")
