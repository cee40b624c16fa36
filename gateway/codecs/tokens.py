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

How odd data is read is said in ``scanner``, which reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from gateway.codecs import Buffer
from gateway.codecs.element_headers import UNDEFINED_LENGTH
from gateway.codecs.inflate import Inflater
from gateway.codecs.scanner import Scanner
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

_ITEM_START, _ITEM_END, _SEQUENCE_END = ItemStart(), ItemEnd(), SequenceEnd()
_VALUE_END, _FRAGMENT_END, _ENCAPSULATED_END = ValueEnd(), FragmentEnd(), EncapsulatedEnd()


class Tokenizer(Scanner):
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
        self._out: list[Token] = []
        super().__init__(syntax)

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
    def offset(self) -> int:
        """Bytes of the (inflated) data set read so far, but for those of an incomplete header."""
        return self._offset

    def _read_inflated(self, steps: Iterator[bytes]) -> Iterator[Token]:
        for step in steps:
            yield from self._read(step)

    def _finish_inflated(self, inflater: Inflater) -> Iterator[Token]:
        yield from self._read_inflated(inflater.finish())
        self._check_end()

    def _read(self, data: Buffer) -> list[Token]:
        self._scan(data)
        out, self._out = self._out, []
        return out

    # --- what the scanner finds ---

    def _wants(self, tag: int, vr: str, length: int) -> bool:
        return length <= self._limit or (self._selects is not None and self._selects(tag, vr, length))

    def _add_element(self, tag: int, vr: str, value: bytes) -> None:
        self._out.append(Element(tag, vr, value))

    def _start_value(self, tag: int, vr: str, length: int) -> None:
        self._out.append(ValueStart(tag, vr, length))

    def _add_chunk(self, data: Buffer) -> None:
        self._out.append(ValueChunk(data))

    def _end_value(self) -> None:
        self._out.append(_VALUE_END)

    def _start_sequence(self, tag: int, vr: str) -> None:
        self._out.append(SequenceStart(tag, vr))

    def _start_item(self) -> None:
        self._out.append(_ITEM_START)

    def _end_item(self) -> None:
        self._out.append(_ITEM_END)

    def _end_sequence(self) -> None:
        self._out.append(_SEQUENCE_END)

    def _start_encapsulated(self, tag: int, vr: str) -> None:
        self._out.append(EncapsulatedStart(tag, vr))

    def _start_fragment(self, index: int, length: int) -> None:
        self._out.append(FragmentStart(index, length))

    def _add_fragment_chunk(self, data: Buffer) -> None:
        self._out.append(FragmentChunk(data))

    def _end_fragment(self) -> None:
        self._out.append(_FRAGMENT_END)

    def _end_encapsulated(self) -> None:
        self._out.append(_ENCAPSULATED_END)
