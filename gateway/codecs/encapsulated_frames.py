"""Frames of encapsulated pixel data, told apart as their fragments arrive (PS3.5 §A.4).

Which fragments make a frame, in the order of trust:

1. one frame, or a video: all fragments (PS3.5 §A.4.1, §8.2.5);
2. the Extended Offset Table, else the Basic Offset Table, if it names as many frames as there are and ascends;
3. JPEG, JPEG-LS, JPEG 2000 and HTJ2K: a frame ends with the fragment that ends with the end of image marker FFD9
   (in all of them a byte FFH inside coded data is never followed by D9H), padding after it allowed;
4. everything else (RLE, JPEG XL, deflated frames): one fragment a frame.

Nothing is held but the offset tables, up to 4 MiB, and the last bytes of the fragment. Called by ``frames``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import unpack

from gateway.codecs.frame_events import FrameChunk, FrameEnd, FrameEvent, FrameStart
from gateway.codecs.tokens import FragmentChunk, FragmentStart
from gateway.codecs.transfer_syntax import TransferSyntax
from gateway.errors import DecodeError

__all__ = ["MAX_OFFSET_TABLE", "EncapsulatedFrames", "read_offsets"]

MAX_OFFSET_TABLE = 4 * 1024 * 1024
"""Longest offset table in bytes that is used: half of what one stream may hold."""

_MARKED = frozenset({"image/jpeg", "image/jls", "image/jp2", "image/jpx", "image/jphc"})
_END_OF_IMAGE = b"\xff\xd9"
# even padding is one byte (PS3.5 §A.4); some writers align fragments to more, with 00H or FFH
_TAIL = 10
_PATH = "7FE00010"


def read_offsets(raw: bytes, width: int) -> tuple[int, ...]:
    """Read an offset table: `width` 4 for the Basic, 8 for the Extended Offset Table; a rest is dropped."""
    count = len(raw) // width
    return unpack(f"<{count}{'I' if width == 4 else 'Q'}", raw[: count * width])


class EncapsulatedFrames:
    """Gives the wanted frames out of the fragments of one pixel data value.

    Parameters
    ----------
    syntax : TransferSyntax
        Tells how frames end where no table does.
    frame_count : int
        Frames in the pixel data; 1 for a video, which is one stream.
    wanted : sequence of int
        Frame numbers from 1, ascending, none over `frame_count`.
    extended_offsets : tuple of int
        The Extended Offset Table (7FE0,0001); empty if there is none.
    """

    def __init__(
        self, syntax: TransferSyntax, frame_count: int, wanted: Sequence[int], extended_offsets: tuple[int, ...]
    ) -> None:
        self._syntax = syntax
        self._frame_count = frame_count
        self._wanted = iter(wanted)
        self._next_wanted = next(self._wanted, 0)
        self._offsets = extended_offsets
        self._table: bytearray | None = None
        self._ends_frame: Callable[[], bool] = self._ends_with_fragment
        # the frame that the last fragment belongs to, and whether more of it may come
        self._number = 0
        self._is_open = False
        self._next_offset = 0
        self._tail = b""

    @property
    def is_complete(self) -> bool:
        """Whether every wanted frame has been given."""
        return self._next_wanted == 0

    @property
    def remaining_bytes(self) -> int | None:
        """Bytes in the fragments of the frames after the last one begun, were all as long as those so far.

        None before the first; the rest of the last one begun is not counted.
        """
        if not self._number:
            return None
        return self._next_offset // self._number * (self._frame_count - self._number)

    def start_fragment(self, token: FragmentStart) -> list[FrameEvent]:
        """Take the start of a fragment, the first one being the Basic Offset Table."""
        if token.index == 0:
            self._table = bytearray()
            return []
        self._next_offset += 8 + token.length
        self._tail = b""
        if self._is_open:
            return []
        self._number += 1
        self._is_open = True
        if self._number != self._next_wanted:
            return []
        return [FrameStart(self._number, token.length if self._is_whole() else None)]

    def take(self, token: FragmentChunk) -> list[FrameEvent]:
        """Take bytes of a fragment."""
        if self._table is not None:
            if len(self._table) <= MAX_OFFSET_TABLE:
                self._table += token.data
            return []
        self._tail = (self._tail + bytes(token.data[-_TAIL:]))[-_TAIL:]
        return [FrameChunk(token.data)] if self._number == self._next_wanted else []

    def end_fragment(self) -> list[FrameEvent]:
        """Take the end of a fragment.

        Raises
        ------
        DecodeError
            The offset table puts the boundary between two frames inside a fragment.
        """
        if self._table is not None:
            self._choose_rule(bytes(self._table))
            self._table = None
            return []
        return self._close_frame() if self._ends_frame() else []

    def finish(self) -> list[FrameEvent]:
        """Take the end of the pixel data, which also ends the last frame.

        Raises
        ------
        DecodeError
            A wanted frame has not come, or has no recognisable end.
        """
        out = self._close_frame() if self._is_open and self._number == self._frame_count else []
        if not self.is_complete:
            raise DecodeError(f"frame {self._next_wanted} of {self._frame_count} is not in the fragments", path=_PATH)
        return out

    def _close_frame(self) -> list[FrameEvent]:
        self._is_open = False
        if self._number != self._next_wanted:
            return []
        self._next_wanted = next(self._wanted, 0)
        return [FrameEnd()]

    # --- where a frame ends ---

    def _is_whole(self) -> bool:
        """Whether the first fragment of a frame is all of it, as far as that is certain before the second."""
        if self._ends_frame == self._ends_with_fragment:
            return True
        if self._syntax.video:
            return not self._syntax.fragmentable
        following = self._offsets[self._number : self._number + 1]
        return self._ends_frame == self._ends_by_table and bool(following) and following[0] == self._next_offset

    def _choose_rule(self, table: bytes) -> None:
        if self._frame_count == 1:
            self._ends_frame = self._ends_with_pixel_data
            return
        for offsets in (self._offsets, read_offsets(table, 4)):
            if self._is_plausible(offsets):
                self._offsets = offsets
                self._ends_frame = self._ends_by_table
                return
        if self._syntax.media_type in _MARKED:
            self._ends_frame = self._ends_with_marker

    def _is_plausible(self, offsets: tuple[int, ...]) -> bool:
        ascending = all(first < second for first, second in zip(offsets, offsets[1:], strict=False))
        return len(offsets) == self._frame_count and offsets[0] == 0 and ascending

    def _ends_with_pixel_data(self) -> bool:
        return False

    def _ends_with_fragment(self) -> bool:
        return True

    def _ends_with_marker(self) -> bool:
        return self._tail.rstrip(b"\0\xff").endswith(_END_OF_IMAGE)

    def _ends_by_table(self) -> bool:
        """Whether the next frame's offset is reached; at or after, since some writers count without item headers."""
        following = self._offsets[self._number : self._number + 2]
        if not following or self._next_offset < following[0]:
            return False
        if len(following) == 2 and self._next_offset >= following[1]:
            raise DecodeError("offset table and fragments disagree", path=_PATH)
        return True
