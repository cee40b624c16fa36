"""A ZIP archive written while its files stream by (APPNOTE 6.3.10, which ISO/IEC 21320-1 names).

Bytes in, bytes out; no sockets, no clock. Files are stored, not deflated, since pixel data gains nothing; their length
and checksum follow them in a data descriptor, so that nothing has to be held or known beforehand. ZIP64 throughout,
for files, offsets and counts of any size. ``gateway/web/streaming.py`` writes responses with it.

    encoder = ZipEncoder()
    out.write(encoder.begin_file("1.2/1.3/1.4.dcm"))
    for piece in pieces:
        encoder.note(piece)
        out.write(piece)
    out.write(encoder.end_file())
    for piece in encoder.finish():
        out.write(piece)
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import pack
from zlib import crc32

from gateway.codecs import Buffer

__all__ = ["ZipEncoder"]

_VERSION = 45  # needed to extract: ZIP64 (APPNOTE §4.4.3.2)
_MADE_BY = 3 << 8 | _VERSION  # the attributes are those of Unix
_ATTRIBUTES = 0o100644 << 16
_FLAGS = 1 << 3 | 1 << 11  # sizes in a data descriptor; names in UTF-8 (§4.4.4)
_STORED = 0
_TIME, _DATE = 0, 1 << 5 | 1  # midnight of 1980-01-01: the format has no way to say that there is none
_ELSEWHERE = 0xFFFFFFFF  # the value stands in the ZIP64 extra field
_MANY = 0xFFFF
_ZIP64 = 0x0001
_DIRECTORY_BYTES = 65_536


class ZipEncoder:
    """Writes one archive.

    Notes
    -----
    Held is one directory entry for each file, some 80 bytes and twice its name.
    """

    def __init__(self) -> None:
        self._directory: list[bytes] = []
        self._offset = 0
        self._begin = 0
        self._name = b""
        self._size = 0
        self._checksum = 0

    def begin_file(self, name: str) -> bytes:
        """The header of a file.

        Parameters
        ----------
        name : str
            Path with slashes, not absolute.
        """
        self._name, self._begin, self._size, self._checksum = name.encode(), self._offset, 0, 0
        extra = pack("<HHQQ", _ZIP64, 16, 0, 0)
        fields = (_VERSION, _FLAGS, _STORED, _TIME, _DATE, 0, _ELSEWHERE, _ELSEWHERE, len(self._name), len(extra))
        header = b"PK\3\4" + pack("<5H3I2H", *fields) + self._name + extra
        self._offset += len(header)
        return header

    def note(self, data: Buffer) -> None:
        """Take notice of the next bytes of the file, which the caller writes as they are."""
        self._checksum = crc32(data, self._checksum)
        self._size += len(data)

    def end_file(self) -> bytes:
        """What follows the bytes of the file (§4.3.9)."""
        descriptor = b"PK\7\x08" + pack("<IQQ", self._checksum, self._size, self._size)
        self._offset += self._size + len(descriptor)
        self._directory.append(self._describe_file())
        return descriptor

    def finish(self) -> Iterator[bytes]:
        """The central directory, in pieces of some 64 KiB, and the end of the archive (§4.3.12–16)."""
        begin, size, gathered = self._offset, 0, bytearray()
        for entry in self._directory:
            size += len(entry)
            gathered += entry
            if len(gathered) >= _DIRECTORY_BYTES:
                yield bytes(gathered)
                gathered.clear()
        yield bytes(gathered) + self._end_directory(begin, size)

    def _describe_file(self) -> bytes:
        """The entry of the central directory; what needs 8 bytes has them in the extra field (§4.5.3)."""
        large = [self._size, self._size] if self._size >= _ELSEWHERE else []
        far = [self._begin] if self._begin >= _ELSEWHERE else []
        extra = pack(f"<HH{len(large + far)}Q", _ZIP64, 8 * len(large + far), *large, *far) if large or far else b""
        size = min(self._size, _ELSEWHERE)
        fields = (_MADE_BY, _VERSION, _FLAGS, _STORED, _TIME, _DATE, self._checksum, size, size)
        lengths = (len(self._name), len(extra), 0, 0, 0, _ATTRIBUTES, min(self._begin, _ELSEWHERE))
        return b"PK\1\2" + pack("<6H3I", *fields) + pack("<5HII", *lengths) + self._name + extra

    def _end_directory(self, begin: int, size: int) -> bytes:
        count = len(self._directory)
        record = pack("<QHHIIQQQQ", 44, _MADE_BY, _VERSION, 0, 0, count, count, size, begin)
        locator = pack("<IQI", 0, begin + size, 1)
        few = min(count, _MANY)
        end = pack("<HHHHIIH", 0, 0, few, few, min(size, _ELSEWHERE), min(begin, _ELSEWHERE), 0)
        return b"PK\6\6" + record + b"PK\6\7" + locator + b"PK\5\6" + end
