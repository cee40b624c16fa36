"""Bytes shared with other processes: whole, opened there, and given back."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.imaging.shared_bytes import PIECE_BYTES, STEP_BYTES, Place, SharedBytes


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
    assert await shared.extend(memoryview(data)[5:]) == Place(shared.address, 5, len(data) - 5)
    found = list(shared.iter_pieces())
    assert b"".join(found) == data and max(map(len, found)) == PIECE_BYTES


def test_another_process_reads_and_writes() -> None:
    given, made = SharedBytes.from_bytes(b"ask"), SharedBytes()
    program = (
        "import pickle, sys; from gateway.imaging.shared_bytes import *\n"
        "given, made = pickle.load(sys.stdin.buffer)\n"
        "made.write(Place(given, 1, 2).read() + b'!')"
    )
    message = pickle.dumps((given.address, made.address))
    subprocess.run([sys.executable, "-c", program], input=message, check=True)
    assert made.read() == b"sk!"


def test_the_memory_is_given_back() -> None:
    before = count_descriptors()
    shared = SharedBytes.from_bytes(b"x")
    address = shared.address
    assert count_descriptors() == before + 1
    shared.close()
    shared.close()
    assert count_descriptors() == before
    with pytest.raises(OSError):
        address.write(b"y")
    kept = SharedBytes()
    del kept
    assert count_descriptors() == before


def test_where_there_is_no_descriptor_left_only_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    unraisable: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    monkeypatch.setattr(os, "memfd_create", fail)
    try:
        SharedBytes()
    except OSError as error:
        assert error.errno == errno.EMFILE
        error.__traceback__ = None  # with it goes the object
    assert unraisable == []


def test_who_comes_late_touches_nothing_else() -> None:
    gone = SharedBytes.from_bytes(b"one patient")
    place = Place(gone.address, 0, 11)
    gone.close()
    other = SharedBytes.from_bytes(b"another")
    assert other.address.path == place.address.path  # the descriptor is used again
    with pytest.raises(FileNotFoundError):
        place.address.write(b"x")
    with pytest.raises(FileNotFoundError):
        place.read()
    assert other.read() == b"another"


def test_much_memory_is_given_back_in_a_thread() -> None:
    shared = SharedBytes.from_bytes(bytes(STEP_BYTES + 1))
    before = set(threading.enumerate())
    shared.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    with pytest.raises(OSError):
        shared.read()
