"""Calls that run side by side, a few at a time, their results in the order of the calls.

Frames arrive one after the other while others are being rendered; no more are read than there is somebody to render
them. Called by ``service.py``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

from gateway.tasks import cancel_and_wait, start_task

__all__ = ["run_ahead"]

T = TypeVar("T")


async def run_ahead(calls: AsyncGenerator[Callable[[], Awaitable[T]], None], ahead: int) -> AsyncGenerator[T, None]:
    """Yield what `calls` give, in their order; up to `ahead` of them run at a time.

    Where it is closed early, what runs is cancelled and `calls` is closed.

    Raises
    ------
    Exception
        What `calls`, or the first call that fails, raises; results before it have been given.
    """
    running: deque[asyncio.Task[T | Exception]] = deque()
    try:
        async with aclosing(calls):
            async for call in calls:
                running.append(start_task(_capture(call), name="rendering"))
                if len(running) >= ahead:
                    yield _unwrap(await running.popleft())
        while running:
            yield _unwrap(await running.popleft())
    finally:
        for task in running:
            await cancel_and_wait(task)


async def _capture(call: Callable[[], Awaitable[T]]) -> T | Exception:
    """Hand a failure on as a value: whoever waits for the result raises it, so it is no failure of the task."""
    try:
        return await call()
    except Exception as error:  # noqa: BLE001 - raised again by `_unwrap`
        return error


def _unwrap(result: T | Exception) -> T:
    if not isinstance(result, Exception):
        return result
    try:
        raise result
    finally:
        del result  # its traceback holds this frame; together they would keep the frames of the call until a collection
