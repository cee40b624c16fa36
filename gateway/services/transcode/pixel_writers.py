"""Pixel Data written frame by frame, native or in fragments (PS3.5 §8.1.1, §A.4).

Pure: converted frames in, bytes out. One fragment a frame. The Basic Offset Table needs every length before the first
frame, so it is written where the compressed frames together are short enough to be held, and left empty elsewhere,
which PS3.5 §A.4 allows. Called by ``transcoder``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from struct import pack
from typing import Protocol

from gateway.codecs.reencode import encode_element_header
from gateway.codecs.tokens import UNDEFINED_LENGTH
from gateway.codecs.transfer_syntax import get_transfer_syntax
from gateway.errors import NotAcceptable
from gateway.imaging.description import ImageDescription
from gateway.services.transcode.attributes import find_pixel_vr

__all__ = ["MAX_HELD_BYTES", "EncapsulatedWriter", "NativeWriter", "PixelWriter", "make_pixel_writer"]

MAX_HELD_BYTES = 4 * 1024 * 1024
"""Compressed frames of one instance that are held for the sake of an offset table."""

_SHIFTED_BYTES = 65_536  # at a time, in well under a millisecond
_ITEM = b"\xfe\xff\x00\xe0"
_SEQUENCE_END = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"


class PixelWriter(Protocol):
    """Writes one Pixel Data element."""

    def add(self, length: int, pieces: Iterable[bytes]) -> Iterable[bytes]:
        """What can be written once the next frame, of `length` bytes, is there; to be iterated before the next call."""

    def finish(self) -> Iterable[bytes]:
        """The rest, after the last frame."""


def make_pixel_writer(target: ImageDescription, pixel_tag: int) -> PixelWriter:
    """The writer for the transfer syntax of `target`.

    Raises
    ------
    NotAcceptable
        The pixel data is too long for a native element (PS3.18 §8.7.3.1).
    """
    if get_transfer_syntax(target.transfer_syntax_uid).encapsulated:
        return EncapsulatedWriter(target.number_of_frames)
    return NativeWriter(target, pixel_tag)


class NativeWriter:
    """Frames one after the other, down to the bit, padded to an even length at the end."""

    def __init__(self, target: ImageDescription, pixel_tag: int) -> None:
        self._frame_bits = target.native_frame_bits
        length = (target.number_of_frames * self._frame_bits + 7) // 8
        self._padding = length % 2
        if length + self._padding >= UNDEFINED_LENGTH:
            available = 'multipart/related; type="application/dicom"; transfer-syntax=*'
            raise NotAcceptable([available], "the pixel data is too long without compression")
        self._header = encode_element_header(pixel_tag, find_pixel_vr(target), length + self._padding)
        self._bits = 0
        self._bit_count = 0

    def add(self, length: int, pieces: Iterable[bytes]) -> Iterable[bytes]:
        """Append a frame, which begins at a byte boundary and may have to be moved off it."""
        header, self._header = self._header, b""
        if self._frame_bits % 8 == 0:
            return chain((header,), pieces) if header else pieces
        return chain((header,), self._iter_shifted(pieces)) if header else self._iter_shifted(pieces)

    def finish(self) -> Iterator[bytes]:
        """Write the last bits and the padding, known when all frames have been iterated."""
        rest = self._bits.to_bytes(1, "little") if self._bit_count else b""
        if rest or self._padding:
            yield rest + b"\0" * self._padding

    def _iter_shifted(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        remaining = self._frame_bits
        for piece in pieces:
            for start in range(0, len(piece), _SHIFTED_BYTES):
                some = piece[start : start + _SHIFTED_BYTES]
                count = min(8 * len(some), remaining)
                remaining -= count
                yield self._append_bits(int.from_bytes(some, "little") & ((1 << count) - 1), count)

    def _append_bits(self, bits: int, count: int) -> bytes:
        """Return the bytes that `count` more bits make whole."""
        self._bits |= bits << self._bit_count
        whole, self._bit_count = divmod(self._bit_count + count, 8)
        out = (self._bits & ((1 << whole * 8) - 1)).to_bytes(whole, "little")
        self._bits >>= whole * 8
        return out


class EncapsulatedWriter:
    """One fragment a frame, after a Basic Offset Table that is empty where the frames are long."""

    def __init__(self, number_of_frames: int) -> None:
        self._number_of_frames = number_of_frames
        self._held: list[bytes] | None = []
        self._held_bytes = 0

    def add(self, length: int, pieces: Iterable[bytes]) -> Iterable[bytes]:
        """Append a frame; nothing is written as long as the offset table may still be known in time."""
        fragment = chain((_ITEM + pack("<I", length + length % 2),), pieces, (b"\0",) * (length % 2))
        if self._held is None:
            return fragment
        self._held_bytes += 8 + length + length % 2
        if self._held_bytes > MAX_HELD_BYTES:
            return chain(self._release(()), fragment)
        self._held.append(b"".join(fragment))
        return self._release(_list_offsets(self._held)) if len(self._held) == self._number_of_frames else ()

    def finish(self) -> Iterable[bytes]:
        """End the sequence of fragments."""
        return [*self._release(()), _SEQUENCE_END] if self._held is not None else [_SEQUENCE_END]

    def _release(self, offsets: tuple[int, ...]) -> list[bytes]:
        held, self._held = self._held or [], None
        table = pack(f"<{len(offsets)}I", *offsets)
        header = encode_element_header(0x7FE00010, "OB", UNDEFINED_LENGTH)
        return [header + _ITEM + pack("<I", len(table)) + table, *held]


def _list_offsets(fragments: list[bytes]) -> tuple[int, ...]:
    offsets, position = [], 0
    for fragment in fragments:
        offsets.append(position)
        position += len(fragment)
    return tuple(offsets)
