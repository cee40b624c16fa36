"""Frames of native pixel data, cut out by position (PS3.5 §8.1.1, §8.2).

Frames follow each other without padding, down to the bit: with Bits Allocated 1 a frame may begin inside a byte.
Here each frame leaves on its own, from a byte boundary. Called by ``frames``.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.codecs import Buffer
from gateway.codecs.frame_events import FrameChunk, FrameEnd, FrameEvent, FrameStart
from gateway.errors import DecodeError

__all__ = ["NativeFrames"]


class NativeFrames:
    """Cuts the wanted frames out of one pixel data value.

    Parameters
    ----------
    frame_bits : int
        Length of a frame in bits, more than 0.
    wanted : sequence of int
        Frame numbers from 1, ascending.
    length : int
        Of the value in bytes.

    Raises
    ------
    DecodeError
        A wanted frame would end after the value; raised before any frame is given.
    """

    def __init__(self, frame_bits: int, wanted: Sequence[int], length: int) -> None:
        if wanted[-1] * frame_bits > length * 8:
            raise DecodeError("pixel data is too short for its frames", path="7FE00010")
        self._frame_bits = frame_bits
        self._wanted = iter(wanted)
        self._length = length
        self._position = 0
        self._open_next()

    def _open_next(self) -> None:
        self._number = next(self._wanted, 0)
        start = (self._number - 1) * self._frame_bits
        # the bytes that hold any bit of the frame
        self._start = start >> 3
        self._stop = (start + self._frame_bits + 7) >> 3
        self._bits = None if self._frame_bits % 8 == 0 else _BitField(start & 7, self._frame_bits)

    @property
    def is_complete(self) -> bool:
        """Whether every wanted frame has been given."""
        return self._number == 0

    @property
    def remaining_bytes(self) -> int:
        """Bytes of the value that have not been taken."""
        return self._length - self._position

    def take(self, data: Buffer) -> list[FrameEvent]:
        """Return what the next bytes of the value hold of the wanted frames; chunks are views of `data`."""
        view = memoryview(data)
        position = self._position
        end = self._position = position + len(view)
        out: list[FrameEvent] = []
        while self._number and self._start < end:
            if self._start >= position:
                out.append(FrameStart(self._number, (self._frame_bits + 7) // 8))
            is_last = self._stop <= end
            piece: Buffer = view[max(self._start - position, 0) : self._stop - position]
            if self._bits is not None:
                piece = self._bits.take(piece, is_last=is_last)
            if len(piece):
                out.append(FrameChunk(piece))
            if not is_last:
                break
            out.append(FrameEnd())
            self._open_next()
        return out


class _BitField:
    """Moves a frame that begins at bit `shift` of its first byte to the byte boundary; the first pixel is bit 0."""

    def __init__(self, shift: int, length: int) -> None:
        self._shift = shift
        self._bits_left = length
        self._carry = b""

    def take(self, piece: Buffer, *, is_last: bool) -> bytes:
        """Return the bytes that are whole now; at the end also the last, its unused bits 0."""
        joined = self._carry + piece
        moved = int.from_bytes(joined, "little") >> self._shift
        if is_last:
            # the bits after belong to the next frame
            return (moved & ((1 << self._bits_left) - 1)).to_bytes((self._bits_left + 7) // 8, "little")
        whole = len(joined) - (self._shift > 0)
        self._carry = joined[whole:]
        self._bits_left -= whole * 8
        return moved.to_bytes(len(joined), "little")[:whole]
