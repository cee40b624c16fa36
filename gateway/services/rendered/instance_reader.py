"""One instance as it streams by: what stands before its pixel data, and the frames that are wanted.

    reader = InstanceReader(sop_class_uid, transfer_syntax_uid, lambda facts: [facts.telling_frame], limits)
    for piece in pieces:
        for frame in reader.feed(piece):
            ...                                    # None: let others have their turn
        if reader.is_complete:
            break
    for frame in reader.finish():
        ...

The attributes come out as a data set in Explicit VR Little Endian whatever they were written in, since a renderer
needs them whole; frames stay as they are stored, since only ``gateway/imaging`` decodes. Which frames are wanted is
asked when the attributes are known. Both are held, within limits, the frames where a worker can open them; a frame is
made when it is asked for, since a piece may hold thousands. Nothing is waited for. Called by ``reading.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from gateway.codecs import Buffer
from gateway.codecs.frame_assembler import PIXEL_DATA, FrameAssembler, is_gathered
from gateway.codecs.frames import FrameChunk, FrameEnd, FrameEvent, FrameStart
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

_EXTENDED_OFFSET_TABLE = 0x7FE00001
_DESCRIPTION = frozenset({0x002800, 0x002801})  # (0028,00xx) and (0028,01xx)
_GATHERED_BYTES = 4_096
_TOKEN_BYTES = 8  # a header at least

# What is done before others have their turn: at most 2,048 elements read, 1,024 of them written anew, 64 KiB copied or
# 256 frames made.
_STEP_BYTES, _LONG_STEP_BYTES = 16_384, 65_536
_TOKEN_WEIGHT = 64
_FRAMES_AT_A_TIME = 256


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
        self._choose_frames: ChooseFrames | None = choose_frames
        self._limits = limits
        self._sop_class_uid = sop_class_uid
        self._transfer_syntax_uid = transfer_syntax_uid
        self._tokenizer = Tokenizer(transfer_syntax_uid, gather_limit=_is_gathered)
        self._header = _HeaderWriter(limits.document if is_text(sop_class_uid) else limits.header)
        self._facts: InstanceFacts | None = None
        self._assembler: FrameAssembler | None = None
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
        return self._facts is not None and (self._assembler is None or self._assembler.is_complete)

    @property
    def remaining_bytes(self) -> int | None:
        """About how much of the pixel data is still to come; None where that is not known."""
        return None if self._assembler is None else self._assembler.remaining_bytes

    def feed(self, data: Buffer) -> Iterator[Frame | None]:
        """Take the next bytes of the data set, immutable, as far as the caller iterates, which is to the end.

        Yields
        ------
        Frame or None
            A frame that ends in them, not held before it is asked for; None where some milliseconds have been used, so
            that others should have their turn.

        Raises
        ------
        FrameNotFound
            A wanted frame is beyond the last, or Pixel Data is empty.
        DecodeError
            The data set cannot be read.
        TooLarge
            More would have to be held than the limits allow.
        """
        position = 0
        while position < len(data) and not self.is_complete:
            step = data[position : position + self._find_step()]
            position += len(step)
            yield from self._take(self._tokenizer.feed(step))

    def finish(self) -> Iterator[Frame | None]:
        """Take the end of the data set; yields and raises as `feed`."""
        if not self.is_complete:
            yield from self._take(self._tokenizer.finish())  # a deflated data set may have come in one piece
        if self._facts is None:
            self._facts = self._describe(has_pixels=False)
            self._ask_frames(self._facts)

    def _find_step(self) -> int:
        """Bytes to read at a time: native pixel data has no structure that would take long."""
        pixels = None if self._assembler is None else self._assembler.header
        return _LONG_STEP_BYTES if pixels is not None and pixels.frame_bits else _STEP_BYTES

    def _take(self, tokens: Iterable[Token]) -> Iterator[Frame | None]:
        for batch in _iter_batches(tokens):
            pixels = batch if self._facts is not None else self._header.take(batch)
            if pixels and self._facts is None:
                self._begin_frames()
            yield from self._gather(pixels)
            yield None
            if self.is_complete:
                return

    def _begin_frames(self) -> None:
        self._facts = self._describe(has_pixels=True)
        wanted = self._ask_frames(self._facts)
        if wanted is None or wanted:
            self._assembler = FrameAssembler(self._transfer_syntax_uid, wanted)
            self._assembler.take(self._header.iter_description())

    def _ask_frames(self, facts: InstanceFacts) -> Sequence[int] | None:
        """Ask which frames are wanted, once; whom is asked may hold this reader, and is let go of."""
        choose, self._choose_frames = self._choose_frames, None
        assert choose is not None
        return choose(facts)

    def _describe(self, *, has_pixels: bool) -> InstanceFacts:
        return InstanceFacts.from_attributes(
            self._sop_class_uid, self._transfer_syntax_uid, self._header.attributes, has_pixels=has_pixels
        )

    def _gather(self, tokens: Iterable[Token]) -> Iterator[Frame | None]:
        if self._assembler is None:
            return
        for token in tokens:
            for number, part in enumerate(self._cut(token)):
                if self._assembler.is_complete:
                    return
                if number:
                    yield None
                yield from self._hold(self._assembler.take((part,)))

    def _cut(self, token: Token) -> Iterable[Token]:
        """Cut a piece of native pixel data that has very many frames; a frame may have a single bit."""
        pixels = None if self._assembler is None else self._assembler.header
        size = 0 if pixels is None else pixels.frame_bits * _FRAMES_AT_A_TIME // 8
        if not isinstance(token, ValueChunk) or not 0 < size < len(token.data):
            return (token,)
        view = memoryview(token.data)
        return (ValueChunk(view[start : start + size]) for start in range(0, len(view), size))

    def _hold(self, events: Iterable[FrameEvent]) -> Iterator[Frame]:
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
                    self._start += self._frame_bytes
                    yield Frame(self._number, self._shared, place)


class _HeaderWriter:
    """Writes the data set anew until its pixel data begins, and notes the attributes that others go by."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._out = bytearray()
        self._size = 0
        self._depth = 0
        self._beginning: Token | None = None
        self._description: dict[int, Element] = {}
        self.attributes: dict[int, bytes] = {}

    @property
    def encoded(self) -> Buffer:
        return memoryview(self._out).toreadonly()

    def take(self, batch: Iterable[Token]) -> list[Token]:
        """Take the next tokens; return those of them from the beginning of the pixel data on."""
        tokens = iter(batch)
        for piece in encode_tokens(self._pass_on(tokens)):
            self._out += piece
        return [] if self._beginning is None else [self._beginning, *tokens]

    def iter_description(self) -> Iterable[Element]:
        """What has passed of the attributes that say how frames are told apart."""
        return self._description.values()

    def _pass_on(self, tokens: Iterable[Token]) -> Iterator[Token]:
        for token in tokens:
            if self._depth == 0 and self._begins_pixel_data(token):
                self._beginning = token
                return
            self._size += _TOKEN_BYTES + _measure(token)
            if self._size > self._limit:
                raise TooLarge("what precedes the pixel data", self._limit)
            self._follow_depth(token)
            yield token

    def _follow_depth(self, token: Token) -> None:
        match token:
            case SequenceStart():
                self._depth += 1
            case SequenceEnd():
                self._depth -= 1

    def _begins_pixel_data(self, token: Token) -> bool:
        match token:
            case Element(tag=tag, value=value):
                self._note(tag, value)
                if tag >> 8 in _DESCRIPTION or tag == _EXTENDED_OFFSET_TABLE:
                    self._description[tag] = token
            case ValueStart(tag=tag) | EncapsulatedStart(tag=tag):
                self._note(tag, b"")
                return tag in PIXEL_DATA
            case SequenceStart(tag=tag):
                self._note(tag, b"")
        return False

    def _note(self, tag: int, value: bytes) -> None:
        if tag in FACTS:
            self.attributes[tag] = value


def _iter_batches(tokens: Iterable[Token]) -> Iterator[list[Token]]:
    """Cut `tokens`, which a deflated data set may have any number of, so that each list costs a few milliseconds."""
    batch: list[Token] = []
    weight = 0
    for token in tokens:
        batch.append(token)
        weight += _TOKEN_WEIGHT + _measure(token)
        if weight >= _LONG_STEP_BYTES:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


def _measure(token: Token) -> int:
    match token:
        case Element(value=data) | ValueChunk(data=data) | FragmentChunk(data=data):
            return len(data)
    return 0


def _is_gathered(tag: int, vr: str, length: int) -> bool:
    return tag not in PIXEL_DATA and (length <= _GATHERED_BYTES or is_gathered(tag, vr, length))
