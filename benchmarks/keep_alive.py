"""An HTTP client on one open connection, for requests that take milliseconds: no process, no parsing to speak of."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

__all__ = ["Answer", "KeepAlive"]

READ_BYTES = 262_144
LIMIT_S = 120.0
LAST_CHUNK = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """Seconds from the request to the first byte of the body and to its end; bytes of the body as sent."""

    first_byte_s: float
    seconds: float
    size: int


class KeepAlive:
    """A connection to the server of `root`; a context manager that closes it."""

    def __init__(self, root: str) -> None:
        parts = urlsplit(root)
        self._host, self._path = parts.netloc, parts.path
        self._socket = socket.create_connection((parts.hostname, parts.port or 80), timeout=LIMIT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(READ_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def get(self, path: str, *, accept: str, min_bytes: int = 1) -> Answer:
        """Ask for `path` below the root and read the answer to its end.

        Raises
        ------
        RuntimeError
            Not 200, or fewer bytes than `min_bytes`: a wrong answer must not look like a fast one.
        """
        head = f"GET {self._path}{path} HTTP/1.1\r\nHost: {self._host}\r\nAccept: {accept}\r\n\r\n"
        begun = time.perf_counter()
        self._socket.sendall(head.encode())
        fields, body = self._read_head()
        body = body or self._receive()
        first = time.perf_counter() - begun
        size, tail, length = len(body), bytes(body[-5:]), fields.get(b"content-length")
        while size < int(length) if length else not tail.endswith(LAST_CHUNK):
            piece = self._receive()
            size, tail = size + len(piece), (tail + piece[-5:])[-5:]
        seconds = time.perf_counter() - begun
        if size < min_bytes:
            raise RuntimeError(f"{size} bytes from {path.partition('?')[0]}")
        return Answer(first, seconds, size)

    def _read_head(self) -> tuple[dict[bytes, bytes], bytes | memoryview]:
        """The fields of the head, and what of the body came along."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._receive()
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        if lines[0].split()[1] != b"200":
            raise RuntimeError(f"status {lines[0].decode(errors='replace')}: {body[:200].decode(errors='replace')}")
        pairs = (line.partition(b":") for line in lines[1:])
        return {name: value.strip() for name, _, value in pairs}, body

    def _receive(self) -> memoryview:
        """Some bytes, valid until the next call."""
        count = self._socket.recv_into(self._buffer)
        if not count:
            raise RuntimeError("the server closed the connection before the end")
        return memoryview(self._buffer)[:count]
