"""Retrieve: frames, bulk data and pixel data (PS3.18 §10.4.1.1.5–6). Thin: negotiate, fetch, write."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace

from aiohttp import web
from multidict import CIMultiDict

from gateway.codecs import Buffer
from gateway.codecs.frames import FrameChunk, FrameEnd, FrameStart
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE
from gateway.errors import NotAcceptable
from gateway.resources import parse_frame_list
from gateway.services.retrieve.pixels.bulk_stream import BulkItem, BulkStreamEvent
from gateway.services.retrieve.pixels.pixel_stream import PIXEL_DATA_PATHS, PixelEvent, PixelStream
from gateway.services.retrieve.transfer_demand import AS_STORED
from gateway.web.backends import BackendServices
from gateway.web.conditional import answer_unchanged
from gateway.web.conversions import ALL_TARGETS, Conversions, join_frames
from gateway.web.negotiation import AcceptableFrames, FrameRepresentation
from gateway.web.retrieve_answers import RetrieveAnswers, Validity, read_accept, read_path
from gateway.web.streaming import Part, ResponseHead
from gateway.web.transfer_demands import demand_bulkdata, demand_frames

__all__ = ["BulkHandlers"]


class BulkHandlers:
    """Answers for values taken out of instances."""

    def __init__(self, backend: BackendServices, answers: RetrieveAnswers) -> None:
        self._backend = backend
        self._answers = answers

    async def retrieve_frames(self, request: web.Request) -> web.StreamResponse:
        """Some frames of an instance (§10.4.1.1.6)."""
        path = read_path(request)
        frames = parse_frame_list(request.match_info["frames"])
        accepted, demand = demand_frames(
            *read_accept(request),
            frame_count=len(frames),
            require_accept=self._answers.require_accept,
            targets=ALL_TARGETS,
        )
        validity = await self._answers.find_validity(request, path)
        if validity.is_unchanged:
            return answer_unchanged(validity.headers)
        location = self._answers.find_url(request) + path.url_path + "/frames/"
        async with self._backend.pixel_data.open_frames(path, frames, demand) as values:
            return await self._send_values(
                request, values, accepted, len(frames), lambda number: f"{location}{number}", validity
            )

    async def retrieve_bulkdata(self, request: web.Request) -> web.StreamResponse:
        """The value behind a Bulkdata URI of the metadata (§10.4.1.1.5)."""
        path = read_path(request)
        value = request.match_info["path"]
        accepted, demand = demand_frames(
            *read_accept(request),
            frame_count=1,
            require_accept=self._answers.require_accept,
            documents=True,
            targets=ALL_TARGETS,
        )
        validity = await self._answers.find_validity(request, path)
        if validity.is_unchanged:
            return answer_unchanged(validity.headers)
        location = f"{self._answers.find_url(request)}{path.url_path}/bulkdata/{value}"
        demand = demand if value in PIXEL_DATA_PATHS else AS_STORED
        async with self._backend.pixel_data.open_bulkdata(path, value, demand) as values:
            return await self._send_values(
                request, values, accepted, values.count, lambda _: location, validity, joins=True
            )

    async def retrieve_all_bulkdata(self, request: web.Request) -> web.StreamResponse:
        """Every bulk value of the instances of a study, a series or an instance (§10.4.1.1.5)."""
        return await self._send_all(request, _locate_value, pixels_only=False)

    async def retrieve_pixel_data(self, request: web.Request) -> web.StreamResponse:
        """The pixel data of the instances of a study, a series or an instance (§10.4.1.1.6)."""
        return await self._send_all(request, _locate_pixels, pixels_only=True)

    async def _send_values(
        self,
        request: web.Request,
        values: PixelStream,
        accepted: AcceptableFrames,
        count: int,
        locate: Callable[[int], str],
        validity: Validity,
        *,
        joins: bool = False,
    ) -> web.StreamResponse:
        """Send frames or a value as they are, or converted where the client takes none of what there is."""
        conversions = self._backend.conversions
        form = _choose_form(values, accepted, count, conversions.list_frame_targets(values), joins=joins)
        is_converted = form.transfer_syntax not in (None, values.transfer_syntax_uid)
        frames = conversions.iter_frames(values, form.transfer_syntax)
        if joins and is_converted and form.transfer_syntax == EXPLICIT_VR_LE:
            frames = join_frames(frames)
        parts = _iter_frame_parts(frames, form.content_type, locate)
        head = ResponseHead(headers=CIMultiDict(validity.headers))
        length = None if is_converted else values.length
        return await self._answers.send_parts(request, parts, head, single=form.single_part, length=length)

    async def _send_all(
        self, request: web.Request, locate: Callable[[BulkItem], str], *, pixels_only: bool
    ) -> web.StreamResponse:
        path = read_path(request)
        accepted, demand = demand_bulkdata(
            *read_accept(request), pixels_only=pixels_only, require_accept=self._answers.require_accept
        )
        validity = await self._answers.find_validity(request, path)
        if validity.is_unchanged:
            return answer_unchanged(validity.headers)
        url = self._answers.find_url(request)
        async with self._backend.pixel_data.open_all(path, demand, pixels_only=pixels_only) as stream:
            head = self._answers.begin_head(request, len(stream.unavailable), stream.expected, validity.headers)
            parts = _BulkParts(
                stream.iter_events(), accepted, self._backend.conversions, lambda item: url + locate(item)
            )
            return await self._answers.send_parts(request, parts.iter_parts(), head, single=False)


def _choose_form(
    values: PixelStream, accepted: AcceptableFrames, count: int, targets: Sequence[str], *, joins: bool
) -> FrameRepresentation:
    """The stored form if it is acceptable; else native, as one value if it `joins`; else what it can be made."""
    try:
        return accepted.choose(values.transfer_syntax_uid, count, values.document_type)
    except NotAcceptable:
        if joins and EXPLICIT_VR_LE in targets and values.header is not None and values.header.bits_allocated > 1:
            with suppress(NotAcceptable):
                return accepted.choose(EXPLICIT_VR_LE, 1)
        return accepted.choose(values.transfer_syntax_uid, count, values.document_type, targets)


def _locate_value(item: BulkItem) -> str:
    """Its Bulkdata URI, as in the metadata (§10.4.3.3.5)."""
    return f"{item.instance.url_path}/bulkdata/{item.path}"


def _locate_pixels(item: BulkItem) -> str:
    return (
        f"{item.instance.url_path}/pixeldata" if item.frame is None else f"{item.instance.url_path}/frames/{item.frame}"
    )


async def _iter_frame_parts(
    values: AsyncIterator[PixelEvent], content_type: str, locate: Callable[[int], str]
) -> AsyncGenerator[Part, None]:
    """One part a frame; the pieces of a part end where the frame ends."""
    events = aiter(values)
    async for event in events:
        if isinstance(event, FrameStart):
            yield Part(content_type, locate(event.number), _iter_pieces(events))


class _BulkParts:
    """One part a value, or a frame of it, each in a form that the client takes; frames converted where it must be."""

    def __init__(
        self,
        events: AsyncGenerator[BulkStreamEvent, None],
        accepted: AcceptableFrames,
        conversions: Conversions,
        locate: Callable[[BulkItem], str],
    ) -> None:
        self._events = events
        self._accepted = accepted
        self._conversions = conversions
        self._locate = locate
        self._next: BulkItem | None = None

    async def iter_parts(self) -> AsyncGenerator[Part, None]:
        """Yield them in the order of the values; raises as the events do, and NotAcceptable."""
        async with aclosing(self._events):
            while (item := await self._take_item()) is not None:
                stored = item.transfer_syntax_uid
                targets = self._conversions.list_targets(stored) if item.header is not None else ()
                # any number of others may follow: never a single part
                form = self._accepted.choose(stored, 2, item.document_type, targets)
                if form.transfer_syntax in (None, stored):
                    yield Part(form.content_type, self._locate(item), _iter_pieces(self._events))
                    continue
                async with aclosing(self._iter_converted(item, form)) as parts:
                    async for part in parts:
                        yield part

    async def _iter_converted(self, first: BulkItem, form: FrameRepresentation) -> AsyncGenerator[Part, None]:
        """The frames of an image that begins with `first`; native ones are one value, as native Pixel Data is."""
        header, target = first.header, form.transfer_syntax
        assert header is not None and target is not None
        frames = self._conversions.convert_frames(self._iter_frames(first), header, first.transfer_syntax_uid, target)
        async with aclosing(frames):
            is_whole = target == EXPLICIT_VR_LE and header.bits_allocated > 1
            events: AsyncIterator[PixelEvent] = join_frames(frames) if is_whole else frames
            async for event in events:
                if isinstance(event, FrameStart):
                    item = replace(first, frame=None if is_whole else event.number)
                    yield Part(form.content_type, self._locate(item), _iter_pieces(events))

    async def _iter_frames(self, first: BulkItem) -> AsyncGenerator[PixelEvent, None]:
        """The frames of one instance; the value after them is kept for later."""
        yield FrameStart(first.frame or 1)
        async for event in self._events:
            if not isinstance(event, BulkItem):
                yield event
            elif event.frame is None or event.instance != first.instance:
                self._next = event
                return
            else:
                yield FrameStart(event.frame)

    async def _take_item(self) -> BulkItem | None:
        if (item := self._next) is not None:
            self._next = None
            return item
        async for event in self._events:
            if isinstance(event, BulkItem):
                return event
        return None


async def _iter_pieces(
    events: AsyncIterator[PixelEvent] | AsyncIterator[BulkStreamEvent],
) -> AsyncGenerator[Buffer, None]:
    async for event in events:
        match event:
            case FrameChunk(data=data):
                yield data
            case FrameEnd():
                return
