"""Items that one task makes and several requests read, each at its own pace.

While everything is kept, a reader that comes late reads from the beginning, and the maker waits for nobody. Once
`stop_keeping` was called, only what the slowest reader has still to take is held, up to a window, and the maker waits
at its edge: then it is a plain stream with backpressure. Used by ``services/retrieve/metadata/fill.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["SharedStream", "StreamReader"]

READ_BYTES = 262_144
"""What a reader is given at once, at least one item."""

T = TypeVar("T")


class SharedStream(Generic[T]):
    """The items of one maker.

    Parameters
    ----------
    size_of : callable
        Bytes of an item.
    window_bytes : int
        What may be held unread when not everything is kept.
    """

    def __init__(self, size_of: Callable[[T], int], window_bytes: int) -> None:
        self.size_of = size_of
        self._window = window_bytes
        self._items: list[T] = []
        self._dropped = 0
        self._held_bytes = 0
        self._readers: set[StreamReader[T]] = set()
        self._changed = asyncio.Event()
        self._has_ended = False
        self._error: Exception | None = None
        self.keeps_all = True

    @property
    def reader_count(self) -> int:
        """How many are reading."""
        return len(self._readers)

    @property
    def items(self) -> list[T]:
        """All that is held: everything so far as long as `keeps_all`."""
        return self._items

    async def append(self, item: T) -> None:
        """Add an item; waits for the slowest reader where not everything is kept."""
        self._items.append(item)
        self._held_bytes += self.size_of(item)
        self._tell()
        while not self.keeps_all:
            self._drop_what_all_have()
            if self._held_bytes <= self._window:
                return
            await self._changed.wait()

    def stop_keeping(self) -> None:
        """From now on hold no more than readers need; nobody can begin to read any more."""
        self.keeps_all = False

    def end(self, error: Exception | None = None) -> None:
        """There is no more; `error` is raised to the readers once they have taken what there is."""
        self._has_ended, self._error = True, error
        self._tell()

    def attach(self) -> StreamReader[T]:
        """Begin to read at the first item; only while everything is kept."""
        assert self.keeps_all
        reader = StreamReader(self)
        self._readers.add(reader)
        return reader

    def detach(self, reader: StreamReader[T]) -> None:
        """This one reads no more."""
        self._readers.discard(reader)
        self._tell()

    async def take(self, position: int) -> list[T] | None:
        """Wait for items from number `position` on; None at the end."""
        while position == self._dropped + len(self._items):
            if self._error is not None:
                raise self._error
            if self._has_ended:
                return None
            await self._changed.wait()
        taken, size = [], 0
        for item in self._items[position - self._dropped :]:
            taken.append(item)
            size += self.size_of(item)
            if size >= READ_BYTES:
                break
        return taken

    def note_progress(self) -> None:
        """A reader has taken something."""
        if not self.keeps_all:
            self._tell()

    async def wait_for_first(self) -> None:
        """Wait until there is an item, or the end; raises what the maker failed with before its first."""
        while not self._items and not self._dropped and not self._has_ended:
            await self._changed.wait()
        if self._error is not None and not self._items and not self._dropped:
            raise self._error

    def _drop_what_all_have(self) -> None:
        position = min((reader.position for reader in self._readers), default=self._dropped)
        gone = self._items[: position - self._dropped]
        if gone:
            self._held_bytes -= sum(map(self.size_of, gone))
            del self._items[: len(gone)]
            self._dropped = position

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class StreamReader(Generic[T]):
    """One reader; `position` is the number of items it has taken and is done with."""

    def __init__(self, stream: SharedStream[T]) -> None:
        self._stream = stream
        self._taken = 0
        self.position = 0

    async def read(self) -> list[T] | None:
        """Wait for the next items; None at the end. Asking says that those before are done with.

        Raises
        ------
        Exception
            What the maker failed with.
        """
        self.position += self._taken
        self._taken = 0
        self._stream.note_progress()
        items = await self._stream.take(self.position)
        self._taken = len(items) if items is not None else 0
        return items
