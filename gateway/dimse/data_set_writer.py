"""A data set sent as its pieces arrive: the sending half of a store (PS3.8 §D.1, Annex E).

Pieces come in any size; fragments leave as large as the peer allows, even in length, and all that a piece completes
leave in one send, headers and views of the payload as one vector. Less than one fragment is held back, because the
last fragment must say that it is the last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from gateway.dimse.association import Association

__all__ = ["MAX_BATCH_BYTES", "DataSetWriter"]

MAX_BATCH_BYTES = 1_048_576
"""Most that is put together for one send: further pieces would only wait in our own buffer."""


class DataSetWriter:
    """Writes one data set to `association` on `context_id`.

    :meth:`write` and :meth:`finish` wait while the peer is slow; what they do without waiting, :meth:`add`,
    :meth:`send_fragments` and :meth:`send_last`, is there for who must not wait.
    """

    def __init__(self, association: Association, context_id: int) -> None:
        self._association = association
        self._context_id = context_id
        self._fragment_bytes = association.max_fragment_bytes
        self._ready: list[bytes | memoryview] = []
        self._held: deque[memoryview] = deque()
        self._held_bytes = 0

    @property
    def held_bytes(self) -> int:
        """What was taken and has not been sent."""
        return self._held_bytes

    def precede(self, command_set: Iterable[bytes | memoryview]) -> None:
        """Let ready PDUs of the command set go out together with the first fragments."""
        self._ready.extend(command_set)

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
        self.add(piece)
        if self._held_bytes > (MAX_BATCH_BYTES if more else self._fragment_bytes):
            self.send_fragments()
            await self._association.drain()

    async def finish(self) -> None:
        """Send what is held as the last fragment, padded to even length if the data set is odd; raises as `write`."""
        self.send_last()
        await self._association.drain()

    def add(self, piece: bytes | memoryview) -> None:
        """Take `piece` (immutable) and send nothing yet."""
        if len(piece):
            self._held.append(memoryview(piece))
            self._held_bytes += len(piece)

    def send_fragments(self) -> None:
        """Hand over as many whole fragments as are there, one byte at least kept back; raises as `write`."""
        if self._held_bytes > self._fragment_bytes:
            self._frame_whole()
            self._send()

    def send_last(self) -> None:
        """Hand over all that is held, the end of the data set; raises as `write`."""
        if self._held_bytes % 2:
            self.add(b"\0")
        if self._held_bytes > self._fragment_bytes:
            self._frame_whole()
        header = self._association.frame_fragment(self._context_id, last=True, length=self._held_bytes)
        self._ready.append(header)
        self._take(self._held_bytes)
        self._send()

    def take_back(self) -> list[memoryview]:
        """Give up what is held, in order, to be sent elsewhere."""
        held, self._held, self._held_bytes = list(self._held), deque(), 0
        return held

    def _frame_whole(self) -> None:
        length = self._fragment_bytes
        header = self._association.frame_fragment(self._context_id, last=False, length=length)
        while self._held_bytes > length:
            self._ready.append(header)
            self._take(length)

    def _send(self) -> None:
        parts, self._ready = self._ready, []
        self._association.hand_over(parts)

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
