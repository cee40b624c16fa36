"""One long frame in anonymous memory that a worker process opens too (memfd_create(2)).

A frame may have hundreds of megabytes; pickled, it would hold the event loop for as long as it takes to be copied. Here
it is written as it arrives and read piece by piece; the worker, a process of the same user, opens it under the name
that Linux gives to it. The memory is given back by `close`, or with the object. Used by ``pipeline``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from threading import Thread

from gateway.codecs import Buffer
from gateway.imaging.conversion import ConvertedFrame, convert_frame
from gateway.imaging.description import ImageDescription

__all__ = ["SharedFrame", "convert_shared_frame"]

_PIECE_BYTES = 262_144
_FREED_IN_PLACE = 1_048_576  # more takes the kernel a millisecond or several


class SharedFrame:
    """Bytes that are written first and read then."""

    def __init__(self) -> None:
        self._descriptor = os.memfd_create("frame", os.MFD_CLOEXEC)

    @property
    def path(self) -> str:
        """What another process of the same user opens, as long as this one holds it."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    @property
    def size(self) -> int:
        """Bytes written."""
        return os.fstat(self._descriptor).st_size

    def append(self, data: Buffer) -> None:
        """Write a piece, some hundred kilobytes at most."""
        view = memoryview(data)
        while len(view):
            view = view[os.write(self._descriptor, view) :]

    def iter_pieces(self) -> Iterator[bytes]:
        """Yield all of it in pieces, and close it."""
        position = 0
        try:
            while piece := os.pread(self._descriptor, _PIECE_BYTES, position):
                position += len(piece)
                yield piece
        finally:
            self.close()

    def close(self) -> None:
        """Give the memory back, much of it in a thread; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        if os.fstat(descriptor).st_size > _FREED_IN_PLACE:
            Thread(target=os.close, args=(descriptor,), name="shared frame", daemon=True).start()
        else:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


def convert_shared_frame(source: ImageDescription, target: ImageDescription, before: str, after: str) -> ConvertedFrame:
    """As ``convert_frame``, in a worker process: from one shared frame into another; the data returned is empty."""
    with open(before, "rb") as shared:
        data = shared.read()
    frame = convert_frame(source, target, data)
    with open(after, "wb") as shared:
        shared.write(frame.data)
    return ConvertedFrame(b"", frame.is_lossy, frame.native_bytes)
