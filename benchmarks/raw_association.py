"""An association on a bare socket: what an archive itself needs, with next to nothing on our side.

The reference of the rows about first bytes and searches: prepared requests, one receive after the other, nothing
decoded but the status. ``TCP_NODELAY`` and ``TCP_QUICKACK`` as the gateway sets them.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from benchmarks import wire
from tests.support.peers import LOOPBACK

__all__ = ["RawAssociation"]

CALLING = "BENCHMARK"
LARGEST_PDU = 131_072
LIMIT_S = 60.0
FIND_CONTEXT, GET_CONTEXT, STORE_CONTEXT, ECHO_CONTEXT = 1, 3, 5, 7
PENDING = (0xFF00, 0xFF01)
_SERVICES = (
    wire.ProposedContext(FIND_CONTEXT, wire.STUDY_ROOT_FIND, (wire.IMPLICIT_LE,)),
    wire.ProposedContext(GET_CONTEXT, wire.STUDY_ROOT_GET, (wire.IMPLICIT_LE,)),
    wire.ProposedContext(ECHO_CONTEXT, wire.VERIFICATION, (wire.IMPLICIT_LE,)),
)


class RawAssociation:
    """One association with the archive at `port`, ready for C-FIND and for C-GET of instances of `storage_class`.

    A context manager that closes its socket.

    Raises
    ------
    RuntimeError
        Refused.
    """

    def __init__(self, port: int, called: str, *, storage_class: str = wire.CT_IMAGE_STORAGE) -> None:
        self._socket = socket.create_connection((LOOPBACK, port), timeout=LIMIT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        storage = wire.ProposedContext(STORE_CONTEXT, storage_class, (wire.EXPLICIT_LE,))
        request = wire.encode_request(
            called, CALLING, (*_SERVICES, storage), max_length=LARGEST_PDU, scp_roles=[storage_class]
        )
        self._socket.sendall(request)
        kind, body = wire.read_pdu(self._socket)
        if kind != wire.ASSOCIATE_AC:
            raise RuntimeError(f"no association with {called}: PDU {kind:02x}")
        self._accepted = wire.parse_accept(body).context_ids

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def time_find(self, identifier: Mapping[int, str]) -> tuple[float, int]:
        """Seconds from C-FIND-RQ to the last response, and the number of matches.

        Raises
        ------
        RuntimeError
            The final status is not success.
        """
        request = self._prepare(FIND_CONTEXT, wire.STUDY_ROOT_FIND, 0x0020, identifier)
        begun = time.perf_counter()
        self._socket.sendall(request)
        matches = 0
        while (status := self._read_status()) in PENDING:
            matches += 1
        seconds = time.perf_counter() - begun
        if status:
            raise RuntimeError(f"C-FIND ended with status {status:04x}")
        return seconds, matches

    def time_first_store(self, identifier: Mapping[int, str]) -> float:
        """Seconds from C-GET-RQ to the first byte that comes back; the association is good for nothing afterwards.

        Raises
        ------
        RuntimeError
            What came is no C-STORE-RQ.
        """
        request = self._prepare(GET_CONTEXT, wire.STUDY_ROOT_GET, 0x0010, identifier)
        begun = time.perf_counter()
        self._socket.sendall(request)
        first = self._socket.recv(1, socket.MSG_PEEK)
        seconds = time.perf_counter() - begun
        if not first or self._read_status() is not None:
            raise RuntimeError("the archive answered C-GET without an instance")
        return seconds

    def _prepare(self, context_id: int, sop_class: str, field: int, identifier: Mapping[int, str]) -> bytes:
        if context_id not in self._accepted:
            raise RuntimeError(f"{sop_class} was not accepted")
        elements: dict[int, int | str] = {0x0002: sop_class, 0x0100: field, 0x0110: 1, 0x0700: 0, 0x0800: 1}
        command = wire.frame(context_id, wire.encode_command(elements), is_command=True)
        return command + wire.frame(context_id, wire.encode_identifier(identifier))

    def _read_status(self) -> int | None:
        """Of the next command set; None for a request, which has none."""
        while True:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            kind, body = wire.read_pdu(self._socket)
            if kind != wire.P_DATA:
                raise RuntimeError(f"PDU {kind:02x} instead of P-DATA-TF")
            if body[5] & 1:
                return wire.read_status(body)
