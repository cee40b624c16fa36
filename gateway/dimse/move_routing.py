"""Joining the C-STOREs an archive sends us with the C-MOVE that asked for them.

A :class:`MoveRegistry` stands between ``acceptor.py`` (where stores arrive) and ``scu/retrieve.py`` (which asked).
Each move registers *before* its request goes out. A store is matched by Move Originator Message ID, unique over
all moves of this process; where the archive leaves that out, by calling AE title and SOP Instance UID. What
matches nothing was not asked for, and the acceptor refuses it (PS3.7 §9.1.1.1.7, §9.3.1.1).

The hand-off has no capacity of its own: a store waits, its data set unread, until the retrieval takes it, and
its association reads on only when the retrieval is done with it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection

from gateway.dimse.suboperation import StoreSubOperation
from gateway.errors import BackendError

__all__ = ["MoveReception", "MoveRegistry"]


class MoveReception:
    """What one C-MOVE expects and receives.

    Attributes
    ----------
    message_id : int
        For the C-MOVE-RQ; comes back in (0000,1031) of each C-STORE.
    archive_ae_title, calling_ae_title, destination : str
        Whom we ask, as whom, and where the instances are to go.
    """

    def __init__(
        self,
        registry: MoveRegistry,
        message_id: int,
        archive_ae_title: str,
        calling_ae_title: str,
        destination: str,
        instances: Collection[str],
        prefers_native: bool,
        only: Collection[str],
    ) -> None:
        self.prefers_native = prefers_native
        self.only = frozenset(only)
        self.message_id = message_id
        self.archive_ae_title = archive_ae_title
        self.calling_ae_title = calling_ae_title
        self.destination = destination
        self._registry = registry
        self._instances = frozenset(instances)
        self._seen: set[str] = set()
        self._offers: deque[StoreSubOperation] = deque()
        self._waits: dict[StoreSubOperation, asyncio.Future[bool]] = {}
        self._wake = asyncio.Event()
        self._error: BackendError | None = None
        self._progress_at = time.monotonic()
        self.is_closed = False

    # --- the retrieval's side ---

    async def take(self, limit_s: Callable[[], float], is_over: Callable[[], bool]) -> StoreSubOperation | None:
        """Wait for the next instance; None once `is_over` says so and none is waiting.

        Parameters
        ----------
        limit_s
            Longest time without progress, in seconds; asked anew after each wake-up.

        Raises
        ------
        TimeoutError
            No instance and no response within the limit.
        BackendError
            What :meth:`fail` was given.
        """
        self.note_progress()
        while not self._offers:
            if self._error is not None:
                raise self._error
            if is_over():
                return None
            await self._await_wake(self._progress_at + limit_s())
        return self._offers.popleft()

    async def _await_wake(self, deadline: float) -> None:
        """Wait until woken; at `deadline` raise TimeoutError, unless there was progress meanwhile."""
        progress_at = self._progress_at
        self._wake.clear()
        try:
            async with asyncio.timeout(max(deadline - time.monotonic(), 0)):
                await self._wake.wait()
        except TimeoutError:
            if self._progress_at == progress_at and not self._offers:
                raise

    def finish(self, instance: StoreSubOperation) -> None:
        """The retrieval is done with `instance`: its association may read on."""
        if (wait := self._waits.get(instance)) is not None and not wait.done():
            wait.set_result(True)

    def note_progress(self) -> None:
        """The archive gave a sign of life."""
        self._progress_at = time.monotonic()

    def wake(self) -> None:
        """Have the retrieval look again."""
        self._wake.set()

    def fail(self, error: BackendError) -> None:
        """The request's own association is over; raised to the retrieval once nothing is waiting."""
        self._error = self._error or error
        self.wake()

    def close(self) -> None:
        """Take nothing more; what is under way or waiting is refused by its acceptor task."""
        self.is_closed = True
        self._registry.withdraw(self)
        self._offers.clear()
        for wait in self._waits.values():
            if not wait.done():
                wait.set_result(False)

    # --- the acceptor's side ---

    def wants(self, sop_instance_uid: str) -> bool:
        """Whether this move still expects the instance; a move that knows no UIDs expects any."""
        return not self._instances or self.names(sop_instance_uid)

    def names(self, sop_instance_uid: str) -> bool:
        """Whether the instance is one of those named at registration that have not come yet."""
        return sop_instance_uid in self._instances and sop_instance_uid not in self._seen

    async def offer(self, instance: StoreSubOperation) -> bool:
        """Hand over `instance` and wait until the retrieval is done with it.

        Returns
        -------
        bool
            False if nobody will take it (any more): then the caller answers it with a failure.
        """
        if self.is_closed:
            return False
        self._seen.add(instance.sop_instance_uid)
        wait: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waits[instance] = wait
        self._offers.append(instance)
        self.note_progress()
        self.wake()
        try:
            return await wait
        finally:
            del self._waits[instance]
            if instance in self._offers:
                self._offers.remove(instance)


class MoveRegistry:
    """All moves under way in this process."""

    def __init__(self) -> None:
        self._active: dict[int, MoveReception] = {}
        self._offered: dict[str, set[str]] = {}
        self._naming: set[str] = set()
        self._last_message_id = 0

    @property
    def active_count(self) -> int:
        """Moves under way."""
        return len(self._active)

    def register(
        self,
        *,
        archive_ae_title: str,
        calling_ae_title: str,
        destination: str,
        instances: Collection[str] = (),
        prefers_native: bool = False,
        only: Collection[str] = (),
    ) -> MoveReception:
        """Expect the instances of a move about to be asked for; close the reception when it is over.

        Parameters
        ----------
        instances
            SOP Instance UIDs, where known: they tell moves apart for archives that send no originator.
        prefers_native
            Whether a context offered in compressed and native form is to be accepted as native.
        only
            Transfer syntaxes to accept, no others; empty for all. An archive may send everything on the first
            context accepted for a class, so what it holds in other forms needs a move of its own.
        """
        message_id = self._next_message_id()
        reception = MoveReception(
            self, message_id, archive_ae_title, calling_ae_title, destination, instances, prefers_native, only
        )
        self._active[message_id] = reception
        return reception

    def withdraw(self, reception: MoveReception) -> None:
        """Forget a move."""
        self._active.pop(reception.message_id, None)

    def match(self, calling_ae_title: str, instance: StoreSubOperation) -> MoveReception | None:
        """The move that asked for `instance`, sent by `calling_ae_title`; None if none did."""
        originator, message_id = instance.originator
        if message_id is not None:
            reception = self._active.get(message_id)
            if reception is None or (originator and originator != reception.calling_ae_title):
                return None
            self._naming.add(reception.archive_ae_title)
            return reception
        return self._match_by_instance(calling_ae_title, instance.sop_instance_uid)

    def _match_by_instance(self, calling_ae_title: str, sop_instance_uid: str) -> MoveReception | None:
        """An archive may store under another AE title than it is called by, but then the UID must be named."""
        moves = list(self._active.values())
        same_archive = [move for move in moves if move.archive_ae_title == calling_ae_title]
        named = [move for move in same_archive or moves if move.names(sop_instance_uid)]
        wanting = named or [move for move in same_archive if move.wants(sop_instance_uid)]
        return wanting[0] if wanting else None

    def latest_from(self, calling_ae_title: str) -> MoveReception | None:
        """The move asked last of the archive with that AE title; of any, where none bears it."""
        moves = list(self._active.values())
        same = [move for move in moves if move.archive_ae_title == calling_ae_title]
        candidates = same or moves
        return candidates[-1] if candidates else None

    def note_offer(self, calling_ae_title: str, transfer_syntaxes: Collection[str]) -> None:
        """Remember in which transfer syntaxes an archive proposed to send (at most some 50 UIDs an archive)."""
        move = self.latest_from(calling_ae_title)
        if move is not None:
            self._offered.setdefault(move.archive_ae_title, set()).update(transfer_syntaxes)

    def offered_by(self, archive_ae_title: str) -> frozenset[str]:
        """The transfer syntaxes that an archive has proposed in C-STOREs so far."""
        return frozenset(self._offered.get(archive_ae_title, ()))

    def is_named_by(self, archive_ae_title: str) -> bool:
        """Whether an archive has named a move in its C-STOREs, so that moves need no UIDs to be told apart."""
        return archive_ae_title in self._naming

    def _next_message_id(self) -> int:
        for _ in range(65_535):
            self._last_message_id = self._last_message_id % 65_535 + 1
            if self._last_message_id not in self._active:
                return self._last_message_id
        raise RuntimeError("65,535 moves under way")
