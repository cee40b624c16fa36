"""One open association as the services of the sandbox archive see it.

Sending with a bounded queue (pynetdicom's own has no bound, so a slow peer would cost a whole instance of
memory), noticing at once that the peer has gone, and the faults that tests ask for. pynetdicom does the upper
layer and the message encoding.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from typing import Any, cast

from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AssociationSocket

from gateway.sandbox.behaviour import Behaviour, Disturbance, Fault, Moment
from gateway.sandbox.counters import Observations
from gateway.sandbox.index import InstanceIndex

__all__ = ["ArchiveState", "PeerGone", "Session", "encode_for", "prepare_transport"]

_QUEUED_PDUS = 16  # what may wait in pynetdicom's queue: about 2 MiB of PDUs of 128 KiB
_LONGEST_PDU = 131_072  # sent to a peer that announces no limit
_A_ABORT = bytes.fromhex("07 00 00000004 00 00 00 00")  # PS3.8 §9.3.8, source: service user
_POLL_S = 0.0005


class PeerGone(Exception):
    """The association is over: the operation under way ends without another word."""


def prepare_transport(assoc: Association) -> None:
    """Send small segments at once, and really close the socket in the end.

    pynetdicom leaves it open if shutting it down fails, which it does once the peer has closed.
    """
    transport = cast(AssociationSocket, assoc.dul.socket)
    connection = cast(socket.socket, transport.socket)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def shut_down() -> None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()

    transport._shutdown_socket = shut_down  # type: ignore[method-assign]


def encode_for(context: PresentationContext, data_set: Dataset) -> BytesIO:
    """Encode a data set in the transfer syntax agreed for `context`."""
    syntax = context.transfer_syntax[0]
    encoded = encode(data_set, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    if encoded is None:
        raise ValueError("data set cannot be encoded")
    return BytesIO(encoded)


class ArchiveState:
    """Index, counters and the behaviour of the moment; `stopping` is set once the archive goes down."""

    def __init__(
        self,
        ae: AE,
        index: InstanceIndex,
        move_destinations: Mapping[str, tuple[str, int]],
        behaviour: Behaviour,
    ) -> None:
        self.ae = ae
        self.index = index
        self.move_destinations = dict(move_destinations)
        self.behaviour = behaviour
        self.observations = Observations()
        self.stopping = threading.Event()


class Session:
    """An association, accepted by the archive or opened by it for a C-MOVE.

    Attributes
    ----------
    extended : dict of str to bytes
        Extended negotiation items as answered, by SOP Class UID.
    bytes_received : int
        P-DATA received so far.
    is_ending : bool
        The peer has sent A-RELEASE-RQ or A-ABORT, or the association was cut here.
    """

    def __init__(self, assoc: Association, state: ArchiveState) -> None:
        self.assoc = assoc
        self.state = state
        self.extended: dict[str, bytes] = {}
        self.bytes_received = 0
        self.is_ending = False
        self._is_cut = False

    @property
    def behaviour(self) -> Behaviour:
        """The switches of this moment."""
        return self.state.behaviour

    @property
    def observations(self) -> Observations:
        """The counters of the archive."""
        return self.state.observations

    @property
    def is_gone(self) -> bool:
        """True once nothing can be sent to the peer any more."""
        return (
            self._is_cut
            or self.state.stopping.is_set()
            or self._socket is None
            or self._socket.fileno() < 0
            or self.assoc.acse.is_aborted()
        )

    @property
    def _socket(self) -> socket.socket | None:
        transport = self.assoc.dul.socket
        return transport.socket if transport is not None else None

    def send(self, primitive: Any, context: PresentationContext) -> None:
        """Send a message whose data set is small.

        Raises
        ------
        PeerGone
        """
        self._await_room(_QUEUED_PDUS)
        self.assoc.dimse.send_msg(primitive, cast(int, context.context_id))

    def send_store_request(self, request: C_STORE, context: PresentationContext, suboperation: int) -> None:
        """Send a C-STORE request PDV by PDV, as fast as the peer takes it.

        Raises
        ------
        PeerGone
        """
        context_id = cast(int, context.context_id)
        message = C_STORE_RQ()
        message.primitive_to_message(request)
        message.context_id = context_id
        sent = 0
        for pdata in message.encode_msg(context_id, self.assoc.dimse.maximum_pdu_size or _LONGEST_PDU):
            self._await_room(_QUEUED_PDUS)
            fragment = pdata.presentation_data_value_list[0][1]
            if fragment[0] & 1 == 0:  # message control header: a data set fragment
                self.disturb(Moment.WITHIN_SUBOPERATION, sent, suboperation)
                sent += len(fragment) - 1
            self.assoc.dul.send_pdu(pdata)

    def receive_store_response(self, message_id: int) -> int:
        """Wait for the C-STORE response to `message_id` and return its status.

        Raises
        ------
        PeerGone
        """
        while True:
            _, message = self.assoc.dimse.get_msg(block=True)
            if message is None or self.is_gone:
                raise PeerGone
            if isinstance(message, C_STORE) and message.MessageIDBeingRespondedTo == message_id:
                return cast(int, message.Status)

    def is_cancelled(self, message_id: int | None) -> bool:
        """True if a C-CANCEL for this request has arrived and is not to be ignored."""
        return message_id in self.assoc.dimse.cancel_req and not self.behaviour.ignore_cancel

    def pause(self, seconds: float) -> None:
        """Wait, but no longer than the peer is there.

        Raises
        ------
        PeerGone
        """
        self.observations.wait_while(lambda: not self.is_gone, 0.005, seconds)
        if self.is_gone:
            raise PeerGone

    def disturb(self, moment: Moment, count: int = 0, suboperation: int = 1) -> None:
        """Do what the behaviour wants to happen at `moment`, if it is far enough.

        Raises
        ------
        PeerGone
            The fault ended the association.
        """
        disturbance = self.behaviour.disturbance
        if (
            disturbance is not None
            and disturbance.moment is moment
            and count >= disturbance.count
            and suboperation == disturbance.suboperation
        ):
            if disturbance.fault is Fault.STALL:
                self._stall(disturbance)
            else:
                self._cut(disturbance)

    def close(self) -> None:
        """End the transport at once, from any thread; pynetdicom's threads end by themselves after it."""
        transport = self._socket
        if transport is not None:
            with suppress(OSError):
                transport.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Close the transport so that what the peer still sends is refused (RST), as after a crash."""
        transport = self._socket
        if transport is not None:
            with suppress(OSError):
                transport.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def _stall(self, disturbance: Disturbance) -> None:
        self.observations.count("stalls")
        self.observations.wait_while(lambda: self.behaviour.disturbance is disturbance and not self.is_gone, 0.005)
        self.observations.count("stalls", -1)
        if self.is_gone:
            raise PeerGone

    def _cut(self, disturbance: Disturbance) -> None:
        with suppress(PeerGone):
            self._await_room(1)
        time.sleep(0.005)  # the last PDU has left the queue but perhaps not yet the sending thread
        self._is_cut = self.is_ending = True
        transport = self._socket
        if transport is not None and disturbance.fault is Fault.ABORT:
            with suppress(OSError):
                transport.sendall(_A_ABORT)
                transport.shutdown(socket.SHUT_WR)  # reading on: a reset would overtake the A-ABORT
        elif disturbance.moment is Moment.WITHIN_STORE:
            self.reset()
        else:
            self.close()  # in order: what was sent before is to arrive
        raise PeerGone

    def _await_room(self, queued: int) -> None:
        while self.assoc.dul.to_provider_queue.qsize() >= queued and not self.is_gone:
            time.sleep(_POLL_S)
        if self.is_gone:
            raise PeerGone
