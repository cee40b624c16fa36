"""The machine that reads data sets: pieces of any size in, one call of a method for each thing found (PS3.5 §7).

It is the only reader of the structure of data sets; what it finds goes to the methods of its subclasses: ``tokens``
makes tokens of it, ``data_set_encoder`` JSON and XML. It neither decodes values (``charset``, ``json_values``) nor
knows File Meta Information (``part10``).

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

from abc import ABC, abstractmethod
from collections.abc import Callable

from gateway.codecs import Buffer
from gateway.codecs.element_headers import (
    EXPLICIT_HEADER,
    ITEM,
    ITEM_DELIMITATION,
    ITEM_HEADER,
    SEQUENCE_DELIMITATION,
    UNDEFINED_LENGTH,
    Header,
    read_header,
    read_tag,
)
from gateway.codecs.levels import MAX_NOTED, UNBOUNDED, Kind, Level, is_noted
from gateway.codecs.transfer_syntax import TransferSyntax
from gateway.codecs.value_representations import SHORT_VRS, WORD_SIZES, swap_words
from gateway.errors import DecodeError

__all__ = ["MAX_GATHERED", "Scanner"]

MAX_GATHERED = 4 * 1024 * 1024
"""Longest value in bytes that is gathered: it is in memory, half of what one stream may use."""

# Deeper than any IOD; without a limit the stack would grow as long as item headers come.
_MAX_DEPTH = 64

_PIXEL_DATA = 0x7FE00010

_Step = Callable[[Buffer, int], int]
"""Takes the buffer and a position in it; returns the position it came to."""


class Scanner(ABC):
    """Reads one data set that is not deflated; of no use after a DecodeError.

    Subclasses feed `_scan` and, at the end, `_check_end`, and are told what is there by the methods below, in the order
    in which it is written. Values are little endian always.
    """

    def __init__(self, syntax: TransferSyntax) -> None:
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
        # the bytes of an incomplete header, at most 15, and the offset of the first of them in the data set
        self._pending = b""
        self._offset = 0
        # of the value being passed on or gathered: bytes still to come, and bytes a big endian word has, else 1
        self._left = 0
        self._word_size = 1
        self._gathered = bytearray()
        self._gathered_tag = 0
        self._gathered_vr = ""

    # --- what subclasses are told ---

    @abstractmethod
    def _wants(self, tag: int, vr: str, length: int) -> bool:
        """Whether a value is gathered; may be asked more than once about an element, and must answer the same."""

    @abstractmethod
    def _add_element(self, tag: int, vr: str, value: bytes) -> None:
        """Take a gathered value, as long as it was written."""

    @abstractmethod
    def _start_value(self, tag: int, vr: str, length: int) -> None:
        """Take the beginning of a value that is not gathered."""

    @abstractmethod
    def _add_chunk(self, data: Buffer) -> None:
        """Take the next bytes of it, never none: a view of what was fed."""

    @abstractmethod
    def _end_value(self) -> None:
        """Take its end."""

    @abstractmethod
    def _start_sequence(self, tag: int, vr: str) -> None:
        """Take the beginning of a sequence; `vr` is "SQ", or "UN" where it was written so with undefined length."""

    @abstractmethod
    def _start_item(self) -> None:
        """Take the beginning of an item."""

    @abstractmethod
    def _end_item(self) -> None:
        """Take its end."""

    @abstractmethod
    def _end_sequence(self) -> None:
        """Take the end of the sequence."""

    @abstractmethod
    def _start_encapsulated(self, tag: int, vr: str) -> None:
        """Take the beginning of a value in fragments (PS3.5 §A.4)."""

    @abstractmethod
    def _start_fragment(self, index: int, length: int) -> None:
        """Take the beginning of a fragment; `index` 0 is the Basic Offset Table."""

    @abstractmethod
    def _add_fragment_chunk(self, data: Buffer) -> None:
        """Take the next bytes of it, never none: a view of what was fed."""

    @abstractmethod
    def _end_fragment(self) -> None:
        """Take its end."""

    @abstractmethod
    def _end_encapsulated(self) -> None:
        """Take the end of the value in fragments."""

    # --- feeding ---

    def _scan(self, data: Buffer) -> None:
        """Read the next bytes of the data set.

        Raises
        ------
        DecodeError
            Structure that cannot be read, nesting over 64 levels, or a value to gather over 4 MiB; with the offset in
            the data set and the tag path.
        """
        if self._pending:
            data = self._pending + bytes(data)
        position = 0
        self._starved = False
        while not self._starved:
            position = self._step(data, position)
        self._pending = bytes(data[position:])
        self._offset += position

    def _check_end(self) -> None:
        if self._stack or self._in_value or any(self._pending):
            raise self._error("data set ends too early", len(self._pending))

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

    def _read_elements(self, data: Buffer, position: int) -> int:
        """Read elements of the open data set, as far as they are complete or until one opens something."""
        level = self._level
        size = len(data)
        end = level.end - self._offset
        if level.detects and position < end and not self._detect_vr_encoding(data, position):
            return self._starve(position)
        limit = min(size, end)
        while position < end:
            if size - position < 8:
                return self._starve(position)
            if stop := self._read_whole(data, position, limit):
                position = stop
                continue
            position = self._read_element(data, position)
            if self._starved or self._in_value or self._level is not level:
                return position
        return self._close_level(position)

    def _detect_vr_encoding(self, data: Buffer, position: int) -> bool:
        """See from the first element how its data set is written; False where not enough of it is there."""
        level = self._level
        if len(data) - position < 8:
            return False
        level.detects = False
        if read_tag(data, position, little=level.little) >> 16 != 0xFFFE:
            level.detect_vr_encoding(bytes(data[position + 4 : position + 6]))
        return True

    def _read_whole(self, data: Buffer, position: int, limit: int) -> int:
        """Read an element of the commonest kinds, to gather and all there; return its end, 0 where it is another.

        What `_read_element` would do with it, in a third of the time.
        """
        level = self._level
        if level.explicit:
            group, number, raw_vr, length = EXPLICIT_HEADER[level.little](data, position)
            tag = group << 16 | number
            vr = SHORT_VRS.get(raw_vr, "")
        else:
            group, number, length = ITEM_HEADER[level.little](data, position)
            tag = group << 16 | number
            vr = level.find_implicit_vr(tag) if tag and group != 0xFFFE else ""
        start = position + 8
        stop: int = start + length
        if not vr or stop > limit or length > MAX_GATHERED or vr == "SQ" or not self._wants(tag, vr, length):
            return 0
        value = bytes(data[start:stop])
        if not level.little and vr in WORD_SIZES:
            value = swap_words(value, WORD_SIZES[vr])
        if is_noted(tag):
            level.note(tag, value)
        self._add_element(tag, vr, value)
        return stop

    def _read_element(self, data: Buffer, position: int) -> int:
        """Read one element of any kind, of which the first 8 bytes are there."""
        level = self._level
        end = level.end - self._offset
        if position + 8 > end:
            raise self._error("item ends inside an element", position)
        tag = read_tag(data, position, little=level.little)
        if tag >> 16 == 0xFFFE:
            return self._take_delimiter(tag, position)
        if not tag and not self._stack and not any(data[position : position + 8]):
            return position + 8
        header = read_header(tag, data, position, level)
        if header is None:
            return self._starve(position)
        if header.length == UNDEFINED_LENGTH:
            return self._open_undefined(header, position)
        if header.start + header.length > end:
            raise self._error("element is longer than its item", position)
        if header.vr == "SQ":
            return self._open_sequence(header, data, position)
        return self._begin_value(header, data, position)

    # --- values ---

    def _begin_value(self, header: Header, data: Buffer, position: int) -> int:
        """Decide whether the value is gathered, and make that the next step."""
        tag, vr, length, start, implicit = header
        self._left = length
        self._word_size = 1 if self._level.little else WORD_SIZES.get(vr, 1)
        self._in_value = True
        if not (self._wants(tag, vr, length) or (implicit and length <= MAX_NOTED and is_noted(tag))):
            self._start_value(tag, vr, length)
            self._step = self._pass_value
            return start
        if length > MAX_GATHERED:
            raise self._error(f"value of {length} bytes is too long to be held", position)
        self._gathered_tag, self._gathered_vr = tag, vr
        self._step = self._gather_value
        return self._gather_value(data, start)

    def _gather_value(self, data: Buffer, position: int) -> int:
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
        self._add_element(tag, self._gathered_vr, value)
        self._leave_value()
        return position + len(taken)

    def _pass_value(self, data: Buffer, position: int) -> int:
        return self._pass_on(data, position, self._add_chunk, self._end_value)

    def _pass_fragment(self, data: Buffer, position: int) -> int:
        return self._pass_on(data, position, self._add_fragment_chunk, self._end_fragment)

    def _pass_on(self, data: Buffer, position: int, add: Callable[[Buffer], None], end: Callable[[], None]) -> int:
        """Pass on what is there of a value, in whole words where they are to be swapped."""
        length = min(self._left, len(data) - position)
        if self._word_size > 1 and length < self._left:
            length -= length % self._word_size
        if length:
            taken = data if length == len(data) else memoryview(data)[position : position + length]
            add(swap_words(taken, self._word_size) if self._word_size > 1 else taken)
            self._left -= length
        if self._left:
            return self._starve(position + length)
        end()
        self._leave_value()
        return position + length

    def _leave_value(self) -> None:
        self._in_value = False
        self._step = self._steps[self._level.kind]

    # --- sequences and items (PS3.5 §7.5) ---

    def _open_sequence(self, header: Header, data: Buffer, position: int) -> int:
        """Open a sequence of defined length, or take it as UN where it does not hold items."""
        level, start = self._level, header.start
        if header.length >= 4 and len(data) < start + 4:
            return self._starve(position)
        first = read_tag(data, start, little=level.little) if header.length >= 4 else 0
        if header.length and first not in (ITEM, SEQUENCE_DELIMITATION):
            return self._begin_value(header._replace(vr="UN"), data, position)
        self._start_sequence(header.tag, "SQ")
        end = self._offset + start + header.length
        self._open_level(
            Level(Kind.SEQUENCE, end, tag=header.tag, explicit=level.explicit, little=level.little), position
        )
        return start

    def _open_undefined(self, header: Header, position: int) -> int:
        """Open a sequence or an encapsulated value of undefined length."""
        level, tag, vr = self._level, header.tag, header.vr
        if tag == _PIXEL_DATA or not (header.implicit or vr in ("SQ", "UN")):
            self._start_encapsulated(tag, "OB" if tag == _PIXEL_DATA else vr)
            opened = Level(Kind.ENCAPSULATED, level.end, tag=tag, explicit=True, little=level.little)
        else:
            vr = "SQ" if header.implicit else vr
            self._start_sequence(tag, vr)
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

    def _close_level(self, position: int) -> int:
        match self._level.kind:
            case Kind.DATA_SET:
                self._end_item()
            case Kind.SEQUENCE:
                self._end_sequence()
            case Kind.ENCAPSULATED:
                self._end_encapsulated()
        self._level = self._stack.pop()
        self._step = self._steps[self._level.kind]
        return position

    def _take_delimiter(self, tag: int, position: int) -> int:
        """Take an item or delimiter that stands where an element is expected."""
        if self._stack and tag == ITEM_DELIMITATION:
            return self._close_level(position + 8)
        if self._stack or tag == ITEM:
            raise self._error(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) instead of an element", position)
        return position + 8

    def _read_item(self, data: Buffer, position: int) -> int:
        """Read an item header, or what ends the sequence."""
        level = self._level
        if position >= level.end - self._offset:
            return self._close_level(position)
        if len(data) - position < 8:
            return self._starve(position)
        if level.detects:
            # the content of UN is little endian (PS3.5 §6.2.2), but some write it in the order of the rest
            level.little = bytes(data[position : position + 2]) != b"\xff\xfe"
        tag, length = self._read_item_header(data, position)
        if tag == SEQUENCE_DELIMITATION:
            return self._close_level(position + 8)
        if tag == ITEM_DELIMITATION:
            return position + 8
        end = level.end if length == UNDEFINED_LENGTH else self._offset + position + 8 + length
        if end > level.end:
            raise self._error("item is longer than its sequence", position)
        level.index += 1
        self._start_item()
        detects = level.explicit or level.detects
        self._open_level(
            Level(Kind.DATA_SET, end, explicit=level.explicit, little=level.little, detects=detects), position
        )
        return position + 8

    def _read_item_header(self, data: Buffer, position: int) -> tuple[int, int]:
        """Return tag and length of an item or delimiter; nothing else may stand here (PS3.5 §7.5)."""
        group, number, length = ITEM_HEADER[self._level.little](data, position)
        tag = group << 16 | number
        if tag not in (ITEM, ITEM_DELIMITATION, SEQUENCE_DELIMITATION):
            raise self._error(f"({group:04X},{number:04X}) instead of an item", position)
        return tag, length

    # --- encapsulated values (PS3.5 §A.4) ---

    def _read_fragment(self, data: Buffer, position: int) -> int:
        """Read a fragment's header, or what ends the encapsulated value."""
        level = self._level
        if position >= level.end - self._offset:
            raise self._error("encapsulated value without its delimiter", position)
        if len(data) - position < 8:
            return self._starve(position)
        tag, length = self._read_item_header(data, position)
        if tag != ITEM:
            return self._close_level(position + 8)
        if length == UNDEFINED_LENGTH or position + 8 + length > level.end - self._offset:
            raise self._error("fragment of undefined length, or longer than its item", position)
        level.index += 1
        self._start_fragment(level.index, length)
        self._left = length
        self._word_size = 1
        self._in_value = True
        self._step = self._pass_fragment
        return position + 8
