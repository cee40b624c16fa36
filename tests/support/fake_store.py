"""An archive in memory for unit tests of the store: takes C-STOREs, and fails where a test wants it to.

It has the part of ``gateway.dimse.archive.Archive`` that the store uses. Like the archive itself it lends a bounded
number of associations, one to an operation, and to those that follow it, from the start of its block to the end.
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
from gateway.dimse.scu.storage import InstanceToStore, NotSent

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
    follows : bool
        Whether its associations take an operation behind another.
    """

    settings: BackendSettings = field(default_factory=lambda: BackendSettings(ae_title="FAKE", host="none"))
    ae_title: str = "FAKE"
    refuse: Callable[[int, InstanceToStore], None] = lambda number, instance: None
    interrupt: Callable[[int, Any], None] = lambda number, piece: None
    answer: Callable[[str], int | None] = lambda uid: 0
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    answers_after: float = float("inf")
    follows: bool = True
    attempts: list[Attempt] = field(default_factory=list)
    waiting: int = 0
    lent: int = 0
    followers_lost: int = 0
    busy: int = 0
    most_busy: int = 0

    def __post_init__(self) -> None:
        self._associations = asyncio.Semaphore(self.settings.max_associations)
        self.changed = asyncio.Event()

    @asynccontextmanager
    async def store(
        self, instance: InstanceToStore, offered: Collection[StorageContext] = ()
    ) -> AsyncIterator[_Operation]:
        operation = _Operation(self, instance, tuple(offered))
        operation.begin()
        self.waiting += 1
        try:
            await self._associations.acquire()
        finally:
            self.waiting -= 1
        self.busy += 1
        self.lent += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            await asyncio.sleep(0)
            self.refuse(operation.number, instance)
            yield operation
        finally:
            self.busy -= 1
            self._associations.release()
            operation.cut()
            self._note()

    @property
    def lets_stores_follow(self) -> bool:
        """Whether to keep an association for the next C-STORE."""
        return not self.waiting and not self.followers_lost

    def note_follower_lost(self) -> None:
        """A C-STORE that followed another was lost."""
        self.followers_lost += 1

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
    """A C-STORE; one that follows another is an attempt only when its turn has come."""

    def __init__(
        self,
        archive: FakeStoreArchive,
        instance: InstanceToStore,
        offered: tuple[StorageContext, ...] = (),
        turn: asyncio.Future[bool] | None = None,
    ) -> None:
        self._archive = archive
        self._attempt = Attempt(instance, offered)
        self._turn = turn
        self._held: list[bytes | memoryview] = []
        self._next: _Operation | None = None
        self.number = -1

    def begin(self) -> None:
        """Count as an attempt."""
        self.number = len(self._archive.attempts)
        self._archive.attempts.append(self._attempt)

    def cut(self) -> None:
        """What was not sent whole, here and after this, is not stored."""
        self._attempt.outcome = "cut" if self._attempt.outcome == "open" else self._attempt.outcome
        if self._next is not None:
            self._next.cut()

    def follow(self, instance: InstanceToStore) -> _Operation | None:
        """Another one behind this one, if it is sent and unanswered."""
        if not self._archive.follows or self._attempt.outcome != "sent" or self._next is not None:
            return None
        self._next = _Operation(self._archive, instance, turn=asyncio.get_running_loop().create_future())
        return self._next

    def withdraw(self) -> None:
        """Without effect once the turn has come."""
        if self._turn is not None:
            self._turn.cancel()

    def take_back(self) -> list[bytes | memoryview]:
        """What was written and not sent."""
        return self._held

    async def _take_turn(self) -> None:
        if self._turn is None:
            return
        if not await self._turn:
            raise NotSent
        self._turn = None
        for piece in self._held:
            await self.write(piece)

    @property
    def is_answered(self) -> bool:
        """Whether as many bytes have come as the archive wants before it answers."""
        return len(self._attempt.data) >= self._archive.answers_after

    async def write(self, piece: bytes | memoryview, *, more: bool = False) -> None:
        await asyncio.sleep(0)
        if self._turn is not None:
            self._held.append(piece)
            if self._turn.done():
                await self._take_turn()
            return
        self._archive.interrupt(self.number, piece)
        self._attempt.data += piece
        self._archive._note()

    async def end(self) -> None:
        await asyncio.sleep(0)
        await self._take_turn()
        self._attempt.outcome = "sent"
        self._archive._note()

    async def finish(self) -> Command:
        is_answered = False
        try:
            command = await self._answer()
            is_answered = True
        finally:
            if self._next is not None and self._next._turn is not None and not self._next._turn.done():
                if is_answered:
                    self._next.begin()
                self._next._turn.set_result(is_answered)
        return command

    async def _answer(self) -> Command:
        uid = self._attempt.instance.sop_instance_uid
        if uid in self._archive.gates:
            await self._archive.gates[uid].wait()
        self._archive.interrupt(self.number, None)
        status = self._archive.answer(uid)
        if self._attempt.outcome == "sent":
            self._attempt.outcome = "stored" if status == 0 else "answered"
        return Command(command_field=CommandField.C_STORE_RSP, status=status)
