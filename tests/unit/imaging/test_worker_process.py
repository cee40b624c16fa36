from __future__ import annotations

import os
import pickle
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gateway.imaging.worker_process import LENGTH, Limits, Outcome, Task


def read_limits() -> tuple[tuple[int, int], tuple[int, int], int]:
    return resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(resource.RLIMIT_CORE), os.nice(0)


@pytest.fixture
def worker() -> Iterator[tuple[socket.socket, subprocess.Popen[bytes]]]:
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "gateway.imaging.worker_process", str(theirs.fileno())]
    with theirs:
        process = subprocess.Popen(command, pass_fds=(theirs.fileno(),))
    with ours, process:
        send(ours, Limits(512, 20, tuple(sys.path)))
        yield ours, process
        process.kill()


def send(connection: socket.socket, message: object) -> None:
    data = pickle.dumps(message)
    connection.sendall(LENGTH.pack(len(data)) + data)


def receive(connection: socket.socket) -> Outcome:
    length = LENGTH.unpack(connection.recv(LENGTH.size, socket.MSG_WAITALL))[0]
    outcome = pickle.loads(connection.recv(length, socket.MSG_WAITALL))
    assert isinstance(outcome, Outcome)
    return outcome


def test_limits_are_in_force(worker: tuple[socket.socket, subprocess.Popen[bytes]]) -> None:
    send(worker[0], Task(read_limits, (), {}))
    space, core, niceness = receive(worker[0]).value
    assert space == (512 << 20, 512 << 20)
    assert core == (0, 0)
    assert niceness >= os.nice(0)


def test_it_ends_with_its_socket(worker: tuple[socket.socket, subprocess.Popen[bytes]]) -> None:
    connection, process = worker
    send(connection, Task(len, ("four",), {}))
    assert receive(connection).value == 4
    connection.shutdown(socket.SHUT_WR)
    assert process.wait(20) == 0


def test_an_interrupt_is_left_to_the_parent(worker: tuple[socket.socket, subprocess.Popen[bytes]]) -> None:
    connection, process = worker
    send(connection, Task(len, ("four",), {}))
    receive(connection)
    process.send_signal(signal.SIGINT)
    send(connection, Task(len, ("five!",), {}))
    assert receive(connection).value == 5
