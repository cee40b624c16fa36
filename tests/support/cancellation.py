"""Cancelling an operation at each of its awaits in turn."""

from __future__ import annotations

import asyncio
import types
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from typing import Any

MAX_STEPS = 500


async def iter_cancelled_runs(operate: Callable[[], Coroutine[Any, Any, object]]) -> AsyncIterator[int]:
    """Run `operate` again and again, cancelled at its first, second ... await, until one run ends before that.

    Yields after each run the number of the await, so that the caller may look at what was left behind.
    """
    for step in range(1, MAX_STEPS):
        task = asyncio.create_task(_run(operate(), step))
        await asyncio.wait({task}, timeout=20)
        assert task.done(), f"hangs when cancelled at await {step}"
        if not task.cancelled() and task.result():
            return
        yield step
    raise AssertionError("the operation never ends")


async def _run(operation: Coroutine[Any, Any, object], step: int) -> bool:
    """Whether it ended with fewer awaits than `step`."""
    return await _drive(operation, step) < step


@types.coroutine
def _drive(operation: Coroutine[Any, Any, object], step: int) -> Generator[Any, Any, int]:
    task = asyncio.current_task()
    assert task is not None
    count, failure = 0, None
    while True:
        try:
            awaited = operation.send(None) if failure is None else operation.throw(failure)
        except StopIteration:
            return count
        count += 1
        if count == step:
            asyncio.get_running_loop().call_soon(task.cancel)
        failure = None
        try:
            yield awaited
        except BaseException as error:
            failure = error


async def settle(condition: Callable[[], bool]) -> None:
    """Give the loop turns until `condition` holds; fails after ten seconds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)
