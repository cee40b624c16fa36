"""An archive in memory for unit tests of the store: takes C-STOREs, and fails where a test wants it to.

It has the part of ``gateway.dimse.archive.Archive`` that the store uses. Like the archive itself it lends a bounded
number of associations, one to an operation from the start of its block to the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from gateway.config import BackendSettings
from gateway.dimse.archive import StorageContext
from gateway.dimse.commands import Command, CommandField
from gateway.dimse.scu.storage import InstanceToStore

__all__ = ["Attempt", "FakeStoreArchive"]


@dataclass
class Attempt:
    """One C-STORE as the archive saw it."""

    instance: InstanceToStore
    offered: tuple[StorageContext, ...]
    data: bytearray = field(default_factory=bytearray)
    outcome: str = "open"
    """open, sent (the last fragment came), stored, cut"""


@dataclass
class FakeStoreArchive:
    """See the module.

    Parameters
    ----------
    refuse : callable
        Raises what is to go wrong when an association is asked for, with the number of the attempt from 0.
    interrupt : callable
        The same for each piece of data, and with ``None`` instead of the piece for the response.
    answer : callable
        Status of the C-STORE-RSP by SOP Instance UID.
    gates : dict
        Events to wait for before answering, by SOP Instance UID.
    answers_after : float
        Bytes of a data set after which it answers, though more is to come.
    """

    settings: BackendSettings = field(default_factory=lambda: BackendSettings(ae_title="FAKE", host="none"))
    ae_title: str = "FAKE"
    refuse: Callable[[int, InstanceToStore], None] = lambda number, instance: None
    interrupt: Callable[[int, Any], None] = lambda number, piece: None
    answer: Callable[[str], int | None] = lambda uid: 0
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    answers_after: float = float("inf")
    attempts: list[Attempt] = field(default_factory=list)
    busy: int = 0
    most_busy: int = 0

    def __post_init__(self) -> None:
        self._associations = asyncio.Semaphore(self.settings.max_associations)
        self.changed = asyncio.Event()

    @asynccontextmanager
    async def store(
        self, instance: InstanceToStore, offered: Collection[StorageContext] = ()
    ) -> AsyncIterator[_Operation]:
        number = len(self.attempts)
        attempt = Attempt(instance, tuple(offered))
        self.attempts.append(attempt)
        async with self._associations:
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
            try:
                await asyncio.sleep(0)
                self.refuse(number, instance)
                yield _Operation(self, number, attempt)
            finally:
                self.busy -= 1
                attempt.outcome = "cut" if attempt.outcome == "open" else attempt.outcome
                self._note()

    @property
    def outcomes(self) -> list[str]:
        """What became of each attempt, in order."""
        return [attempt.outcome for attempt in self.attempts]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; looked at when an operation makes progress."""
        async with asyncio.timeout(5):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    def _note(self) -> None:
        self.changed.set()


class _Operation:
    def __init__(self, archive: FakeStoreArchive, number: int, attempt: Attempt) -> None:
        self._archive = archive
        self._number = number
        self._attempt = attempt

    @property
    def is_answered(self) -> bool:
        """Whether as many bytes have come as the archive wants before it answers."""
        return len(self._attempt.data) >= self._archive.answers_after

    async def write(self, piece: bytes | memoryview, *, more: bool = False) -> None:
        await asyncio.sleep(0)
        self._archive.interrupt(self._number, piece)
        self._attempt.data += piece
        self._archive._note()

    async def end(self) -> None:
        await asyncio.sleep(0)
        self._attempt.outcome = "sent"
        self._archive._note()

    async def finish(self) -> Command:
        uid = self._attempt.instance.sop_instance_uid
        if uid in self._archive.gates:
            await self._archive.gates[uid].wait()
        self._archive.interrupt(self._number, None)
        status = self._archive.answer(uid)
        if self._attempt.outcome == "sent":
            self._attempt.outcome = "stored" if status == 0 else "answered"
        return Command(command_field=CommandField.C_STORE_RSP, status=status)
