"""One data set taken apart as it streams: what precedes its pixel data, its frames, what follows.

Pure: pieces of the data set in, parts out. All but the frames comes out as Explicit VR Little Endian, in which every
syntax with encapsulated pixel data is written (PS3.5 §A.4). What precedes the pixel data is held, since an attribute of
it may have to tell what becomes of the first frame. Called by ``transcoder``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from gateway.codecs import Buffer
from gateway.codecs.frame_assembler import FrameAssembler, is_gathered
from gateway.codecs.frame_events import FrameEvent
from gateway.codecs.reencode import encode_tokens
from gateway.codecs.tokens import (
    Element,
    EncapsulatedEnd,
    EncapsulatedStart,
    SequenceEnd,
    SequenceStart,
    Token,
    Tokenizer,
    ValueEnd,
    ValueStart,
)
from gateway.errors import ImagingFailed

__all__ = ["PIXEL_DATA", "Head", "HeadElement", "InstanceSplitter", "Part", "Tail"]

PIXEL_DATA = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
"""Float, Double Float and ordinary Pixel Data."""

_GATHER_LIMIT = 4096
_STEP_BYTES = 8_192  # outside the pixel data, where each eight bytes may be a token
_STEP_TOKENS = 1_024
_MOST_ELEMENTS = 16_384  # before the pixel data; the dictionary has five thousand (PS3.6 §6)
_SHORT = 65_536
_IMAGE_TYPE = 0x00080008


@dataclass(slots=True)
class HeadElement:
    """An element before the pixel data, written in Explicit VR Little Endian.

    `holds_compressed` where some item of a sequence holds encapsulated pixel data: an icon.
    """

    tag: int
    encoded: Buffer
    holds_compressed: bool = False


@dataclass(slots=True)
class Head:
    """Everything before the pixel data; `pixel_tag` 0 and all elements where there is none.

    `values` are the short values of group 0028 and of Image Type, by tag.
    """

    elements: list[HeadElement] = field(default_factory=list)
    values: dict[int, bytes] = field(default_factory=dict)
    pixel_tag: int = 0


@dataclass(slots=True)
class Tail:
    """Bytes of what follows the pixel data."""

    data: bytes


Part = Head | FrameEvent | Tail


class InstanceSplitter:
    """Takes one data set apart.

    Parameters
    ----------
    transfer_syntax_uid : str
        Of what is fed.
    max_head_bytes : int
        Most that may precede the pixel data.
    """

    def __init__(self, transfer_syntax_uid: str, max_head_bytes: int) -> None:
        self._tokenizer = Tokenizer(transfer_syntax_uid, gather_limit=_is_gathered)
        self._frames = FrameAssembler(transfer_syntax_uid)
        self._is_without_frames = False
        self._max_head_bytes = max_head_bytes
        self._head = Head()
        self._head_bytes = 0
        self._is_head_over = False
        self._depth = 0
        self._is_in_pixels = False
        # of the element at the top that is under way
        self._tag = 0
        self._encoded = bytearray()
        self._holds_compressed = False

    def feed(self, data: Buffer) -> Iterator[list[Part]]:
        """Take the next bytes, step by step while the caller iterates.

        Yields
        ------
        list of Part
            After some milliseconds at most, so that the caller can give way to others; whole pieces of pixel data are
            one step.

        Raises
        ------
        DecodeError
            The data set or its pixel data cannot be read.
        ImagingFailed
            More than the limit precedes the pixel data.
        """
        view = memoryview(data)
        while len(view):
            step = len(view) if self._is_in_pixels else _STEP_BYTES
            yield from self._iter_steps(self._tokenizer.feed(view[:step]))
            view = view[step:]

    def finish(self) -> Iterator[list[Part]]:
        """Take the end of the data set; yields and raises as `feed`."""
        yield from self._iter_steps(self._tokenizer.finish())
        if not self._is_head_over:
            yield [self._end_head(0)]

    def _iter_steps(self, tokens: Iterable[Token]) -> Iterator[list[Part]]:
        """Few tokens at a time: those of a deflated data set are made meanwhile, and may be many."""
        remaining = iter(tokens)
        while some := list(islice(remaining, _STEP_TOKENS)):
            yield self._split(some)

    def _split(self, tokens: list[Token]) -> list[Part]:
        parts = self._take(tokens)
        if not self._is_without_frames and not self._frames.is_complete:
            place = 1 if parts and isinstance(parts[0], Head) else 0  # before what follows the pixel data
            parts[place:place] = self._frames.take(tokens)
        return parts

    def _take(self, tokens: list[Token]) -> list[Part]:
        parts: list[Part] = []
        for token in tokens:
            if self._is_in_pixels:
                self._is_in_pixels = not isinstance(token, ValueEnd | EncapsulatedEnd)
            elif not self._is_head_over and self._begins_pixels(token):
                parts.append(self._end_head(self._tag))
                self._is_in_pixels = True
            elif self._is_head_over:
                parts.extend(Tail(bytes(piece)) for piece in encode_tokens((token,)))
            else:
                self._add_to_head(token)
        return parts

    def _begins_pixels(self, token: Token) -> bool:
        if self._depth or not isinstance(token, ValueStart | EncapsulatedStart) or token.tag not in PIXEL_DATA:
            return False
        self._tag = token.tag
        # without a byte of it there is no frame; then it is an element like others
        self._is_without_frames = isinstance(token, ValueStart) and not token.length
        return not self._is_without_frames

    def _end_head(self, pixel_tag: int) -> Head:
        self._is_head_over = True
        self._head.pixel_tag = pixel_tag
        return self._head

    def _add_to_head(self, token: Token) -> None:
        if self._depth == 0 and isinstance(token, Element | ValueStart | SequenceStart | EncapsulatedStart):
            self._tag = token.tag
        if isinstance(token, Element) and self._depth == 0 and _is_noted(token.tag):
            self._head.values[token.tag] = token.value
        for piece in encode_tokens((token,)):
            self._hold(piece)
        self._depth += isinstance(token, SequenceStart)
        self._depth -= isinstance(token, SequenceEnd)
        self._holds_compressed |= self._depth > 0 and isinstance(token, EncapsulatedStart)
        if self._depth == 0 and isinstance(token, Element | ValueEnd | SequenceEnd | EncapsulatedEnd):
            self._end_element()

    def _end_element(self) -> None:
        encoded, self._encoded = self._encoded, bytearray()
        # a long one is not copied
        whole = bytes(encoded) if len(encoded) < _SHORT else memoryview(encoded).toreadonly()
        self._head.elements.append(HeadElement(self._tag, whole, self._holds_compressed))
        self._holds_compressed = False
        if len(self._head.elements) > _MOST_ELEMENTS:
            raise ImagingFailed(f"more than {_MOST_ELEMENTS} elements precede the pixel data")

    def _hold(self, piece: Buffer) -> None:
        self._head_bytes += len(piece)
        if self._head_bytes > self._max_head_bytes:
            raise ImagingFailed(f"more than {self._max_head_bytes} bytes precede the pixel data")
        self._encoded += piece


def _is_noted(tag: int) -> bool:
    return tag >> 16 == 0x0028 or tag == _IMAGE_TYPE


def _is_gathered(tag: int, vr: str, length: int) -> bool:
    return is_gathered(tag, vr, length) or (length <= _GATHER_LIMIT and tag not in PIXEL_DATA)
