"""Equal questions at the same time: one is asked, all get its outcome, and whoever leaves harms nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.services.cache.single_flight import SingleFlight
from gateway.tasks import running_tasks
from tests.support.cancellation import settle


class Work:
    """Counts its runs; each waits until it may end."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.may_end = asyncio.Event()
        self.started = self.ended = 0
        self._failure = failure

    async def __call__(self) -> int:
        self.started += 1
        number = self.started
        try:
            await self.may_end.wait()
        finally:
            self.ended += 1
        if self._failure is not None:
            raise self._failure
        return number


async def start(
    flights: SingleFlight[str, int], work: Callable[[], Awaitable[int]], count: int
) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(flights.run("key", work)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_all_get_the_outcome_of_one() -> None:
    flights, work = SingleFlight[str, int]("work"), Work()
    tasks = await start(flights, work, 3)
    work.may_end.set()
    assert await asyncio.gather(*tasks) == [1, 1, 1]
    assert await flights.run("key", work) == 2  # nothing is remembered
    await settle(lambda: running_tasks() == [])


async def test_other_keys_are_other_questions() -> None:
    flights, work = SingleFlight[str, int]("work"), Work()
    work.may_end.set()
    assert sorted(await asyncio.gather(flights.run("a", work), flights.run("b", work))) == [1, 2]


async def test_a_failure_is_that_of_all_who_wait() -> None:
    failure = ValueError("no")
    flights, work = SingleFlight[str, int]("work"), Work(failure)
    tasks = await start(flights, work, 2)
    work.may_end.set()
    assert await asyncio.gather(*tasks, return_exceptions=True) == [failure, failure]
    await settle(lambda: running_tasks() == [])


@pytest.mark.parametrize("leaving", [[0], [1], [0, 1]])
async def test_who_leaves_does_not_fail_the_others(leaving: list[int]) -> None:
    flights, work = SingleFlight[str, int]("work"), Work()
    tasks = await start(flights, work, 3)
    await settle(lambda: work.started == 1)
    for number in leaving:
        tasks[number].cancel()
    await asyncio.wait([tasks[number] for number in leaving])
    assert work.ended == 0
    work.may_end.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [outcome for number, outcome in enumerate(outcomes) if number not in leaving] == [1] * (3 - len(leaving))
    assert all(isinstance(outcomes[number], asyncio.CancelledError) for number in leaving)


async def test_when_all_have_left_the_work_is_cancelled() -> None:
    flights, work = SingleFlight[str, int]("work"), Work()
    tasks = await start(flights, work, 2)
    await settle(lambda: work.started == 1)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert work.ended == 1 and running_tasks() == []
    work.may_end.set()
    assert await flights.run("key", work) == 2


async def test_parted_from_what_is_under_way() -> None:
    flights, work = SingleFlight[str, int]("work"), Work()
    early = await start(flights, work, 1)
    flights.part(lambda key: key == "other")
    early += await start(flights, work, 1)
    flights.part(lambda key: key == "key")
    late = await start(flights, work, 2)
    work.may_end.set()
    assert await asyncio.gather(*early, *late) == [1, 1, 2, 2]
    assert await flights.run("key", work) == 3
