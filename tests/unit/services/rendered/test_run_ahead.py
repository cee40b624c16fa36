"""Calls side by side: in order, no more than allowed, none left behind."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from functools import partial

import pytest

from gateway.imaging.shared_bytes import SharedBytes
from gateway.services.rendered.run_ahead import run_ahead
from gateway.tasks import running_tasks


class Calls:
    """Numbered calls that end when they are told to."""

    def __init__(self, count: int, fails: int = 0) -> None:
        self.count = count
        self.fails = fails
        self.asked = 0
        self.is_closed = False
        self.gates = [asyncio.Event() for _ in range(count)]

    async def generate(self) -> AsyncGenerator[Callable[[], Awaitable[int]], None]:
        try:
            for number in range(self.count):
                self.asked += 1
                yield self.make(number)
        finally:
            self.is_closed = True

    def make(self, number: int) -> Callable[[], Awaitable[int]]:
        async def call() -> int:
            await self.gates[number].wait()
            if number + 1 == self.fails:
                raise ValueError(number)
            return number

        return call

    def open(self) -> None:
        for gate in self.gates:
            gate.set()


@pytest.mark.parametrize("ahead", [1, 2, 3, 10])
async def test_results_come_in_order(ahead: int) -> None:
    calls = Calls(5)
    calls.open()
    assert [result async for result in run_ahead(calls.generate(), ahead)] == [0, 1, 2, 3, 4]
    assert calls.is_closed


async def test_no_more_run_than_allowed_and_the_later_may_end_first() -> None:
    calls = Calls(4)
    async with aclosing(run_ahead(calls.generate(), 2)) as results:
        first = asyncio.ensure_future(anext(results))
        calls.gates[1].set()
        while calls.asked < 2:
            await asyncio.sleep(0)
        assert not first.done() and calls.asked == 2
        calls.gates[0].set()
        assert await first == 0
        assert await anext(results) == 1
    assert calls.is_closed
    assert "rendering" not in running_tasks()


async def test_nothing_runs_on_after_the_last_was_wanted() -> None:
    calls = Calls(3)
    calls.gates[0].set()
    async with aclosing(run_ahead(calls.generate(), 2)) as results:
        assert await anext(results) == 0
        assert "rendering" in running_tasks()
    assert calls.is_closed and "rendering" not in running_tasks()


async def test_a_failure_comes_in_its_place() -> None:
    calls = Calls(3, fails=2)
    calls.open()
    given = []
    with pytest.raises(ValueError, match="1"):
        async for result in run_ahead(calls.generate(), 3):
            given.append(result)
    assert given == [0]
    assert calls.is_closed and "rendering" not in running_tasks()


async def test_what_a_failed_call_holds_is_given_back_at_once() -> None:
    held: list[weakref.ref[SharedBytes]] = []

    async def generate() -> AsyncGenerator[Callable[[], Awaitable[None]], None]:
        for _ in range(3):
            shared = SharedBytes()
            held.append(weakref.ref(shared))
            yield partial(fail, shared)

    async def fail(_: SharedBytes) -> None:
        raise ValueError

    gc.disable()
    try:
        with suppress(ValueError):
            async for _ in run_ahead(generate(), 2):
                pytest.fail("all fail")
        assert held and [shared() for shared in held] == [None] * len(held)
    finally:
        gc.enable()


async def test_a_failure_of_the_source() -> None:
    async def generate() -> AsyncGenerator[Callable[[], Awaitable[int]], None]:
        yield Calls(1).make(0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async for _ in run_ahead(generate(), 5):
            pytest.fail("nothing was allowed to end")
    assert "rendering" not in running_tasks()
