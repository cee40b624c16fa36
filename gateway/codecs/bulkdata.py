"""One bulk value out of a data set as it streams (PS3.18 §10.4.3.3.5).

The value is named by the path that ``dicom_json`` puts into its Bulkdata URIs. What comes out is the value field alone,
little endian. Frames of Pixel Data are not made here but in ``frames``; encapsulated Pixel Data in an item (an icon)
comes as its fragments joined, which is one compressed image.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from gateway.codecs import Buffer
from gateway.codecs.tokens import (
    Element,
    EncapsulatedEnd,
    EncapsulatedStart,
    FragmentChunk,
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
from gateway.errors import UnknownResource

__all__ = ["BulkdataExtractor"]

_PATH = re.compile(r"[0-9A-F]{8}(?:/[1-9][0-9]{0,8}/[0-9A-F]{8}){0,63}")


class BulkdataExtractor:
    """Takes one value out of one data set.

    Parameters
    ----------
    transfer_syntax_uid : str
        Of the data set.
    path : str
        Tag, or tag, item number from 1, tag and so on: ``"7FE00010"``, ``"54000100/1/54001010"``.

    Raises
    ------
    UnknownResource
        `path` is no path of an element.

    Notes
    -----
    Nothing is held but elements of up to 64 bytes.
    """

    def __init__(self, transfer_syntax_uid: str, path: str) -> None:
        if _PATH.fullmatch(path) is None:
            raise UnknownResource("bulk data")
        *parents, last = path.split("/")
        self._parents = [(int(tag, 16), int(number)) for tag, number in zip(parents[::2], parents[1::2], strict=True)]
        self._tag = int(last, 16)
        self._tokenizer = Tokenizer(transfer_syntax_uid, gather_limit=64)
        # where the reader is: tag and item number of each open sequence
        self._open: list[tuple[int, int]] = []
        self._passes = False
        self._skips = False
        self._is_complete = False
        self._is_encapsulated = False
        self._length: int | None = None
        self._handlers: dict[type[Any], Callable[[Any], Buffer | None]] = {
            Element: self._take_element,
            ValueStart: self._start_value,
            EncapsulatedStart: self._start_encapsulated,
            ValueChunk: self._take_chunk,
            FragmentStart: self._start_fragment,
            FragmentChunk: self._take_chunk,
            ValueEnd: self._end_value,
            EncapsulatedEnd: self._end_value,
            SequenceStart: self._enter_sequence,
            ItemStart: self._enter_item,
            SequenceEnd: self._leave_sequence,
        }

    @property
    def is_complete(self) -> bool:
        """Whether the whole value has been given; the rest of the data set is of no interest then."""
        return self._is_complete

    @property
    def is_encapsulated(self) -> bool:
        """Whether the value is a compressed image; known when its first bytes have been given."""
        return self._is_encapsulated

    @property
    def value_length(self) -> int | None:
        """Length of the value in bytes, None until it begins and where its fragments do not say it beforehand."""
        return self._length

    def feed(self, data: Buffer) -> list[Buffer]:
        """Return what the next bytes of the data set hold of the value; views of `data` where they can be.

        Raises
        ------
        DecodeError
            As ``Tokenizer.feed``.
        """
        return [] if self._is_complete else self._take(self._tokenizer.feed(data))

    def finish(self) -> list[Buffer]:
        """Take the end of the data set; returns what was still on its way (deflated data sets only).

        Raises
        ------
        UnknownResource
            There is no such value, or it is a sequence.
        DecodeError
            The data set ended too early.
        """
        out = [] if self._is_complete else self._take(self._tokenizer.finish())
        if not self._is_complete:
            raise UnknownResource("bulk data")
        return out

    def _take(self, tokens: Iterable[Token]) -> list[Buffer]:
        out: list[Buffer] = []
        for token in tokens:
            handler = self._handlers.get(type(token))
            piece = handler(token) if handler is not None else None
            if piece is not None and len(piece):
                out.append(piece)
            if self._is_complete:
                break
        return out

    def _is_wanted(self, tag: int) -> bool:
        return tag == self._tag and self._open == self._parents

    def _take_element(self, token: Element) -> Buffer | None:
        if not self._is_wanted(token.tag):
            return None
        self._is_complete = True
        self._length = len(token.value)
        return token.value

    def _start_value(self, token: ValueStart) -> None:
        self._passes = self._is_wanted(token.tag)
        if self._passes:
            self._length = token.length

    def _start_encapsulated(self, token: EncapsulatedStart) -> None:
        self._passes = self._is_encapsulated = self._is_wanted(token.tag)

    def _start_fragment(self, token: FragmentStart) -> None:
        # the Basic Offset Table is no part of the image
        self._skips = token.index == 0

    def _take_chunk(self, token: ValueChunk | FragmentChunk) -> Buffer | None:
        return token.data if self._passes and not self._skips else None

    def _end_value(self, _token: ValueEnd | EncapsulatedEnd) -> None:
        self._is_complete = self._passes
        self._skips = False

    def _enter_sequence(self, token: SequenceStart) -> None:
        self._open.append((token.tag, 0))

    def _enter_item(self, _token: ItemStart) -> None:
        tag, number = self._open[-1]
        self._open[-1] = (tag, number + 1)

    def _leave_sequence(self, _token: SequenceEnd) -> None:
        self._open.pop()
