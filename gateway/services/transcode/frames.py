"""Frames taken out of an instance, each converted into another transfer syntax (PS3.18 §10.4.1.1.6).

What comes in and what goes out are the same events, so that a response is written alike. Called by ``web``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from itertools import chain

from gateway.codecs.frames import FrameChunk, FrameEnd, FrameEvent, FrameStart
from gateway.imaging.conversion import plan_conversion
from gateway.imaging.description import ImageDescription
from gateway.services.transcode.pipeline import FramePipeline
from gateway.services.transcode.transcoder import Transcoder

__all__ = ["iter_converted_frames"]


async def iter_converted_frames(
    events: AsyncIterator[FrameEvent], transcoder: Transcoder, source: ImageDescription, transfer_syntax_uid: str
) -> AsyncGenerator[FrameEvent, None]:
    """Yield start, chunks and end of each frame, in order.

    Parameters
    ----------
    events
        Whole frames of the image as it is stored.
    source : ImageDescription
        Of that image.

    Raises
    ------
    NotAcceptable
        The image cannot be converted without harm; before the first frame.
    ImagingFailed
        A frame cannot be decoded.
    """
    pipeline = transcoder.open_pipeline(source, plan_conversion(source, transfer_syntax_uid))
    numbers: deque[int] = deque()
    try:
        async for event in events:
            match event:
                case FrameStart(number=number):
                    numbers.append(number)
                    pipeline.start()
                case FrameChunk(data=data):
                    await pipeline.add(data)
                case FrameEnd():
                    pipeline.end()
                    if pipeline.is_full:
                        for one in await _take(pipeline, numbers):
                            yield one
                            await asyncio.sleep(0)  # all of them are there: without it nobody else had a turn
        while not pipeline.is_empty:
            for one in await _take(pipeline, numbers):
                yield one
                await asyncio.sleep(0)
    finally:
        await pipeline.close()


async def _take(pipeline: FramePipeline, numbers: deque[int]) -> Iterator[FrameEvent]:
    frame = await pipeline.take()
    return chain(
        (FrameStart(numbers.popleft(), frame.length),), (FrameChunk(piece) for piece in frame.pieces), (FrameEnd(),)
    )
