"""An incremental reader of data sets: pieces of any size in, tokens out (PS3.5 §7).

    tokenizer = Tokenizer(transfer_syntax_uid, gather_limit=1024)
    for piece in pieces:
        for token in tokenizer.feed(piece):
            ...
    for token in tokenizer.finish():
        ...

What it is not: it does not decode values (``charset``, ``dicom_json``), does not know File Meta Information
(``part10``), and keeps nothing but the values it was asked to gather. Its callers are the other codecs.

A short value comes as one `Element`; a value that is not gathered as `ValueStart`, `ValueChunk`..., `ValueEnd`, its
chunks being views of what was fed. Sequences nest as `SequenceStart`, (`ItemStart`, ..., `ItemEnd`)..., `SequenceEnd`,
whatever mix of defined and undefined lengths they were written with. Encapsulated pixel data is `EncapsulatedStart`,
(`FragmentStart`, `FragmentChunk`..., `FragmentEnd`)..., `EncapsulatedEnd`, the fragment of index 0 being the Basic
Offset Table (PS3.5 §A.4). Values are little endian always. Dispatch on the token's class.

How odd data is read, so that what archives hold stays readable:

- The first element tells whether VRs are explicit, not the transfer syntax; so does the first element of each item
  of an explicit data set, since some writers switch inside sequences.
- UN of undefined length is a sequence in Implicit VR Little Endian (PS3.5 §6.2.2 note 4, CP-246). UN of a known tag
  stays UN.
- Explicit VR: two letters that are no VR are UN with a 16-bit length; anything else in their place means that this
  element is written in Implicit VR.
- Implicit VR: an undefined length means a sequence whatever the dictionary says (PS3.5 §A.1), but for Pixel Data.
- A sequence of defined length that does not start with an item is UN.
- Lengths of delimiters are ignored. A delimiter may end what has a defined length; one that ends nothing is skipped at
  the top and between items. Zeros after the last element are padding. Odd lengths are taken as they are.

The machine is one stack of levels (data set, sequence, encapsulated value: ``levels``) and one of five steps: read
elements, read an item header, read a fragment header, pass a value on, gather a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from struct import Struct
from typing import NamedTuple

from gateway.codecs import Buffer
from gateway.codecs.inflate import Inflater
from gateway.codecs.levels import MAX_NOTED, PIXEL_REPRESENTATION, UNBOUNDED, Kind, Level, is_letters, is_noted
from gateway.codecs.token_kinds import (
    Element,
    EncapsulatedEnd,
    EncapsulatedStart,
    FragmentChunk,
    FragmentEnd,
    FragmentStart,
    ItemEnd,
    ItemStart,
    SequenceEnd,
    SequenceStart,
    Token,
    ValueChunk,
    ValueEnd,
    ValueStart,
)
from gateway.codecs.transfer_syntax import get_transfer_syntax
from gateway.codecs.value_representations import LONG_VRS, SHORT_VRS, WORD_SIZES, swap_words
from gateway.errors import DecodeError

__all__ = [
    "UNDEFINED_LENGTH",
    "Element",
    "EncapsulatedEnd",
    "EncapsulatedStart",
    "FragmentChunk",
    "FragmentEnd",
    "FragmentStart",
    "GatherRule",
    "ItemEnd",
    "ItemStart",
    "SequenceEnd",
    "SequenceStart",
    "Token",
    "Tokenizer",
    "ValueChunk",
    "ValueEnd",
    "ValueStart",
]

GatherRule = int | Callable[[int, str, int], bool]
"""The longest length of a value to gather, or whether to gather it by tag, VR and length in bytes.

A callable may be asked more than once about an element, and must answer the same.
"""

UNDEFINED_LENGTH = 0xFFFFFFFF

# Deeper than any IOD; without a limit the stack would grow as long as item headers come.
_MAX_DEPTH = 64
# A gathered value is in memory: half of what one stream may use.
_MAX_GATHERED = 4 * 1024 * 1024

_ITEM, _ITEM_DELIMITATION, _SEQUENCE_DELIMITATION = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXEL_DATA = 0x7FE00010

_EXPLICIT = {True: Struct("<HH2sH").unpack_from, False: Struct(">HH2sH").unpack_from}
_IMPLICIT = {True: Struct("<HHI").unpack_from, False: Struct(">HHI").unpack_from}
_LENGTH = {True: Struct("<I").unpack_from, False: Struct(">I").unpack_from}
_TAG = {True: Struct("<HH").unpack_from, False: Struct(">HH").unpack_from}

_END_TOKENS: dict[Kind, Token] = {
    Kind.DATA_SET: ItemEnd(),
    Kind.SEQUENCE: SequenceEnd(),
    Kind.ENCAPSULATED: EncapsulatedEnd(),
}
_ITEM_START, _VALUE_END, _FRAGMENT_END = ItemStart(), ValueEnd(), FragmentEnd()


_Step = Callable[[Buffer, int, list[Token]], int]
"""Takes the buffer, a position in it and the list of tokens to add to; returns the position it came to."""


class _Header(NamedTuple):
    """An element up to its value, which starts at `start` in the buffer; `implicit` where no VR was written."""

    tag: int
    vr: str
    length: int
    start: int
    implicit: bool


class Tokenizer:
    """Reads one data set.

    Parameters
    ----------
    transfer_syntax_uid : str
        Of the data set; a deflated one is inflated here. Unknown UIDs are read as Explicit VR LE.
    gather_limit : int or callable
        Values up to this many bytes become `Element`; a callable is asked ``(tag, vr, length) -> bool`` instead.
        In Implicit VR, private creators, Pixel Representation and LUT Descriptor are gathered in any case, since the
        VRs of later elements depend on them.
    """

    def __init__(self, transfer_syntax_uid: str, *, gather_limit: GatherRule) -> None:
        syntax = get_transfer_syntax(transfer_syntax_uid)
        self._limit = gather_limit if isinstance(gather_limit, int) else -1
        self._selects = None if isinstance(gather_limit, int) else gather_limit
        self._inflater = Inflater() if syntax.deflated else None
        self._level = Level(
            Kind.DATA_SET, UNBOUNDED, explicit=syntax.explicit_vr, little=syntax.little_endian, detects=True
        )
        self._stack: list[Level] = []
        self._steps: dict[Kind, _Step] = {
            Kind.DATA_SET: self._read_elements,
            Kind.SEQUENCE: self._read_item,
            Kind.ENCAPSULATED: self._read_fragment,
        }
        self._step: _Step = self._read_elements
        self._in_value = False
        self._starved = False
        self._rescued: list[Token] = []
        # the bytes of an incomplete header, at most 15, and the offset of the first of them in the data set
        self._pending = b""
        self._offset = 0
        # of the value being passed on or gathered: bytes still to come, and bytes a big endian word has, else 1
        self._left = 0
        self._word_size = 1
        self._gathered = bytearray()
        self._gathered_tag = 0
        self._gathered_vr = ""

    def feed(self, data: Buffer) -> Iterable[Token]:
        """Read the next bytes.

        Parameters
        ----------
        data : bytes or memoryview
            Any number of bytes; immutable, since chunks are views of it.

        Returns
        -------
        iterable of Token
            Those that `data` completes. For a deflated data set they are made while the caller iterates, 64 KiB of data
            set at a time, so that a deflate bomb cannot fill memory; what is not iterated comes with the next call.

        Raises
        ------
        DecodeError
            Structure that cannot be read, nesting over 64 levels, or a value to gather over 4 MiB; with the offset in
            the (inflated) data set and the tag path. The tokenizer is of no use afterwards.
        """
        if self._inflater is not None:
            return self._read_inflated(self._inflater.feed(data))
        return self._read(data)

    def finish(self) -> Iterable[Token]:
        """Take the end of the data.

        Returns
        -------
        iterable of Token
            Those not returned yet; empty but for deflated data sets. Made while the caller iterates, as by `feed`.

        Raises
        ------
        DecodeError
            The data set ends inside an element, item or sequence. For a deflated data set it is raised while the caller
            iterates.
        """
        if self._inflater is not None:
            return self._finish_inflated(self._inflater)
        self._check_end()
        return ()

    @property
    def rescued(self) -> list[Token]:
        """The tokens that were complete when reading failed and that the call that raised could not return."""
        return self._rescued

    @property
    def offset(self) -> int:
        """Bytes of the (inflated) data set read so far, but for those of an incomplete header."""
        return self._offset

    def _read_inflated(self, steps: Iterator[bytes]) -> Iterator[Token]:
        for step in steps:
            yield from self._read(step)

    def _finish_inflated(self, inflater: Inflater) -> Iterator[Token]:
        yield from self._read_inflated(inflater.finish())
        self._check_end()

    def _check_end(self) -> None:
        if self._stack or self._in_value or any(self._pending):
            raise self._error("data set ends too early", len(self._pending))

    def _read(self, data: Buffer) -> list[Token]:
        if self._pending:
            data = self._pending + bytes(data)
        out: list[Token] = []
        position = 0
        self._starved = False
        try:
            while not self._starved:
                position = self._step(data, position, out)
        except DecodeError:
            self._rescued = out
            raise
        self._pending = bytes(data[position:])
        self._offset += position
        return out

    def _starve(self, position: int) -> int:
        """Stop until more is fed; what follows `position` is kept."""
        self._starved = True
        return position

    def _error(self, reason: str, position: int) -> DecodeError:
        named = [level for level in (*self._stack, self._level) if level.tag]
        path = "/".join(
            f"{level.tag:08X}/{level.index + 1}" if level.index >= 0 else f"{level.tag:08X}" for level in named
        )
        return DecodeError(reason, offset=self._offset + position, path=path)

    # --- elements (PS3.5 §7.1) ---

    def _read_elements(self, data: Buffer, position: int, out: list[Token]) -> int:
        """Read elements of the open data set, as far as they are complete or until one opens something."""
        level = self._level
        size = len(data)
        end = level.end - self._offset
        if level.detects and position < end:
            if size - position < 8:
                return self._starve(position)
            level.detects = False
            if _tag_at(data, position, little=level.little) >> 16 != 0xFFFE:
                level.detect_vr_encoding(bytes(data[position + 4 : position + 6]))
        unpack = _EXPLICIT[level.little]
        explicit, little, limit, selects = level.explicit, level.little, self._limit, self._selects
        # The commonest case is all in this loop: a call for each element would double its time.
        while position < end:
            if size - position < 8:
                return self._starve(position)
            group, number, raw_vr, length = unpack(data, position)
            stop = position + 8 + length
            if (
                explicit
                and stop <= size
                and stop <= end
                and (vr := SHORT_VRS.get(raw_vr)) is not None
                and (length <= limit or (selects is not None and selects(group << 16 | number, vr, length)))
            ):
                tag = group << 16 | number
                value = bytes(data[position + 8 : stop])
                if not little and vr in WORD_SIZES:
                    value = swap_words(value, WORD_SIZES[vr])
                if tag == PIXEL_REPRESENTATION:
                    level.note(tag, value)
                out.append(Element(tag, vr, value))
                position = stop
                continue
            position = self._read_element(data, position, out)
            if self._starved or self._in_value or self._level is not level:
                return position
        return self._close_level(position, out)

    def _read_element(self, data: Buffer, position: int, out: list[Token]) -> int:
        """Read one element of any kind, of which the first 8 bytes are there."""
        level = self._level
        end = level.end - self._offset
        if position + 8 > end:
            raise self._error("item ends inside an element", position)
        tag = _tag_at(data, position, little=level.little)
        if tag >> 16 == 0xFFFE:
            return self._take_delimiter(tag, position, out)
        if not tag and not self._stack and not any(data[position : position + 8]):
            return position + 8
        header = self._parse_header(tag, data, position)
        if header is None:
            return self._starve(position)
        if header.length == UNDEFINED_LENGTH:
            return self._open_undefined(header, position, out)
        if header.start + header.length > end:
            raise self._error("element is longer than its item", position)
        if header.vr == "SQ":
            return self._open_sequence(header, data, position, out)
        return self._begin_value(header, data, position, out)

    def _parse_header(self, tag: int, data: Buffer, position: int) -> _Header | None:
        """Return what precedes the value, None where it is not all there."""
        level = self._level
        start = position + 8
        if level.explicit:
            raw_vr = bytes(data[position + 4 : position + 6])
            if raw_vr in LONG_VRS:
                if len(data) < start + 4:
                    return None
                (length,) = _LENGTH[level.little](data, start)
                return _Header(tag, LONG_VRS[raw_vr], length, start + 4, implicit=False)
            if is_letters(raw_vr):
                length = _EXPLICIT[level.little](data, position)[3]
                return _Header(tag, SHORT_VRS.get(raw_vr, "UN"), length, start, implicit=False)
        (length,) = _LENGTH[level.little](data, position + 4)
        return _Header(tag, level.find_implicit_vr(tag), length, start, implicit=True)

    # --- values ---

    def _begin_value(self, header: _Header, data: Buffer, position: int, out: list[Token]) -> int:
        """Decide whether the value is gathered, and make that the next step."""
        tag, vr, length, start, implicit = header
        self._left = length
        self._word_size = 1 if self._level.little else WORD_SIZES.get(vr, 1)
        self._in_value = True
        if not (
            length <= self._limit
            or (self._selects is not None and self._selects(tag, vr, length))
            or (implicit and length <= MAX_NOTED and is_noted(tag))
        ):
            out.append(ValueStart(tag, vr, length))
            self._step = self._pass_value
            return start
        if length > _MAX_GATHERED:
            raise self._error(f"value of {length} bytes is too long to be held", position)
        self._gathered_tag, self._gathered_vr = tag, vr
        self._step = self._gather_value
        return self._gather_value(data, start, out)

    def _gather_value(self, data: Buffer, position: int, out: list[Token]) -> int:
        taken = data[position : position + self._left]
        self._left -= len(taken)
        if self._left or self._gathered:
            self._gathered += taken
        if self._left:
            return self._starve(len(data))
        tag, value = self._gathered_tag, bytes(self._gathered or taken)
        self._gathered.clear()
        if self._word_size > 1:
            value = swap_words(value, self._word_size)
        if is_noted(tag):
            self._level.note(tag, value)
        out.append(Element(tag, self._gathered_vr, value))
        self._end_value()
        return position + len(taken)

    def _pass_value(self, data: Buffer, position: int, out: list[Token]) -> int:
        return self._pass_on(data, position, out, ValueChunk, _VALUE_END)

    def _pass_fragment(self, data: Buffer, position: int, out: list[Token]) -> int:
        return self._pass_on(data, position, out, FragmentChunk, _FRAGMENT_END)

    def _pass_on(
        self,
        data: Buffer,
        position: int,
        out: list[Token],
        chunk: type[ValueChunk] | type[FragmentChunk],
        end: Token,
    ) -> int:
        """Pass on what is there of a value, in whole words where they are to be swapped."""
        length = min(self._left, len(data) - position)
        if self._word_size > 1 and length < self._left:
            length -= length % self._word_size
        if length:
            taken = data if length == len(data) else memoryview(data)[position : position + length]
            out.append(chunk(swap_words(taken, self._word_size) if self._word_size > 1 else taken))
            self._left -= length
        if self._left:
            return self._starve(position + length)
        out.append(end)
        self._end_value()
        return position + length

    def _end_value(self) -> None:
        self._in_value = False
        self._step = self._steps[self._level.kind]

    # --- sequences and items (PS3.5 §7.5) ---

    def _open_sequence(self, header: _Header, data: Buffer, position: int, out: list[Token]) -> int:
        """Open a sequence of defined length, or take it as UN where it does not hold items."""
        level, start = self._level, header.start
        if header.length >= 4 and len(data) < start + 4:
            return self._starve(position)
        first = _tag_at(data, start, little=level.little) if header.length >= 4 else 0
        if header.length and first not in (_ITEM, _SEQUENCE_DELIMITATION):
            return self._begin_value(header._replace(vr="UN"), data, position, out)
        out.append(SequenceStart(header.tag, "SQ"))
        end = self._offset + start + header.length
        self._open_level(
            Level(Kind.SEQUENCE, end, tag=header.tag, explicit=level.explicit, little=level.little), position
        )
        return start

    def _open_undefined(self, header: _Header, position: int, out: list[Token]) -> int:
        """Open a sequence or an encapsulated value of undefined length."""
        level, tag, vr = self._level, header.tag, header.vr
        if tag == _PIXEL_DATA or not (header.implicit or vr in ("SQ", "UN")):
            vr = "OB" if tag == _PIXEL_DATA else vr
            out.append(EncapsulatedStart(tag, vr))
            opened = Level(Kind.ENCAPSULATED, level.end, tag=tag, explicit=True, little=level.little)
        else:
            vr = "SQ" if header.implicit else vr
            out.append(SequenceStart(tag, vr))
            opened = Level(
                Kind.SEQUENCE,
                level.end,
                tag=tag,
                explicit=level.explicit and vr == "SQ",
                little=level.little,
                detects=vr == "UN",
            )
        self._open_level(opened, position)
        return header.start

    def _open_level(self, level: Level, position: int) -> None:
        if len(self._stack) >= 2 * _MAX_DEPTH:
            raise self._error(f"sequences nested deeper than {_MAX_DEPTH}", position)
        level.pixel_representation = self._level.pixel_representation
        self._stack.append(self._level)
        self._level = level
        self._step = self._steps[level.kind]

    def _close_level(self, position: int, out: list[Token]) -> int:
        out.append(_END_TOKENS[self._level.kind])
        self._level = self._stack.pop()
        self._step = self._steps[self._level.kind]
        return position

    def _take_delimiter(self, tag: int, position: int, out: list[Token]) -> int:
        """Take an item or delimiter that stands where an element is expected."""
        if self._stack and tag == _ITEM_DELIMITATION:
            return self._close_level(position + 8, out)
        if self._stack or tag == _ITEM:
            raise self._error(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) instead of an element", position)
        return position + 8

    def _read_item(self, data: Buffer, position: int, out: list[Token]) -> int:
        """Read an item header, or what ends the sequence."""
        level = self._level
        if position >= level.end - self._offset:
            return self._close_level(position, out)
        if len(data) - position < 8:
            return self._starve(position)
        if level.detects:
            # the content of UN is little endian (PS3.5 §6.2.2), but some write it in the order of the rest
            level.little = bytes(data[position : position + 2]) != b"\xff\xfe"
        tag, length = self._read_item_header(data, position)
        if tag == _SEQUENCE_DELIMITATION:
            return self._close_level(position + 8, out)
        if tag == _ITEM_DELIMITATION:
            return position + 8
        end = level.end if length == UNDEFINED_LENGTH else self._offset + position + 8 + length
        if end > level.end:
            raise self._error("item is longer than its sequence", position)
        level.index += 1
        out.append(_ITEM_START)
        detects = level.explicit or level.detects
        self._open_level(
            Level(Kind.DATA_SET, end, explicit=level.explicit, little=level.little, detects=detects), position
        )
        return position + 8

    def _read_item_header(self, data: Buffer, position: int) -> tuple[int, int]:
        """Return tag and length of an item or delimiter; nothing else may stand here (PS3.5 §7.5)."""
        group, number, length = _IMPLICIT[self._level.little](data, position)
        tag = group << 16 | number
        if tag not in (_ITEM, _ITEM_DELIMITATION, _SEQUENCE_DELIMITATION):
            raise self._error(f"({group:04X},{number:04X}) instead of an item", position)
        return tag, length

    # --- encapsulated values (PS3.5 §A.4) ---

    def _read_fragment(self, data: Buffer, position: int, out: list[Token]) -> int:
        """Read a fragment's header, or what ends the encapsulated value."""
        level = self._level
        if position >= level.end - self._offset:
            raise self._error("encapsulated value without its delimiter", position)
        if len(data) - position < 8:
            return self._starve(position)
        tag, length = self._read_item_header(data, position)
        if tag != _ITEM:
            return self._close_level(position + 8, out)
        if length == UNDEFINED_LENGTH or position + 8 + length > level.end - self._offset:
            raise self._error("fragment of undefined length, or longer than its item", position)
        level.index += 1
        out.append(FragmentStart(level.index, length))
        self._left = length
        self._word_size = 1
        self._in_value = True
        self._step = self._pass_fragment
        return position + 8


def _tag_at(data: Buffer, position: int, *, little: bool) -> int:
    group, number = _TAG[little](data, position)
    return int(group << 16 | number)
