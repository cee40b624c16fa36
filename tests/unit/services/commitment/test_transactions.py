"""Transactions in SQLite: their life, what a restart keeps, what time takes."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.errors import ConflictingRequest
from gateway.services.commitment.modules import COMMITTED, Reference
from gateway.services.commitment.transactions import TransactionState, TransactionStore

ONE, TWO = Reference("1.1", "1.2.1"), Reference("1.1", "1.2.2", "1.2", "1.2.3")


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[TransactionStore]:
    store = TransactionStore(str(tmp_path / "transactions.sqlite"), now=clock)
    yield store
    await store.close()


async def state_of(store: TransactionStore, uid: str) -> TransactionState | None:
    transaction = await store.find(uid)
    return transaction.state if transaction else None


async def test_from_asking_to_done(store: TransactionStore, clock: Clock) -> None:
    await store.add("1.9", "main", [ONE, TWO])
    assert await state_of(store, "1.9") is TransactionState.ASKING
    await store.note_asked("1.9", "2.25.7")
    assert (await store.find_by_request("2.25.7")) == (await store.find("1.9"))
    assert await store.find_by_request("1.9") is None
    await store.set_state("1.9", TransactionState.WAITING)
    assert not await store.record("1.9", {"1.2.1": COMMITTED, "1.2.77": COMMITTED})
    assert [one.reason for one in await store.list_outcomes("1.9")] == [COMMITTED, None]
    clock.now += 5
    assert await store.record("1.9", {"1.2.2": 274})
    transaction = await store.find("1.9")
    assert transaction is not None
    assert (transaction.state, transaction.created, transaction.changed) == (TransactionState.DONE, 1_000.0, 1_005.0)
    assert [(one.reference, one.reason) for one in await store.list_outcomes("1.9")] == [(ONE, COMMITTED), (TWO, 274)]


async def test_the_first_word_counts(store: TransactionStore) -> None:
    await store.add("1.9", "main", [ONE])
    assert await store.record("1.9", {"1.2.1": 274})
    assert await store.record("1.9", {"1.2.1": COMMITTED})
    assert [one.reason for one in await store.list_outcomes("1.9")] == [274]


async def test_a_result_that_overtakes_the_answer_stays(store: TransactionStore) -> None:
    await store.add("1.9", "main", [ONE])
    await store.record("1.9", {"1.2.1": COMMITTED})
    await store.set_state("1.9", TransactionState.WAITING)
    assert await state_of(store, "1.9") is TransactionState.DONE


async def test_a_result_is_never_removed(store: TransactionStore) -> None:
    await store.add("1.8", "main", [ONE])
    await store.add("1.9", "main", [ONE])
    await store.record("1.9", {"1.2.1": COMMITTED})
    assert [await store.remove(uid) for uid in ("1.7", "1.8", "1.9")] == [False, True, False]
    assert await state_of(store, "1.9") is TransactionState.DONE
    assert [one.reason for one in await store.list_outcomes("1.9")] == [COMMITTED]


async def test_what_is_over_does_not_begin_again(store: TransactionStore, clock: Clock) -> None:
    await store.add("1.9", "main", [ONE])
    assert await store.set_state("1.9", TransactionState.WAITING)
    await store.record("1.9", {"1.2.1": COMMITTED})
    assert not await store.set_state("1.9", TransactionState.WAITING)
    clock.now += 101
    await store.purge(keep_s=100, forget_s=100)
    assert not await store.set_state("1.9", TransactionState.WAITING)
    assert await state_of(store, "1.9") is TransactionState.EXPIRED


async def test_a_uid_is_used_once(store: TransactionStore) -> None:
    await store.add("1.9", "main", [ONE])
    with pytest.raises(ConflictingRequest):
        await store.add("1.9", "other", [TWO])
    assert [one.reference for one in await store.list_outcomes("1.9")] == [ONE]
    await store.remove("1.9")
    await store.add("1.9", "other", [TWO])
    assert [one.reference for one in await store.list_outcomes("1.9")] == [TWO]


async def test_of_many_at_once_one_gets_the_uid(store: TransactionStore) -> None:
    outcomes = await asyncio.gather(*(store.add("1.9", "main", [ONE]) for _ in range(20)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in outcomes) == ["ConflictingRequest"] * 19 + ["NoneType"]


async def test_of_many_at_once_one_begins_again(store: TransactionStore, clock: Clock) -> None:
    await store.add("1.9", "main", [ONE])
    await store.set_state("1.9", TransactionState.WAITING)
    seen = await store.find("1.9")
    assert seen is not None
    clock.now += 60
    assert sum(await asyncio.gather(*(store.begin_again(seen) for _ in range(20)))) == 1
    again = await store.find("1.9")
    assert again is not None and (again.state, again.changed) == (TransactionState.ASKING, 1_060.0)
    await store.record("1.9", {"1.2.1": COMMITTED})
    assert not await store.begin_again(again)
    assert await state_of(store, "1.9") is TransactionState.DONE


async def test_a_restart_keeps_all(tmp_path: Path, clock: Clock) -> None:
    path = str(tmp_path / "kept.sqlite")
    first = TransactionStore(path, now=clock)
    await first.add("1.8", "main", [ONE])
    await first.add("1.9", "main", [ONE, TWO])
    await first.note_asked("1.9", "1.9")
    await first.set_state("1.9", TransactionState.WAITING)
    await first.record("1.9", {"1.2.1": COMMITTED})
    await first.close()
    second = TransactionStore(path, now=clock)
    assert [one.uid for one in await second.list_in_state(TransactionState.ASKING)] == ["1.8"]
    assert (await second.find_by_request("1.9")) is not None
    assert [one.reason for one in await second.list_outcomes("1.9")] == [COMMITTED, None]
    await second.close()


async def test_what_never_came_gets_a_reason(store: TransactionStore) -> None:
    await store.add("1.9", "main", [ONE, TWO])
    await store.record("1.9", {"1.2.1": COMMITTED})
    await store.give_up("1.9")
    assert await state_of(store, "1.9") is TransactionState.DONE
    assert [one.reason for one in await store.list_outcomes("1.9")] == [COMMITTED, 0x0110]


async def test_results_are_dropped_and_then_forgotten(store: TransactionStore, clock: Clock) -> None:
    for uid in ("1.7", "1.8", "1.9"):
        await store.add(uid, "main", [ONE])
        await store.note_asked(uid, uid)
    await store.record("1.8", {"1.2.1": COMMITTED})
    await store.set_state("1.9", TransactionState.REFUSED)
    clock.now += 101
    await store.purge(keep_s=100, forget_s=50)
    assert [await state_of(store, uid) for uid in ("1.7", "1.8", "1.9")] == [
        TransactionState.ASKING,
        TransactionState.EXPIRED,
        TransactionState.EXPIRED,
    ]
    assert await store.list_outcomes("1.8") == [] and await store.find_by_request("1.8") is None
    assert len(await store.list_outcomes("1.7")) == 1 and await store.find_by_request("1.7") is not None
    clock.now += 51
    await store.purge(keep_s=100, forget_s=50)
    assert [await state_of(store, uid) for uid in ("1.7", "1.8", "1.9")] == [TransactionState.ASKING, None, None]


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello, this is some text and no database at all\n" * 100)
    for path in (tmp_path / "text", tmp_path / "missing" / "database"):
        with pytest.raises(OSError, match=path.name):
            TransactionStore(str(path))


async def test_the_instances_of_an_event_are_looked_up_and_not_searched_for(
    store: TransactionStore, tmp_path: Path
) -> None:
    await store.add("1.9", "main", [ONE])
    with closing(sqlite3.connect(tmp_path / "transactions.sqlite")) as database:
        query = "EXPLAIN QUERY PLAN UPDATE instances SET reason = 0 WHERE uid = '1.9' AND sop_instance = '1.2.1'"
        plan = " ".join(row[-1] for row in database.execute(query))
    assert "(uid=? AND sop_instance=?)" in plan
