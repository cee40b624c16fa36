"""One instance on its way from the archive, and the calls that make pictures of it.

Which frames are wanted follows from the rendition, which is decided when the attributes have passed. Called by
``service.py`` for each instance of a target.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.codecs.frames import FrameNotFound
from gateway.dimse.association_cost import AssociationCost
from gateway.errors import TooLarge
from gateway.imaging.rendering.parameters import FrameSource, RenderParameters
from gateway.resources import ResourcePath
from gateway.services.rendered.facts import Category, InstanceFacts
from gateway.services.rendered.instance_reader import Frame, InstanceReader, ReaderLimits
from gateway.services.rendered.reading import Reading
from gateway.services.rendered.rendition import RenderRequest, Rendition, Showing
from gateway.services.rendered.worker_calls import make_animation, make_document, make_picture
from gateway.services.retrieve.received_instance import ReceivedInstance

__all__ = ["InstanceView", "PictureCall"]


@dataclass(frozen=True, slots=True)
class PictureCall:
    """What a worker is to do for one picture; see ``Picture`` for the fields."""

    path: ResourcePath
    frame_number: int | None
    media_type: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = field(repr=False)


class InstanceView:
    """Reads one instance as a request wants it.

    Parameters
    ----------
    instance
        Not read yet.
    request
        Its path may be above the instance.
    limits
    cost
        As ``Reading``.
    """

    def __init__(
        self, instance: ReceivedInstance, request: RenderRequest, limits: ReaderLimits, cost: AssociationCost | None
    ) -> None:
        self._instance = instance
        self._request = request
        self._limits = limits
        self._reader = InstanceReader(instance.sop_class_uid, instance.transfer_syntax_uid, self._choose, limits)
        self._reading = Reading(instance, self._reader, cost)
        self._rendition: Rendition | None = None
        self._header: bytes | None = None

    @property
    def facts(self) -> InstanceFacts | None:
        """What is known of the instance; None before its attributes have passed."""
        return self._reader.facts

    @property
    def header(self) -> bytes:
        """Its attributes, whole once the pixel data has begun."""
        if self._header is None:
            self._header = self._reader.header
        return self._header

    @property
    def is_cut(self) -> bool:
        """Whether the association was cut."""
        return self._reading.is_cut

    async def iter_calls(self) -> AsyncGenerator[PictureCall, None]:
        """Yield one call a picture as soon as what it needs has arrived; none for a presentation state.

        Raises
        ------
        FrameNotFound
            A frame asked for is beyond the last, or there are no frames.
        NotAcceptable
            What the request's `decide` raises.
        DecodeError, TooLarge, BackendError
            As ``Reading.iter_frames``.
        """
        held: list[bytes] = []
        size = 0
        async for frame in self._reading.iter_frames():
            if self._rendition is not None and self._rendition.showing is not Showing.WHOLE:
                for call in self._show(frame, self._rendition):
                    yield call
                continue
            held.append(frame.data)
            size += len(frame.data)
            if size > self._limits.frames:
                raise TooLarge("the frames of an animation", self._limits.frames)
        for call in self._show_whole(held):
            yield call

    def _choose(self, facts: InstanceFacts) -> Sequence[int]:
        frames = self._request.frames
        if frames and not facts.has_pixels:
            raise FrameNotFound(f"frame {frames[0]}")
        if facts.category is not Category.PRESENTATION_STATE:
            self._rendition = self._request.decide(facts)
        if frames and frames[-1] > facts.frame_count:
            raise FrameNotFound(f"frame {frames[-1]}")
        if self._rendition is None or not facts.has_pixels:
            return ()
        if facts.category is Category.VIDEO:
            return (1,)  # one stream holds all of them
        return self._list_frames(facts, self._rendition)

    def _list_frames(self, facts: InstanceFacts, rendition: Rendition) -> Sequence[int]:
        if self._request.frames:
            return self._request.frames
        if rendition.showing is Showing.ONE_FRAME:
            return (facts.telling_frame,)
        return range(1, facts.frame_count + 1)

    def _show(self, frame: Frame, rendition: Rendition) -> Iterator[PictureCall]:
        assert self.facts is not None
        is_video = self.facts.category is Category.VIDEO
        for number in self._list_frames(self.facts, rendition) if is_video else (frame.number,):
            source = FrameSource(self.header, self._instance.delivered_syntax, frame.data, number)
            yield self._call(number, make_picture, source, self._parameters(rendition))

    def _show_whole(self, held: list[bytes]) -> Iterator[PictureCall]:
        if self.facts is None or self._rendition is None:
            return
        if held:
            syntax = self._instance.delivered_syntax
            yield self._call(None, make_animation, self.header, syntax, tuple(held), self._parameters(self._rendition))
        elif not self.facts.has_pixels:
            yield self._call(None, make_document, self.header, self._rendition.media_type)

    def _call(self, number: int | None, function: Callable[..., Any], *arguments: Any) -> PictureCall:
        assert self._rendition is not None
        return PictureCall(self._instance.path, number, self._rendition.media_type, function, arguments)

    def _parameters(self, rendition: Rendition) -> RenderParameters:
        return replace(self._request.parameters, media_type=rendition.media_type)
