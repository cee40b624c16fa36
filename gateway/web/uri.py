"""The URI service: one instance by query parameters, as a file or as a picture (PS3.18 §9). Thin, as its siblings.

Two transactions, told apart by the media type: Retrieve DICOM Instance (§9.4) and Retrieve Rendered Instance (§9.5).
Where nothing is said the latter, and ``image/jpeg``. The response is a single part always.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence

from aiohttp import web
from multidict import CIMultiDict

from gateway.codecs.media_types import MediaRange, parse_accept
from gateway.codecs.transfer_syntax import EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE
from gateway.errors import BadParameter, NotAcceptable, NotProvided, UnknownResource
from gateway.imaging.rendering.parameters import (
    RenderParameters,
    parse_annotation,
    parse_quality,
    parse_region,
    parse_size,
    parse_window_center_width,
)
from gateway.resources import Level, ResourcePath, is_valid_uid
from gateway.services.rendered.facts import Category, InstanceFacts
from gateway.services.rendered.producible import ANIMATIONS, REPORTS, STILLS, VIDEOS, list_producible
from gateway.services.rendered.rendition import RenderRequest, Rendition, Showing
from gateway.services.retrieve.instances import Instances
from gateway.web.backends import BackendServices
from gateway.web.conditional import answer_unchanged
from gateway.web.conversions import ALL_TARGETS
from gateway.web.negotiation import AcceptableInstances, AcceptableRendered, RenderedCategory, negotiate_rendered
from gateway.web.pictures import FormChooser, send_pictures, warn_of_annotations
from gateway.web.rendered import read_companion, read_query
from gateway.web.retrieve_answers import RetrieveAnswers, Validity, read_accept
from gateway.web.streaming import Part, ResponseHead
from gateway.web.transfer_demands import demand_instances

__all__ = ["UriChooser", "UriHandlers"]

DICOM = "application/dicom"
MOST_DIGITS = 9

_REQUIRED = ("studyUID", "seriesUID", "objectUID")
_PARAMETERS = frozenset(
    {"requestType", "contentType", "anonymize", "transferSyntax", "annotation", "imageAnnotation", "imageQuality"}
    | {"rows", "columns", "region", "windowCenter", "windowWidth", "frameNumber"}
    | {"presentationUID", "presentationSeriesUID", *_REQUIRED}
)
_NOT_WITH_A_STATE = ("windowCenter", "windowWidth", "frameNumber")
_NEVER_SENT = frozenset({IMPLICIT_VR_LE, EXPLICIT_VR_BE})  # PS3.18 §8.7.3
_RENDERED = frozenset((*STILLS, *ANIMATIONS, *VIDEOS, *REPORTS))
_FORBIDDEN = ("transfer-syntax", "charset")  # as parameters of media types, §9.1.2.2.1


class UriHandlers:
    """Answers the URI service of one backend."""

    def __init__(self, backend: BackendServices) -> None:
        self._backend = backend
        self._answers = RetrieveAnswers(backend)

    async def retrieve_at_root(self, request: web.Request) -> web.StreamResponse:
        """The service root, where there is nothing else to GET.

        Raises
        ------
        UnknownResource
            It is no request of this service.
        """
        if "requestType" not in request.rel_url.query:
            raise UnknownResource("resource")
        return await self.retrieve(request)

    async def retrieve(self, request: web.Request) -> web.StreamResponse:
        """One instance (§9.4, §9.5)."""
        query = read_query(request.rel_url.raw_query_string, _PARAMETERS)
        if query.get("requestType") != "WADO":
            raise BadParameter("requestType", "must be WADO")
        path = _read_path(query, *_REQUIRED)
        _refuse_anonymization(query)
        header, _ = read_accept(request)
        if _asks_for_dicom(query.get("contentType"), header):
            return await self._send_instance(request, path, query)
        return await self._send_picture(request, path, query, header)

    # --- Retrieve DICOM Instance ---

    async def _send_instance(
        self, request: web.Request, path: ResourcePath, query: Mapping[str, str]
    ) -> web.StreamResponse:
        if "windowCenter" in query or "windowWidth" in query:
            raise BadParameter("windowCenter", "is for pictures, not for application/dicom")
        syntax = _read_transfer_syntax(query)
        wished = f"{DICOM}; transfer-syntax={syntax}" if syntax else DICOM
        accepted, demand = demand_instances(wished, None, level=Level.IMAGE, require_accept=False, targets=ALL_TARGETS)
        validity = await self._answers.find_validity(request, path)
        if validity.is_unchanged:
            return answer_unchanged(validity.headers)
        async with self._backend.retrieve.open_instances(path, demand) as instances:
            parts = self._iter_files(instances, accepted, self._answers.find_url(request))
            head = ResponseHead(headers=CIMultiDict(validity.headers))
            return await self._answers.send_parts(request, parts, head, single=True)

    async def _iter_files(
        self, instances: Instances, accepted: AcceptableInstances, base_url: str
    ) -> AsyncGenerator[Part, None]:
        """The instance as a DICOM file; its media type has no parameter here (§9.1.3)."""
        conversions = self._backend.conversions
        async for instance in instances:
            delivered = instance.delivered_syntax
            form = accepted.choose(delivered, conversions.list_targets(delivered))
            pieces = conversions.iter_part10(instance, form.transfer_syntax)
            yield Part(DICOM, base_url + instance.path.url_path, pieces)

    # --- Retrieve Rendered Instance ---

    async def _send_picture(
        self, request: web.Request, path: ResourcePath, query: Mapping[str, str], header: str | None
    ) -> web.StreamResponse:
        wished = query.get("contentType")
        accepted = negotiate_rendered(header, wished, require_accept=self._answers.require_accept)
        parameters, unsupported = read_look(query)
        frame = _read_frame_number(query)
        state = read_companion(query, path, "presentation", excludes=_NOT_WITH_A_STATE)
        chooser = UriChooser(accepted, parameters, frame)
        validity = await self._answers.find_validity(request, path) if state is None else Validity()
        if validity.is_unchanged:
            return answer_unchanged(validity.headers)
        wanted = RenderRequest(path, chooser.decide, parameters, (frame,) if frame else (), state)
        pictures = self._backend.rendered.iter_pictures(wanted)
        warning = warn_of_annotations(unsupported, self._answers.find_url(request))
        return await send_pictures(request, pictures, chooser, self._answers, {**validity.headers, **warning})


class UriChooser(FormChooser):
    """Decides the form of the instance: one representation, ``image/jpeg`` where wildcards leave the choice.

    Parameters
    ----------
    frame_number
        0 where the request names none; a multi-frame image is then one telling frame, unless the client takes
        animations only.
    """

    def __init__(self, accepted: AcceptableRendered, parameters: RenderParameters, frame_number: int) -> None:
        super().__init__(accepted, parameters)
        self._frame_number = frame_number

    def decide(self, facts: InstanceFacts) -> Rendition:
        """The form of the instance.

        Raises
        ------
        NotAcceptable
            Nothing that can be made of it is acceptable as a single part.
        BadParameter
            A frame that is not there, of what has several (§9.5.2.1); as ``FormChooser.decide``.
        """
        if self._frame_number and not 1 < facts.frame_count >= self._frame_number:
            raise BadParameter("frameNumber", "the instance has no such frame, or only one")
        rendition = self._decide_moving(facts) or super().decide(facts)
        if not self.is_single_part:
            raise NotAcceptable(list_producible(facts), "the URI service gives single parts")
        return rendition

    def _decide_moving(self, facts: InstanceFacts) -> Rendition | None:
        """The form of what has several frames; None where it has not, or no still picture of it is wanted."""
        if not (self._frame_number or facts.category in (Category.MULTI_FRAME, Category.VIDEO)):
            return None
        try:
            form = self._choose(RenderedCategory.SINGLE_FRAME, STILLS, alone=True)
        except NotAcceptable:
            if self._frame_number:
                raise
            return None
        is_animation = form.media_type in ANIMATIONS and not self._frame_number
        return None if is_animation else self._accept(form, Showing.ONE_FRAME)


# --- parameters ---


def _read_path(query: Mapping[str, str], *names: str) -> ResourcePath:
    for name in names:
        if not is_valid_uid(query.get(name, "")):
            raise BadParameter(name, "not a UID" if name in query else "is missing")
    return ResourcePath(*(query[name] for name in names))


def _refuse_anonymization(query: Mapping[str, str]) -> None:
    """Anonymized instances are not made here.

    The Basic Profile comes with the Clean Pixel Data Option there (§9.4.1.2.1), which needs somebody, or something,
    that finds identity in pictures. What leaves without that is called anonymous and need not be.
    """
    if "anonymize" not in query:
        return
    if query["anonymize"] != "yes":
        raise BadParameter("anonymize", "must be yes")
    raise NotProvided("the gateway does not anonymize: it cannot tell whether pixels identify somebody")


def _asks_for_dicom(content_type: str | None, header: str | None) -> bool:
    """Which of both transactions it is (§9.3).

    Raises
    ------
    BadParameter
        `content_type` is no list of media types, or one with parameters that are not for this service; types of both
        transactions beside each other.
    NotAcceptable
        The Accept header excludes what contentType asks for.
    """
    accepted = parse_accept(header or "*/*")
    if content_type is None:
        return _is_dicom("Accept", accepted)
    wished = parse_accept(content_type)
    if not wished or any(item.media_type.has_wildcard for item in wished):
        raise BadParameter("contentType", "not a list of media types without wildcards")
    if any(item.media_type.parameter(name) is not None for item in wished for name in _FORBIDDEN):
        raise BadParameter("contentType", f"takes no {' and no '.join(_FORBIDDEN)}")
    if not _is_dicom("contentType", wished):
        return False
    if not any(item.q > 0 and item.covers(DICOM, multipart=False) for item in accepted):
        raise NotAcceptable([DICOM], "contentType and the Accept header exclude each other")
    return True


def _is_dicom(name: str, ranges: Sequence[MediaRange]) -> bool:
    named = {item.media_type.essence for item in ranges if item.q > 0 and not item.media_type.has_wildcard}
    if DICOM in named and named & _RENDERED:
        raise BadParameter(name, "DICOM and rendered media types exclude each other (PS3.18 §8.7.5)")
    return DICOM in named


def _read_transfer_syntax(query: Mapping[str, str]) -> str:
    """The transfer syntax asked for, ``*`` for the stored one, "" where none is.

    Raises
    ------
    BadParameter
        Not a UID.
    NotAcceptable
        One that never leaves by HTTP (§8.7.3).
    """
    asked = query.get("transferSyntax")
    if asked is None:
        return ""
    if asked != "*" and not is_valid_uid(asked):
        raise BadParameter("transferSyntax", "not a UID")
    if asked in _NEVER_SENT:
        raise NotAcceptable([f"{DICOM}; transfer-syntax={EXPLICIT_VR_LE}"], "never sent in this transfer syntax")
    return asked


def read_look(query: Mapping[str, str]) -> tuple[RenderParameters, tuple[str, ...]]:
    """Read how a picture shall look, and the annotation keywords that are not supported.

    Raises
    ------
    BadParameter
        A parameter breaks its grammar, or comes without its partner.
    """
    name = "annotation" if "annotation" in query else "imageAnnotation"
    supported, unsupported = parse_annotation(query[name], name) if name in query else ((), ())
    parameters = RenderParameters(
        viewport=parse_size(query.get("rows"), query.get("columns")),
        region=parse_region(query["region"]) if "region" in query else None,
        window=parse_window_center_width(query.get("windowCenter"), query.get("windowWidth")),
        quality=parse_quality(query["imageQuality"], "imageQuality") if "imageQuality" in query else None,
        annotation=supported,
    )
    return parameters, unsupported


def _read_frame_number(query: Mapping[str, str]) -> int:
    text = query.get("frameNumber")
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS and int(text) > 0):
        raise BadParameter("frameNumber", "must be a positive integer")
    return int(text)
