"""How many requests may fetch and render at a time: each holds what it fetched until a worker is free for it.

A burst of thumbnails would otherwise fetch everything at once and hold it. A request has its turn until its first
picture is there; what follows is read ahead by a few frames only, at the pace of the client. One for all archives, made
by ``app.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.errors import TooBusy

__all__ = ["Turn", "Turns"]


class Turn:
    """The right to fetch and render, until it is ended."""

    def __init__(self, gate: asyncio.Semaphore) -> None:
        self._gate = gate
        self._is_over = False

    def end(self) -> None:
        """Let the next one in; a second call does nothing."""
        if not self._is_over:
            self._is_over = True
            self._gate.release()


class Turns:
    """Gives turns in the order in which they are asked for.

    Parameters
    ----------
    count
        Turns at a time.
    wait_s
        Longest wait for one, in seconds.
    """

    def __init__(self, count: int = 16, wait_s: float = 30) -> None:
        self._gate = asyncio.Semaphore(count)
        self._wait_s = wait_s

    @asynccontextmanager
    async def take(self) -> AsyncIterator[Turn]:
        """Wait for a turn; it ends with the block at the latest.

        Raises
        ------
        TooBusy
            None was free in time.
        """
        try:
            async with asyncio.timeout(self._wait_s):
                await self._gate.acquire()
        except TimeoutError:
            raise TooBusy from None
        turn = Turn(self._gate)
        try:
            yield turn
        finally:
            turn.end()
