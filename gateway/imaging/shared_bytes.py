"""Bytes that another process opens: frames on their way to a worker, pictures on their way back.

A frame may have hundreds of megabytes. Joined and pickled it would hold the event loop for as long as memory takes to
be copied; here it is written piece by piece into anonymous memory (memfd_create(2)), which the worker, a process of the
same user, opens under the name that Linux gives to it. A gateway whose interpreter has file capabilities cannot be
looked into by its own workers, and cannot render.

The memory is given back by `close`, or with the object. A worker whose task was given up may come late, when something
else has the same name: so what is opened is compared with what was meant. Used by ``services/rendered`` and
``services/transcode``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Thread
from typing import BinaryIO, Self

from gateway.codecs import Buffer

__all__ = ["Address", "Place", "SharedBytes"]

STEP_BYTES = 1_048_576
"""Copied at a time, in well under a millisecond."""

PIECE_BYTES = 262_144


@dataclass(frozen=True, slots=True)
class Address:
    """Shared bytes as another process finds them.

    Parameters
    ----------
    path : str
        Opens them as long as they are held, and later whatever has their descriptor.
    identity : tuple of int
        Device and inode, which nothing else has.
    """

    path: str
    identity: tuple[int, int]

    def open(self, flags: int) -> BinaryIO:
        """Open them; called in the other process, and closed by the caller.

        Raises
        ------
        FileNotFoundError
            They are held no longer.
        """
        descriptor = os.open(self.path, flags | os.O_CLOEXEC | os.O_NONBLOCK)
        if _identify(descriptor) != self.identity:
            os.close(descriptor)
            raise FileNotFoundError("the shared bytes were given back")
        return os.fdopen(descriptor, "wb" if flags & os.O_WRONLY else "rb")

    def write(self, data: Buffer) -> None:
        """Write all that is to be shared; called in the other process, and raises as `open`."""
        with self.open(os.O_WRONLY) as shared:
            shared.write(data)


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in shared bytes."""

    address: Address
    offset: int
    length: int

    def read(self) -> bytes:
        """What stands there; called in the other process, and raises as ``Address.open``."""
        with self.address.open(os.O_RDONLY) as shared:
            shared.seek(self.offset)
            return shared.read(self.length)


class SharedBytes:
    """Bytes in anonymous memory; written first, then read."""

    def __init__(self) -> None:
        self._descriptor = -1  # for `close`, should there be none
        self._descriptor = os.memfd_create("dicomweb-gateway", os.MFD_CLOEXEC)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Share a few bytes."""
        shared = cls()
        os.write(shared._descriptor, data)
        return shared

    @property
    def address(self) -> Address:
        """How another process of the same user finds them."""
        return Address(f"/proc/{os.getpid()}/fd/{self._descriptor}", _identify(self._descriptor))

    @property
    def size(self) -> int:
        """Their number."""
        return os.fstat(self._descriptor).st_size

    def append(self, piece: Buffer) -> None:
        """Copy a piece to the end; one of some hundred kilobytes as a rule."""
        view = memoryview(piece)
        while len(view):
            view = view[os.write(self._descriptor, view[:STEP_BYTES]) :]

    async def extend(self, data: Buffer) -> Place:
        """Copy `data`, which may be long, to the end, giving way to others now and then; where it stands."""
        offset, view = self.size, memoryview(data)
        for start in range(0, len(view), STEP_BYTES):
            self.append(view[start : start + STEP_BYTES])
            await asyncio.sleep(0)
        return Place(self.address, offset, len(view))

    def iter_pieces(self) -> Iterator[bytes]:
        """Yield them from the first to the last."""
        position = 0
        while piece := os.pread(self._descriptor, PIECE_BYTES, position):
            position += len(piece)
            yield piece

    def read(self) -> bytes:
        """All of them, joined."""
        return b"".join(self.iter_pieces())

    def close(self) -> None:
        """Give the memory back, much of it in a thread; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        if os.fstat(descriptor).st_size > STEP_BYTES:
            Thread(target=os.close, args=(descriptor,), name="shared bytes", daemon=True).start()
        else:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


def _identify(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino
