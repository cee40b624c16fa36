from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gateway.errors import ImagingFailed
from gateway.imaging.decode import decode_cells
from gateway.services.transcode.pipeline import FramePipeline
from gateway.tasks import running_tasks
from tests.support.converting import InlineWorkers
from tests.support.images import describe, draw

RLE = "1.2.840.10008.1.2.5"


class HeldWorkers(InlineWorkers):
    """Begins tasks and does not end them before it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.release = asyncio.Event()

    async def run(self, function: Callable[..., Any], /, *arguments: Any, **keywords: Any) -> Any:
        await self.release.wait()
        return await super().run(function, *arguments, **keywords)


async def put(pipeline: FramePipeline, frame: bytes) -> None:
    pipeline.start()
    await pipeline.add(frame[:7])
    await pipeline.add(memoryview(frame)[7:])
    pipeline.end()


async def test_frames_come_in_their_order_two_at_a_time() -> None:
    pipeline = FramePipeline(InlineWorkers(), describe((6, 9)), describe((6, 9)), 100)
    images = [draw((6, 9), seed=seed) for seed in range(2)]
    assert pipeline.is_empty
    for image in images:
        assert not pipeline.is_full
        await put(pipeline, image.tobytes())
    assert pipeline.is_full
    for image in images:
        frame = await pipeline.take()
        assert (frame.length, frame.source_bytes, b"".join(frame.pieces)) == (54, 54, image.tobytes())
    assert pipeline.is_empty


async def test_a_failure_is_told_when_its_frame_is_taken() -> None:
    pipeline = FramePipeline(InlineWorkers(), describe((6, 9), syntax=RLE), describe((6, 9)), 100)
    await put(pipeline, b"no RLE whatever")
    with pytest.raises(ImagingFailed, match="RLE"):
        await pipeline.take()


async def test_a_frame_over_the_limit_is_not_held() -> None:
    pipeline = FramePipeline(InlineWorkers(), describe((6, 9)), describe((6, 9)), 100)
    pipeline.start()
    await pipeline.add(bytes(100))
    with pytest.raises(ImagingFailed, match="100 bytes"):
        await pipeline.add(b"1")


async def test_closing_gives_up_what_is_under_way() -> None:
    pipeline = FramePipeline(HeldWorkers(), describe((6, 9)), describe((6, 9)), 100)
    await put(pipeline, np.zeros(54, np.uint8).tobytes())
    await pipeline.close()
    assert "transcode" not in running_tasks()


async def test_long_frames_travel_through_shared_memory() -> None:
    workers = InlineWorkers()
    image = draw((1000, 1100))
    pipeline = FramePipeline(workers, describe((1000, 1100)), describe((1000, 1100), syntax=RLE), 1 << 24)
    await put(pipeline, image.tobytes())
    frame = await pipeline.take()
    pieces = list(frame.pieces)
    assert workers.calls == ["convert_shared_frame"]
    assert len(pieces) > 1
    assert frame.length == sum(len(piece) for piece in pieces)
    assert np.array_equal(decode_cells(describe((1000, 1100), syntax=RLE), b"".join(pieces)).pixels, image)


async def test_a_long_frame_that_fails_is_told_as_well() -> None:
    pipeline = FramePipeline(InlineWorkers(), describe((1000, 1100), syntax=RLE), describe((1000, 1100)), 1 << 24)
    await put(pipeline, b"no RLE whatever")
    with pytest.raises(ImagingFailed, match="RLE"):
        await pipeline.take()


def count_shared() -> int:
    return sum(
        "memfd" in os.readlink(entry.path) for entry in os.scandir("/proc/self/fd") if os.path.islink(entry.path)
    )


async def fail_with_a_frame_begun() -> None:
    pipeline = FramePipeline(InlineWorkers(), describe((1024, 1024), syntax=RLE), describe((1024, 1024)), 1 << 24)
    await put(pipeline, b"no RLE whatever")
    pipeline.start()
    await pipeline.add(b"another frame")
    try:  # pytest.raises would keep the error, and with it this frame
        await pipeline.take()
    except ImagingFailed:
        await pipeline.close()


async def test_a_failure_holds_no_memory_until_the_next_collection_of_garbage() -> None:
    before = count_shared()
    gc.disable()
    try:
        await fail_with_a_frame_begun()
        await asyncio.sleep(0)  # until then the loop holds the task that woke this one
        assert count_shared() == before
    finally:
        gc.enable()
