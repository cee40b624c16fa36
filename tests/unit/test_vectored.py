"""Vectors of pieces against a real socket: all arrives, in order, whether it is taken or not."""

from __future__ import annotations

import asyncio
import socket
import ssl
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.vectored import open_descriptor, write_vector

PIECES = st.lists(st.binary(max_size=50) | st.just(b"large" * 20_000), max_size=20)


async def receive_all(peer: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    received = bytearray()
    while data := await loop.sock_recv(peer, 1 << 20):
        received += data
    return bytes(received)


async def exchange(vectors: list[list[bytes]], *, buffer: int) -> bytes:
    """What a peer receives of `vectors`, written one after the other without waiting."""
    ours, peer = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    for sock in (ours, peer):
        sock.setblocking(False)
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    with peer:
        for pieces in vectors:
            write_vector(transport, [memoryview(piece) if len(piece) % 2 else piece for piece in pieces])
        transport.close()
        return await receive_all(peer)


@pytest.mark.parametrize("buffer", [4_096, 1 << 20])
@given(vectors=st.lists(PIECES, max_size=5))
def test_everything_arrives_in_order(buffer: int, vectors: list[list[bytes]]) -> None:
    assert asyncio.run(exchange(vectors, buffer=buffer)) == b"".join(b"".join(pieces) for pieces in vectors)


async def test_more_pieces_than_the_system_takes_at_once() -> None:
    pieces = [number.to_bytes(2, "little") for number in range(5_000)]
    assert await exchange([pieces], buffer=1 << 20) == b"".join(pieces)


def fake_transport(descriptor: int, **extra: object) -> Mock:
    transport = Mock(asyncio.Transport)
    sock = Mock()
    sock.fileno.return_value = descriptor
    transport.get_extra_info = ({"socket": sock} | extra).get
    transport.is_closing.return_value = False
    transport.get_write_buffer_size.return_value = 0
    return transport


@pytest.mark.parametrize("extra", [{"socket": None}, {"sslcontext": Mock(ssl.SSLContext)}], ids=["no socket", "TLS"])
def test_what_cannot_be_bypassed_goes_through_the_transport(extra: dict[str, object]) -> None:
    transport = fake_transport(7, **extra)
    assert open_descriptor(transport) == -1
    write_vector(transport, [b"a", b"", b"bc"])
    assert [call.args[0] for call in transport.write.call_args_list] == [b"a", b"bc"]


def test_what_the_transport_still_holds_goes_first() -> None:
    transport = fake_transport(7)
    transport.get_write_buffer_size.return_value = 1
    write_vector(transport, [b"a"])
    transport.write.assert_called_once_with(b"a")


def test_a_closing_connection_has_no_descriptor_any_more() -> None:
    transport = fake_transport(7)
    transport.is_closing.return_value = True
    assert open_descriptor(transport) == -1


def test_a_broken_connection_is_left_to_the_transport() -> None:
    ours, peer = socket.socketpair()
    with ours:
        peer.close()
        transport = fake_transport(ours.fileno())
        write_vector(transport, [b"a", b"b"])
    assert transport.write.call_count == 2
