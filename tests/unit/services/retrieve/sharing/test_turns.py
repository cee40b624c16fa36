"""A turn and its subscriber: who waits for whom, and what is told to whom."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.errors import ConnectionLost
from gateway.resources import ResourcePath
from gateway.services.retrieve.sharing.turns import Subscriber, Turn

PATH = ResourcePath("1.2", "1.2.3", "1.2.3.4")


class FakeStore:
    """A C-STORE that can be cut."""

    def __init__(self) -> None:
        self.is_cut = False

    def abort(self) -> None:
        self.is_cut = True


def make_turn() -> tuple[Turn, FakeStore]:
    store: Any = FakeStore()
    return Turn(store), store


async def test_taking_waits_until_the_archive_was_told() -> None:
    turn, _ = make_turn()
    taking = asyncio.create_task(turn.take())
    assert await turn.ended
    assert not taking.done()
    turn.acknowledge()
    await taking
    turn.leave()


async def test_leaving_is_no_taking() -> None:
    turn, store = make_turn()
    turn.leave()
    turn.leave()
    assert not await turn.ended and not store.is_cut


async def test_cutting_wants_nothing_of_the_rest() -> None:
    turn, store = make_turn()
    turn.cut()
    assert turn.was_cut and store.is_cut and not await turn.ended
    await turn.take()


async def test_a_retrieval_that_is_over_cuts_the_reader_and_tells_it() -> None:
    turn, store = make_turn()
    taking = asyncio.create_task(turn.take())
    await turn.ended
    turn.revoke(ConnectionLost("ARCHIVE", "gone"))
    with pytest.raises(ConnectionLost):
        await taking
    assert store.is_cut


async def test_only_the_time_in_which_the_archive_waits_is_counted() -> None:
    turn, _ = make_turn()
    assert not turn.is_reading
    turn.begin_reading()
    held = turn.held_s
    await asyncio.sleep(0.02)
    assert turn.is_reading and turn.held_s == held
    turn.end_reading()
    assert turn.read_s > 0 and not turn.is_reading
    await asyncio.sleep(0.02)
    assert turn.held_s > held


async def test_what_comes_of_a_subscriber() -> None:
    left: list[Subscriber] = []
    given, away, failed, gone = (Subscriber(PATH, left.append) for _ in range(4))
    turn, _ = make_turn()
    given.give(turn)
    away.send_away()
    failed.fail(ConnectionLost("ARCHIVE", "gone"))
    gone.leave()
    assert await given.wait() is turn and await away.wait() is None
    with pytest.raises(ConnectionLost):
        await failed.wait()
    with pytest.raises(asyncio.CancelledError):
        await gone.wait()
    for one in (given, away, failed):
        assert not one.is_waiting
        one.send_away()
        one.fail(ConnectionLost("ARCHIVE", "too late"))
        one.leave()
    assert not await turn.ended and left == [gone, given, away, failed]
