"""Entries and reservations together stay within the limit, whatever is done."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.services.cache.memory import SHARES, MemoryStore

LIMIT = 40
SHARE = LIMIT // SHARES


def make_store() -> MemoryStore[str, str]:
    return MemoryStore(LIMIT, len)


def test_the_least_recently_used_gives_way() -> None:
    store = make_store()
    for key in "abcd":
        store.put(key, key * SHARE)
    assert store.get("a") == "a" * SHARE
    store.put("e", "e")
    assert [key for key in "abcde" if store.get(key)] == ["a", "c", "d", "e"]


def test_what_is_larger_than_a_share_is_not_kept() -> None:
    store = make_store()
    store.put("a", "a" * (SHARE + 1))
    assert store.get("a") is None and store.held_bytes == 0


def test_an_entry_takes_the_place_of_the_one_before() -> None:
    store = make_store()
    store.put("a", "1" * SHARE)
    store.put("a", "22")
    assert store.get("a") == "22" and store.held_bytes == 2
    store.drop("a".__eq__)
    assert store.get("a") is None and store.held_bytes == 0


def test_reservations_drive_out_entries_and_not_each_other() -> None:
    store = make_store()
    store.put("a", "a" * SHARE)
    assert store.reserve(LIMIT - SHARE) and store.get("a")
    assert store.reserve(1) and store.get("a") is None
    assert not store.reserve(SHARE)
    store.put("b", "b" * SHARE)
    assert store.get("b") is None  # no room beside what is being made
    store.release(LIMIT - SHARE + 1)
    assert store.reserve(LIMIT)


_STEPS = st.lists(st.tuples(st.sampled_from(["put", "get", "drop", "reserve", "release"]), st.integers(0, LIMIT + 5)))


@given(_STEPS)
def test_never_more_than_the_limit(steps: list[tuple[str, int]]) -> None:
    store, reserved = make_store(), []
    for step, size in steps:
        key = str(size % 5)
        match step:
            case "put":
                store.put(key, "x" * size)
            case "get":
                store.get(key)
            case "drop":
                store.drop(key.__eq__)
            case "reserve":
                reserved += [size] if store.reserve(size) else []
            case "release" if reserved:
                store.release(reserved.pop())
        assert sum(reserved) <= store.held_bytes <= LIMIT
