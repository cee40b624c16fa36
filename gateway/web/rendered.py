"""Rendered resources and thumbnails (PS3.18 §10.4.1.1.3–4). Thin: negotiate, read parameters, render, write."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from aiohttp import web

from gateway.errors import BadParameter
from gateway.imaging.rendering.parameters import (
    RenderParameters,
    Viewport,
    parse_annotation,
    parse_iccprofile,
    parse_quality,
    parse_viewport,
    parse_window,
)
from gateway.resources import Level, ResourcePath, is_valid_uid, parse_frame_list
from gateway.services.rendered.rendition import RenderRequest
from gateway.web.backends import BackendServices
from gateway.web.conditional import answer_unchanged
from gateway.web.negotiation import negotiate_rendered
from gateway.web.pictures import FormChooser, ThumbnailChooser, send_pictures, warn_of_annotations
from gateway.web.retrieve_answers import RetrieveAnswers, Validity, read_accept, read_path

__all__ = ["THUMBNAIL_SIDE", "RenderedHandlers", "read_companion", "read_query"]

THUMBNAIL_SIDE = 256
"""Pixels of the longer side of a thumbnail, where the client names no viewport."""

MAX_THUMBNAIL_SIDE = 1_024

COMPANIONS = ("presentation", "segmentation")

PARAMETERS = frozenset(
    {"annotation", "iccprofile", "quality", "viewport", "window"}
    | {f"{kind}{ending}" for kind in COMPANIONS for ending in ("UID", "SeriesUID")}
)
"""Parameters of rendered resources (PS3.18 §8.3.5.1); those that name instances are of the URI service, or our own."""


@dataclass(frozen=True, slots=True)
class _Look:
    """The parameters of a request, and the annotation keywords that are not supported."""

    parameters: RenderParameters
    unsupported: tuple[str, ...] = ()


class RenderedHandlers:
    """Answers requests for pictures of one backend."""

    def __init__(self, backend: BackendServices) -> None:
        self._backend = backend
        self._answers = RetrieveAnswers(backend)

    async def retrieve_rendered(self, request: web.Request) -> web.StreamResponse:
        """A study, a series, an instance or frames as pictures (§10.4.1.1.3)."""
        path, frames = _read_target(request)
        accepted = negotiate_rendered(*read_accept(request), require_accept=self._answers.require_accept)
        query = read_query(request.rel_url.raw_query_string, PARAMETERS)
        look = read_look(query)
        state, segmentation = (read_companion(query, path, kind, excludes=("window",)) for kind in COMPANIONS)
        alone = path.level is Level.IMAGE
        chooser = FormChooser(accepted, look.parameters, frame_count=len(frames), alone=alone)
        is_by_itself = state is None and segmentation is None
        validity = await self._answers.find_validity(request, path) if is_by_itself else Validity()
        if validity.is_unchanged:
            return answer_unchanged(validity.headers)
        wanted = RenderRequest(path, chooser.decide, look.parameters, frames, state, segmentation)
        pictures = self._backend.rendered.iter_pictures(wanted)
        warning = warn_of_annotations(look.unsupported, self._answers.find_url(request))
        return await send_pictures(request, pictures, chooser, self._answers, {**validity.headers, **warning})

    async def retrieve_thumbnail(self, request: web.Request) -> web.StreamResponse:
        """One picture that stands for a study, a series, an instance or frames (§10.4.1.1.4)."""
        path, frames = _read_target(request)
        accepted = negotiate_rendered(*read_accept(request), require_accept=self._answers.require_accept)
        viewport = read_thumbnail_viewport(read_query(request.rel_url.raw_query_string, {"viewport"}))
        parameters = RenderParameters(viewport=viewport)
        chooser = ThumbnailChooser(accepted, parameters)
        validity = await self._answers.find_validity(request, path)
        if validity.is_unchanged:
            return answer_unchanged(validity.headers)
        shown = await self._backend.rendered.choose_representative(path)
        pictures = self._backend.rendered.iter_pictures(RenderRequest(shown, chooser.decide, parameters, frames[:1]))
        return await send_pictures(request, pictures, chooser, self._answers, validity.headers)


def read_query(raw_query_string: str, known: Collection[str]) -> Mapping[str, str]:
    """Read the `known` parameters of a query string: percent-decoded once, a plus stays a plus (PS3.18 §8.3).

    Raises
    ------
    BadParameter
        One of them comes twice.
    """
    found: dict[str, str] = {}
    for pair in raw_query_string.split("&"):
        name, _, value = pair.partition("=")
        name = unquote(name)
        if name in found:
            raise BadParameter(name, "comes twice")
        if name in known:
            found[name] = unquote(value)
    return found


def read_look(query: Mapping[str, str]) -> _Look:
    """Read the parameters of a rendered resource; what is not one of them is passed over (PS3.18 §8.3).

    Raises
    ------
    BadParameter
        One breaks its grammar.
    """
    supported, unsupported = parse_annotation(query["annotation"]) if "annotation" in query else ((), ())
    parameters = RenderParameters(
        viewport=parse_viewport(query["viewport"]) if "viewport" in query else None,
        window=parse_window(query["window"]) if "window" in query else None,
        quality=parse_quality(query["quality"]) if "quality" in query else None,
        annotation=supported,
        iccprofile=parse_iccprofile(query["iccprofile"]) if "iccprofile" in query else None,
    )
    return _Look(parameters, unsupported)


def read_companion(
    query: Mapping[str, str], path: ResourcePath, kind: str, *, excludes: Collection[str] = ()
) -> ResourcePath | None:
    """Where an instance of the same study is that shall be applied to the one at `path`; None where none is named.

    Parameters
    ----------
    kind
        ``presentation`` or ``segmentation``: ``presentationSeriesUID`` and ``presentationUID`` come together.
    excludes
        Parameters that cannot be given beside a presentation state.

    Raises
    ------
    BadParameter
        One UID without the other, for more than an instance, or beside a parameter that excludes it (§9.5.1.2.7).
    """
    names = (f"{kind}SeriesUID", f"{kind}UID")
    if not any(name in query for name in names):
        return None
    if path.level is not Level.IMAGE:
        raise BadParameter(names[1], "is for one instance")
    for name in excludes if kind == "presentation" else ():
        if name in query:
            raise BadParameter(name, "is not for a presentation state")
    for name in names:
        if not is_valid_uid(query.get(name, "")):
            raise BadParameter(name, "not a UID" if name in query else "is missing")
    return path.with_instance(query[names[0]], query[names[1]])


def read_thumbnail_viewport(query: Mapping[str, str]) -> Viewport:
    """Read the size of a thumbnail; larger ones than `MAX_THUMBNAIL_SIDE` are made that size.

    Raises
    ------
    BadParameter
        It breaks its grammar, or names a region.
    """
    if "viewport" not in query:
        return Viewport(THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    asked = parse_viewport(query["viewport"], size_only=True)
    width, height = (min(side or THUMBNAIL_SIDE, MAX_THUMBNAIL_SIDE) for side in (asked.width, asked.height))
    return Viewport(width, height)


def _read_target(request: web.Request) -> tuple[ResourcePath, tuple[int, ...]]:
    text = request.match_info.get("frames")
    return read_path(request), () if text is None else parse_frame_list(text)
