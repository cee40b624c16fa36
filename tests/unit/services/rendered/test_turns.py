"""Turns: a few at a time, in order, given back whatever happens."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import TooBusy
from gateway.services.rendered.turns import Turns
from gateway.tasks import cancel_and_wait, start_task


async def test_who_waits_too_long_is_sent_away() -> None:
    turns = Turns(count=1, wait_s=0.01)
    async with turns.take():
        with pytest.raises(TooBusy):
            async with turns.take():
                pytest.fail("two at a time")
    async with turns.take():
        pass


async def test_a_turn_that_has_ended_lets_the_next_in_and_ends_once() -> None:
    turns = Turns(count=1, wait_s=5)
    async with turns.take() as turn:
        turn.end()
        turn.end()
        async with turns.take():
            with pytest.raises(TooBusy):
                turns._wait_s = 0.01
                async with turns.take():
                    pytest.fail("two at a time")


async def test_a_turn_ends_with_a_failure_and_with_a_cancellation() -> None:
    turns = Turns(count=1, wait_s=0.01)
    with pytest.raises(ZeroDivisionError):
        async with turns.take():
            raise ZeroDivisionError
    inside = asyncio.Event()

    async def hold() -> None:
        async with turns.take():
            inside.set()
            await asyncio.Event().wait()

    task = start_task(hold(), name="holder")
    await inside.wait()
    await cancel_and_wait(task)
    async with turns.take():
        pass
