"""Moves that accept the same begin together, others in turn, and nobody waits for ever."""

from __future__ import annotations

import asyncio

from gateway.dimse.move_turns import MoveTurns
from tests.support.cancellation import iter_cancelled_runs, settle

WAIT_S = 10.0


class Script:
    """Tasks that begin and stay beginning until they are told that they have begun."""

    def __init__(self) -> None:
        self.turns = MoveTurns()
        self.entered: list[str] = []
        self._begun: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, name: str, terms: str, wait_s: float = WAIT_S) -> None:
        self._begun[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._run(name, terms, wait_s))

    async def _run(self, name: str, terms: str, wait_s: float) -> None:
        async with self.turns.turn(terms, wait_s=wait_s):
            self.entered.append(name)
            await self._begun[name].wait()

    async def end(self, name: str) -> None:
        self._begun[name].set()
        await self._tasks[name]

    async def cancel(self, name: str) -> None:
        self._tasks[name].cancel()
        await asyncio.wait({self._tasks[name]})


async def turn_the_loop() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_equal_terms_side_by_side_others_in_order() -> None:
    script = Script()
    for name, terms in (("a", "x"), ("b", "x"), ("c", "y"), ("d", "x")):
        script.begin(name, terms)
    await turn_the_loop()
    assert script.entered == ["a", "b"]  # d comes after c, so that c is not overtaken for ever
    await script.end("a")
    await turn_the_loop()
    assert script.entered == ["a", "b"]
    await script.end("b")
    await settle(lambda: script.entered == ["a", "b", "c"])
    await script.end("c")
    await settle(lambda: script.entered == ["a", "b", "c", "d"])
    await script.end("d")


async def test_after_the_limit_it_begins_all_the_same() -> None:
    script = Script()
    script.begin("slow", "x")
    await settle(lambda: script.entered == ["slow"])
    script.begin("other", "y", wait_s=0.01)
    await settle(lambda: script.entered == ["slow", "other"])
    await script.end("other")
    await script.end("slow")


async def test_one_that_gives_up_waiting_lets_the_next_in() -> None:
    script = Script()
    script.begin("a", "x")
    await settle(lambda: script.entered == ["a"])
    script.begin("b", "y")
    script.begin("c", "x")
    await turn_the_loop()
    await script.cancel("b")
    await settle(lambda: script.entered == ["a", "c"])
    await script.end("a")
    await script.end("c")


async def test_cancelled_anywhere_the_place_is_free_again() -> None:
    turns = MoveTurns()

    async def begin_twice() -> None:
        for terms in ("x", "y"):
            async with turns.turn(terms, wait_s=WAIT_S):
                await asyncio.sleep(0)

    async for _ in iter_cancelled_runs(begin_twice):
        async with asyncio.timeout(5), turns.turn("z", wait_s=WAIT_S):
            pass
