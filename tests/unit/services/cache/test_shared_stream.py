"""One maker, several readers: each gets everything in order, and what is held is bounded once it is not kept."""

from __future__ import annotations

import asyncio

import pytest

from gateway.services.cache import shared_stream as module
from gateway.services.cache.shared_stream import SharedStream, StreamReader
from tests.support.cancellation import settle

WINDOW = 3


def make_stream() -> SharedStream[str]:
    return SharedStream(len, WINDOW)


async def read_all(reader: StreamReader[str]) -> str:
    text = ""
    while (items := await reader.read()) is not None:
        assert items
        text += "".join(items)
    return text


async def test_early_and_late_readers_get_everything() -> None:
    stream = make_stream()
    early = asyncio.create_task(read_all(stream.attach()))
    for letter in "abcdefgh":
        await stream.append(letter)
        await asyncio.sleep(0)
    late = asyncio.create_task(read_all(stream.attach()))
    await stream.append("i")
    stream.end()
    assert (await early, await late) == ("abcdefghi", "abcdefghi")
    assert await read_all(stream.attach()) == "abcdefghi"


async def test_several_items_at_once_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_BYTES", 4)
    stream = make_stream()
    for item in ("aa", "bb", "cccccc", "d"):
        await stream.append(item)
    stream.end()
    reader = stream.attach()
    assert [await reader.read() for _ in range(4)] == [["aa", "bb"], ["cccccc"], ["d"], None]


async def test_a_failure_comes_after_what_was_there() -> None:
    stream, failure = make_stream(), ValueError("broken")
    readers = [stream.attach(), stream.attach()]
    await stream.append("a")
    stream.end(failure)
    await stream.wait_for_first()
    for reader in readers:
        assert await reader.read() == ["a"]
        with pytest.raises(ValueError, match="broken"):
            await reader.read()


async def test_waiting_for_the_first() -> None:
    stream = make_stream()
    waiting = asyncio.create_task(stream.wait_for_first())
    await asyncio.sleep(0)
    assert not waiting.done()
    await stream.append("a")
    await waiting
    failed = make_stream()
    failed.end(ValueError("at once"))
    with pytest.raises(ValueError, match="at once"):
        await failed.wait_for_first()
    empty = make_stream()
    empty.end()
    await empty.wait_for_first()
    assert await empty.attach().read() is None


async def make(stream: SharedStream[str], letters: str) -> None:
    for letter in letters:
        await stream.append(letter)
    stream.end()


async def test_not_keeping_the_slowest_reader_sets_the_pace() -> None:
    stream = make_stream()
    fast, slow = stream.attach(), stream.attach()
    await stream.append("a")
    stream.stop_keeping()
    maker = asyncio.create_task(make(stream, "bcdefghijk"))
    fast_text = asyncio.create_task(read_all(fast))
    await settle(lambda: fast.position >= WINDOW)
    assert not maker.done() and len(stream.items) == WINDOW + 1
    text = ""
    while (items := await slow.read()) is not None:
        text += "".join(items)
        assert len(stream.items) <= WINDOW + len(items)
    assert (text, await fast_text) == ("abcdefghijk", "abcdefghijk")
    await maker


async def test_a_reader_that_leaves_holds_up_nobody() -> None:
    stream = make_stream()
    stays, leaves = stream.attach(), stream.attach()
    stream.stop_keeping()
    maker = asyncio.create_task(make(stream, "abcdefgh"))
    text = asyncio.create_task(read_all(stays))
    await settle(lambda: stays.position == WINDOW + 1 or len(stream.items) == WINDOW + 1)
    stream.detach(leaves)
    assert await text == "abcdefgh" and stream.reader_count == 1
    await maker
