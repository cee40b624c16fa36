"""Files that survive, are never believed when damaged, never half written, never too many, and only ours to read."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from gateway.services.cache import disk as module
from gateway.services.cache.disk import DiskStore
from gateway.tasks import running_tasks
from tests.support.cancellation import settle

LIMIT = 10_000


def make_store(folder: Path, limit: int = LIMIT) -> DiskStore:
    return DiskStore(folder / "kept", limit)


def list_files(folder: Path) -> list[Path]:
    return sorted((folder / "kept").iterdir())


def make_content(size: int) -> bytes:
    return os.urandom(size)  # compression does not help


async def test_what_is_put_is_got_and_survives_a_restart(tmp_path: Path) -> None:
    store, content = make_store(tmp_path), b"text " * 1_000
    assert await store.get("g", "k") is None
    await store.put("g", "k", content)
    assert await store.get("g", "k") == content
    assert await store.get("g", "other") is None
    assert await make_store(tmp_path).get("g", "k") == content
    await store.put("g", "k", b"")
    assert await store.get("g", "k") == b""


async def test_folder_and_files_are_for_the_owner_only(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir(mode=0o755)
    store = make_store(tmp_path)
    before = os.umask(0)
    try:
        await store.put("g", "k", b"content")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in list_files(tmp_path)] == [0o600]


@pytest.mark.parametrize("position", [0, 30, 60, -1])
async def test_one_changed_bit_is_a_miss(tmp_path: Path, position: int) -> None:
    store = make_store(tmp_path)
    await store.put("g", "k", make_content(100))
    path = list_files(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    assert await store.get("g", "k") is None
    assert list_files(tmp_path) == [] and store.held_bytes == 0


@pytest.mark.parametrize("length", [0, 1, 20, 60])
async def test_a_file_cut_short_is_a_miss(tmp_path: Path, length: int) -> None:
    await make_store(tmp_path).put("g", "k", make_content(100))
    path = list_files(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:length])
    assert await make_store(tmp_path).get("g", "k") is None


async def test_a_file_under_the_name_of_another_is_a_miss(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    await store.put("g", "one", b"1")
    one = list_files(tmp_path)[0]
    await store.put("g", "other", b"2")
    other = next(path for path in list_files(tmp_path) if path != one)
    other.write_bytes(one.read_bytes())
    assert await store.get("g", "other") is None


async def test_a_file_that_is_gone_is_a_miss(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    await store.put("g", "k", b"1")
    list_files(tmp_path)[0].unlink()
    assert await store.get("g", "k") is None and store.held_bytes == 0


async def test_the_least_recently_used_give_way(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    for key in "abc":
        await store.put("g", key, make_content(3_000))
    await store.get("g", "a")
    await store.put("g", "d", make_content(3_000))
    assert [key for key in "abcd" if await store.get("g", key)] == ["a", "c", "d"]
    assert store.held_bytes == sum(path.stat().st_size for path in list_files(tmp_path)) <= LIMIT
    smaller = make_store(tmp_path, 4_000)
    assert len(list_files(tmp_path)) == 1 and smaller.held_bytes <= 4_000


async def test_what_is_larger_than_all_is_not_written(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    await store.put("g", "k", make_content(3_000))
    await store.put("g", "k", make_content(LIMIT))
    assert await store.get("g", "k") is None
    assert store.held_bytes == 0 and list_files(tmp_path) == []  # what was there before is out of date


async def test_a_group_is_dropped_at_once(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    for group, key in (("g", "1"), ("g", "2"), ("h", "1")):
        await store.put(group, key, b"1")
    store.drop("g", "1")
    store.drop("nothing")
    assert await store.get("g", "1") is None and await store.get("g", "2") == b"1"
    store.drop("g")
    assert await store.get("g", "2") is None and await store.get("h", "1") == b"1"
    await settle(lambda: running_tasks() == [])
    assert len(list_files(tmp_path)) == 1
    assert await make_store(tmp_path).get("g", "2") is None


async def test_dropped_and_put_again(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    await store.put("g", "k", b"1")
    store.drop("g")
    await store.put("g", "k", b"2")
    await settle(lambda: running_tasks() == [])
    assert await store.get("g", "k") == b"2"


async def test_a_disk_that_fails_does_no_harm(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    await store.put("g", "k", b"1")
    list_files(tmp_path)[0].unlink()
    (tmp_path / "kept").rmdir()
    await store.put("g", "k", b"2")
    assert await store.get("g", "k") is None


async def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    await make_store(tmp_path).put("g", "k", b"1")
    (tmp_path / "kept" / "0123.new").write_bytes(b"half")
    (tmp_path / "kept" / "README").write_bytes(b"not ours")
    store = make_store(tmp_path)
    assert sorted(path.suffix for path in list_files(tmp_path)) == ["", ".kept"]
    assert await store.get("g", "k") == b"1"


async def test_writes_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITES_AT_ONCE", 1)
    store = make_store(tmp_path)
    await asyncio.gather(store.put("g", "1", b"1"), store.put("g", "2", b"2"))
    assert [await store.get("g", key) for key in "12"] == [b"1", None]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"a file")
    with pytest.raises(OSError):
        make_store(tmp_path)
