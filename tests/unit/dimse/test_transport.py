"""Real sockets: pulled reads, backpressure both ways, endings, socket options."""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dimse.transport import KEPT_BUFFERS, MAX_UNREAD_CHUNKS, READ_BYTES, READS_AT_ONCE, Transport, connect
from tests.support.cancellation import settle


@asynccontextmanager
async def open_pair() -> AsyncIterator[tuple[Transport, socket.socket]]:
    """A transport of ours and the raw socket of its peer."""
    listener = socket.create_server(("127.0.0.1", 0))
    loop = asyncio.get_running_loop()
    transport = await connect("127.0.0.1", listener.getsockname()[1])
    peer, _ = await loop.run_in_executor(None, listener.accept)
    peer.setblocking(False)
    try:
        yield transport, peer
    finally:
        listener.close()
        peer.close()
        transport.abort()
        await settle(lambda: transport._closed.done())


async def send_until_stuck(peer: socket.socket) -> int:
    """Send until the kernel takes nothing for a while; how many bytes it took."""
    sent = 0
    stuck = 0
    while stuck < 20:
        try:
            sent += peer.send(bytes(1 << 20))
            stuck = 0
        except BlockingIOError:
            stuck += 1
            await asyncio.sleep(0.002)
    return sent


async def test_what_arrives_is_read_in_order_until_the_end() -> None:
    async with open_pair() as (transport, peer):
        peer.sendall(b"abc")
        assert await transport.read() == b"abc"
        peer.sendall(b"def")
        peer.shutdown(socket.SHUT_WR)
        assert await transport.read() == b"def"
        assert await transport.read() == b""
        assert await transport.read() == b""
        assert transport.is_closed
        assert transport.bytes_received == 6


async def test_a_chunk_does_not_change_when_more_arrives() -> None:
    async with open_pair() as (transport, peer):
        peer.sendall(b"first")
        first = await transport.read()
        peer.sendall(b"again")
        assert await transport.read() == b"again"
        assert first == b"first"


async def test_chunks_that_are_held_keep_their_bytes_and_buffers_that_are_free_are_used_again() -> None:
    async with open_pair() as (transport, peer):
        held: list[tuple[int, bytes | memoryview]] = []
        for number in range(40):
            message = bytes([number]) * 100_000
            await asyncio.get_running_loop().sock_sendall(peer, message)
            left = len(message)
            while left:
                chunk = await transport.read()
                left -= len(chunk)
                if number % 3 == 0:
                    held.append((number, chunk[10:]))
            assert all(set(bytes(chunk)) <= {number} for number, chunk in held)
            held = held[-8:]
        assert len(transport._buffers) == KEPT_BUFFERS
        held.clear()
        del chunk
        assert len({id(transport._find_free_buffer()) for _ in range(10)}) == 1


MESSAGES = st.lists(
    st.tuples(st.sampled_from([1, 100, 16_384, 16_385, 100_000, 262_144, 700_000]), st.sampled_from("-wt")), max_size=10
)
"""Sizes of what arrives; whether the reader then lets the event loop read, or takes what that has read, or neither."""


@settings(max_examples=40, deadline=None)
@given(MESSAGES, st.sets(st.integers(0, 60)))
def test_however_it_is_read_and_whatever_is_held_the_bytes_are_those_sent(
    messages: list[tuple[int, str]], held: set[int]
) -> None:
    """Read at once or by the event loop, into new buffers or used ones: beside what the peer has sent."""
    content = b"".join(bytes([number + 1]) * size for number, (size, _) in enumerate(messages))

    async def compare() -> None:
        async with open_pair() as (transport, peer):
            sending = asyncio.ensure_future(asyncio.get_running_loop().sock_sendall(peer, content))
            sending.add_done_callback(lambda _: peer.shutdown(socket.SHUT_WR))
            received, kept, position = bytearray(), list[tuple[int, bytes | memoryview]](), 0
            for _, then in itertools.cycle(messages or [(0, "-")]):
                if then == "w":
                    await asyncio.sleep(0)
                taken = transport.take_unread() if then == "t" else b""
                chunk = taken or await transport.read(5)
                if not chunk:
                    break
                if len(kept) in held:
                    chunk = chunk[1:]  # a view of a view
                    received += content[len(received) : len(received) + 1]
                kept.append((len(received), chunk))
                received += chunk
                if len(kept) - position > 5:
                    kept[position] = (0, b"")  # its buffer is free again
                    position += 1
            await sending
            assert received == content
            assert all(chunk == content[start : start + len(chunk)] for start, chunk in kept)
            assert transport.bytes_received == len(content)

    asyncio.run(compare())


async def test_what_is_there_is_read_without_waiting_but_not_for_ever() -> None:
    """Somebody else's turn comes although bytes are there whenever one is read."""
    async with open_pair() as (transport, peer):
        reads = itertools.count(1)
        seen: list[int] = []

        async def take_turns() -> None:
            while True:
                seen.append(done)
                await asyncio.sleep(0)

        done = 0
        other = asyncio.create_task(take_turns())
        async with asyncio.timeout(5):
            while done < 5 * READS_AT_ONCE:
                peer.send(b"x")
                await transport.read()
                done = next(reads)
        other.cancel()
        assert max(later - earlier for earlier, later in itertools.pairwise(seen)) <= READS_AT_ONCE + 1
        assert len(set(seen)) >= 4


async def test_a_read_that_waits_too_long() -> None:
    async with open_pair() as (transport, peer):
        with pytest.raises(TimeoutError):
            await transport.read(0.01)
        peer.send(b"late")
        assert await transport.read(5) == b"late"
        with pytest.raises(TimeoutError):
            await transport.read(0)


async def test_a_peer_that_takes_nothing_for_too_long() -> None:
    async with open_pair() as (transport, peer):
        await transport.drain(0)
        transport.write(bytes(32 << 20))
        with pytest.raises(TimeoutError):
            await transport.drain(0.01)


async def test_an_end_behind_the_last_bytes_is_told_once_they_are_read() -> None:
    async with open_pair() as (transport, peer):
        peer.sendall(b"abc")
        peer.close()
        assert [await transport.read(5) for _ in range(3)] == [b"abc", b"", b""]


async def test_looking_finds_what_has_arrived_before_the_event_loop_does() -> None:
    async with open_pair() as (transport, peer):
        transport.look()
        assert not transport.has_unread
        peer.sendall(b"first")
        transport.look()
        assert transport.has_unread
        peer.sendall(b"second")
        transport.look()  # one thing unread is enough to know
        assert [await transport.read(5), await transport.read(5)] == [b"first", b"second"]
        peer.close()
        transport.look()
        assert transport.has_unread and transport.is_closed
        assert await transport.read(5) == b""


async def test_looking_finds_a_broken_connection() -> None:
    async with open_pair() as (transport, peer):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        transport.look()
        assert transport.is_closed


async def test_a_slow_reader_stops_the_socket() -> None:
    async with open_pair() as (transport, peer):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        sent = await send_until_stuck(peer)
        assert transport.bytes_received <= MAX_UNREAD_CHUNKS * READ_BYTES
        assert sent > transport.bytes_received
        received = 0
        while received < sent:
            received += len(await transport.read())
        assert received == sent


async def test_a_write_waits_for_a_slow_peer() -> None:
    async with open_pair() as (transport, peer):
        total = 32 << 20
        transport.write(bytes(total))
        draining = asyncio.create_task(transport.drain())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not draining.done()
        received = 0
        loop = asyncio.get_running_loop()
        while received < total:
            received += len(await loop.sock_recv(peer, 1 << 20))
        await draining


async def test_a_drain_ends_when_the_connection_does() -> None:
    async with open_pair() as (transport, peer):
        transport.write(bytes(32 << 20))
        draining = asyncio.create_task(transport.drain())
        await asyncio.sleep(0)
        peer.close()
        with pytest.raises(ConnectionResetError):
            await draining
        with pytest.raises(ConnectionResetError):
            await transport.drain()
        transport.write(b"into the void")


async def test_a_cancelled_read_loses_nothing() -> None:
    async with open_pair() as (transport, peer):
        reading = asyncio.create_task(transport.read())
        await asyncio.sleep(0)
        reading.cancel()
        peer.sendall(b"abc")
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert await transport.read() == b"abc"


async def test_activity_is_told_only_while_nobody_reads() -> None:
    async with open_pair() as (transport, peer):
        told = asyncio.Event()
        transport.on_activity = told.set
        reading = asyncio.create_task(transport.read())
        await asyncio.sleep(0)
        peer.sendall(b"abc")
        assert await reading == b"abc"
        assert not told.is_set()
        peer.sendall(b"def")
        await asyncio.wait_for(told.wait(), 5)
        assert transport.take_unread() == b"def"
        assert transport.take_unread() == b""
        told.clear()
        peer.close()
        await asyncio.wait_for(told.wait(), 5)
        assert transport.has_unread
        assert transport.is_closed


async def test_close_sends_what_is_queued() -> None:
    async with open_pair() as (transport, peer):
        transport.write(b"last words")
        await transport.close()
        assert transport.is_closed
        assert await asyncio.get_running_loop().sock_recv(peer, 100) == b"last words"


async def test_close_cuts_a_peer_that_takes_nothing() -> None:
    async with open_pair() as (transport, peer):
        transport.write(bytes(32 << 20))
        await transport.close(timeout=0.01)
        await settle(lambda: transport.is_closed)


async def test_a_cancelled_close_cuts() -> None:
    async with open_pair() as (transport, peer):
        transport.write(bytes(32 << 20))
        closing = asyncio.create_task(transport.close(timeout=10))
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await settle(lambda: transport.is_closed)


async def test_small_segments_leave_at_once() -> None:
    async with open_pair() as (transport, peer):
        assert transport._socket is not None
        assert transport._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert transport._socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert transport.peer_name.startswith("127.0.0.1:")


async def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(OSError):
        await connect("127.0.0.1", port)
