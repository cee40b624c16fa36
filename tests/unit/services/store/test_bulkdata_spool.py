"""The spool: what is written comes back, within its limit, and nothing is left of it."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from gateway.errors import SpoolFailed, TooLarge
from gateway.services.store.bulkdata_spool import BulkdataSpool, open_spool
from gateway.tasks import running_tasks


async def test_what_is_written_comes_back_in_any_order(tmp_path: Path) -> None:
    chance = random.Random(1)
    values = [chance.randbytes(chance.choice([0, 1, 100, 300_000, 700_001])) for _ in range(20)]
    async with open_spool(str(tmp_path), 0) as spool:
        places = []
        for value in values:
            places.append(spool.end)
            for start in range(0, len(value), 65_536):
                await spool.append(value[start : start + 65_536])
        for number in chance.sample(range(20), 20):
            pieces = [piece async for piece in spool.read(places[number], len(values[number]))]
            assert b"".join(pieces) == values[number]
            assert all(0 < len(piece) <= 262_144 for piece in pieces)
        longest = max(range(20), key=lambda number: len(values[number]))
        assert await spool.peek(places[longest], 2) == values[longest][:2]
    assert list(tmp_path.iterdir()) == [] and running_tasks() == []


async def test_the_file_is_used_anew_when_nothing_in_it_is_needed(tmp_path: Path) -> None:
    async with open_spool(str(tmp_path), 1_000_000) as spool:
        for number in range(5):
            await spool.append(bytes([number]) * 600_000)
            assert await spool.peek(spool.end - 1, 1) == bytes([number])
            spool.release(600_000)
            assert spool.end == 0
        await spool.append(b"a" * 600_000)
        await spool.append(b"b" * 300_000)
        spool.release(600_000)
        assert await spool.peek(600_000, 1) == b"b"


async def test_the_limit(tmp_path: Path) -> None:
    async with open_spool(str(tmp_path), 10) as spool:
        await spool.append(b"x" * 10)
        with pytest.raises(TooLarge) as caught:
            await spool.append(b"x")
        assert caught.value.limit == 10


async def test_a_disk_that_fails(tmp_path: Path) -> None:
    async with open_spool(str(tmp_path / "missing"), 0) as spool:
        with pytest.raises(SpoolFailed):
            await spool.append(bytes(300_000))


async def test_a_full_disk() -> None:
    spool = BulkdataSpool("", 0)
    with open("/dev/full", "wb", buffering=0) as full:
        spool._file = full
        with pytest.raises(SpoolFailed):
            await spool.append(bytes(300_000))
        await spool.close()


async def test_reading_what_was_never_written(tmp_path: Path) -> None:
    async with open_spool(str(tmp_path), 0) as spool:
        with pytest.raises(SpoolFailed):
            await spool.peek(0, 1)
        await spool.append(bytes(300_000))
        with pytest.raises(SpoolFailed):
            await spool.peek(400_000, 1)


async def test_cancelled_while_the_disk_works(tmp_path: Path) -> None:
    async def write() -> None:
        async with open_spool(str(tmp_path), 0) as spool:
            while True:
                await spool.append(bytes(300_000))

    task = asyncio.get_running_loop().create_task(write())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(tmp_path.iterdir()) == [] and running_tasks() == []
