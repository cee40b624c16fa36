"""Pictures of what an archive holds: instances are fetched as for any retrieval, their frames rendered in workers.

Of an image only the attributes and the wanted frames are held, of a document all, within limits. Frames are read ahead
of the rendering by as many as there are workers. Of a study or series each instance is shown in the form that suits it,
and what has none, or is damaged, is left out; presentation states are left out there, since the images they show are
there themselves. Called by ``web/rendered.py`` and ``web/uri.py``. How a picture is made: ``gateway/imaging``.

(PS3.18 §10.4.3.3.3–4, §9.5)
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import ParamSpec, Protocol, TypeAlias, TypeVar

import structlog

from gateway.codecs import Buffer
from gateway.errors import (
    BadParameter,
    DecodeError,
    GatewayError,
    ImagingFailed,
    NotAcceptable,
    TooLarge,
    UnknownResource,
)
from gateway.imaging.shared_bytes import Place, SharedBytes
from gateway.resources import Level, ResourcePath
from gateway.services.rendered.facts import SEGMENTATIONS, Category, InstanceFacts, is_presentation_state
from gateway.services.rendered.instance_reader import ChooseFrames, Frame, InstanceReader, ReaderLimits
from gateway.services.rendered.instance_view import InstanceView, PictureCall
from gateway.services.rendered.presented import decide_presented, list_presented, locate
from gateway.services.rendered.reading import Reading
from gateway.services.rendered.references import ShownInstance, list_references
from gateway.services.rendered.rendition import Picture, RenderRequest
from gateway.services.rendered.run_ahead import run_ahead
from gateway.services.rendered.selection import choose_representative
from gateway.services.rendered.turns import Turns
from gateway.services.rendered.worker_calls import Handover, SharedFrames, find_frames_over
from gateway.services.retrieve.inventories.inventories import Inventories
from gateway.services.retrieve.service import RetrieveService
from gateway.services.retrieve.transfer_demand import AS_STORED

__all__ = ["RenderedService", "Workers"]

P = ParamSpec("P")
T = TypeVar("T")

_Call: TypeAlias = Callable[[], Awaitable[Picture | None]]

_OF_ONE_INSTANCE = (DecodeError, ImagingFailed, NotAcceptable, TooLarge, UnknownResource)
"""What may be wrong with one instance and leaves the others of its series as they are."""

_OF_ONE_PICTURE = (*_OF_ONE_INSTANCE, BadParameter)
"""The same of one picture: a region may lie outside one image and within the others."""

_log = structlog.get_logger(__name__)


class Workers(Protocol):
    """Whoever runs what takes time: ``ImagingWorkers``."""

    @property
    def count(self) -> int:
        """How many calls run at a time."""

    async def run(self, function: Callable[P, T], /, *arguments: P.args, **keywords: P.kwargs) -> T:
        """Call `function`; raises ImagingFailed, or what the function raises on purpose."""


class RenderedService:
    """Renders what one archive holds.

    Parameters
    ----------
    retrieve, inventories
        Of the archive.
    workers
        Shared by all archives.
    turns
        How many requests may hold frames at a time, over all archives.
    limits
        What may be held of one instance.
    """

    def __init__(
        self,
        retrieve: RetrieveService,
        inventories: Inventories,
        workers: Workers,
        turns: Turns,
        limits: ReaderLimits,
    ) -> None:
        self._retrieve = retrieve
        self._inventories = inventories
        self._workers = workers
        self._turns = turns
        self._limits = limits

    async def choose_representative(self, path: ResourcePath) -> ResourcePath:
        """The path of the instance that stands for what is under `path`; see ``selection.choose_representative``."""
        return await choose_representative(self._inventories, path)

    async def iter_pictures(self, request: RenderRequest) -> AsyncGenerator[Picture, None]:
        """Yield the pictures that `request` asks for, in the archive's order of instances.

        Raises
        ------
        UnknownResource
            The archive holds nothing there, or there is no such frame.
        NotAcceptable
            Nothing of it has a form that the client takes.
        BadParameter
            The presentation state or segmentation that is to be applied is none, or does not exist.
        ImagingFailed, DecodeError, TooLarge
            An instance cannot be rendered; of a study or series, none can.
        TooBusy
            Too many requests are before this one.
        BackendError
            The archive failed; also while iterating.
        """
        losses = _Losses()
        given = 0
        async with self._turns.take() as turn:
            calls = (
                self._iter_one(request, losses)
                if request.path.level is Level.IMAGE
                else self._iter_all(request, losses)
            )
            async with aclosing(run_ahead(calls, self._workers.count + 1)) as pictures:
                async for picture in pictures:
                    if picture is not None:
                        turn.end()  # what is held from now on, the client takes at its pace
                        given += 1
                        yield picture
        if not given:
            raise losses.explain()

    # --- a study or series ---

    async def _iter_all(self, request: RenderRequest, losses: _Losses) -> AsyncGenerator[_Call, None]:
        async with self._retrieve.open_instances(request.path, AS_STORED) as instances:
            async for instance in instances:
                if is_presentation_state(instance.sop_class_uid):
                    continue
                view = InstanceView(instance, request, self._limits, None)
                try:
                    async for call in view.iter_calls():
                        yield partial(losses.bear, partial(self._perform, call))
                except _OF_ONE_INSTANCE as error:
                    losses.note(error)

    # --- an instance ---

    async def _iter_one(
        self, request: RenderRequest, losses: _Losses, superimposed: _Overlay | None = None
    ) -> AsyncGenerator[_Call, None]:
        if request.state is not None:
            parameters = replace(request.parameters, presentation_state=await self._fetch_state(request.state))
            request = replace(request, parameters=parameters, state=None)
        segmentation = await self._fetch_segmentation(request)
        view: InstanceView | None = None
        async with self._retrieve.open_instances(request.path, AS_STORED) as instances:
            async for instance in instances:
                view = InstanceView(instance, request, self._limits, self._retrieve.association_cost)
                async for call in view.iter_calls():
                    yield partial(self._perform, call, segmentation, superimposed)
                if view.is_cut:
                    break
        if view is not None and view.facts is not None and view.facts.category is Category.PRESENTATION_STATE:
            async for shown in self._iter_presented(request, view.facts, bytes(view.header), losses):
                yield shown

    async def _perform(
        self, call: PictureCall, segmentation: _Overlay | None = None, superimposed: _Overlay | None = None
    ) -> Picture:
        attributes, made = SharedBytes(), SharedBytes()
        try:
            handover = Handover(
                made.address,
                await attributes.extend(call.header),
                tuple(frame.place for frame in call.frames),
                call.transfer_syntax_uid,
                call.frame_number or 0,
                None if segmentation is None else segmentation.lay_over(call.frame_number or 1),
                None if superimposed is None else superimposed.lay_over(call.frame_number or 1),
            )
            await self._workers.run(call.make, handover, call.parameters)
        except BaseException:
            made.close()
            raise
        finally:
            attributes.close()
        return Picture(call.path, call.frame_number, call.parameters.media_type, made)

    # --- segmentations over images ---

    async def _fetch_segmentation(self, request: RenderRequest) -> _Overlay | None:
        """Fetch what lies over the frames to be shown, before they are: two associations are never held at a time."""
        if request.segmentation is None:
            return None
        try:
            gathered = await self._gather(request.segmentation, lambda _: ())
        except UnknownResource as error:
            raise BadParameter("segmentationUID", "there is no such segmentation") from error
        if gathered.facts.sop_class_uid not in SEGMENTATIONS:
            raise BadParameter("segmentationUID", "is no segmentation")
        held = SharedBytes()
        header = await held.extend(gathered.header)
        drawn_on = await self._workers.run(find_frames_over, header, request.path.instance or "", request.frames)
        if not drawn_on:
            return None
        gathered = await self._gather(request.segmentation, lambda _: tuple(drawn_on))
        frames = tuple((frame, drawn_on[frame.number]) for frame in gathered.frames)
        return _Overlay(held, header, gathered.transfer_syntax_uid, frames)

    # --- presentation states ---

    async def _iter_presented(
        self, request: RenderRequest, facts: InstanceFacts, state: bytes, losses: _Losses
    ) -> AsyncGenerator[_Call, None]:
        references = await self._workers.run(list_references, state)
        rendition = decide_presented(request, facts, references)
        for wanted, above in list_presented(request, rendition, state, references):
            try:
                superimposed = None if above is None else await self._fetch_superimposed(request.path, above)
                async for call in self._iter_one(wanted, losses, superimposed):
                    yield partial(losses.bear, call)
            except _OF_ONE_INSTANCE as error:
                losses.note(error)

    async def _fetch_state(self, path: ResourcePath) -> bytes:
        try:
            gathered = await self._gather(path, lambda _: ())
        except UnknownResource as error:
            raise BadParameter("presentationUID", "there is no such presentation state") from error
        if gathered.facts.category is not Category.PRESENTATION_STATE:
            raise BadParameter("presentationUID", "is no presentation state that can be applied")
        return bytes(gathered.header)

    async def _fetch_superimposed(self, state: ResourcePath, above: ShownInstance) -> _Overlay:
        path = locate(state, above)
        gathered = await self._gather(path, lambda facts: above.frames[:1] or (facts.telling_frame,))
        if not gathered.frames:
            raise ImagingFailed("the presentation state refers to what is no image")
        held = SharedBytes()
        header = await held.extend(gathered.header)
        return _Overlay(held, header, gathered.transfer_syntax_uid, ((gathered.frames[0], frozenset()),))

    async def _gather(self, path: ResourcePath, choose_frames: ChooseFrames) -> _Gathered:
        """Fetch what is wanted of one instance, whatever its category."""
        async with self._retrieve.open_instances(path, AS_STORED) as instances:
            instance = instances.first
            reader = InstanceReader(instance.sop_class_uid, instance.transfer_syntax_uid, choose_frames, self._limits)
            reader.keeps_together = True  # since all are held at one time, within the limit
            reading = Reading(instance, reader, self._retrieve.association_cost)
            frames = tuple([frame async for frame in reading.iter_frames()])
            if not reading.is_cut:
                async for _ in instances:
                    pass  # the archive hears that it was taken
        assert reader.facts is not None
        return _Gathered(reader.facts, instance.delivered_syntax, reader.header, frames)


@dataclass(frozen=True, slots=True)
class _Overlay:
    """Frames of another instance, each with the frames that it lies over, none for all; `held` holds their header."""

    held: SharedBytes
    header: Place
    transfer_syntax_uid: str
    frames: tuple[tuple[Frame, frozenset[int]], ...]

    def lay_over(self, number: int) -> SharedFrames:
        """What lies over the frame of this number; to be read while this object is held."""
        chosen = tuple((frame.number, frame.place) for frame, below in self.frames if not below or number in below)
        return SharedFrames(self.header, self.transfer_syntax_uid, chosen)


@dataclass(frozen=True, slots=True)
class _Gathered:
    facts: InstanceFacts
    transfer_syntax_uid: str
    header: Buffer
    frames: tuple[Frame, ...]


class _Losses:
    """What could not be shown of a target of several instances; the first says why, if nothing could."""

    def __init__(self) -> None:
        self._first: GatewayError | None = None

    def note(self, error: GatewayError) -> None:
        if not isinstance(error, NotAcceptable):
            _log.info("instance_not_rendered", error=type(error).__name__)
        if self._first is None or isinstance(self._first, NotAcceptable):
            self._first = error.with_traceback(None)  # which holds what was to be shown, and this object

    async def bear(self, call: _Call) -> Picture | None:
        try:
            return await call()
        except _OF_ONE_PICTURE as error:
            self.note(error)
            return None

    def explain(self) -> GatewayError:
        """Why there is nothing; it is handed over, since whoever raises it holds this object in the traceback."""
        error, self._first = self._first, None
        return error or NotAcceptable((), "nothing of it can be rendered")
