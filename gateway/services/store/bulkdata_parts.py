"""The bulk parts of one request: what came under which Content-Location, and which references it answers.

Values only; where their bytes are is the spool's. Used by ``metadata_request.py``.

Compressed multi-frame pixel data comes in one part a frame. The standard does not say how their locations differ, so
both ways are taken: the same one repeated in the order of the frames, and ``{uri}/frames/{n}``.

Source: PS3.18 §8.6.1.2, §8.7.3.3, §10.5.1.4
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.codecs.codestreams import Codestream
from gateway.codecs.media_types import MediaType
from gateway.errors import DecodeError

__all__ = ["MAX_URI", "SENT", "BulkPart", "BulkdataParts", "check_kept"]

MAX_URI = 8_192
"""Most characters of a reference or location; parsers of URIs remember what they were given, however long."""

SENT = -1
"""The `start` of a part whose bytes are not in the spool, or no longer."""


@dataclass(frozen=True, slots=True)
class BulkPart:
    """One part: `length` bytes of the spool from `start` on.

    Parameters
    ----------
    held : int
        Bytes of the spool it takes; more than its value where that came in a file of boxes.
    codestream : Codestream or None
        What the value says of itself.
    """

    media_type: MediaType
    start: int
    length: int
    held: int
    codestream: Codestream | None = None


def check_kept(part: BulkPart, path: str) -> None:
    """Refuse to send a part again of which nothing was kept; `path` names the attribute.

    Raises
    ------
    DecodeError
        It went on to the archive when nothing else was known to refer to it.
    """
    if part.start == SENT:
        raise DecodeError("a bulk part that came before all the metadata that refers to it", path=path)


class BulkdataParts:
    """Parts by their location, resolved to an absolute URL where it was relative."""

    def __init__(self) -> None:
        self._arrived: dict[str, list[BulkPart]] = {}
        self._claimed: set[tuple[str, int]] = set()

    def add(self, location: str, part: BulkPart) -> None:
        """Take a part that has come."""
        self._arrived.setdefault(location, []).append(part)

    def count(self, location: str) -> int:
        """How many parts have come under `location` itself."""
        return len(self._arrived.get(location, ()))

    def find(self, uri: str, index: int = 0) -> BulkPart | None:
        """The part that holds frame `index`, from 0, or the whole value; None if it has not come."""
        found, place = self._place(uri, index)
        parts = self._arrived.get(found, [])
        return parts[place] if place < len(parts) else None

    def claim(self, uri: str, index: int = 0) -> BulkPart | None:
        """The same; from now on it is known to be referenced."""
        self._claimed.add(self._place(uri, index))
        return self.find(uri, index)

    def count_unclaimed(self) -> int:
        """How many parts nothing refers to."""
        return sum(
            (location, place) not in self._claimed
            for location, parts in self._arrived.items()
            for place in range(len(parts))
        )

    def mark_sent(self, uri: str, index: int) -> int:
        """Note that a part is not needed any more; returns what it took of the spool."""
        location, place = self._place(uri, index)
        part = self._arrived[location][place]
        self._arrived[location][place] = replace(part, start=SENT, held=0)
        return part.held

    def _place(self, uri: str, index: int) -> tuple[str, int]:
        if uri in self._arrived:
            return uri, index
        return f"{uri}/frames/{index + 1}", 0
