"""What a request accepts, against what each kind of resource can be (PS3.18 §8.7.5–8.7.8, Table 10.4.4-1).

Text of the Accept header and of the ``accept`` query parameter in, small frozen values out, or one of the
exceptions that become 400, 406 and 415. No request objects: the handlers of ``gateway/web`` call this. What the
words mean is ``gateway/codecs/media_types.py``.

Two lists may speak for a client. Members of the query parameter come first, as far as the header agrees with
them, then those of the header (§8.7.8.1). Within a list the most specific member decides the weight of each thing
we could send; the highest weight wins, and between equals the more exact wish, then our own order.

Instances and frames are the special case: what can be sent depends on how the archive stored them, which shows
only when the first bytes arrive. There the answer is an object that decides when that is known (`choose`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from urllib.parse import unquote

from gateway.codecs.media_types import (
    MULTIPART_RELATED,
    MediaRange,
    MediaType,
    format_media_type,
    parse_accept,
    parse_media_type,
)
from gateway.codecs.transfer_syntax import (
    COMPRESSED,
    EXPLICIT_VR_BE,
    EXPLICIT_VR_LE,
    IMPLICIT_VR_LE,
    get_transfer_syntax,
)
from gateway.errors import BadParameter, DecodeError, MalformedBody, NotAcceptable, UnsupportedMediaType
from gateway.resources import Level, is_valid_uid

__all__ = [
    "AcceptableFrames",
    "AcceptableInstances",
    "DocumentForm",
    "DocumentRepresentation",
    "FrameRepresentation",
    "InstanceChoice",
    "InstanceRepresentation",
    "join_lines",
    "negotiate_frames",
    "negotiate_instances",
    "negotiate_metadata",
    "negotiate_search",
    "negotiate_store_response",
    "read_accept_parameter",
    "read_store_content_type",
]

DICOM = "application/dicom"
DICOM_JSON = "application/dicom+json"
DICOM_XML = "application/dicom+xml"
OCTET_STREAM = "application/octet-stream"

_NEVER_SENT = frozenset({IMPLICIT_VR_LE, EXPLICIT_VR_BE})  # PS3.18 §8.7.3
_DEFAULT_SYNTAXES = {  # what a media type without transfer-syntax means, PS3.18 Tables 8.7.3-2 and 8.7.3-5
    DICOM: EXPLICIT_VR_LE,
    OCTET_STREAM: EXPLICIT_VR_LE,
    "image/jpeg": "1.2.840.10008.1.2.4.70",
    "image/dicom-rle": "1.2.840.10008.1.2.5",
    "image/jls": "1.2.840.10008.1.2.4.80",
    "image/jp2": "1.2.840.10008.1.2.4.90",
    "image/jpx": "1.2.840.10008.1.2.4.92",
    "image/jphc": "1.2.840.10008.1.2.4.201",
    "image/jxl": "1.2.840.10008.1.2.4.110",
    "video/mpeg": "1.2.840.10008.1.2.4.101",
    "video/mp4": "1.2.840.10008.1.2.4.102",
    "video/h265": "1.2.840.10008.1.2.4.107",
}
_STORE_TYPES = (format_media_type(MULTIPART_RELATED, (("type", DICOM),)), DICOM)


# --- what both lists of a request say ---


@dataclass(frozen=True, slots=True)
class _Offer:
    """One thing that could be sent; `transfer_syntax` None where none applies."""

    essence: str
    multipart: bool
    transfer_syntax: str | None = None


@dataclass(frozen=True, slots=True)
class _Accepted:
    """The lists that speak for a client, the first to find something decides."""

    lists: tuple[tuple[MediaRange, ...], ...]

    def best(self, offers: Sequence[_Offer]) -> _Offer | None:
        """The best of `offers`, which stand in our own order of preference; None if none is acceptable."""
        for ranges in self.lists:
            ranked = [(*_weight(ranges, offer), -place) for place, offer in enumerate(offers)]
            weight, _, place = max(ranked, default=(0.0, (), 0))
            if weight > 0:
                return offers[-place]
        return None


def join_lines(lines: Sequence[str]) -> str | None:
    """The lines of a header whose value is a list, as one list (RFC 9110 §5.3); None if there is no line."""
    return ", ".join(lines) if lines else None


def read_accept_parameter(query_string: str) -> str | None:
    """Find ``accept`` in a raw query string (PS3.18 §8.3.3.1); None where it is absent.

    Percent-decoded once; a plus stays a plus, as in ``application/dicom+json``, where form decoding would make a
    blank of it (§8.3). Of several the first counts.
    """
    for pair in query_string.split("&"):
        name, _, value = pair.partition("=")
        if unquote(name) == "accept":
            return unquote(value)
    return None


def _read_request(
    header: str | None, parameter: str | None, require_accept: bool, available: Sequence[str]
) -> _Accepted:
    if header is None and require_accept:
        raise NotAcceptable(available, "the Accept header is missing (PS3.18 §8.7.5)")
    from_header = parse_accept(header) if header is not None and header.strip() else parse_accept("*/*")
    if parameter is None:
        return _Accepted((from_header,))
    wished = parse_accept(parameter)
    if not wished:
        raise BadParameter("accept", "not a list of media types")
    if any(item.media_type.has_wildcard for item in wished):
        raise BadParameter("accept", "wildcards are for the Accept header only")
    return _Accepted((tuple(item for item in wished if _is_compatible(item, from_header)), from_header))


def _is_compatible(wished: MediaRange, header: Sequence[MediaRange]) -> bool:
    media_type = wished.media_type
    essence, multipart = media_type.representation_type, media_type.is_multipart
    return any(item.q > 0 and item.covers(essence, multipart=multipart) for item in header)


def _weight(ranges: Sequence[MediaRange], offer: _Offer) -> tuple[float, tuple[int, int, int]]:
    """Weight and specificity of the most specific range that takes `offer`; weight 0 where none does."""
    matching = [(item.specificity, item.q) for item in ranges if _takes(item, offer)]
    specificity, q = max(matching, default=((0, 0, 0), 0.0))
    return q, specificity


def _takes(item: MediaRange, offer: _Offer) -> bool:
    if item.covers(offer.essence, multipart=offer.multipart):
        return offer.transfer_syntax is None or _takes_syntax(item.media_type, offer.transfer_syntax)
    return _takes_as_octets(item, offer)


def _takes_syntax(wanted: MediaType, transfer_syntax: str) -> bool:
    """Whether the ``transfer-syntax`` of a range, or its absence, allows `transfer_syntax` (§8.7.8.2)."""
    if wanted.transfer_syntax is not None:
        return wanted.transfer_syntax in ("*", transfer_syntax)
    if wanted.has_wildcard or _DEFAULT_SYNTAXES.get(wanted.representation_type) == transfer_syntax:
        return True
    # What exists in lossy form only may be sent so although the default is another syntax (§8.7.3.1).
    return get_transfer_syntax(transfer_syntax).lossy


def _takes_as_octets(item: MediaRange, offer: _Offer) -> bool:
    """Whether a client that names a syntax, or any, of octet-stream means the stored pixel data.

    Widespread viewers ask for ``application/octet-stream; transfer-syntax=*`` whatever the stored form is, and
    read the media type of the part that comes.
    """
    return (
        offer.essence in _DEFAULT_SYNTAXES
        and offer.essence != DICOM
        and item.media_type.transfer_syntax in ("*", offer.transfer_syntax)
        and item.covers(OCTET_STREAM, multipart=offer.multipart)
    )


# --- instances (Table 10.4.4-1, PS3.18 §8.7.3.1) ---


@dataclass(frozen=True, slots=True)
class InstanceChoice:
    """One form of instances that a client takes; `transfer_syntax` is a UID, or ``*`` for the stored one."""

    transfer_syntax: str
    single_part: bool


@dataclass(frozen=True, slots=True)
class InstanceRepresentation:
    """The form in which one instance is sent."""

    transfer_syntax: str
    single_part: bool

    @property
    def content_type(self) -> str:
        """For the part, or for the whole response: ``application/dicom; transfer-syntax=...``."""
        return format_media_type(DICOM, (("transfer-syntax", self.transfer_syntax),))


@dataclass(frozen=True, slots=True)
class AcceptableInstances:
    """What a client takes of instance resources.

    `choices` is what to ask the archive for, best first; `choose` says what to do with what it delivers.
    """

    choices: tuple[InstanceChoice, ...]
    _accepted: _Accepted
    _forms: tuple[bool, ...]

    def choose(self, delivered_transfer_syntax: str) -> InstanceRepresentation:
        """Decide the form for an instance that the archive delivers in a transfer syntax.

        Implicit VR, big endian and deflated data sets count as the Explicit VR LE they become on the way. A lossy
        syntax is sent as it is where the client named none (PS3.18 §8.7.3.1).

        Raises
        ------
        NotAcceptable
            The client takes neither this syntax nor what it becomes.
        """
        syntax = get_transfer_syntax(delivered_transfer_syntax)
        sent = EXPLICIT_VR_LE if syntax.is_uncompressed else syntax.uid
        best = self._accepted.best([_Offer(DICOM, multipart, sent) for multipart in self._forms])
        if best is None:
            raise NotAcceptable(_instance_types(sent), "the instance is stored in another transfer syntax")
        return InstanceRepresentation(sent, single_part=not best.multipart)


def negotiate_instances(
    header: str | None, parameter: str | None, *, level: Level, require_accept: bool
) -> AcceptableInstances:
    """Decide what a client takes of a study, a series or an instance (PS3.18 §10.4.4).

    Parameters
    ----------
    header, parameter : str or None
        The Accept header, and the ``accept`` query parameter from `read_accept_parameter`; None if absent.
    level : Level
        Only an instance is a single item by nature and may be a single part (Table 10.4.4-1 note 3).
    require_accept : bool
        Whether a missing header is refused (PS3.18 §8.7.5) or means ``*/*`` (RFC 9110 §12.5.1).

    Raises
    ------
    NotAcceptable, BadParameter
        Nothing we produce is acceptable; a malformed ``accept`` parameter.
    """
    available = _instance_types("*")
    accepted = _read_request(header, parameter, require_accept, available)
    forms = (True, False) if level is Level.IMAGE else (True,)
    choices = tuple(
        dict.fromkeys(
            InstanceChoice(syntax, single_part=not multipart)
            for ranges in accepted.lists
            for item in sorted(ranges, key=_by_preference)
            for syntax in _wanted_syntaxes(item)
            for multipart in forms
            if item.covers(DICOM, multipart=multipart)
        )
    )
    if not choices:
        raise NotAcceptable(available)
    return AcceptableInstances(choices, accepted, forms)


def _by_preference(item: MediaRange) -> tuple[float, tuple[int, ...]]:
    return -item.q, tuple(-number for number in item.specificity)


def _wanted_syntaxes(item: MediaRange) -> tuple[str, ...]:
    """The transfer syntaxes a range of instances asks for, best first."""
    wanted = item.media_type.transfer_syntax
    if item.q == 0 or wanted in _NEVER_SENT:
        return ()
    if wanted is None:
        return (EXPLICIT_VR_LE, "*") if item.media_type.has_wildcard else (EXPLICIT_VR_LE,)
    return (wanted,) if wanted == "*" or is_valid_uid(wanted) else ()


def _instance_types(transfer_syntax: str) -> list[str]:
    parameters = (("type", DICOM), ("transfer-syntax", transfer_syntax))
    return [format_media_type(MULTIPART_RELATED, parameters)]


# --- frames, pixel data and bulk data (PS3.18 §10.4.3.3.5, §10.4.3.3.6, Tables 8.7.3-4 and 8.7.3-5) ---


@dataclass(frozen=True, slots=True)
class FrameRepresentation:
    """The form in which frames or one bulk data value are sent."""

    media_type: str
    transfer_syntax: str
    single_part: bool

    @property
    def content_type(self) -> str:
        """For the parts, or for the whole response; viewers rely on the transfer syntax in it."""
        return format_media_type(self.media_type, (("transfer-syntax", self.transfer_syntax),))


@dataclass(frozen=True, slots=True)
class AcceptableFrames:
    """What a client takes of frames and bulk data; decided when the stored transfer syntax is known."""

    _accepted: _Accepted

    def choose(self, stored_transfer_syntax: str, frame_count: int) -> FrameRepresentation:
        """Decide the form of pixel data that the archive delivers in a transfer syntax.

        Parameters
        ----------
        stored_transfer_syntax : str
            Of the data set. For a bulk data value that is not encapsulated pixel data: Explicit VR LE.
        frame_count : int
            How many representations will be sent; only one may be a single part. A video is one.

        Raises
        ------
        NotAcceptable
            The client does not take the stored form.
        """
        offers = _frame_offers(stored_transfer_syntax, frame_count)
        best = self._accepted.best(offers)
        if best is None or best.transfer_syntax is None:
            raise NotAcceptable([_format_offer(offer) for offer in offers], "the pixel data is stored in another form")
        media_type = get_transfer_syntax(best.transfer_syntax).media_type or OCTET_STREAM
        return FrameRepresentation(media_type, best.transfer_syntax, single_part=not best.multipart)


def negotiate_frames(
    header: str | None, parameter: str | None, *, frame_count: int, require_accept: bool
) -> AcceptableFrames:
    """Decide what a client takes of frames, pixel data or a bulk data value (PS3.18 §10.4.4).

    Parameters
    ----------
    header, parameter, require_accept
        As in `negotiate_instances`.
    frame_count : int
        How many representations the request names, 1 for a bulk data value.

    Raises
    ------
    NotAcceptable, BadParameter
        No stored form whatever would be acceptable; a malformed ``accept`` parameter.
    """
    possible = [offer for syntax in _PIXEL_SYNTAXES for offer in _frame_offers(syntax, frame_count)]
    available = list(dict.fromkeys(_format_offer(offer) for offer in possible if offer.multipart))
    accepted = _read_request(header, parameter, require_accept, available)
    if accepted.best(possible) is None:
        raise NotAcceptable(available)
    return AcceptableFrames(accepted)


_PIXEL_SYNTAXES = (EXPLICIT_VR_LE, *COMPRESSED)


def _frame_offers(stored_transfer_syntax: str, frame_count: int) -> list[_Offer]:
    syntax = get_transfer_syntax(stored_transfer_syntax)
    sent = EXPLICIT_VR_LE if syntax.is_uncompressed else syntax.uid
    essence = (syntax.media_type or OCTET_STREAM).lower()
    return [_Offer(essence, multipart, sent) for multipart in ((True, False) if frame_count == 1 else (True,))]


def _format_offer(offer: _Offer) -> str:
    syntax = (("transfer-syntax", offer.transfer_syntax),) if offer.transfer_syntax is not None else ()
    if not offer.multipart:
        return format_media_type(offer.essence, syntax)
    return format_media_type(MULTIPART_RELATED, (("type", offer.essence), *syntax))


# --- metadata, search results and store responses ---


class DocumentForm(Enum):
    """How DICOM JSON or Native XML documents are framed."""

    JSON = "one JSON document"
    XML_PARTS = "one XML document in each part of a multipart"
    XML_DOCUMENT = "one XML document"


@dataclass(frozen=True, slots=True)
class DocumentRepresentation:
    """The form of documents; `media_type` is that of the document or of each part."""

    form: DocumentForm
    media_type: str


_FORMS = {
    _Offer(DICOM_JSON, multipart=False): DocumentForm.JSON,
    _Offer("application/json", multipart=False): DocumentForm.JSON,  # the name before 2016, still sent
    _Offer(DICOM_XML, multipart=True): DocumentForm.XML_PARTS,
    _Offer(DICOM_XML, multipart=False): DocumentForm.XML_DOCUMENT,
}
_ONE_DOCUMENT = tuple(_FORMS)
_MANY_DOCUMENTS = tuple(offer for offer, form in _FORMS.items() if form is not DocumentForm.XML_DOCUMENT)


def negotiate_metadata(
    header: str | None, parameter: str | None, *, level: Level, require_accept: bool
) -> DocumentRepresentation:
    """Decide the form of metadata: JSON by default, else XML (PS3.18 Table 10.4.4-1).

    A bare XML document is given where the target is one instance. Arguments and exceptions are those of
    `negotiate_instances`.
    """
    offers = _ONE_DOCUMENT if level is Level.IMAGE else _MANY_DOCUMENTS
    return _negotiate_document(header, parameter, require_accept, offers)


def negotiate_search(header: str | None, parameter: str | None, *, require_accept: bool) -> DocumentRepresentation:
    """Decide the form of search results: JSON by default, else XML parts (PS3.18 §10.6.4)."""
    return _negotiate_document(header, parameter, require_accept, _MANY_DOCUMENTS)


def negotiate_store_response(
    header: str | None, parameter: str | None, *, require_accept: bool
) -> DocumentRepresentation:
    """Decide the form of the Store Instances Response Module: JSON by default, else XML (PS3.18 §10.5.4)."""
    return _negotiate_document(header, parameter, require_accept, _ONE_DOCUMENT)


@lru_cache(maxsize=64)  # clients ask the same way again and again
def _negotiate_document(
    header: str | None, parameter: str | None, require_accept: bool, offers: Sequence[_Offer]
) -> DocumentRepresentation:
    available = [_format_offer(offer) for offer in offers if offer.essence != "application/json"]
    best = _read_request(header, parameter, require_accept, available).best(offers)
    if best is None:
        raise NotAcceptable(available)
    return DocumentRepresentation(_FORMS[best], best.essence)


# --- what a store request carries ---


def read_store_content_type(content_type: str | None) -> str | None:
    """Read the Content-Type of a store request (PS3.18 Table 10.5.4-1).

    Returns
    -------
    str or None
        The boundary of a multipart of instances; None where the body is one instance.

    Raises
    ------
    UnsupportedMediaType
        Neither ``application/dicom`` nor a multipart of it.
    MalformedBody
        A multipart without boundary.
    """
    try:
        media_type = parse_media_type(content_type or "")
    except DecodeError as error:
        raise UnsupportedMediaType(content_type or "", _STORE_TYPES) from error
    if media_type.essence == DICOM:
        return None
    if media_type.essence != MULTIPART_RELATED or media_type.representation_type not in (DICOM, "*/*"):
        raise UnsupportedMediaType(content_type or "", _STORE_TYPES)
    boundary = media_type.parameter("boundary")
    if not boundary:
        raise MalformedBody("the Content-Type names no boundary")
    return boundary
