"""A data set sent as its pieces arrive: the sending half of a store (PS3.8 §D.1, Annex E).

Pieces come in any size; fragments leave as large as the peer allows, even in length, each in one send together
with its header. Less than one fragment is held back, because the last fragment must say that it is the last.
"""

from __future__ import annotations

from collections import deque

from gateway.dimse.association import Association

__all__ = ["DataSetWriter"]


class DataSetWriter:
    """Writes one data set to `association` on `context_id`; the command set has been sent before."""

    def __init__(self, association: Association, context_id: int) -> None:
        self._association = association
        self._context_id = context_id
        self._fragment_bytes = association.max_fragment_bytes
        self._held: deque[memoryview] = deque()
        self._held_bytes = 0

    async def write(self, piece: bytes | memoryview) -> None:
        """Take `piece` (immutable) and send what fills whole fragments; waits while the peer is slow.

        Raises
        ------
        ConnectionLost, DimseTimeout
            As ``Association.send``.
        """
        if not len(piece):
            return
        self._held.append(memoryview(piece))
        self._held_bytes += len(piece)
        while self._held_bytes > self._fragment_bytes:
            await self._send(self._fragment_bytes, last=False)

    async def finish(self) -> None:
        """Send what is held as the last fragment, padded to even length if the data set is odd."""
        if self._held_bytes % 2:
            self._held.append(memoryview(b"\0"))
            self._held_bytes += 1
        await self._send(self._held_bytes, last=True)

    async def _send(self, length: int, *, last: bool) -> None:
        header = self._association.frame_fragment(self._context_id, last=last, length=length)
        await self._association.write_parts([header, *self._take(length)])

    def _take(self, length: int) -> list[bytes | memoryview]:
        parts: list[bytes | memoryview] = []
        self._held_bytes -= length
        while length:
            piece = self._held.popleft()
            if len(piece) > length:
                self._held.appendleft(piece[length:])
                piece = piece[:length]
            parts.append(piece)
            length -= len(piece)
        return parts
