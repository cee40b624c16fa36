"""One instance being read for its frames: when to stop, and whether its rest is worth reading.

As for single frames (``retrieve/pixels/pixel_stream.py``), what is left of an instance is read to its end where that
is no dearer than a new association, and cut off otherwise.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

from gateway.codecs import Buffer
from gateway.dimse.association_cost import AssociationCost
from gateway.services.rendered.instance_reader import Frame, InstanceReader
from gateway.services.retrieve.received_instance import ReceivedInstance

__all__ = ["Reading"]


class Reading:
    """Takes the wanted frames from one instance; used once.

    Parameters
    ----------
    instance
        Not read yet.
    reader
        Knows which frames are wanted, and holds the attributes afterwards.
    cost
        Of a new association; None where others follow on this one, so that it must not be cut.

    Attributes
    ----------
    is_cut : bool
        Whether the association was cut, so that nothing follows on it.
    """

    def __init__(self, instance: ReceivedInstance, reader: InstanceReader, cost: AssociationCost | None) -> None:
        self._instance = instance
        self._reader = reader
        self._cost = cost
        self._size = 0
        self._waited_s = 0.0
        self._surplus = 0
        self.is_cut = False

    async def iter_frames(self) -> AsyncGenerator[Frame, None]:
        """Yield the wanted frames as they arrive; others have their turns meanwhile, however much is there at once.

        Raises
        ------
        DecodeError, FrameNotFound, TooLarge
            As ``InstanceReader.feed``.
        BackendError
            The archive failed in the middle.
        """
        while True:
            piece = await self._read_piece()
            for frame in self._reader.finish() if piece is None else self._reader.feed(piece):
                if frame is None:
                    await asyncio.sleep(0)
                else:
                    yield frame
            if piece is None:
                return
            if self._reader.is_complete:
                if self._cut_if_long():
                    return
                await asyncio.sleep(0)  # the next piece may be there already

    async def _read_piece(self) -> Buffer | None:
        began = time.perf_counter()
        piece = await self._instance.read_piece()
        self._waited_s += time.perf_counter() - began
        if piece is None:
            self._note_transfer()
            return None
        self._size += len(piece)
        if self._reader.is_complete:
            self._surplus += len(piece)
        return piece

    def _cut_if_long(self) -> bool:
        """Cut off the rest if reading it is dearer than a new association; what is not known may be short at first."""
        if self._cost is not None:
            self.is_cut = max(self._reader.remaining_bytes or 0, self._surplus) > self._cost.break_even_bytes
        if self.is_cut:
            self._instance.cut()
            self._note_transfer()
        return self.is_cut

    def _note_transfer(self) -> None:
        if self._cost is not None:
            self._cost.note_transfer(self._size, self._waited_s)
