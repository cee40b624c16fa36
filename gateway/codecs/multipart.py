"""multipart/related, read and written piece by piece (RFC 2046 §5.1, RFC 2387, PS3.18 §8.6.1.2).

Bytes in, tokens out, and the other way round; no sockets. The reader never gathers the body of a part: it
looks for the next delimiter with ``bytes.find`` and hands on views of what it was fed, holding back only an
end that may be the start of a delimiter. The store service reads requests with it; the writers of
``gateway/web/streaming.py`` frame responses with the encoder.

Reading is liberal where nothing can be mistaken: preamble and epilogue are skipped, blanks after a boundary
are allowed, and a boundary line that ends in a bare LF says that the part after it does so too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.codecs import Buffer
from gateway.codecs.media_types import MULTIPART_RELATED, format_media_type, is_valid_boundary
from gateway.errors import MalformedBody

__all__ = ["MultipartEncoder", "MultipartReader", "PartChunk", "PartEnd", "PartStart", "PartToken"]

_MAX_HEAD_BYTES = 16_384  # headers of one part: a dozen lines with URLs, with room to spare
_MAX_BOUNDARY_CHARACTERS = 70  # RFC 2046 §5.1.1


@dataclass(frozen=True, slots=True)
class PartStart:
    """The headers of a part, names in lower case; the first of repeated ones counts."""

    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PartChunk:
    """Some bytes of the body of the current part, never empty; a view of what was fed."""

    data: Buffer


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The current part is complete: its delimiter was seen."""


PartToken = PartStart | PartChunk | PartEnd
_Step = Callable[[bytes, int, list[PartToken]], int]


class MultipartReader:
    """Splits a multipart body into parts while it arrives.

    Parameters
    ----------
    boundary : str
        From the Content-Type, without the dashes, 1 to 70 visible characters.

    Raises
    ------
    MalformedBody
        A boundary that cannot be one; from `feed` and `finish` whatever breaks the grammar, after which the
        reader is of no more use. What came before the break is given first, however the body is cut into pieces:
        then the next call raises.

    Source: RFC 2046 §5.1.1
    """

    def __init__(self, boundary: str) -> None:
        if not 0 < len(boundary) <= _MAX_BOUNDARY_CHARACTERS or not (boundary.isascii() and boundary.isprintable()):
            raise MalformedBody("the boundary of the multipart body is missing or malformed")
        self._dashed = b"--" + boundary.encode("ascii")
        self._delimiter = b"\n" + self._dashed
        self._held = b"\n"  # the first boundary may stand at the very start, where no line end precedes it
        self._line = bytearray()
        self._head_bytes = 0
        self._headers: dict[str, str] = {}
        self._last_name = ""
        self._step: _Step = self._skip_preamble
        self._failure: MalformedBody | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the closing boundary was seen."""
        return self._step == self._skip_epilogue

    def feed(self, data: Buffer) -> list[PartToken]:
        """Take the next bytes of the body.

        Parameters
        ----------
        data : bytes or memoryview
            Any number of bytes, ending anywhere; a memoryview is copied, so feed bytes.

        Returns
        -------
        list of PartToken
            What these bytes complete, in order: PartStart, PartChunk ..., PartEnd for each part.
        """
        if self._failure is not None:
            raise self._failure
        chunk = bytes(data)
        if self._held:
            chunk, self._held = self._held + chunk, b""
        tokens: list[PartToken] = []
        position = 0
        try:
            while position < len(chunk):
                position = self._step(chunk, position, tokens)
        except MalformedBody as error:
            if not tokens:
                raise
            self._failure = error
        return tokens

    def finish(self) -> None:
        """Say that the body has ended.

        Raises
        ------
        MalformedBody
            The closing boundary has not been seen: the body was cut; or what `feed` has not told yet.
        """
        if self._failure is not None:
            raise self._failure
        if not self.is_complete:
            raise MalformedBody("the multipart body ends without its closing boundary")

    # --- one method per state: takes bytes from `position`, answers how far it came ---

    def _skip_preamble(self, chunk: bytes, position: int, tokens: list[PartToken]) -> int:
        place = chunk.find(self._delimiter, position)
        if place < 0:
            self._hold_possible_delimiter(chunk, position)
            return len(chunk)
        self._step = self._read_boundary_line
        return place + len(self._delimiter)

    def _read_boundary_line(self, chunk: bytes, position: int, tokens: list[PartToken]) -> int:
        ended, position = self._gather_line(chunk, position)
        if self._line.startswith(b"--"):
            self._step = self._skip_epilogue
            return position
        self._check_head_length()
        if ended:
            self._start_headers()
        return position

    def _read_headers(self, chunk: bytes, position: int, tokens: list[PartToken]) -> int:
        ended, position = self._gather_line(chunk, position)
        self._check_head_length()
        if not ended:
            return position
        line = bytes(self._line).rstrip(b"\r\n")
        self._line.clear()
        if line:
            self._add_header(line)
            return position
        tokens.append(PartStart(self._headers))
        # A delimiter may follow the empty line at once (an empty body), sharing its line end.
        self._step = self._read_body_start
        return position

    def _read_body_start(self, chunk: bytes, position: int, tokens: list[PartToken]) -> int:
        available = chunk[position : position + len(self._dashed)]
        if available == self._dashed:
            return self._end_part(position + len(self._dashed), tokens)
        if self._dashed.startswith(available):
            self._held = available
            return len(chunk)
        self._step = self._read_body
        return position

    def _read_body(self, chunk: bytes, position: int, tokens: list[PartToken]) -> int:
        place = chunk.find(self._delimiter, position)
        if place < 0:
            end = self._hold_possible_delimiter(chunk, position)
            self._emit(chunk, position, end, tokens)
            return len(chunk)
        self._emit(chunk, position, place, tokens)
        return self._end_part(place + len(self._delimiter), tokens)

    def _skip_epilogue(self, chunk: bytes, position: int, tokens: list[PartToken]) -> int:
        return len(chunk)

    # --- what the states share ---

    def _end_part(self, position: int, tokens: list[PartToken]) -> int:
        tokens.append(PartEnd())
        self._head_bytes = 0
        self._step = self._read_boundary_line
        return position

    @staticmethod
    def _emit(chunk: bytes, start: int, end: int, tokens: list[PartToken]) -> None:
        if end > start:
            tokens.append(PartChunk(memoryview(chunk)[start:end]))

    def _hold_possible_delimiter(self, chunk: bytes, position: int) -> int:
        """Keep an end of `chunk` that may begin a delimiter; answer where it starts.

        No delimiter holds its first byte, CR or LF, a second time, so only the last occurrence counts.
        """
        start = chunk.rfind(self._delimiter[:1], max(position, len(chunk) - len(self._delimiter) + 1))
        if start < 0 or not self._delimiter.startswith(chunk[start:]):
            return len(chunk)
        self._held = chunk[start:]
        return start

    def _gather_line(self, chunk: bytes, position: int) -> tuple[bool, int]:
        """Add to the current line up to its LF; answer whether that came, and the place after it."""
        limit = position + _MAX_HEAD_BYTES + 1 - self._head_bytes
        found = chunk.find(b"\n", position, limit)
        stop = found + 1 if found >= 0 else min(len(chunk), limit)
        self._head_bytes += stop - position
        self._line += chunk[position:stop]
        return found >= 0, stop

    def _check_head_length(self) -> None:
        if self._head_bytes > _MAX_HEAD_BYTES:
            raise MalformedBody("the headers of a part are too long")

    def _start_headers(self) -> None:
        if self._line.strip(b" \t\r\n"):
            raise MalformedBody("a boundary is followed by other text")
        self._delimiter = (b"\r\n" if self._line.endswith(b"\r\n") else b"\n") + self._dashed
        self._line.clear()
        self._headers = {}
        self._last_name = ""
        self._step = self._read_headers

    def _add_header(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        if text[0] in " \t" and self._last_name:  # a folded line, RFC 5322 §2.2.3
            self._headers[self._last_name] += " " + text.strip()
            return
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise MalformedBody("a header line of a part has no name")
        self._last_name = name.strip().lower()
        self._headers.setdefault(self._last_name, value.strip())


class MultipartEncoder:
    """Writes the frame around the parts of one response; the bodies go straight to the socket.

    Parameters
    ----------
    part_type : str
        Media type of the root part without parameters, ``application/dicom``.
    boundary : str
        Fresh and random for each response, so that no instance can hold it (RFC 2046 §5.1.1).
    """

    def __init__(self, part_type: str, boundary: str) -> None:
        if not is_valid_boundary(boundary):
            raise ValueError("not a boundary of RFC 2046")
        parameters = (("type", part_type), ("boundary", boundary))
        self.content_type = format_media_type(MULTIPART_RELATED, parameters)
        self._dashed = b"--" + boundary.encode("ascii")
        self._started = False

    def part_header(self, content_type: str, location: str | None = None) -> bytes:
        """The boundary line, which ends the part before, then the headers of the next and the empty line."""
        lines = [self._next_boundary(), b"Content-Type: " + content_type.encode("ascii")]
        if location is not None:
            lines.append(b"Content-Location: " + location.encode("ascii"))
        return b"\r\n".join([*lines, b"", b""])

    def closing(self) -> bytes:
        """The closing boundary: only this says that the response is complete."""
        return self._next_boundary() + b"--\r\n"

    def _next_boundary(self) -> bytes:
        started, self._started = self._started, True
        return b"\r\n" + self._dashed if started else self._dashed
