"""Frames out of the tokens of one data set (PS3.5 §8, §A.4; PS3.18 §10.4.3.3.6).

Reads the attributes that say how frames are told apart, and leaves the rest to ``native_frames`` and
``encapsulated_frames``. ``frames`` gives it the tokens of a data set, ``bulk_values`` those that concern encapsulated
pixel data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.codecs.encapsulated_frames import MAX_OFFSET_TABLE, EncapsulatedFrames, read_offsets
from gateway.codecs.frame_events import FrameEvent, FrameNotFound
from gateway.codecs.native_frames import NativeFrames
from gateway.codecs.token_kinds import (
    Element,
    EncapsulatedEnd,
    EncapsulatedStart,
    FragmentChunk,
    FragmentEnd,
    FragmentStart,
    SequenceEnd,
    SequenceStart,
    Token,
    ValueChunk,
    ValueStart,
)
from gateway.codecs.transfer_syntax import get_transfer_syntax
from gateway.errors import DecodeError

__all__ = ["PIXEL_DATA", "FrameAssembler", "PixelHeader", "is_gathered"]

PIXEL_DATA = {0x7FE00008: 32, 0x7FE00009: 64, 0x7FE00010: 0}
"""Float, Double Float Pixel Data, with the Bits Allocated that they always have, and Pixel Data, which says."""

_EXTENDED_OFFSET_TABLE = 0x7FE00001
_SAMPLES, _PHOTOMETRIC, _FRAMES = 0x00280002, 0x00280004, 0x00280008
_ROWS, _COLUMNS, _BITS_ALLOCATED = 0x00280010, 0x00280011, 0x00280100
_PLANAR, _BITS_STORED, _HIGH_BIT, _SIGN = 0x00280006, 0x00280101, 0x00280102, 0x00280103
_DESCRIPTION = frozenset({_SAMPLES, _PHOTOMETRIC, _FRAMES, _ROWS, _COLUMNS, _BITS_ALLOCATED})
_DESCRIPTION |= {_PLANAR, _BITS_STORED, _HIGH_BIT, _SIGN}
_HEADER = _DESCRIPTION | {_EXTENDED_OFFSET_TABLE}
_NAMES = {_ROWS: "Rows", _COLUMNS: "Columns", _BITS_ALLOCATED: "Bits Allocated"}
# one chroma pair for two pixels (PS3.3 §C.7.6.3.1.2)
_SUBSAMPLED = frozenset({b"YBR_FULL_422", b"YBR_PARTIAL_422"})


@dataclass(frozen=True, slots=True)
class PixelHeader:
    """What the attributes before the pixel data say of it.

    Parameters
    ----------
    frame_count : int
        Number of Frames; 1 where it is absent, empty or 0.
    frame_bits : int
        Length of a native frame; 0 for encapsulated pixel data.
    bits_allocated : int
        0 where it is not said, which only encapsulated pixel data may.
    tag : int
        Of the pixel data.
    attributes : mapping of int to bytes
        Values, by tag, of the attributes of group 0028 that describe it to a decoder.
    """

    frame_count: int
    frame_bits: int
    bits_allocated: int
    tag: int = 0x7FE00010
    attributes: Mapping[int, bytes] = field(default_factory=dict, compare=False)


class FrameAssembler:
    """Puts the frames of one data set together.

    Parameters
    ----------
    transfer_syntax_uid : str
        Of the data set.
    wanted : sequence of int, optional
        Frame numbers, ascending, from 1; None for all frames. A video is one stream, given as frame 1 whatever is
        wanted: whether that is an answer is for the caller to decide (``TransferSyntax.video``).

    Raises
    ------
    ValueError
        `wanted` is empty or does not ascend from 1 or more.

    Notes
    -----
    In memory are at most the offset tables, 4 MiB each. Tokens must have been made with `is_gathered`, or a rule
    that gathers more.
    """

    def __init__(self, transfer_syntax_uid: str, wanted: Sequence[int] | None = None) -> None:
        if wanted is not None and (not wanted or list(wanted) != sorted(set(wanted)) or wanted[0] < 1):
            raise ValueError("frame numbers must ascend from 1")
        self._syntax = get_transfer_syntax(transfer_syntax_uid)
        self._wanted = wanted
        self._attributes: dict[int, bytes] = {}
        self._depth = 0
        self._header: PixelHeader | None = None
        self._native: NativeFrames | None = None
        self._encapsulated: EncapsulatedFrames | None = None
        self._handlers: dict[type[Any], Callable[[Any], Iterable[FrameEvent]]] = {
            Element: self._note,
            SequenceStart: self._enter,
            SequenceEnd: self._leave,
            ValueStart: self._start_native,
            ValueChunk: self._take_native,
            EncapsulatedStart: self._start_encapsulated,
            FragmentStart: self._start_fragment,
            FragmentChunk: self._take_fragment,
            FragmentEnd: self._end_fragment,
            EncapsulatedEnd: self._end_encapsulated,
        }

    @property
    def header(self) -> PixelHeader | None:
        """Facts about the pixel data; None until it begins."""
        return self._header

    @property
    def is_complete(self) -> bool:
        """Whether every wanted frame has been given; the rest of the data set is of no interest then."""
        frames = self._native or self._encapsulated
        return frames is not None and frames.is_complete

    @property
    def remaining_bytes(self) -> int | None:
        """About how many bytes of pixel data are still to come; None where that is not known (yet).

        Exact for native pixel data, estimated from the frames so far for encapsulated. What was fed does not count.
        """
        frames = self._native or self._encapsulated
        return None if frames is None else frames.remaining_bytes

    def take(self, tokens: Iterable[Token]) -> list[FrameEvent]:
        """What `tokens` hold of the wanted frames; what follows the last of them is not looked at.

        Raises
        ------
        FrameNotFound
            A wanted frame is beyond Number of Frames, or Pixel Data is empty; before any frame is given.
        DecodeError
            The pixel data cannot be read, or lacks a wanted frame it should have.
        """
        out: list[FrameEvent] = []
        for token in tokens:
            handler = self._handlers.get(type(token))
            if handler is not None:
                out.extend(handler(token))
                if self.is_complete:
                    break
        return out

    # --- attributes ---

    def _note(self, token: Element) -> Iterable[FrameEvent]:
        if self._depth == 0 and token.tag in _HEADER:
            self._attributes[token.tag] = token.value
        return ()

    def _enter(self, _token: SequenceStart) -> Iterable[FrameEvent]:
        self._depth += 1
        return ()

    def _leave(self, _token: SequenceEnd) -> Iterable[FrameEvent]:
        self._depth -= 1
        return ()

    def _number(self, tag: int) -> int:
        return int.from_bytes(self._attributes.get(tag, b"")[:2], "little")

    def _list_description(self) -> dict[int, bytes]:
        return {tag: value for tag, value in self._attributes.items() if tag in _DESCRIPTION}

    def _count_frames(self) -> int:
        text = self._attributes.get(_FRAMES, b"").strip(b" \0") or b"1"
        if not text.removeprefix(b"+").isdigit() or len(text) > 12:
            raise DecodeError("Number of Frames is no number", path="00280008")
        return max(int(text), 1)

    def _measure(self, bits_allocated: int) -> int:
        """Return the length of a native frame in bits (PS3.5 §8.1.1)."""
        for tag, name in _NAMES.items():
            if self._number(tag) == 0 and not (tag == _BITS_ALLOCATED and bits_allocated):
                raise DecodeError(f"pixel data without {name}", path=f"{tag:08X}")
        samples = self._number(_SAMPLES) or 1
        if samples == 3 and self._attributes.get(_PHOTOMETRIC, b"").strip(b" \0") in _SUBSAMPLED:
            samples = 2
        return self._number(_ROWS) * self._number(_COLUMNS) * samples * bits_allocated

    def _choose_frames(self, frame_count: int) -> Sequence[int]:
        wanted = self._wanted if self._wanted is not None else range(1, frame_count + 1)
        if wanted[-1] > frame_count:
            raise FrameNotFound(f"frame {wanted[-1]}")
        return wanted

    def _check_form(self, *, encapsulated: bool) -> None:
        """Refuse frames that would be taken for something else by whoever goes by the transfer syntax."""
        if encapsulated != self._syntax.encapsulated:
            raise DecodeError("pixel data is not in the form of its transfer syntax", path="7FE00010")

    # --- native pixel data ---

    def _start_native(self, token: ValueStart) -> Iterable[FrameEvent]:
        if self._depth or token.tag not in PIXEL_DATA:
            return ()
        if token.length == 0:
            raise FrameNotFound("pixel data")
        self._check_form(encapsulated=False)
        frame_count = self._count_frames()
        wanted = self._choose_frames(frame_count)
        bits_allocated = self._number(_BITS_ALLOCATED) or PIXEL_DATA[token.tag]
        self._header = PixelHeader(
            frame_count, self._measure(bits_allocated), bits_allocated, token.tag, self._list_description()
        )
        self._native = NativeFrames(self._header.frame_bits, wanted, token.length)
        return ()

    def _take_native(self, token: ValueChunk) -> Iterable[FrameEvent]:
        return self._native.take(token.data) if self._native is not None else ()

    # --- encapsulated pixel data ---

    def _start_encapsulated(self, token: EncapsulatedStart) -> Iterable[FrameEvent]:
        if self._depth or token.tag not in PIXEL_DATA:
            return ()
        self._check_form(encapsulated=True)
        frame_count = self._count_frames()
        self._header = PixelHeader(frame_count, 0, self._number(_BITS_ALLOCATED), token.tag, self._list_description())
        streams = 1 if self._syntax.video else frame_count
        wanted = range(1, 2) if self._syntax.video else self._choose_frames(frame_count)
        offsets = read_offsets(self._attributes.get(_EXTENDED_OFFSET_TABLE, b""), 8)
        self._encapsulated = EncapsulatedFrames(self._syntax, streams, wanted, offsets)
        return ()

    def _start_fragment(self, token: FragmentStart) -> Iterable[FrameEvent]:
        return self._encapsulated.start_fragment(token) if self._encapsulated is not None else ()

    def _take_fragment(self, token: FragmentChunk) -> Iterable[FrameEvent]:
        return self._encapsulated.take(token) if self._encapsulated is not None else ()

    def _end_fragment(self, _token: FragmentEnd) -> Iterable[FrameEvent]:
        return self._encapsulated.end_fragment() if self._encapsulated is not None else ()

    def _end_encapsulated(self, _token: EncapsulatedEnd) -> Iterable[FrameEvent]:
        return self._encapsulated.finish() if self._encapsulated is not None else ()


def is_gathered(tag: int, _vr: str, length: int) -> bool:
    """Whether frames need an element as a whole."""
    if tag in PIXEL_DATA:
        return False
    return length <= (MAX_OFFSET_TABLE if tag == _EXTENDED_OFFSET_TABLE else 64)
