"""One instance as it streams by: what stands before its pixel data, and the frames that are wanted.

    reader = InstanceReader(sop_class_uid, transfer_syntax_uid, lambda facts: [facts.telling_frame], limits)
    for piece in pieces:
        frames += reader.feed(piece)
        if reader.is_complete:
            break
    frames += reader.finish()

The attributes come out as a data set in Explicit VR Little Endian whatever they were written in, since a renderer
needs them whole; frames stay as they are stored, since only ``gateway/imaging`` decodes. Which frames are wanted is
asked when the attributes are known. Both are held, within limits, the frames where a worker can open them. Nothing is
waited for. Called by ``reading.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from gateway.codecs import Buffer
from gateway.codecs.frames import FrameChunk, FrameEnd, FrameEvent, FrameExtractor, FrameStart
from gateway.codecs.reencode import encode_tokens
from gateway.codecs.tokens import (
    Element,
    EncapsulatedStart,
    FragmentChunk,
    SequenceEnd,
    SequenceStart,
    Token,
    Tokenizer,
    ValueChunk,
    ValueStart,
)
from gateway.errors import TooLarge
from gateway.imaging.shared_bytes import Place, SharedBytes
from gateway.services.rendered.facts import FACTS, InstanceFacts, is_text

__all__ = ["ChooseFrames", "Frame", "InstanceReader", "ReaderLimits"]

ChooseFrames = Callable[[InstanceFacts], Sequence[int] | None]
"""Which frames are wanted of an instance, ascending from 1: none, where its attributes are enough, None for all.

All of them are never listed: an instance may claim to have two thousand million.
"""

MIB = 1_048_576

_PIXEL_DATA = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_GATHERED_BYTES = 4_096
_TOKEN_BYTES = 8  # a header at least


@dataclass(frozen=True, slots=True)
class ReaderLimits:
    """What may be held of one instance, in bytes.

    Parameters
    ----------
    header
        Before the pixel data: functional groups of ten thousand frames have some megabytes.
    document
        Of an instance that is read and not looked at: an encapsulated PDF is held whole.
    frames
        All frames held at one time.
    """

    header: int = 32 * MIB
    document: int = 128 * MIB
    frames: int = 256 * MIB


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as stored: native and little endian, or its codestream. A video is one, numbered 1.

    Parameters
    ----------
    number
        From 1.
    held
        What holds it, alone or with the frames before.
    place
        Where it stands there.
    """

    number: int
    held: SharedBytes = field(repr=False)
    place: Place


class InstanceReader:
    """Reads one data set.

    Parameters
    ----------
    sop_class_uid, transfer_syntax_uid
        As the archive sends it.
    choose_frames
        Asked once, when the attributes are known; what it raises comes out of `feed` or `finish`.
    limits

    Attributes
    ----------
    keeps_together : bool
        Whether all frames are held in one place, for an animation; may be set until `choose_frames` returns.
    """

    def __init__(
        self, sop_class_uid: str, transfer_syntax_uid: str, choose_frames: ChooseFrames, limits: ReaderLimits
    ) -> None:
        self._choose_frames = choose_frames
        self._limits = limits
        self._sop_class_uid = sop_class_uid
        self._transfer_syntax_uid = transfer_syntax_uid
        self._header = _HeaderReader(transfer_syntax_uid, limits.document if is_text(sop_class_uid) else limits.header)
        self._held: list[Buffer] = []
        self._held_bytes = 0
        self._facts: InstanceFacts | None = None
        self._extractor: FrameExtractor | None = None
        self._number = 0
        self._shared = SharedBytes()
        self._start = 0
        self._frame_bytes = 0
        self.keeps_together = False

    @property
    def facts(self) -> InstanceFacts | None:
        """What is known of the instance; None as long as its attributes have not passed."""
        return self._facts

    @property
    def header(self) -> Buffer:
        """The data set up to its pixel data, in Explicit VR Little Endian; whole where it has none.

        Complete once there are `facts`, and a view then, not a copy.
        """
        return self._header.encoded

    @property
    def is_complete(self) -> bool:
        """Whether all that is wanted has been given."""
        return self._facts is not None and (self._extractor is None or self._extractor.is_complete)

    @property
    def remaining_bytes(self) -> int | None:
        """About how much of the pixel data is still to come; None where that is not known."""
        return None if self._extractor is None else self._extractor.remaining_bytes

    def feed(self, data: Buffer) -> list[Frame]:
        """Take the next bytes of the data set, immutable; return the frames that end in them.

        Raises
        ------
        FrameNotFound
            A wanted frame is beyond the last, or Pixel Data is empty.
        DecodeError
            The data set cannot be read.
        TooLarge
            More would have to be held than the limits allow.
        """
        if self._extractor is not None:
            return self._gather(self._extractor.feed(data))
        if self._facts is not None:
            return []
        self._hold(data)
        if not self._header.feed(data):
            return []
        return self._begin_frames()

    def finish(self) -> list[Frame]:
        """Take the end of the data set; raises as `feed`."""
        if self._facts is not None:
            return self._finish_frames()
        if self._header.finish():  # a deflated data set may have come in one piece
            return self._begin_frames() + self._finish_frames()
        self._held.clear()
        self._facts = self._describe(has_pixels=False)
        self._choose_frames(self._facts)
        return []

    def _finish_frames(self) -> list[Frame]:
        return [] if self._extractor is None else self._gather(self._extractor.finish())

    def _hold(self, data: Buffer) -> None:
        """Keep what the frame extractor has to read too, which begins only when the wanted frames are known."""
        if is_text(self._sop_class_uid):
            return
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > self._limits.header + len(data):
            raise TooLarge("what precedes the pixel data", self._limits.header)

    def _begin_frames(self) -> list[Frame]:
        self._facts = self._describe(has_pixels=True)
        held, self._held = self._held, []
        wanted = self._choose_frames(self._facts)
        if wanted is not None and not wanted:
            return []
        self._extractor = FrameExtractor(self._transfer_syntax_uid, wanted)
        return [frame for piece in held for frame in self._gather(self._extractor.feed(piece))]

    def _describe(self, *, has_pixels: bool) -> InstanceFacts:
        return InstanceFacts.from_attributes(
            self._sop_class_uid, self._transfer_syntax_uid, self._header.attributes, has_pixels=has_pixels
        )

    def _gather(self, events: Iterable[FrameEvent]) -> list[Frame]:
        frames = []
        for event in events:
            match event:
                case FrameStart(number=number):
                    if not self.keeps_together:
                        self._shared = SharedBytes()
                        self._start = 0
                    self._number, self._frame_bytes = number, 0
                case FrameChunk(data=data):
                    self._frame_bytes += len(data)
                    if self._start + self._frame_bytes > self._limits.frames:
                        raise TooLarge("what is held of the frames", self._limits.frames)
                    self._shared.append(data)
                case FrameEnd():
                    place = Place(self._shared.address, self._start, self._frame_bytes)
                    frames.append(Frame(self._number, self._shared, place))
                    self._start += self._frame_bytes
        return frames


class _HeaderReader:
    """Writes the data set anew until its pixel data begins, and notes the attributes that facts are made of."""

    def __init__(self, transfer_syntax_uid: str, limit: int) -> None:
        self._tokenizer = Tokenizer(transfer_syntax_uid, gather_limit=_is_gathered)
        self._limit = limit
        self._out = bytearray()
        self._size = 0
        self._depth = 0
        self._is_over = False
        self.attributes: dict[int, bytes] = {}

    @property
    def encoded(self) -> Buffer:
        return memoryview(self._out).toreadonly()

    def feed(self, data: Buffer) -> bool:
        """Take the next bytes; whether the pixel data has begun."""
        return self._write(self._tokenizer.feed(data))

    def finish(self) -> bool:
        return self._write(self._tokenizer.finish())

    def _write(self, tokens: Iterable[Token]) -> bool:
        for piece in encode_tokens(self._pass_on(tokens)):
            self._out += piece
        return self._is_over

    def _pass_on(self, tokens: Iterable[Token]) -> Iterator[Token]:
        for token in tokens:
            if self._depth == 0 and self._begins_pixel_data(token):
                self._is_over = True
                return
            self._size += _TOKEN_BYTES + self._measure(token)
            if self._size > self._limit:
                raise TooLarge("what precedes the pixel data", self._limit)
            yield token

    def _measure(self, token: Token) -> int:
        match token:
            case Element(value=data) | ValueChunk(data=data) | FragmentChunk(data=data):
                return len(data)
            case SequenceStart():
                self._depth += 1
            case SequenceEnd():
                self._depth -= 1
        return 0

    def _begins_pixel_data(self, token: Token) -> bool:
        match token:
            case Element(tag=tag, value=value):
                self._note(tag, value)
            case ValueStart(tag=tag) | EncapsulatedStart(tag=tag):
                self._note(tag, b"")
                return tag in _PIXEL_DATA
            case SequenceStart(tag=tag):
                self._note(tag, b"")
        return False

    def _note(self, tag: int, value: bytes) -> None:
        if tag in FACTS:
            self.attributes[tag] = value


def _is_gathered(tag: int, _vr: str, length: int) -> bool:
    return tag not in _PIXEL_DATA and length <= _GATHERED_BYTES
