"""Retrieve: instances, metadata, frames and bulk data (PS3.18 §10.4). Thin: negotiate, fetch, write."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from aiohttp import hdrs, web
from multidict import CIMultiDict

from gateway.codecs import Buffer
from gateway.codecs.frames import FrameChunk, FrameEnd, FrameStart
from gateway.errors import NotAcceptable, UnknownResource
from gateway.resources import ResourcePath, parse_frame_list
from gateway.services.retrieve.instances import Instances
from gateway.services.retrieve.metadata import MetadataStream
from gateway.services.retrieve.pixel_stream import PixelStream
from gateway.web.backends import BackendServices
from gateway.web.conditional import (
    ETAG,
    METADATA_CACHING,
    answer_unchanged,
    is_unchanged,
    make_entity_tag,
    name_representation,
)
from gateway.web.negotiation import (
    AcceptableFrames,
    AcceptableInstances,
    DocumentForm,
    InstanceRepresentation,
    join_lines,
    negotiate_metadata,
    read_accept_parameter,
)
from gateway.web.streaming import Part, ResponseHead, stream_json_array, stream_multipart, stream_single
from gateway.web.transfer_demands import demand_frames, demand_instances
from gateway.web.urls import ServiceUrls

__all__ = ["RetrieveHandlers"]


@dataclass(frozen=True, slots=True)
class _Validity:
    """Header fields that say how long an answer holds, and whether the client has it already."""

    headers: Mapping[str, str] = field(default_factory=dict)
    is_unchanged: bool = False


class RetrieveHandlers:
    """Answers the Retrieve transaction of one backend."""

    def __init__(self, backend: BackendServices) -> None:
        self._backend = backend
        self._urls = ServiceUrls(backend.http)
        self._require_accept = backend.http.require_accept
        self._stall_s = backend.http.write_timeout_s

    # --- instances ---

    async def retrieve_instances(self, request: web.Request) -> web.StreamResponse:
        """A study, a series or an instance as DICOM files (§10.4.1.1.1)."""
        path = _read_path(request)
        accepted, demand = demand_instances(
            *_read_accept(request), level=path.level, require_accept=self._require_accept
        )
        validity = await self._find_validity(request, path)
        if validity.is_unchanged:
            return answer_unchanged(validity.headers)
        async with self._backend.retrieve.open_instances(path, demand) as instances:
            head = self._head(request, len(instances.unavailable), instances.expected, validity.headers)
            parts = self._iter_instance_parts(instances, accepted, self._url(request))
            single = accepted.choose(instances.first.delivered_syntax).single_part
            return await self._send_parts(request, parts, head, single=single)

    async def _iter_instance_parts(
        self, instances: Instances, accepted: AcceptableInstances, url: str
    ) -> AsyncGenerator[Part, None]:
        forms: dict[str, InstanceRepresentation] = {}
        async for instance in instances:
            syntax = instance.delivered_syntax
            form = forms.get(syntax)
            if form is None:
                form = forms[syntax] = accepted.choose(syntax)
            yield Part(form.content_type, url + instance.path.url_path, instance.iter_part10())

    # --- metadata ---

    async def retrieve_metadata(self, request: web.Request) -> web.StreamResponse:
        """The data sets of a study, a series or an instance, bulk values by reference (§10.4.1.1.2)."""
        path = _read_path(request)
        form = negotiate_metadata(*_read_accept(request), level=path.level, require_accept=self._require_accept)
        url = self._url(request)
        async with self._backend.metadata.open_metadata(path, url) as metadata:
            representation = (form.media_type, form.form.name, url)
            validity = _tag(request, metadata.generation, METADATA_CACHING, *representation, exists=True)
            if validity.is_unchanged:
                return answer_unchanged(validity.headers)
            head = self._head(request, len(metadata.unavailable), metadata.expected, validity.headers)
            if form.form is DocumentForm.JSON:
                return await stream_json_array(
                    request, metadata.iter_json(), head, content_type=form.media_type, stall_s=self._stall_s
                )
            parts = _iter_xml_parts(metadata, url, form.media_type)
            return await self._send_parts(request, parts, head, single=form.form is DocumentForm.XML_DOCUMENT)

    # --- frames and bulk data ---

    async def retrieve_frames(self, request: web.Request) -> web.StreamResponse:
        """Some frames of an instance (§10.4.1.1.6)."""
        path = _read_path(request)
        frames = parse_frame_list(request.match_info["frames"])
        accepted, demand = demand_frames(
            *_read_accept(request), frame_count=len(frames), require_accept=self._require_accept
        )
        validity = await self._find_validity(request, path)
        if validity.is_unchanged:
            return answer_unchanged(validity.headers)
        location = self._url(request) + path.url_path + "/frames/"
        async with self._backend.pixel_data.open_frames(path, frames, demand) as values:
            return await self._send_values(
                request, values, accepted, len(frames), lambda number: f"{location}{number}", validity
            )

    async def retrieve_bulkdata(self, request: web.Request) -> web.StreamResponse:
        """The value behind a Bulkdata URI of the metadata (§10.4.1.1.5)."""
        path = _read_path(request)
        value = request.match_info["path"]
        accepted, _ = demand_frames(*_read_accept(request), frame_count=1, require_accept=self._require_accept)
        validity = await self._find_validity(request, path)
        if validity.is_unchanged:
            return answer_unchanged(validity.headers)
        location = f"{self._url(request)}{path.url_path}/bulkdata/{value}"
        async with self._backend.pixel_data.open_bulkdata(path, value) as values:
            return await self._send_values(request, values, accepted, values.count, lambda _: location, validity)

    async def _send_values(
        self,
        request: web.Request,
        values: PixelStream,
        accepted: AcceptableFrames,
        count: int,
        locate: Callable[[int], str],
        validity: _Validity,
    ) -> web.StreamResponse:
        form = accepted.choose(values.transfer_syntax_uid, count)
        parts = _iter_value_parts(values, form.content_type, locate)
        head = ResponseHead(headers=CIMultiDict(validity.headers))
        return await self._send_parts(request, parts, head, single=form.single_part)

    # --- what is not made here ---

    async def refuse_rendering(self, request: web.Request) -> web.StreamResponse:
        """Pictures of a study, a series, an instance or frames (§10.4.1.1.3–4): none is made.

        Raises
        ------
        NotAcceptable
            Always; the stored data can be had from the resource itself.
        """
        _read_path(request)
        if "frames" in request.match_info:
            parse_frame_list(request.match_info["frames"])
        raise NotAcceptable((), "rendered forms are not available")

    async def refuse_uri_service(self, request: web.Request) -> web.StreamResponse:
        """Retrieval by query parameters (PS3.18 §9).

        Raises
        ------
        NotAcceptable
            It is such a request.
        UnknownResource
            It is none: there is nothing to GET at the service root.
        """
        if "requestType" in request.rel_url.query:
            raise NotAcceptable((), "the URI service is not available")
        raise UnknownResource("resource")

    # --- shared ---

    async def _find_validity(self, request: web.Request, path: ResourcePath) -> _Validity:
        """What the metadata kept of `path` says about its pixels; validated where the client asks."""
        metadata = self._backend.metadata
        if not metadata.keeps:
            return _Validity()
        if hdrs.IF_NONE_MATCH in request.headers:
            generation = await metadata.find_generation(path)
        else:
            generation = metadata.peek_generation(path)
        form = name_representation(request, self._url(request))
        exists = "frames" not in request.match_info and "path" not in request.match_info
        return _tag(request, generation, self._backend.pixel_caching, form, exists=exists)

    async def _send_parts(
        self, request: web.Request, parts: AsyncGenerator[Part, None], head: ResponseHead, *, single: bool
    ) -> web.StreamResponse:
        """Send `parts` as a multipart, or the only one of them as the whole body."""
        if not single:
            return await stream_multipart(request, parts, head, stall_s=self._stall_s)
        async with aclosing(parts):
            part = await anext(parts)
            return await stream_single(request, part, head, stall_s=self._stall_s, after=parts)

    def _url(self, request: web.Request) -> str:
        return self._urls.base_url_as_addressed(request, self._backend.name)

    def _head(self, request: web.Request, missing: int, expected: int, headers: Mapping[str, str]) -> ResponseHead:
        """200 with `headers`, or 206 and a Warning where some instances are known to be missing (§10.4.3.1)."""
        if not missing:
            return ResponseHead(headers=CIMultiDict(headers))
        head = ResponseHead(status=206)
        head.headers.add("Warning", f'299 {self._url(request)} "{missing} of {expected} instances are not available"')
        return head


def _tag(request: web.Request, generation: str | None, caching: str, *form: str, exists: bool) -> _Validity:
    """What a client may do with an answer made from the retrieval `generation`, None if nothing of it is kept."""
    if generation is None:
        return _Validity()
    entity_tag = make_entity_tag(generation, request.path, *form)
    return _Validity({ETAG: entity_tag, hdrs.CACHE_CONTROL: caching}, is_unchanged(request, entity_tag, exists=exists))


def _read_path(request: web.Request) -> ResourcePath:
    found = request.match_info
    return ResourcePath(found["study"], found.get("series"), found.get("instance"))


def _read_accept(request: web.Request) -> tuple[str | None, str | None]:
    """The Accept header and the ``accept`` query parameter."""
    header = join_lines(request.headers.getall(hdrs.ACCEPT, []))
    return header, read_accept_parameter(request.rel_url.raw_query_string)


async def _iter_xml_parts(metadata: MetadataStream, url: str, media_type: str) -> AsyncGenerator[Part, None]:
    async for path, document in metadata.iter_xml():
        yield Part(media_type, f"{url}{path.url_path}/metadata", _once(document))


async def _once(document: bytes) -> AsyncGenerator[Buffer, None]:
    yield document


async def _iter_value_parts(
    values: PixelStream, content_type: str, locate: Callable[[int], str]
) -> AsyncGenerator[Part, None]:
    """One part a frame; the pieces of a part end where the frame ends."""
    events = aiter(values)

    async def iter_pieces() -> AsyncGenerator[Buffer, None]:
        async for event in events:
            match event:
                case FrameChunk(data=data):
                    yield data
                case FrameEnd():
                    return

    async for event in events:
        if isinstance(event, FrameStart):
            yield Part(content_type, locate(event.number), iter_pieces())
