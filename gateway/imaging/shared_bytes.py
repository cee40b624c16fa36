"""Bytes that another process opens: frames on their way to a worker, pictures on their way back.

A frame may have hundreds of megabytes. Joined and pickled it would hold the event loop for as long as memory takes to
be copied; here it is written piece by piece into anonymous memory (memfd_create(2)), which the worker, a process of the
same user, opens under the name that Linux gives to it. A gateway whose interpreter has file capabilities cannot be
looked into by its own workers, and cannot render.

The memory is given back by `close`, or with the object. Used by ``services/rendered`` and ``services/transcode``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Thread
from typing import Self

from gateway.codecs import Buffer

__all__ = ["Place", "SharedBytes", "write_all"]

STEP_BYTES = 1_048_576
"""Copied at a time, in well under a millisecond."""

PIECE_BYTES = 262_144


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in shared bytes; `path` opens as long as those are held."""

    path: str
    offset: int
    length: int

    def read(self) -> bytes:
        """What stands there; called in the other process."""
        with open(self.path, "rb") as shared:
            shared.seek(self.offset)
            return shared.read(self.length)


class SharedBytes:
    """Bytes in anonymous memory; written first, then read."""

    def __init__(self) -> None:
        self._descriptor = os.memfd_create("dicomweb-gateway", os.MFD_CLOEXEC)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Share a few bytes."""
        shared = cls()
        os.write(shared._descriptor, data)
        return shared

    @property
    def path(self) -> str:
        """What another process of the same user opens, as long as this one holds it."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

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
        return Place(self.path, offset, len(view))

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


def write_all(path: str, data: Buffer) -> None:
    """Write what is to be shared; called in the other process."""
    with open(path, "wb") as shared:
        shared.write(data)
