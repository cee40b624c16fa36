"""A data set sent as its pieces arrive: the sending half of a store (PS3.8 §D.1, Annex E).

Pieces come in any size; fragments leave as large as the peer allows, even in length, and all that a piece completes
leave in one send, headers and views of the payload as one vector. Less than one fragment is held back, because the
last fragment must say that it is the last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from gateway.dimse.association import Association

__all__ = ["DataSetWriter"]

_MAX_BATCH_BYTES = 1_048_576
"""Most that is put together for one send: further pieces would only wait in our own buffer."""


class DataSetWriter:
    """Writes one data set to `association` on `context_id`.

    Parameters
    ----------
    before
        Ready PDUs of the command set, if they have not been sent; they go out together with the first fragments.
    """

    def __init__(self, association: Association, context_id: int, before: Iterable[bytes | memoryview] = ()) -> None:
        self._association = association
        self._context_id = context_id
        self._fragment_bytes = association.max_fragment_bytes
        self._ready: list[bytes | memoryview] = list(before)
        self._held: deque[memoryview] = deque()
        self._held_bytes = 0

    async def write(self, piece: bytes | memoryview, *, more: bool = False) -> None:
        """Take `piece` (immutable) and send what fills whole fragments; waits while the peer is slow.

        Parameters
        ----------
        more
            The next piece, or the end, is at hand: it may leave in the same send.

        Raises
        ------
        ConnectionLost, DimseTimeout
            As ``Association.send``.
        """
        if not len(piece):
            return
        self._held.append(memoryview(piece))
        self._held_bytes += len(piece)
        if self._held_bytes > (_MAX_BATCH_BYTES if more else self._fragment_bytes):
            self._frame_whole()
            await self._send()

    async def finish(self) -> None:
        """Send what is held as the last fragment, padded to even length if the data set is odd."""
        if self._held_bytes % 2:
            self._held.append(memoryview(b"\0"))
            self._held_bytes += 1
        if self._held_bytes > self._fragment_bytes:
            self._frame_whole()
        header = self._association.frame_fragment(self._context_id, last=True, length=self._held_bytes)
        self._ready.append(header)
        self._take(self._held_bytes)
        await self._send()

    def _frame_whole(self) -> None:
        """Make ready as many whole fragments as are there, one byte at least kept back."""
        length = self._fragment_bytes
        header = self._association.frame_fragment(self._context_id, last=False, length=length)
        while self._held_bytes > length:
            self._ready.append(header)
            self._take(length)

    async def _send(self) -> None:
        parts, self._ready = self._ready, []
        await self._association.write_parts(parts)

    def _take(self, length: int) -> None:
        """Move `length` bytes from what is held to what is ready."""
        self._held_bytes -= length
        while length:
            piece = self._held.popleft()
            if len(piece) > length:
                self._held.appendleft(piece[length:])
                piece = piece[:length]
            self._ready.append(piece)
            length -= len(piece)
