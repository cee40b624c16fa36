"""Single flight: equal questions that are asked at the same time are asked once.

Who comes first starts the work, in a task of its own; who comes while it runs waits for the same outcome. So the
first one may leave without failing the others; when the last one leaves, the work is cancelled. Nothing is remembered
once it has ended: that is for the caches beside this file. Called by ``services/retrieve``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.tasks import cancel_and_wait, start_task

__all__ = ["SingleFlight"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(slots=True)
class _Flight(Generic[V]):
    outcome: asyncio.Future[V]
    task: asyncio.Task[None]
    waiting: int = 0


class SingleFlight(Generic[K, V]):
    """Questions under way, by key.

    Parameters
    ----------
    name : str
        Of the tasks, for the log.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._flights: dict[K, _Flight[V]] = {}

    async def run(self, key: K, work: Callable[[], Awaitable[V]]) -> V:
        """The outcome of `work`, or of the work under way for `key`, in which case `work` is not called.

        Raises
        ------
        Exception
            What the work raises, to all who wait for it.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._start(key, work)
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.outcome)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.outcome.done():
                self._forget(key, flight)
                await cancel_and_wait(flight.task)

    def part(self, applies: Callable[[K], bool]) -> None:
        """Who asks from now on for a key to which this `applies` does not share what is under way."""
        for key in [key for key in self._flights if applies(key)]:
            del self._flights[key]

    def _start(self, key: K, work: Callable[[], Awaitable[V]]) -> _Flight[V]:
        outcome: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        flight = _Flight(outcome, start_task(self._carry_out(outcome, work), name=self._name))
        flight.task.add_done_callback(lambda _: self._forget(key, flight))
        self._flights[key] = flight
        return flight

    async def _carry_out(self, outcome: asyncio.Future[V], work: Callable[[], Awaitable[V]]) -> None:
        try:
            value = await work()
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait
            if not outcome.done():
                outcome.set_exception(error)
                outcome.exception()  # they may all have left
        else:
            if not outcome.done():
                outcome.set_result(value)
        finally:
            outcome.cancel()

    def _forget(self, key: K, flight: _Flight[V]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
