"""Data sets into Explicit VR Little Endian in flight: the only uncompressed encoding on HTTP (PS3.18 §8.7.3).

It changes the writing, not the values: lengths, padding and odd values stay as they were. It neither decodes pixel data
nor makes File Meta Information (``part10``). ``services`` calls it for what an archive sends in Implicit VR, Big Endian
or deflated.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct

from gateway.codecs import Buffer
from gateway.codecs.inflate import Inflater
from gateway.codecs.tokens import (
    UNDEFINED_LENGTH,
    Element,
    EncapsulatedEnd,
    EncapsulatedStart,
    FragmentChunk,
    FragmentStart,
    ItemEnd,
    ItemStart,
    SequenceEnd,
    SequenceStart,
    Token,
    Tokenizer,
    ValueChunk,
    ValueStart,
)
from gateway.codecs.transfer_syntax import get_transfer_syntax
from gateway.codecs.value_representations import SHORT_VRS

__all__ = ["ExplicitLittleEndianEncoder", "encode_element_header", "encode_tokens"]

_SHORT_HEADER = Struct("<HH2sH").pack
_LONG_HEADER = Struct("<HH2s2xI").pack
_ITEM_HEADER = Struct("<HHI").pack

_ITEM_START = _ITEM_HEADER(0xFFFE, 0xE000, UNDEFINED_LENGTH)
_ITEM_END = _ITEM_HEADER(0xFFFE, 0xE00D, 0)
_SEQUENCE_END = _ITEM_HEADER(0xFFFE, 0xE0DD, 0)

# Tokens that are the same bytes whatever they belong to.
_FIXED: dict[type, bytes] = {
    ItemStart: _ITEM_START,
    ItemEnd: _ITEM_END,
    SequenceEnd: _SEQUENCE_END,
    EncapsulatedEnd: _SEQUENCE_END,
}

# The longest even length that 16 bits hold.
_MAX_SHORT_LENGTH = 65534
# Longer values are passed on in the pieces they come in, which costs less than copying them together.
_GATHER_LIMIT = 4096


def encode_element_header(tag: int, vr: str, length: int) -> bytes:
    """Return what precedes the value in Explicit VR Little Endian: 8 or 12 bytes.

    Parameters
    ----------
    tag : int
        Group in the upper 16 bits.
    vr : str
        Two letters; one whose length field is too short for `length` becomes UN (PS3.5 §6.2.2).
    length : int
        Of the value in bytes, or 0xFFFFFFFF for undefined.

    Source: PS3.5 §7.1.2
    """
    raw_vr = vr.encode("ascii")
    if raw_vr not in SHORT_VRS:
        return _LONG_HEADER(tag >> 16, tag & 0xFFFF, raw_vr, length)
    if length > _MAX_SHORT_LENGTH:
        return _LONG_HEADER(tag >> 16, tag & 0xFFFF, b"UN", length)
    return _SHORT_HEADER(tag >> 16, tag & 0xFFFF, raw_vr, length)


class ExplicitLittleEndianEncoder:
    """Rewrites one data set as Explicit VR Little Endian, holding at most a header and a short value.

    Sequences and items get undefined lengths, group lengths are dropped (PS3.5 §7.2), UN of undefined length becomes
    SQ, since its content is rewritten too. A deflated data set is inflated and otherwise left alone.

    Parameters
    ----------
    transfer_syntax_uid : str
        Of what is fed.
    """

    def __init__(self, transfer_syntax_uid: str) -> None:
        deflated = get_transfer_syntax(transfer_syntax_uid).deflated
        self._inflater = Inflater() if deflated else None
        self._tokenizer = Tokenizer(transfer_syntax_uid, gather_limit=_GATHER_LIMIT)

    def feed(self, data: Buffer) -> Iterable[Buffer]:
        """Rewrite the next bytes.

        Parameters
        ----------
        data : bytes or memoryview
            Any number of bytes, immutable.

        Returns
        -------
        iterable of bytes or memoryview
            What can be written now, long values as views of `data`. Of a deflated data set it is made while the caller
            iterates, 64 KiB at a time.

        Raises
        ------
        DecodeError
            The data set cannot be read.
        """
        if self._inflater is not None:
            return self._inflater.feed(data)
        return encode_tokens(self._tokenizer.feed(data))

    def finish(self) -> Iterable[Buffer]:
        """Take the end of the data set and return what is left to write.

        Raises
        ------
        DecodeError
            The data set ends too early; for a deflated one, while the caller iterates.
        """
        if self._inflater is not None:
            return self._inflater.finish()
        return encode_tokens(self._tokenizer.finish())


def encode_tokens(tokens: Iterable[Token]) -> list[Buffer]:
    """Write tokens in Explicit VR Little Endian, short parts joined to one piece between long ones.

    Group lengths are dropped, sequences and items get undefined lengths.
    """
    out: list[Buffer] = []
    joined = bytearray()
    for token in tokens:
        if isinstance(token, Element):
            if token.tag & 0xFFFF:
                joined += encode_element_header(token.tag, token.vr, len(token.value))
                joined += token.value
        elif isinstance(token, (ValueChunk, FragmentChunk)):
            if joined:
                out.append(bytes(joined))
                joined.clear()
            out.append(token.data)
        else:
            joined += _encode_structure(token)
    if joined:
        out.append(bytes(joined))
    return out


def _encode_structure(token: Token) -> bytes:
    match token:
        case ValueStart():
            return encode_element_header(token.tag, token.vr, token.length)
        case SequenceStart():
            return encode_element_header(token.tag, "SQ", UNDEFINED_LENGTH)
        case EncapsulatedStart():
            return encode_element_header(token.tag, token.vr, UNDEFINED_LENGTH)
        case FragmentStart():
            return _ITEM_HEADER(0xFFFE, 0xE000, token.length)
    return _FIXED.get(type(token), b"")
