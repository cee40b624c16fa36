"""One instance on its way from the archive, and the calls that make pictures of it.

Which frames are wanted follows from the rendition, which is decided when the attributes have passed. Called by
``service.py`` for each instance of a target.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from gateway.codecs import Buffer
from gateway.codecs.frames import FrameNotFound
from gateway.dimse.association_cost import AssociationCost
from gateway.errors import ImagingFailed
from gateway.imaging.rendering.parameters import RenderParameters
from gateway.resources import ResourcePath
from gateway.services.rendered.facts import Category, InstanceFacts
from gateway.services.rendered.instance_reader import Frame, InstanceReader, ReaderLimits
from gateway.services.rendered.reading import Reading
from gateway.services.rendered.rendition import RenderRequest, Rendition, Showing
from gateway.services.rendered.worker_calls import Handover, make_animation, make_document, make_picture
from gateway.services.retrieve.received_instance import ReceivedInstance

__all__ = ["MOST_FRAMES", "InstanceView", "PictureCall"]

MOST_FRAMES = 4_000
"""Of an animation, as ``imaging.rendering.animation`` has it too, and pictures of one video.

Each frame of a video is looked for in the stream from its beginning, and a data set may claim to have any number.
"""


@dataclass(frozen=True, slots=True)
class PictureCall:
    """What a worker is to do for one picture.

    Parameters
    ----------
    path, frame_number
        As of ``Picture``.
    make
        A function of ``worker_calls``.
    header, frames, transfer_syntax_uid
        What it is made of.
    parameters
        How; with the media type.
    """

    path: ResourcePath
    frame_number: int | None
    make: Callable[[Handover, RenderParameters], None]
    header: Buffer = field(repr=False)
    frames: tuple[Frame, ...] = field(repr=False)
    transfer_syntax_uid: str
    parameters: RenderParameters = field(repr=False)


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
        self._reader = InstanceReader(instance.sop_class_uid, instance.transfer_syntax_uid, self._choose, limits)
        self._reading = Reading(instance, self._reader, cost)
        self._rendition: Rendition | None = None

    @property
    def facts(self) -> InstanceFacts | None:
        """What is known of the instance; None before its attributes have passed."""
        return self._reader.facts

    @property
    def header(self) -> Buffer:
        """Its attributes, whole once there are facts."""
        return self._reader.header

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
        ImagingFailed
            An animation would have too many frames, or a video too many pictures.
        DecodeError, TooLarge, BackendError
            As ``Reading.iter_frames``.
        """
        held: list[Frame] = []
        async for frame in self._reading.iter_frames():
            if self._rendition is not None and self._rendition.showing is not Showing.WHOLE:
                for call in self._show(frame, self._rendition):
                    yield call
                continue
            held.append(frame)
        for call in self._show_whole(held):
            yield call

    def _choose(self, facts: InstanceFacts) -> Sequence[int] | None:
        frames = self._request.frames
        if frames and not facts.has_pixels:
            raise FrameNotFound(f"frame {frames[0]}")
        if facts.category is not Category.PRESENTATION_STATE:
            self._rendition = self._request.decide(facts)
            self._reader.keeps_together = self._rendition.showing is Showing.WHOLE
        if frames and frames[-1] > facts.frame_count:
            raise FrameNotFound(f"frame {frames[-1]}")
        if self._rendition is None or not facts.has_pixels:
            return ()
        self._check_count(facts, self._rendition)
        if facts.category is Category.VIDEO:
            return (1,)  # one stream holds all of them
        return self._name_frames(facts, self._rendition)

    def _check_count(self, facts: InstanceFacts, rendition: Rendition) -> None:
        """Refuse before anything is read what a worker would refuse, or would never have done."""
        is_video = facts.category is Category.VIDEO
        if (len(self._request.frames) or facts.frame_count) <= MOST_FRAMES:
            return
        if rendition.showing is Showing.WHOLE and not is_video:
            raise ImagingFailed(f"an animation has from 1 to {MOST_FRAMES} frames")
        if rendition.showing is Showing.EACH_FRAME and is_video:
            raise ImagingFailed(f"a video of more than {MOST_FRAMES} frames is not shown frame by frame")

    def _name_frames(self, facts: InstanceFacts, rendition: Rendition) -> Sequence[int] | None:
        """The frames to be shown; None for all of them."""
        if self._request.frames:
            return self._request.frames
        return (facts.telling_frame,) if rendition.showing is Showing.ONE_FRAME else None

    def _show(self, frame: Frame, rendition: Rendition) -> Iterator[PictureCall]:
        assert self.facts is not None
        numbers: Sequence[int] = (frame.number,)
        if self.facts.category is Category.VIDEO:
            numbers = self._name_frames(self.facts, rendition) or range(1, self.facts.frame_count + 1)
        for number in numbers:
            yield self._call(number, make_picture, rendition, (frame,))

    def _show_whole(self, held: list[Frame]) -> Iterator[PictureCall]:
        if self.facts is None or self._rendition is None:
            return
        if held:
            yield self._call(None, make_animation, self._rendition, tuple(held))
        elif not self.facts.has_pixels:
            yield self._call(None, make_document, self._rendition, ())

    def _call(
        self,
        number: int | None,
        make: Callable[[Handover, RenderParameters], None],
        rendition: Rendition,
        frames: tuple[Frame, ...],
    ) -> PictureCall:
        parameters = replace(self._request.parameters, media_type=rendition.media_type)
        syntax = self._instance.delivered_syntax
        return PictureCall(self._instance.path, number, make, self.header, frames, syntax, parameters)
