from __future__ import annotations

from collections.abc import AsyncGenerator

import numpy as np
import pytest

from gateway.codecs.frames import FrameChunk, FrameEnd, FrameEvent, FrameStart
from gateway.errors import ImagingFailed, NotAcceptable
from gateway.imaging.decode import decode_cells
from gateway.services.transcode.frames import iter_converted_frames
from gateway.services.transcode.transcoder import Transcoder
from tests.support.converting import InlineWorkers
from tests.support.images import describe, draw

NATIVE, RLE, BASELINE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50"
NUMBERS = (2, 5, 9)
IMAGES = [draw((6, 9), 12, seed=seed) for seed in range(3)]
TRANSCODER = Transcoder(InlineWorkers(), 1000)


async def iter_events() -> AsyncGenerator[FrameEvent, None]:
    for number, image in zip(NUMBERS, IMAGES, strict=True):
        data = image.tobytes()
        yield FrameStart(number)
        yield FrameChunk(data[:11])
        yield FrameChunk(memoryview(data)[11:])
        yield FrameEnd()


async def test_frames_keep_their_numbers_and_tell_their_length() -> None:
    source, target = describe((6, 9), stored=12), describe((6, 9), stored=12, syntax=RLE)
    events = [event async for event in iter_converted_frames(iter_events(), TRANSCODER, source, RLE)]
    assert [type(event) for event in events] == [FrameStart, FrameChunk, FrameEnd] * 3
    for place, (number, image) in enumerate(zip(NUMBERS, IMAGES, strict=True)):
        start, chunk = events[3 * place], events[3 * place + 1]
        assert isinstance(start, FrameStart)
        assert isinstance(chunk, FrameChunk)
        assert (start.number, start.length) == (number, len(chunk.data))
        assert np.array_equal(decode_cells(target, bytes(chunk.data)).pixels, image)


async def test_a_conversion_that_would_harm_is_refused_before_any_frame() -> None:
    with pytest.raises(NotAcceptable):
        await anext(iter_converted_frames(iter_events(), TRANSCODER, describe((6, 9), stored=12), BASELINE))


async def test_a_broken_frame_is_told() -> None:
    source = describe((6, 9), stored=12, syntax=RLE)
    with pytest.raises(ImagingFailed):
        await anext(iter_converted_frames(iter_events(), TRANSCODER, source, NATIVE))
