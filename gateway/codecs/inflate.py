"""A deflated data set, inflated in steps of bounded size (PS3.5 §A.5, RFC 1951).

``tokens`` calls it for Deflated Explicit VR Little Endian. Not for Content-Encoding, which the HTTP server handles.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from gateway.codecs import Buffer
from gateway.errors import DecodeError

__all__ = ["Inflater"]

# A deflate stream grows up to 1,032 times; one step gives at most this much, whatever the input says.
_STEP = 65536
# Enough to see whether the stream has a zlib header although PS3.5 says it has none.
_LOOK = 5


class Inflater:
    """Raw deflate in, data set bytes out; a zlib header (RFC 1950), which some writers add, is tolerated."""

    def __init__(self) -> None:
        self._waiting = b""
        self._stream: zlib._Decompress | None = None

    def feed(self, data: Buffer) -> Iterator[bytes]:
        """Inflate `data` step by step, as far as the caller iterates; what is left comes with the next call.

        Yields
        ------
        bytes
            1 to 65,536 bytes. Bytes after the end of the stream (the pad byte of PS3.5 §A.5) are dropped.

        Raises
        ------
        DecodeError
            Not a deflate stream.
        """
        self._waiting += bytes(data)
        if self._stream is None:
            if len(self._waiting) < _LOOK:
                return
            self._stream = zlib.decompressobj(_window_bits(self._waiting))
        yield from self._inflate(self._stream)

    def finish(self) -> Iterator[bytes]:
        """Inflate what is left.

        Yields
        ------
        bytes
            1 to 65,536 bytes.

        Raises
        ------
        DecodeError
            The stream is cut before its end.
        """
        if self._stream is None:
            if not self._waiting:
                return
            self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        yield from self._inflate(self._stream)
        if not self._stream.eof:
            raise DecodeError("deflated data set ends inside the deflate stream")

    def _inflate(self, stream: zlib._Decompress) -> Iterator[bytes]:
        while not stream.eof:
            try:
                step = stream.decompress(self._waiting, _STEP)
            except zlib.error:
                raise DecodeError("data set is not a deflate stream") from None
            self._waiting = stream.unconsumed_tail
            if not step:
                return
            yield step
        self._waiting = b""


def _window_bits(start: bytes) -> int:
    """Raw deflate, or zlib where `start` is a zlib header and cannot be a stored block (LEN, NLEN: RFC 1951 §3.2.4)."""
    is_header = start[0] & 0x0F == 8 and start[0] >> 4 <= 7 and int.from_bytes(start[:2], "big") % 31 == 0
    length, complement = int.from_bytes(start[1:3], "little"), int.from_bytes(start[3:5], "little")
    return zlib.MAX_WBITS if is_header and length ^ complement != 0xFFFF else -zlib.MAX_WBITS
