"""Request bodies that are compressed on the way (Content-Encoding, RFC 9110 §8.4), undone piece by piece.

Bytes in, bytes out, no sockets; ``request_body.py`` reads with it. At most 256 KiB come out at a time, however much
a few bytes stand for, and a limit says how much in all.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from gateway.errors import MalformedBody, TooLarge, UnsupportedCoding

__all__ = ["CODINGS", "BodyDecoder"]

CODINGS = ("gzip", "deflate")
"""The codings taken."""

_STEP = 262_144
_GZIP = 16 + zlib.MAX_WBITS
_NAMES = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate", "identity": "", "": ""}


class BodyDecoder:
    """Undoes the Content-Encoding of one body.

    Parameters
    ----------
    content_encoding
        The header, "" if there is none.
    max_decoded
        Most bytes that may come out of a compressed body; 0 for no limit.

    Raises
    ------
    UnsupportedCoding
        Another coding, or several (RFC 9110 §15.5.16).
    """

    def __init__(self, content_encoding: str, max_decoded: int) -> None:
        coding = _NAMES.get(content_encoding.strip().lower())
        if coding is None:
            raise UnsupportedCoding(CODINGS)
        self._coding = coding
        self._max_decoded = max_decoded
        self._decoded = 0
        self._stream: zlib._Decompress | None = None

    def decode(self, piece: bytes) -> Iterator[bytes]:
        """Yield what `piece` stands for.

        Yields
        ------
        bytes
            Never empty; 256 KiB at most if the body is compressed.

        Raises
        ------
        MalformedBody
            Not what Content-Encoding says.
        TooLarge
            The limit was passed.
        """
        if not self._coding:
            yield piece
            return
        is_full = False
        while piece or is_full:
            stream = self._stream = self._stream or zlib.decompressobj(self._window_bits(piece))
            try:
                step = stream.decompress(piece, _STEP)
            except zlib.error as error:
                raise MalformedBody(f"the request body is not {self._coding}") from error
            if step:
                yield self._count(step)
            piece = stream.unconsumed_tail
            is_full = len(step) == _STEP and not stream.eof  # the stream may hold more, though it has taken all
            if stream.eof:
                piece = stream.unused_data  # another member of a gzip file (RFC 1952 §2.2)
                self._stream = None

    def finish(self) -> None:
        """Say that the body has ended.

        Raises
        ------
        MalformedBody
            It ends within the compressed data.
        """
        if self._stream is not None:
            raise MalformedBody("the compressed request body ends early")

    def _count(self, step: bytes) -> bytes:
        self._decoded += len(step)
        if self._max_decoded and self._decoded > self._max_decoded:
            raise TooLarge("the decompressed request body", self._max_decoded)
        return step

    def _window_bits(self, piece: bytes) -> int:
        """How the stream that starts with `piece` is wrapped; some clients send deflate without its zlib header."""
        if self._coding == "gzip":
            return _GZIP
        return zlib.MAX_WBITS if piece[0] & 0x0F == 8 and piece[0] >> 4 <= 7 else -zlib.MAX_WBITS
