"""A storage SCP that takes instances as fast as they come and keeps no byte of them; a program of its own.

Bare sockets and threads, no code of the gateway: associations of any class, the first transfer syntax proposed in each
context, C-ECHO and C-STORE. Of each data set it counts the bytes and looks at one byte of each MiB, which numbers them.
Run by `DiscardingArchive`: ``python -m tests.support.discarding_scp MARKS_FROM``; it prints its port, then the length
of each data set and how many of its marks were wrong.
"""

from __future__ import annotations

import queue
import socket
import struct
import sys
import threading
from collections.abc import Iterator

from tests.support.scp_process import ScpProcess

__all__ = ["BLOCK_BYTES", "DiscardingArchive", "make_mark"]

BLOCK_BYTES = 1 << 20
LARGEST_PDU = 1 << 20
ASSOCIATE_RQ, ASSOCIATE_AC, P_DATA, RELEASE_RQ, RELEASE_RP = 1, 2, 4, 5, 6
COMMAND_FIELD, MESSAGE_ID, DATA_SET_TYPE = 0x0100, 0x0110, 0x0800
C_STORE_RQ, NO_DATA_SET = 0x0001, 0x0101
IS_COMMAND, IS_LAST = 1, 2
REPORT_LIMIT_S = 60.0
QUICKACK = getattr(socket, "TCP_QUICKACK", None)


def make_mark(number: int) -> int:
    """The first byte of block `number`."""
    return number % 251 + 1


# --- the program -------------------------------------------------------------------------------------------------


class _Gone(Exception):
    """The other side has closed."""


class _Association:
    """Reads one connection to its end."""

    def __init__(self, connection: socket.socket, marks_from: int) -> None:
        self._socket = connection
        self._marks_from = marks_from
        self._buffer = memoryview(bytearray(LARGEST_PDU))
        self._command = b""
        self._size = self._wrong = 0

    def serve(self) -> None:
        while True:
            kind, length = struct.unpack(">BxL", self._read(6))
            if kind == P_DATA:
                self._take_fragments(length)
            elif kind == ASSOCIATE_RQ:
                self._socket.sendall(_accept(bytes(self._read(length))))
            elif kind == RELEASE_RQ:
                self._socket.sendall(struct.pack(">BxL4x", RELEASE_RP, 4))
                return
            else:
                return

    def _read(self, size: int) -> memoryview:
        """The next `size` bytes; valid until the next call."""
        done = 0
        while done < size:
            received = self._socket.recv_into(self._buffer[done:size])
            if not received:
                raise _Gone
            done += received
            if QUICKACK is not None:
                self._socket.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
        return self._buffer[:size]

    def _take_fragments(self, length: int) -> None:
        while length:
            size, context_id, control = struct.unpack(">LBB", self._read(6))
            fragment = self._read(size - 2)
            length -= size + 4
            if control & IS_COMMAND:
                self._command += bytes(fragment)
                if control & IS_LAST and _read_number(self._command, DATA_SET_TYPE) == NO_DATA_SET:
                    self._answer(context_id)
                continue
            self._look_at(fragment)
            if control & IS_LAST:
                print(self._size, self._wrong, flush=True)
                self._answer(context_id)

    def _look_at(self, fragment: memoryview) -> None:
        """Count the bytes and compare the marks among them."""
        start, self._size = self._size, self._size + len(fragment)
        if not self._marks_from:
            return
        number = max(-(-(start - self._marks_from) // BLOCK_BYTES), 0)
        while (place := self._marks_from + number * BLOCK_BYTES) < self._size:
            self._wrong += fragment[place - start] != make_mark(number)
            number += 1

    def _answer(self, context_id: int) -> None:
        request, self._command, self._size, self._wrong = self._command, b"", 0, 0
        fields = (
            (COMMAND_FIELD, _read_number(request, COMMAND_FIELD) | 0x8000),
            (0x0120, _read_number(request, MESSAGE_ID)),
            (DATA_SET_TYPE, NO_DATA_SET),
            (0x0900, 0),
        )
        elements = b"".join(struct.pack("<HHLH", 0, number, 2, value) for number, value in fields)
        command = struct.pack("<HHLL", 0, 0, 4, len(elements)) + elements
        size = len(command) + 2
        self._socket.sendall(struct.pack(">BxLLBB", P_DATA, size + 4, size, context_id, IS_COMMAND | IS_LAST) + command)


def _read_number(command: bytes, number: int) -> int:
    start = command.index(struct.pack("<HHL", 0, number, 2)) + 8
    return int.from_bytes(command[start : start + 2], "little")


def _iter_items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Items of an A-ASSOCIATE PDU (PS3.8 §9.3.2): type and content."""
    position = 0
    while position < len(data):
        kind, length = struct.unpack_from(">BxH", data, position)
        yield kind, data[position + 4 : position + 4 + length]
        position += 4 + length


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(content)) + content


def _accept(request: bytes) -> bytes:
    """A-ASSOCIATE-AC that accepts every context with the first of its transfer syntaxes."""
    contexts = b""
    for kind, content in _iter_items(request[68:]):
        if kind == 0x20:
            syntax = next(value for inner, value in _iter_items(content[4:]) if inner == 0x40)
            contexts += _item(0x21, content[:1] + bytes(3) + _item(0x40, syntax))
    user = _item(0x51, struct.pack(">L", LARGEST_PDU)) + _item(0x52, b"1.2.826.0.1.3680043.8.498.6")
    body = request[:68] + _item(0x10, b"1.2.840.10008.3.1.1.1") + contexts + _item(0x50, user)
    return struct.pack(">BxL", ASSOCIATE_AC, len(body)) + body


def _serve(connection: socket.socket, marks_from: int) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        try:
            _Association(connection, marks_from).serve()
        except (OSError, _Gone):
            return


def _run(listener: socket.socket, marks_from: int) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve, args=(connection, marks_from), daemon=True).start()


# --- as tests use it ---------------------------------------------------------------------------------------------


class DiscardingArchive(ScpProcess):
    """The program above as a child process; a context manager that ends it.

    Parameters
    ----------
    marks_from
        Where in a data set the first mark stands; 0: nothing is looked at.
    """

    ae_title = "DISCARD"

    def __init__(self, marks_from: int = 0) -> None:
        super().__init__(__name__, marks_from)
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read_report(self) -> tuple[int, int]:
        """Length of the next data set that came whole, and how many of its marks were wrong.

        Raises
        ------
        queue.Empty
            There is none for long.
        """
        size, wrong = self._lines.get(timeout=REPORT_LIMIT_S).split()
        return int(size), int(wrong)

    def _take(self, line: str) -> None:
        self._lines.put(line)


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        print(server.getsockname()[1], flush=True)
        threading.Thread(target=_run, args=(server, int(sys.argv[1])), daemon=True).start()
        sys.stdin.read()  # until whoever started it is gone
