"""Bytes shared with other processes: whole, opened there, and given back."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.imaging.shared_bytes import PIECE_BYTES, STEP_BYTES, Place, SharedBytes, write_all


def count_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@given(st.lists(st.binary(max_size=50)))
async def test_what_is_written_is_read(pieces: list[bytes]) -> None:
    shared = SharedBytes()
    places = [await shared.extend(piece) for piece in pieces]
    assert [place.read() for place in places] == pieces
    assert shared.read() == b"".join(pieces) and shared.size == sum(map(len, pieces))


async def test_much_is_written_in_steps_and_read_in_pieces() -> None:
    data = bytes(range(256)) * (STEP_BYTES * 2 // 256) + b"end"
    shared = SharedBytes()
    shared.append(data[:5])
    assert await shared.extend(memoryview(data)[5:]) == Place(shared.path, 5, len(data) - 5)
    found = list(shared.iter_pieces())
    assert b"".join(found) == data and max(map(len, found)) == PIECE_BYTES


def test_another_process_reads_and_writes() -> None:
    given, made = SharedBytes.from_bytes(b"ask"), SharedBytes()
    program = (
        "import sys; from gateway.imaging.shared_bytes import *\n"
        "write_all(sys.argv[2], Place(sys.argv[1], 1, 2).read() + b'!')"
    )
    subprocess.run([sys.executable, "-c", program, given.path, made.path], check=True)
    assert made.read() == b"sk!"


def test_the_memory_is_given_back() -> None:
    before = count_descriptors()
    shared = SharedBytes.from_bytes(b"x")
    path = shared.path
    assert count_descriptors() == before + 1
    shared.close()
    shared.close()
    assert count_descriptors() == before
    with pytest.raises(OSError):
        write_all(path, b"y")
    kept = SharedBytes()
    del kept
    assert count_descriptors() == before


def test_much_memory_is_given_back_in_a_thread() -> None:
    shared = SharedBytes.from_bytes(bytes(STEP_BYTES + 1))
    before = set(threading.enumerate())
    shared.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    with pytest.raises(OSError):
        shared.read()
