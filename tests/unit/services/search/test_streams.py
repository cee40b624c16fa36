"""Reading ahead and working side by side: order, bounds, failures, and nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from gateway.services.search.streams import Batch, Memo, ReadAhead, in_batches, iter_items, map_ordered, read_ahead
from gateway.tasks import running_tasks


async def in_one_batch(numbers: range) -> AsyncGenerator[Batch[int], None]:
    yield Batch(list(numbers))


class Source:
    """Counts what was taken from it and notes its closing."""

    def __init__(self, count: int, failure: Exception | None = None) -> None:
        self.count = count
        self.failure = failure
        self.given = 0
        self.closed = False

    async def items(self) -> AsyncGenerator[int, None]:
        try:
            for number in range(self.count):
                await asyncio.sleep(0)
                self.given += 1
                yield number
            if self.failure is not None:
                raise self.failure
        finally:
            self.closed = True


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
async def nothing_left_behind() -> AsyncGenerator[None, None]:
    yield
    assert running_tasks() == []


async def test_reading_ahead_gives_everything_in_order() -> None:
    source = Source(100)
    ahead = read_ahead(source.items(), size=lambda _: 1, budget=3, name="t")
    assert [item async for item in ahead] == list(range(100))
    assert source.closed


async def test_reading_ahead_stops_at_its_budget() -> None:
    source = Source(100)
    reader = ReadAhead(source.items(), size=lambda _: 2, budget=10, name="t")
    await settle()
    assert source.given == 5
    taken = [await anext(reader)]
    await settle()
    assert taken == [0] and source.given == 6
    await reader.close()
    assert source.closed


async def test_reading_ahead_without_budget_reads_everything() -> None:
    source = Source(30)
    async with aclosing(read_ahead(source.items(), size=lambda _: 1, budget=None, name="t")) as ahead:
        assert await anext(ahead) == 0
        await settle()
        await settle()
        assert source.given == 30


async def test_a_failure_comes_after_the_items_before_it() -> None:
    taken = []
    with pytest.raises(ValueError, match="broken"):
        async for item in read_ahead(Source(3, ValueError("broken")).items(), size=len_one, budget=9, name="t"):
            taken.append(item)
    assert taken == [0, 1, 2]


def len_one(_: int) -> int:
    return 1


async def test_leaving_early_closes_the_source() -> None:
    source = Source(1000)
    async with aclosing(read_ahead(source.items(), size=len_one, budget=5, name="t")) as ahead:
        assert await anext(ahead) == 0
    assert source.closed and source.given < 20


async def test_results_keep_their_order_however_long_each_takes() -> None:
    async def work(number: int) -> int:
        for _ in range(10 - number):
            await asyncio.sleep(0)
        return number * number

    found = [item async for item in map_ordered(iter_items(in_one_batch(range(10))), work, window=4, name="t")]
    assert found == [number * number for number in range(10)]


async def test_no_more_run_than_the_window_allows() -> None:
    gate = asyncio.Event()
    started: list[int] = []

    async def work(number: int) -> int:
        started.append(number)
        await gate.wait()
        return number

    results = map_ordered(Source(100).items(), work, window=3, name="t")
    async with aclosing(results):
        first = asyncio.ensure_future(anext(results))
        await settle()
        assert started == [0, 1, 2]
        gate.set()
        assert await first == 0


async def test_the_first_failure_is_raised_in_its_turn() -> None:
    async def work(number: int) -> int:
        if number == 2:
            raise ValueError("two")
        return number

    taken = []
    with pytest.raises(ValueError, match="two"):
        async for item in map_ordered(Source(10).items(), work, window=4, name="t"):
            taken.append(item)
    assert taken == [0, 1]


async def test_a_failing_source_is_told_after_its_items() -> None:
    async def work(number: int) -> int:
        return number

    taken = []
    with pytest.raises(ValueError, match="source"):
        async for item in map_ordered(Source(3, ValueError("source")).items(), work, window=2, name="t"):
            taken.append(item)
    assert taken == [0, 1, 2]


async def test_cancellation_ends_source_and_work() -> None:
    never = asyncio.Event()
    source = Source(100)

    async def work(number: int) -> int:
        await never.wait()
        return number

    async def consume() -> None:
        async with aclosing(map_ordered(source.items(), work, window=4, name="t")) as results:
            async for _ in results:
                pass

    consumer = asyncio.ensure_future(consume())
    await settle()
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    assert source.closed and source.given <= 5


async def test_a_memo_computes_once_and_forgets_the_oldest() -> None:
    calls: list[int] = []

    async def compute(key: int) -> int:
        calls.append(key)
        await asyncio.sleep(0)
        return key * 10

    memo = Memo(compute, size=2)
    assert await asyncio.gather(memo.get(1), memo.get(1), memo.get(1)) == [10, 10, 10]
    assert calls == [1]
    await memo.get(2)
    await memo.get(3)
    await memo.get(1)
    assert calls == [1, 2, 3, 1]


async def test_a_memo_repeats_what_failed() -> None:
    failures = [ValueError("once")]

    async def compute(key: int) -> int:
        if failures:
            raise failures.pop()
        return key

    memo = Memo(compute, size=2)
    with pytest.raises(ValueError, match="once"):
        await memo.get(7)
    assert await memo.get(7) == 7


async def test_items_in_batches_of_one_and_back() -> None:
    source = Source(3)
    batches = [batch async for batch in in_batches(source.items())]
    assert batches == [Batch([0]), Batch([1]), Batch([2])] and source.closed
    source = Source(3)
    async with aclosing(iter_items(in_batches(source.items()))) as items:
        assert await anext(items) == 0
    assert source.closed
