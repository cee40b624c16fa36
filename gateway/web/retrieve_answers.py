"""What the handlers of all Retrieve resources share: reading the request, validity, the head, sending parts.

(PS3.18 §10.4.) ``retrieve.py`` and ``retrieve_bulk.py`` stand on it, and whatever else answers from a retrieval.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from aiohttp import hdrs, web
from multidict import CIMultiDict

from gateway.resources import ResourcePath
from gateway.web.backends import BackendServices
from gateway.web.conditional import ETAG, is_unchanged, make_entity_tag, name_representation
from gateway.web.negotiation import join_lines, read_accept_parameter
from gateway.web.ranges import cut_pieces, read_range
from gateway.web.streaming import Part, ResponseHead, stream_multipart, stream_single
from gateway.web.urls import ServiceUrls

__all__ = ["RetrieveAnswers", "Validity", "judge_validity", "read_accept", "read_path"]


@dataclass(frozen=True, slots=True)
class Validity:
    """Header fields that say how long an answer holds, and whether the client has it already."""

    headers: Mapping[str, str] = field(default_factory=dict)
    is_unchanged: bool = False


class RetrieveAnswers:
    """Answers from the retrievals of one backend."""

    def __init__(self, backend: BackendServices) -> None:
        self._backend = backend
        self._urls = ServiceUrls(backend.http)
        self.require_accept = backend.http.require_accept
        self.stall_s = backend.http.write_timeout_s

    async def find_validity(self, request: web.Request, path: ResourcePath) -> Validity:
        """What the metadata kept of `path` says about its pixels; validated where the client asks."""
        metadata = self._backend.metadata
        if not metadata.keeps:
            return Validity()
        if hdrs.IF_NONE_MATCH in request.headers:
            generation = await metadata.find_generation(path)
        else:
            generation = metadata.peek_generation(path)
        form = name_representation(request, self.find_url(request))
        exists = "frames" not in request.match_info and "path" not in request.match_info
        return judge_validity(request, generation, self._backend.pixel_caching, form, exists=exists)

    async def send_parts(
        self,
        request: web.Request,
        parts: AsyncGenerator[Part, None],
        head: ResponseHead,
        *,
        single: bool,
        length: int | None = None,
    ) -> web.StreamResponse:
        """Send `parts` as a multipart, or the only one of them as the whole body.

        `length` in bytes, if it is known, is that of the single part: then the client may ask for a range of it.

        Raises
        ------
        RangeNotSatisfiable
            A range behind the end.
        """
        if not single:
            return await stream_multipart(request, parts, head, stall_s=self.stall_s)
        async with aclosing(parts):
            part = await anext(parts)
            if length is None:
                return await stream_single(request, part, head, stall_s=self.stall_s, after=parts)
            return await self._send_range(request, part, parts, head, length)

    async def _send_range(
        self, request: web.Request, part: Part, parts: AsyncGenerator[Part, None], head: ResponseHead, length: int
    ) -> web.StreamResponse:
        wanted = read_range(request, length)
        head.headers[hdrs.ACCEPT_RANGES] = "bytes"
        if wanted is None:
            return await stream_single(request, part, head, stall_s=self.stall_s, after=parts)
        head.status = 206
        head.headers[hdrs.CONTENT_RANGE] = wanted.content_range
        pieces = cut_pieces(part.pieces, wanted)
        cut = Part(part.content_type, part.location, pieces)
        after = parts if wanted.last + 1 == wanted.complete else None  # else there is more, which nobody wants
        return await stream_single(request, cut, head, stall_s=self.stall_s, length=wanted.length, after=after)

    def find_url(self, request: web.Request) -> str:
        """The service root as the client addresses it."""
        return self._urls.base_url_as_addressed(request, self._backend.name)

    def begin_head(self, request: web.Request, missing: int, expected: int, headers: Mapping[str, str]) -> ResponseHead:
        """200 with `headers`, or 206 and a Warning where some instances are known to be missing (§10.4.3.1)."""
        if not missing:
            return ResponseHead(headers=CIMultiDict(headers))
        head = ResponseHead(status=206)
        text = f"{missing} of {expected} instances are not available"
        head.headers.add("Warning", f'299 {self.find_url(request)} "{text}"')
        return head


def judge_validity(request: web.Request, generation: str | None, caching: str, *form: str, exists: bool) -> Validity:
    """What a client may do with an answer made from the retrieval `generation`, None if nothing of it is kept."""
    if generation is None:
        return Validity()
    entity_tag = make_entity_tag(generation, request.path, *form)
    return Validity({ETAG: entity_tag, hdrs.CACHE_CONTROL: caching}, is_unchanged(request, entity_tag, exists=exists))


def read_path(request: web.Request) -> ResourcePath:
    """The study, series or instance that the URL names; raises BadParameter."""
    found = request.match_info
    return ResourcePath(found["study"], found.get("series"), found.get("instance"))


def read_accept(request: web.Request) -> tuple[str | None, str | None]:
    """The Accept header and the ``accept`` query parameter."""
    header = join_lines(request.headers.getall(hdrs.ACCEPT, []))
    return header, read_accept_parameter(request.rel_url.raw_query_string)
