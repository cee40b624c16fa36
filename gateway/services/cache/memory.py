"""A bounded store in memory: entries by key, the least recently used give way; what is being made counts too."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from cachetools import LRUCache

__all__ = ["MemoryStore"]

SHARES = 4
"""One entry may fill this part of the store, so that one big study does not drive out all others."""

K = TypeVar("K", bound=Hashable)
E = TypeVar("E")


class MemoryStore(Generic[K, E]):
    """Entries and reservations, together never more than `limit_bytes`."""

    def __init__(self, limit_bytes: int, size_of: Callable[[E], int]) -> None:
        self._limit = limit_bytes
        self._entries: LRUCache[K, E] = LRUCache(limit_bytes, getsizeof=size_of)
        self._reserved = 0

    @property
    def share_bytes(self) -> int:
        """The largest entry taken."""
        return self._limit // SHARES

    @property
    def held_bytes(self) -> int:
        """Entries and reservations."""
        return int(self._entries.currsize) + self._reserved

    def get(self, key: K) -> E | None:
        """The entry, which is the most recently used then."""
        return self._entries.get(key)

    def put(self, key: K, entry: E) -> None:
        """Keep an entry, if it is not larger than a share; others give way."""
        size = int(self._entries.getsizeof(entry))
        self._entries.pop(key, None)
        if size <= self.share_bytes and self.reserve(size):
            self._reserved -= size
            self._entries[key] = entry

    def drop(self, applies: Callable[[K], bool]) -> None:
        """Drop the entries to whose key this `applies`."""
        for key in [key for key in self._entries if applies(key)]:
            del self._entries[key]

    def reserve(self, size: int) -> bool:
        """Make room for something that is being made, if all that is being made leaves some for it."""
        if self._reserved + size > self._limit:
            return False
        while self.held_bytes + size > self._limit:
            self._entries.popitem()
        self._reserved += size
        return True

    def release(self, size: int) -> None:
        """Give back what was reserved."""
        self._reserved -= size
