"""A request that shares a retrieval, and its turn: one instance that it pulls itself, straight from the archive.

A :class:`Subscriber` waits until it is given a :class:`Turn`, is sent to a retrieval of its own, or fails. During its
turn it reads the pieces of the C-STORE as any retrieval does: nothing is queued or copied on the way. Made by
``sharing/coalescing.py``, served by ``sharing/batch.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

from gateway.codecs import Buffer
from gateway.dimse.suboperation import StoreSubOperation
from gateway.errors import GatewayError
from gateway.resources import ResourcePath
from gateway.services.retrieve.received_instance import ReceivedInstance

__all__ = ["SharedInstance", "Subscriber", "Turn"]


class Turn:
    """One instance of a shared retrieval while it is its subscriber's.

    Attributes
    ----------
    store : StoreSubOperation
        Read by the subscriber until `ended`, by nobody else.
    ended : future of bool
        True once the subscriber has taken the instance, False once it has left.
    read_s : float
        Seconds in which the subscriber has waited for the archive so far.
    was_cut : bool
        Whether the subscriber has cut the association, because it wants nothing of the long rest.
    """

    def __init__(self, store: StoreSubOperation) -> None:
        self._loop = asyncio.get_running_loop()
        self.store = store
        self.ended: asyncio.Future[bool] = self._loop.create_future()
        self.was_cut = False
        self._acknowledged: asyncio.Future[None] = self._loop.create_future()
        self._held_s = 0.0
        self._held_since: float | None = self._loop.time()
        self._read_since = 0.0
        self.read_s = 0.0

    # --- the subscriber's side ---

    def begin_reading(self) -> None:
        """Note that the subscriber waits for the archive now."""
        self._read_since = self._loop.time()
        if self._held_since is not None:
            self._held_s += self._read_since - self._held_since
            self._held_since = None

    def end_reading(self) -> None:
        """Note that the archive waits for the subscriber now."""
        self._held_since = self._loop.time()
        self.read_s += self._held_since - self._read_since

    async def take(self) -> None:
        """Say that the instance was taken, and wait until the archive has been told.

        Raises
        ------
        BackendError
            It could not be told.
        """
        if self.was_cut:
            return
        if not self.ended.done():
            self.ended.set_result(True)
        await asyncio.shield(self._acknowledged)

    def cut(self) -> None:
        """Want nothing of the rest and cut the association; what others want of it is asked for again."""
        self.was_cut = True
        self.store.abort()
        self.leave()

    def leave(self) -> None:
        """Have no more to do with it; reading must be over."""
        if not self.ended.done():
            self.ended.set_result(False)
        if self._acknowledged.done() and not self._acknowledged.cancelled():
            self._acknowledged.exception()  # nobody will ask for it any more

    # --- the retrieval's side ---

    @property
    def is_reading(self) -> bool:
        """Whether the subscriber waits for the archive."""
        return self._held_since is None

    @property
    def held_s(self) -> float:
        """Seconds in which the archive has waited for the subscriber so far."""
        running = 0.0 if self._held_since is None else self._loop.time() - self._held_since
        return self._held_s + running

    def acknowledge(self) -> None:
        """The archive has been told that the instance was taken."""
        self._acknowledged.set_result(None)

    def revoke(self, error: GatewayError) -> None:
        """The retrieval is over before the turn was: cut what the subscriber may be reading."""
        self.store.abort()
        if not self._acknowledged.done():
            self._acknowledged.set_exception(error)
            if self.ended.done() and not self.ended.result():
                self._acknowledged.exception()


class Subscriber:
    """One request for one instance.

    Parameters
    ----------
    path
        Down to the instance.
    on_leave
        Called with it when the request has no more to do with the shared retrieval; whoever serves it sets it.
    """

    def __init__(self, path: ResourcePath, on_leave: Callable[[Subscriber], None]) -> None:
        loop = asyncio.get_running_loop()
        self.path = path
        self.uid = path.instance or ""
        self.since = loop.time()
        self.on_leave = on_leave
        self._turn: asyncio.Future[Turn | None] = loop.create_future()

    @property
    def is_waiting(self) -> bool:
        """Whether nothing has come of it yet."""
        return not self._turn.done()

    async def wait(self) -> Turn | None:
        """Wait for the turn; None if the request is to retrieve on its own.

        Raises
        ------
        GatewayError
            What a retrieval of its own would fail with too.
        """
        return await self._turn

    def give(self, turn: Turn) -> None:
        """Its instance has arrived."""
        self._turn.set_result(turn)

    def send_away(self) -> None:
        """Have it retrieve on its own, unless it has left."""
        if self.is_waiting:
            self._turn.set_result(None)

    def fail(self, error: GatewayError) -> None:
        """Have it fail, unless it has left."""
        if self.is_waiting:
            self._turn.set_exception(error)

    def leave(self) -> None:
        """The request is over, or goes its own way."""
        if not self._turn.done():
            self._turn.cancel()
        elif not self._turn.cancelled() and self._turn.exception() is None and (turn := self._turn.result()):
            turn.leave()
        self.on_leave(self)


class SharedInstance:
    """The only instance of a target, out of a shared retrieval; see ``Instances``."""

    expected = 1
    unavailable: tuple[str, ...] = ()

    def __init__(self, ae_title: str, path: ResourcePath, turn: Turn) -> None:
        self._turn = turn
        self._instance = _InstanceInTurn(ae_title, path, turn)
        self._is_given = False

    @property
    def first(self) -> ReceivedInstance:
        """The instance that has arrived; not yet read, and iterating gives it again."""
        return self._instance

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ReceivedInstance:
        """Give the instance; asking once more tells the archive that it was taken.

        Raises
        ------
        BackendError
            The archive cannot be told any more.
        """
        if not self._is_given:
            self._is_given = True
            return self._instance
        await self._turn.take()
        raise StopAsyncIteration


class _InstanceInTurn(ReceivedInstance):
    """Keeps account of who waits for whom while it is read."""

    def __init__(self, ae_title: str, path: ResourcePath, turn: Turn) -> None:
        super().__init__(ae_title, path, turn.store)
        self._turn = turn

    async def read_piece(self) -> Buffer | None:
        self._turn.begin_reading()
        try:
            return await super().read_piece()
        finally:
            self._turn.end_reading()

    def cut(self) -> None:
        self._turn.cut()
