"""Instances and frames in a transfer syntax that the archive does not deliver (PS3.18 §8.7.8.2).

Between what negotiation has chosen and what the archive sends: passes on what is in the form chosen, and has the rest
converted by ``services/transcode``. Whether a conversion can be done without harm shows when the image is there; then
it is refused (406), before the first byte of the first one. Called by the Retrieve handlers.

The codecs take a second to import, so that is left to the first conversion, and to a thread.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from importlib import import_module

from gateway.codecs import Buffer
from gateway.codecs.frames import FrameChunk, FrameEnd, FrameEvent, FrameStart, PixelHeader
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE
from gateway.imaging.workers import ImagingWorkers
from gateway.services.retrieve.pixels.pixel_stream import PixelStream
from gateway.services.retrieve.received_instance import ReceivedInstance
from gateway.services.transcode.targets import list_targets

__all__ = ["ALL_TARGETS", "Conversions", "join_frames"]

ALL_TARGETS = (EXPLICIT_VR_LE, *list_targets(EXPLICIT_VR_LE))
"""Every transfer syntax that something can be converted into."""

_CODECS = ("gateway.services.transcode.part10", "gateway.services.transcode.frames")


class Conversions:
    """Converts what the archive delivers.

    Parameters
    ----------
    workers : ImagingWorkers
        Where frames are decoded and encoded.
    max_frame_bytes : int
        Longest frame.
    """

    def __init__(self, workers: ImagingWorkers, max_frame_bytes: int) -> None:
        self._workers = workers
        self._max_frame_bytes = max_frame_bytes

    def list_targets(self, delivered_transfer_syntax: str) -> Sequence[str]:
        """What an image delivered in this transfer syntax can be converted into, best first."""
        return list_targets(delivered_transfer_syntax)

    def list_frame_targets(self, values: PixelStream) -> Sequence[str]:
        """The same for values; nothing where they are no frames."""
        return () if values.header is None else list_targets(values.transfer_syntax_uid)

    def iter_part10(self, instance: ReceivedInstance, transfer_syntax_uid: str) -> AsyncGenerator[Buffer, None]:
        """Yield a PS3.10 file in the transfer syntax chosen; raises as ``iter_converted_part10``."""
        if instance.delivered_syntax == transfer_syntax_uid:
            return instance.iter_part10()
        return self._convert_instance(instance, transfer_syntax_uid)

    def iter_frames(self, values: PixelStream, transfer_syntax_uid: str | None) -> AsyncIterator[FrameEvent]:
        """The frames in the transfer syntax chosen; raises as ``iter_converted_frames``."""
        if transfer_syntax_uid is None or transfer_syntax_uid == values.transfer_syntax_uid:
            return values
        assert values.header is not None  # only frames have targets
        return self.convert_frames(values, values.header, values.transfer_syntax_uid, transfer_syntax_uid)

    async def _convert_instance(
        self, instance: ReceivedInstance, transfer_syntax_uid: str
    ) -> AsyncGenerator[Buffer, None]:
        await _load_codecs()
        from gateway.services.transcode.part10 import iter_converted_part10
        from gateway.services.transcode.transcoder import Transcoder

        transcoder = Transcoder(self._workers, self._max_frame_bytes)
        async with aclosing(iter_converted_part10(instance, transcoder, transfer_syntax_uid)) as pieces:
            async for piece in pieces:
                yield piece

    async def convert_frames(
        self, frames: AsyncIterator[FrameEvent], header: PixelHeader, stored_uid: str, target_uid: str
    ) -> AsyncGenerator[FrameEvent, None]:
        """Whole frames of one image, stored in one transfer syntax, in another; raises as ``iter_converted_frames``."""
        await _load_codecs()
        from gateway.services.transcode.attributes import describe_values
        from gateway.services.transcode.frames import iter_converted_frames
        from gateway.services.transcode.transcoder import Transcoder

        transcoder = Transcoder(self._workers, self._max_frame_bytes)
        source = describe_values(header.attributes, header.tag, stored_uid, self._max_frame_bytes)
        async with aclosing(iter_converted_frames(frames, transcoder, source, target_uid)) as events:
            async for event in events:
                yield event


async def _load_codecs() -> None:
    for name in (one for one in _CODECS if one not in sys.modules):
        await asyncio.to_thread(import_module, name)


async def join_frames(events: AsyncIterator[FrameEvent]) -> AsyncGenerator[FrameEvent, None]:
    """Native frames as one value, as Pixel Data holds them; frames of whole bytes only."""
    is_begun = False
    async for event in events:
        match event:
            case FrameStart():
                if not is_begun:
                    yield FrameStart(1)
                is_begun = True
            case FrameChunk():
                yield event
    yield FrameEnd()
