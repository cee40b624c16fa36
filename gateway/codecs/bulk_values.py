"""Every bulk value of a data set as it streams, or its pixel data alone (PS3.18 §10.4.3.3.5–6).

Which values are bulk is the rule of ``data_set_encoder``, so that these are the values that its metadata refers to,
under the same paths. Compressed Pixel Data of the data set comes frame by frame, without fragment headers or offset
table; everything else as one value, native Pixel Data included. One value by its path is ``bulkdata``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from gateway.codecs import Buffer
from gateway.codecs.data_set_encoder import is_left_out
from gateway.codecs.frame_assembler import PIXEL_DATA, FrameAssembler, PixelHeader, is_gathered
from gateway.codecs.frame_events import FrameChunk, FrameEnd, FrameEvent, FrameStart
from gateway.codecs.json_values import BULK_VRS, has_unwritable_number, stays_inline
from gateway.codecs.tokens import (
    Element,
    EncapsulatedEnd,
    EncapsulatedStart,
    FragmentChunk,
    FragmentEnd,
    FragmentStart,
    ItemStart,
    SequenceEnd,
    SequenceStart,
    Token,
    Tokenizer,
    ValueChunk,
    ValueEnd,
    ValueStart,
)

__all__ = ["BulkEvent", "BulkStart", "BulkValues"]


@dataclass(slots=True)
class BulkStart:
    """A value begins, or one frame of it.

    Parameters
    ----------
    path : str
        As in Bulkdata URIs: ``"7FE00010"``, ``"54000100/1/54001010"``.
    frame : int or None
        From 1 where compressed Pixel Data comes frame by frame, 1 for a video; None for a whole value.
    is_compressed : bool
        Whether it is encoded in the transfer syntax of the data set.
    """

    path: str
    frame: int | None = None
    is_compressed: bool = False


BulkEvent = BulkStart | FrameChunk | FrameEnd
"""A value in pieces: its start, its bytes, its end."""


class BulkValues:
    """Takes the bulk values out of one data set.

    Parameters
    ----------
    transfer_syntax_uid : str
        Of the data set.
    inline_bytes : int
        Longest value that metadata holds inline.
    pixels_only : bool
        Give Pixel Data, Float or Double Float Pixel Data of the data set itself and nothing else.

    Notes
    -----
    Held are the offset tables of ``frame_assembler``, else elements of `inline_bytes`.
    """

    def __init__(self, transfer_syntax_uid: str, *, inline_bytes: int, pixels_only: bool = False) -> None:
        self._inline_bytes = inline_bytes
        self._pixels_only = pixels_only
        self._tokenizer = Tokenizer(transfer_syntax_uid, gather_limit=self._gathers)
        self._frames = FrameAssembler(transfer_syntax_uid)
        # where the reader is: tag and item number of each open sequence
        self._open: list[tuple[int, int]] = []
        self._passes = False
        self._passes_frames = False
        self._skips = False
        self._handlers: dict[type[Any], Callable[[Any], Iterable[BulkEvent]]] = {
            Element: self._take_element,
            ValueStart: self._start_value,
            ValueChunk: self._take_chunk,
            ValueEnd: self._end_value,
            EncapsulatedStart: self._start_encapsulated,
            FragmentStart: self._start_fragment,
            FragmentChunk: self._take_fragment,
            FragmentEnd: self._end_fragment,
            EncapsulatedEnd: self._end_encapsulated,
            SequenceStart: self._enter_sequence,
            ItemStart: self._enter_item,
            SequenceEnd: self._leave_sequence,
        }

    @property
    def header(self) -> PixelHeader | None:
        """Facts about compressed Pixel Data; None until it begins, and for all else."""
        return self._frames.header

    def feed(self, data: Buffer) -> Iterator[BulkEvent]:
        """Give what the next bytes of the data set hold; to be iterated to the end before the next call.

        Raises
        ------
        DecodeError, FrameNotFound
            As ``Tokenizer.feed`` and ``FrameAssembler.take``.
        """
        return self._take(self._tokenizer.feed(data))

    def finish(self) -> Iterator[BulkEvent]:
        """Take the end of the data set; gives what was still on its way (deflated data sets only).

        Raises
        ------
        DecodeError
            The data set ended too early.
        """
        return self._take(self._tokenizer.finish())

    def _take(self, tokens: Iterable[Token]) -> Iterator[BulkEvent]:
        for token in tokens:
            handler = self._handlers.get(type(token))
            if handler is not None:
                yield from handler(token)

    # --- which values ---

    def _gathers(self, tag: int, vr: str, length: int) -> bool:
        return is_gathered(tag, vr, length) or (
            vr in BULK_VRS and tag not in PIXEL_DATA and stays_inline(vr, length, self._inline_bytes)
        )

    def _is_bulk(self, tag: int, vr: str, length: int) -> bool:
        if tag in PIXEL_DATA and not self._open:
            return length > 0
        return not self._pixels_only and not stays_inline(vr, length, self._inline_bytes) and not is_left_out(tag)

    def _path(self, tag: int) -> str:
        return "".join([*(f"{outer:08X}/{number}/" for outer, number in self._open), f"{tag:08X}"])

    # --- values ---

    def _take_element(self, token: Element) -> Iterable[BulkEvent]:
        self._frames.take((token,))
        tag, vr, value = token.tag, token.vr, token.value
        is_odd = not self._pixels_only and vr in BULK_VRS and not is_left_out(tag) and has_unwritable_number(vr, value)
        if is_odd or self._is_bulk(tag, vr, len(value)):
            return (BulkStart(self._path(tag)), FrameChunk(value), FrameEnd())
        return ()

    def _start_value(self, token: ValueStart) -> Iterable[BulkEvent]:
        self._passes = self._is_bulk(token.tag, token.vr, token.length)
        return (BulkStart(self._path(token.tag)),) if self._passes else ()

    def _take_chunk(self, token: ValueChunk) -> Iterable[BulkEvent]:
        return (FrameChunk(token.data),) if self._passes else ()

    def _end_value(self, _token: ValueEnd) -> Iterable[BulkEvent]:
        was_passing, self._passes = self._passes, False
        return (FrameEnd(),) if was_passing else ()

    # --- values in fragments ---

    def _start_encapsulated(self, token: EncapsulatedStart) -> Iterable[BulkEvent]:
        self._passes_frames = token.tag in PIXEL_DATA and not self._open
        if self._passes_frames:
            return self._give_frames(token)
        self._passes = not self._pixels_only and not is_left_out(token.tag)
        return (BulkStart(self._path(token.tag), is_compressed=True),) if self._passes else ()

    def _start_fragment(self, token: FragmentStart) -> Iterable[BulkEvent]:
        # the Basic Offset Table is no part of the image
        self._skips = token.index == 0
        return self._give_frames(token)

    def _take_fragment(self, token: FragmentChunk) -> Iterable[BulkEvent]:
        if self._passes_frames:
            return self._give_frames(token)
        return (FrameChunk(token.data),) if self._passes and not self._skips else ()

    def _end_fragment(self, token: FragmentEnd) -> Iterable[BulkEvent]:
        return self._give_frames(token)

    def _end_encapsulated(self, token: EncapsulatedEnd) -> Iterable[BulkEvent]:
        if self._passes_frames:
            events = self._give_frames(token)
            self._passes_frames = False
            return events
        was_passing, self._passes = self._passes, False
        return (FrameEnd(),) if was_passing else ()

    def _give_frames(self, token: Token) -> Iterable[BulkEvent]:
        return [_name_frame(event) for event in self._frames.take((token,))] if self._passes_frames else ()

    # --- sequences ---

    def _enter_sequence(self, token: SequenceStart) -> Iterable[BulkEvent]:
        self._frames.take((token,))
        self._open.append((token.tag, 0))
        return ()

    def _enter_item(self, _token: ItemStart) -> Iterable[BulkEvent]:
        tag, number = self._open[-1]
        self._open[-1] = (tag, number + 1)
        return ()

    def _leave_sequence(self, token: SequenceEnd) -> Iterable[BulkEvent]:
        self._frames.take((token,))
        self._open.pop()
        return ()


def _name_frame(event: FrameEvent) -> BulkEvent:
    return BulkStart("7FE00010", event.number, is_compressed=True) if isinstance(event, FrameStart) else event
