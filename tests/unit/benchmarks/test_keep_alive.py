from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks.keep_alive import KeepAlive

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: x\r\n"


@contextmanager
def serving(*answers: tuple[bytes, ...]) -> Iterator[str]:
    """A server of one connection: each answer in pieces, each piece in a segment of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection:
                for pieces in answers:
                    connection.recv(65_536)
                    for piece in pieces:
                        connection.sendall(piece)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/root"
        thread.join(10)


def test_bodies_of_both_kinds_follow_each_other() -> None:
    with_length = (HEAD + b"Content-Length: 6\r\n\r\n", b"abc", b"def")
    chunked = (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"0\r", b"\n\r\n")
    with serving(with_length, chunked, with_length) as url, KeepAlive(url) as client:
        sizes = [client.get("/x", accept="*/*").size for _ in range(3)]
    assert sizes == [6, 8 + 5, 6]


def test_the_first_byte_comes_before_the_last() -> None:
    with serving((HEAD + b"Content-Length: 2\r\n\r\n", b"a", b"b")) as url, KeepAlive(url) as client:
        answer = client.get("/x", accept="*/*")
    assert 0 < answer.first_byte_s <= answer.seconds


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ((b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",), "404"),
        ((HEAD + b"Content-Length: 1\r\n\r\na",), "1 bytes"),
        ((HEAD + b"Content-Length: 10\r\n\r\nabc",), "before the end"),
        ((b"HTTP/1.1 200",), "before the end"),
    ],
)
def test_a_wrong_answer_is_no_fast_one(pieces: tuple[bytes, ...], message: str) -> None:
    with serving(pieces) as url, KeepAlive(url) as client, pytest.raises(RuntimeError, match=message):
        client.get("/x", accept="*/*", min_bytes=2)
