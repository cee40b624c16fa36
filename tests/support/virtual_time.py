"""An event loop whose time passes only when nothing else is left to do, and then at once."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["run_in_virtual_time"]

T = TypeVar("T")
LIMIT_S = 3_600.0


class _Selector(selectors.DefaultSelector):
    """Lets time jump where a real one would wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "nothing is left that could happen: a deadlock"
            self.now += max(timeout, 0)
            assert self.now < LIMIT_S, "an hour has passed"
        return ready


def run_in_virtual_time(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run `coroutine`, which waits for nothing outside its loop, in a loop of its own; ``loop.time()`` begins at 0."""
    selector = _Selector()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(coroutine)
