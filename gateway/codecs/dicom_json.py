"""Data sets in flight to the DICOM JSON Model (PS3.18 Annex F).

`JsonModelBuilder` takes the pieces of a data set of any transfer syntax and keeps what metadata holds: short values.
Bulk values are dropped as they stream and leave a BulkDataURI. `read_data_set` is the same for a whole small data set,
a C-FIND identifier say, of which nothing becomes bulk. Values themselves are ``json_values``'; from JSON to a data set
is pydicom's part, off the hot path. A model is a plain dict; `dump_json` writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from gateway.codecs import Buffer
from gateway.codecs.charset import decode_text, find_encodings
from gateway.codecs.json_values import BULK_VRS, has_unwritable_number, read_value
from gateway.codecs.tokens import (
    Element,
    EncapsulatedEnd,
    EncapsulatedStart,
    ItemEnd,
    ItemStart,
    SequenceEnd,
    SequenceStart,
    Token,
    Tokenizer,
    ValueChunk,
    ValueEnd,
    ValueStart,
)
from gateway.codecs.value_representations import look_up_vr

__all__ = ["BulkdataUri", "JsonModelBuilder", "dump_json", "read_data_set"]

BulkdataUri = Callable[[str], str]
"""Makes the URI of a bulk value from its path: ``"7FE00010"``, ``"54000100/1/54001010"`` (items from 1)."""

_CHARACTER_SET = 0x00080005
_TRAILING_PADDING = 0xFFFCFFFC
# of commands and of files: never part of a data set (PS3.5 §7.1, PS3.18 §10.4.1.1.2)
_FOREIGN_GROUPS = frozenset({0x0000, 0x0002})
_PIXEL_DATA = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})

Model = dict[str, Any]


class _Level:
    """An open data set: its model so far, its character set, where it is."""

    __slots__ = ("character_set", "encodings", "items", "model", "path", "tag")

    def __init__(self, path: str, encodings: tuple[str, ...]) -> None:
        self.path = path
        self.encodings = encodings
        self.model: dict[int, Model] = {}
        # of the sequence that is open in this data set
        self.tag = 0
        self.items: list[Model] = []


class JsonModelBuilder:
    """Builds the DICOM JSON Model object of one data set.

    Parameters
    ----------
    transfer_syntax_uid : str
        Of the data set.
    bulkdata_uri : callable or None
        Called with the path of a bulk value for its URI. None: nothing becomes bulk but for encapsulated values,
        of which only the VR remains, since there is no inline form for them (PS3.18 §F.2.7).
    inline_limit : int
        Longest value in bytes that stays inline, for the VRs that PS3.18 §10.4.3.3.2 allows to be bulk. Pixel Data,
        Float Pixel Data and Double Float Pixel Data of the data set itself are bulk whatever their length.
    default_character_set : str
        Defined term of data sets that name none.

    Notes
    -----
    In memory are the inline values, at most 4 MiB each, and less than one element of what was fed.
    Specific Character Set reads ISO_IR 192 wherever the source has it. UN of undefined length becomes SQ.
    Floats that JSON cannot express (NaN, infinities) make their element bulk, or strings where nothing is bulk.
    """

    def __init__(
        self,
        transfer_syntax_uid: str,
        *,
        bulkdata_uri: BulkdataUri | None,
        inline_limit: int = 1024,
        default_character_set: str = "ISO_IR 6",
    ) -> None:
        self._uri = bulkdata_uri
        self._inline_limit = inline_limit
        self._default = default_character_set
        self._tokenizer = Tokenizer(transfer_syntax_uid, gather_limit=self._is_inline)
        self._level = _Level("", find_encodings("", default_character_set))
        self._outer: list[_Level] = []
        # a value that comes in chunks but is kept; None while one is dropped
        self._gathered: bytearray | None = None
        self._gathered_element = Element(0, "", b"")
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            Element: self._add_element,
            ValueStart: self._start_value,
            ValueChunk: self._add_chunk,
            ValueEnd: self._end_value,
            SequenceStart: self._start_sequence,
            SequenceEnd: self._end_sequence,
            ItemStart: self._start_item,
            ItemEnd: self._end_item,
            EncapsulatedStart: self._start_encapsulated,
            EncapsulatedEnd: self._ignore,
        }

    def feed(self, data: Buffer) -> None:
        """Take the next bytes of the data set, any number of them.

        Raises
        ------
        DecodeError
            As ``Tokenizer.feed``.
        """
        self._take(self._tokenizer.feed(data))

    def finish(self) -> Model:
        """Return the model: attribute objects by tag, ascending (PS3.18 §F.2.2).

        Raises
        ------
        DecodeError
            The data set ended inside an element, item or sequence.
        """
        self._take(self._tokenizer.finish())
        return _sort_model(self._level.model)

    def salvage(self) -> Model:
        """Return what was read before a DecodeError, open sequences and items ended where they stand; call it once."""
        self._take(self._tokenizer.rescued)
        while self._outer:
            self._end_item(ItemEnd())
            self._end_sequence(SequenceEnd())
        return _sort_model(self._level.model)

    def _take(self, tokens: Iterable[Token]) -> None:
        handlers = self._handlers
        ignore = self._ignore
        for token in tokens:
            handlers.get(type(token), ignore)(token)

    def _ignore(self, _token: Token) -> None:
        """Fragments and the end of an encapsulated value: dropped."""

    def _is_inline(self, tag: int, vr: str, length: int) -> bool:
        if self._uri is None:
            return True
        return vr not in BULK_VRS or (length <= self._inline_limit and tag not in _PIXEL_DATA)

    # --- values ---

    def _add_element(self, token: Element) -> None:
        tag = token.tag
        if _is_left_out(tag):
            return
        level = self._level
        if tag == _CHARACTER_SET:
            level.encodings = find_encodings(decode_text(token.value, "CS", level.encodings), self._default)
            level.model[tag] = {"vr": "CS", "Value": ["ISO_IR 192"]}
        elif self._uri is not None and has_unwritable_number(token.vr, token.value):
            self._refer(self._uri, tag, token.vr)
        else:
            vr = token.vr if token.vr != "UN" else _find_known_vr(tag)
            level.model[tag] = read_value(vr, token.value, level.encodings)

    def _refer(self, uri: BulkdataUri, tag: int, vr: str) -> None:
        level = self._level
        level.model[tag] = {"vr": vr, "BulkDataURI": uri(f"{level.path}{tag:08X}")}

    def _start_value(self, token: ValueStart) -> None:
        """Refer to a bulk value, but read pixel data in an item (an icon) that is short enough."""
        if token.length == 0 or (self._outer and token.length <= self._inline_limit):
            self._gathered = bytearray()
            self._gathered_element = Element(token.tag, token.vr, b"")
        elif self._uri is not None and not _is_left_out(token.tag):
            self._refer(self._uri, token.tag, token.vr)

    def _add_chunk(self, token: ValueChunk) -> None:
        if self._gathered is not None:
            self._gathered += token.data

    def _end_value(self, _token: ValueEnd) -> None:
        if self._gathered is not None:
            self._gathered_element.value = bytes(self._gathered)
            self._gathered = None
            self._add_element(self._gathered_element)

    def _start_encapsulated(self, token: EncapsulatedStart) -> None:
        if self._uri is None:
            self._level.model[token.tag] = {"vr": token.vr}
        else:
            self._refer(self._uri, token.tag, token.vr)

    # --- sequences ---

    def _start_sequence(self, token: SequenceStart) -> None:
        self._level.tag = token.tag
        self._level.items = []

    def _start_item(self, _token: ItemStart) -> None:
        outer = self._level
        self._outer.append(outer)
        self._level = _Level(f"{outer.path}{outer.tag:08X}/{len(outer.items) + 1}/", outer.encodings)

    def _end_item(self, _token: ItemEnd) -> None:
        item = _sort_model(self._level.model)
        self._level = self._outer.pop()
        self._level.items.append(item)

    def _end_sequence(self, _token: SequenceEnd) -> None:
        level = self._level
        level.model[level.tag] = {"vr": "SQ", "Value": level.items} if level.items else {"vr": "SQ"}


def _find_known_vr(tag: int) -> str:
    """Return the VR of an element that was written as UN though the dictionary knows it (PS3.5 §6.2.2 note 2).

    Its value is little endian whatever the transfer syntax. UN stays where the dictionary gives a choice, and for
    sequences and private elements.
    """
    vr = look_up_vr(tag, None)
    return vr if len(vr) == 2 and vr != "SQ" else "UN"


def _is_left_out(tag: int) -> bool:
    """Group lengths, groups of other things than data sets, padding at the end (PS3.18 §F.2.2)."""
    return not tag & 0xFFFF or tag >> 16 in _FOREIGN_GROUPS or tag == _TRAILING_PADDING


def _sort_model(model: dict[int, Model]) -> Model:
    return {f"{tag:08X}": model[tag] for tag in sorted(model)}


def read_data_set(data: Buffer, transfer_syntax_uid: str, default_character_set: str = "ISO_IR 6") -> Model:
    """Return the DICOM JSON Model object of a whole data set, every value inline.

    Parameters
    ----------
    data : bytes or memoryview
        The data set without File Meta Information, e.g. the identifier of a C-FIND-RSP.
    transfer_syntax_uid : str
        Of `data`.
    default_character_set : str
        Defined term of data sets that name none.

    Raises
    ------
    DecodeError
        `data` is no whole data set, or a value is longer than 4 MiB.

    Source: PS3.18 §F.2
    """
    builder = JsonModelBuilder(transfer_syntax_uid, bulkdata_uri=None, default_character_set=default_character_set)
    builder.feed(data)
    return builder.finish()


def dump_json(model: Model | list[Model]) -> bytes:
    """Write a model, or an array of several, as UTF-8."""
    return orjson.dumps(model)
