"""An HTTP client that takes or gives bytes exactly as fast as it is told, and leaves without manners.

One request a connection, no buffer of its own: what it does not read stays in the sockets.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

__all__ = ["ANY_INSTANCE", "RawClient", "Taken"]

ANY_INSTANCE = 'multipart/related; type="application/dicom"; transfer-syntax=*'
READ_BYTES = 262_144
LAST_CHUNK = b"\r\n0\r\n\r\n"


@dataclass(slots=True)
class Taken:
    """What was read: how many bytes with the response head, the head itself, and the last few."""

    size: int = 0
    head: bytes = b""
    tail: bytes = b""

    @property
    def status(self) -> int:
        """Of the response; 0 before it has come."""
        return int(self.head.split(b" ", 2)[1]) if self.head else 0

    @property
    def is_complete(self) -> bool:
        """Whether a chunked body came to its end (RFC 9112 §7.1)."""
        return self.tail.endswith(LAST_CHUNK)

    def note(self, data: memoryview) -> None:
        """Count `data`."""
        if not self.head:
            self.head = bytes(data[:2_000]).partition(b"\r\n\r\n")[0]
        self.size += len(data)
        self.tail = (self.tail + bytes(data[-len(LAST_CHUNK) :]))[-len(LAST_CHUNK) :]


class RawClient:
    """One connection to the server of `url`; an asynchronous context manager that cuts it (RST)."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._buffer = memoryview(bytearray(READ_BYTES))
        self.taken = Taken()

    async def __aenter__(self) -> Self:
        address = (self._parts.hostname, self._parts.port)
        await asyncio.get_running_loop().sock_connect(self._socket, address)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()

    def cut(self) -> None:
        """Leave at once: the server gets RST."""
        self._socket.close()

    async def ask(self, path: str = "", *, method: str = "GET", accept: str = ANY_INSTANCE, **fields: object) -> None:
        """Send a request head for `path` below the client's URL; `fields` with _ for -."""
        lines = [f"{method} {self._parts.path}{path} HTTP/1.1", f"Host: {self._parts.netloc}", f"Accept: {accept}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        await self.send("\r\n".join([*lines, "", ""]).encode())

    async def send(self, *pieces: bytes) -> None:
        """Send bytes as they are."""
        for piece in pieces:
            await asyncio.get_running_loop().sock_sendall(self._socket, piece)

    async def send_all(self, pieces: Iterable[bytes]) -> None:
        """Send as fast as the server takes it."""
        for piece in pieces:
            await self.send(piece)

    async def take(self, most: float = float("inf"), *, mb_per_s: float = 1e6) -> Taken:
        """Read up to `most` further bytes, to the end of the response or of the connection, at most at `mb_per_s`."""
        began, taken = time.monotonic(), 0
        while taken < most and not self.taken.is_complete:
            try:
                size = await asyncio.get_running_loop().sock_recv_into(self._socket, self._buffer)
            except ConnectionResetError:
                break
            if not size:
                break
            self.taken.note(self._buffer[:size])
            taken += size
            await asyncio.sleep(max(began + taken / mb_per_s / 1e6 - time.monotonic(), 0))
        return self.taken
