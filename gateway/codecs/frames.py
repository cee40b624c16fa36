"""Frames of pixel data, taken out of a data set as it streams (PS3.5 §8, §A.4; PS3.18 §10.4.3.3.6).

    extractor = FrameExtractor(transfer_syntax_uid, [1, 3])
    for piece in pieces:
        for event in extractor.feed(piece):
            ...                                # FrameStart(1), FrameChunk..., FrameEnd, FrameStart(3), ...
        if extractor.is_complete:
            break
    extractor.finish()

Only the wanted bytes come out, little endian, compressed frames without fragment headers or offset table. Nothing is
decoded; that is ``gateway/imaging``. Pixel data inside sequences (icons) is no frame. How frames are told apart is in
``frame_assembler``.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.codecs import Buffer
from gateway.codecs.frame_assembler import FrameAssembler, PixelHeader, is_gathered
from gateway.codecs.frame_events import FrameChunk, FrameEnd, FrameEvent, FrameNotFound, FrameStart
from gateway.codecs.tokens import Tokenizer

__all__ = ["FrameChunk", "FrameEnd", "FrameEvent", "FrameExtractor", "FrameNotFound", "FrameStart", "PixelHeader"]


class FrameExtractor(FrameAssembler):
    """Takes frames out of one data set; parameters and exceptions are those of ``FrameAssembler``."""

    def __init__(self, transfer_syntax_uid: str, wanted: Sequence[int] | None = None) -> None:
        super().__init__(transfer_syntax_uid, wanted)
        self._tokenizer = Tokenizer(transfer_syntax_uid, gather_limit=is_gathered)

    def feed(self, data: Buffer) -> list[FrameEvent]:
        """Take the next bytes of the data set.

        Returns
        -------
        list of FrameStart, FrameChunk, FrameEnd
            Chunks are views of `data` where they can be. Empty once `is_complete`.

        Raises
        ------
        FrameNotFound
            A wanted frame is beyond Number of Frames, or Pixel Data is empty; before any frame is given.
        DecodeError
            The data set or its pixel data cannot be read, or lacks a wanted frame it should have.
        """
        return [] if self.is_complete else self.take(self._tokenizer.feed(data))

    def finish(self) -> list[FrameEvent]:
        """Take the end of the data set; returns what was still on its way (deflated data sets only).

        Raises
        ------
        FrameNotFound
            There was no pixel data.
        DecodeError
            The data set ended too early for the wanted frames.
        """
        out = [] if self.is_complete else self.take(self._tokenizer.finish())
        if self.header is None:
            raise FrameNotFound("pixel data")
        return out
