"""Several pieces in one system call, from where they lie, on a connection that asyncio owns.

asyncio's transports join the pieces of a ``writelines`` before they send them, which costs a copy of all that passes.
Here they go to the socket as a vector while the transport holds nothing back; what the socket does not take is left
to the transport, with its buffer, its limits and its way of noticing that the peer has gone. Used for pieces of
instances by ``gateway/dimse/transport.py`` and ``gateway/web/response_writer.py``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

__all__ = ["open_descriptor", "write_vector"]

_MAX_PIECES = 1_024
"""IOV_MAX of Linux; a longer vector is refused by the system."""


def open_descriptor(transport: asyncio.BaseTransport) -> int:
    """The file descriptor of a plain TCP connection, for reading and writing past the transport; -1 without one.

    With TLS there is none: what passes the socket is not what the peer said. To be asked for each time, since the
    number may belong to another connection once this one is closed.
    """
    sock = transport.get_extra_info("socket")
    if sock is None or transport.is_closing() or transport.get_extra_info("sslcontext") is not None:
        return -1
    return int(sock.fileno())


def write_vector(transport: asyncio.WriteTransport, pieces: Sequence[bytes | memoryview]) -> None:
    """Write `pieces` in order; does not wait, and raises nothing where the connection is gone.

    Parameters
    ----------
    transport
        Not closing. Its write buffer holds afterwards what the socket did not take.
    pieces
        Of one dimension and one byte an item.
    """
    sent = 0
    if transport.get_write_buffer_size() == 0 and (descriptor := open_descriptor(transport)) >= 0:
        try:
            sent = os.writev(descriptor, pieces[:_MAX_PIECES])
        except OSError:
            sent = 0  # no room; or the connection is broken, which the transport will meet and tell
    for piece in pieces:
        if sent < len(piece):
            transport.write(memoryview(piece)[sent:] if sent else piece)
            sent = 0
        else:
            sent -= len(piece)
