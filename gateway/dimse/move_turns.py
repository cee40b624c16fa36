"""Which C-MOVEs at one archive may begin side by side.

An archive's association for a C-MOVE does not say which move it is for before the first C-STORE, yet the transfer
syntaxes to accept are negotiated by then. So moves that accept the same begin side by side, others one after the
other, each until its first instance or its outcome has come; how long the rest takes does not matter. Used by
``archive.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

__all__ = ["MoveTurns"]


class MoveTurns:
    """The moves that are beginning at one archive."""

    def __init__(self) -> None:
        self._entrance = asyncio.Lock()
        self._terms: Hashable = None
        self._beginning = 0
        self._free = asyncio.Event()

    @asynccontextmanager
    async def turn(self, terms: Hashable, *, wait_s: float) -> AsyncIterator[None]:
        """Begin within the block; it is entered in order, once no move with other `terms` is beginning.

        After `wait_s` seconds it is entered all the same: an archive that is slow to begin must not hold up
        everybody, and a wrong choice of transfer syntax is noticed and mended.
        """
        try:
            async with asyncio.timeout(wait_s), self._entrance:
                while self._beginning and self._terms != terms:
                    self._free.clear()
                    await self._free.wait()
                self._enter(terms)
        except TimeoutError:
            self._enter(terms)
        try:
            yield
        finally:
            self._beginning -= 1
            if not self._beginning:
                self._free.set()

    def _enter(self, terms: Hashable) -> None:
        self._terms = terms
        self._beginning += 1
