"""Reading ahead: everything in order, never more than the limit, nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import MalformedBody
from gateway.services.store.read_ahead import read_ahead
from gateway.tasks import running_tasks


async def iter_items(items: Iterable[int], taken: list[int] | None = None) -> AsyncIterator[int]:
    for item in items:
        if taken is not None:
            taken.append(item)
        yield item
        await asyncio.sleep(0)


@given(st.lists(st.integers(0, 9), max_size=20), st.integers(1, 12))
def test_everything_comes_in_order_and_no_more_than_the_limit_is_held(sizes: list[int], limit: int) -> None:
    async def run() -> None:
        taken: list[int] = []
        got: list[int] = []
        async with read_ahead(iter_items(sizes, taken), lambda size: size, limit) as items:
            async for item in items:
                got.append(item)
                for _ in range(3):
                    await asyncio.sleep(0)
                assert sum(taken[len(got) : -1]) < limit
        assert got == sizes
        assert running_tasks() == []

    asyncio.run(run())


async def test_a_failure_comes_after_what_was_before_it() -> None:
    async def fail() -> AsyncIterator[int]:
        yield 1
        yield 2
        raise MalformedBody("cut")

    got = []
    with pytest.raises(MalformedBody):
        async with read_ahead(fail(), lambda _: 1, 10) as items:
            async for item in items:
                got.append(item)
    assert got == [1, 2]


async def test_leaving_early_ends_the_reading() -> None:
    async def endless() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    closed = asyncio.Event()
    source = endless()
    async with read_ahead(source, lambda _: 1, 3) as items:
        assert await anext(items) == 1
    assert running_tasks() == []
    await source.aclose()
    assert closed.is_set()
