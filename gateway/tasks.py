"""The one way to start a background task.

A task started here has a name, is referenced until it ends (asyncio itself keeps only weak references) and
its failure is logged instead of vanishing. Whoever starts a task that must end with its owner keeps the
returned task and cancels it.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

__all__ = ["cancel_and_wait", "running_tasks", "start_task"]

T = TypeVar("T")
_log = structlog.get_logger(__name__)
_running: set[asyncio.Task[Any]] = set()


def start_task(coroutine: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
    """Start `coroutine` in the running loop under `name`; log what it raises, cancellation excepted."""
    task = asyncio.create_task(coroutine, name=name)
    _running.add(task)
    task.add_done_callback(_finish)
    return task


def running_tasks() -> list[str]:
    """Names of the tasks started here that have not ended, for leak tests and the status page."""
    return sorted(task.get_name() for task in _running if not task.done())


async def cancel_and_wait(task: asyncio.Task[Any], *, timeout: float = 5.0) -> None:
    """Cancel `task` and wait at most `timeout` seconds until it has ended; its outcome is discarded."""
    task.cancel()
    await asyncio.wait({task}, timeout=timeout)


def _finish(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if task.cancelled():
        return
    if (failure := task.exception()) is not None:
        where = traceback.format_tb(failure.__traceback__)[-3:]  # without its text, which may quote data
        _log.error("task_failed", task=task.get_name(), error=type(failure).__name__, where=where)
