"""What both lists of a request say, and which of several offers suits them best (PS3.18 §8.3.3, §8.7.5, §8.7.8.1).

Two lists may speak for a client. Members of the ``accept`` query parameter come first, as far as the header agrees
with them, then those of the header. Within a list the most specific member decides the weight of each thing we could
send; the highest weight wins, and between equals the more exact wish, then our own order. Used by the other modules
of this package, which know what there is to offer.

DICOM and Rendered media types beside each other are refused (§8.7.5), read liberally: ``*/*`` in the list lifts it,
since it asks for nothing in particular; types of both kinds (``image/jpeg``, ``image/jp2``, ``image/jxl``, video) are
taken for the kind of the resource; and text beside DICOM types is the form of a status report (§8.6.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote

from gateway.codecs.compressed_types import DEFAULT_TRANSFER_SYNTAXES
from gateway.codecs.media_types import MULTIPART_RELATED, MediaRange, MediaType, format_media_type, parse_accept
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE, get_transfer_syntax
from gateway.errors import BadParameter, NotAcceptable

__all__ = [
    "DICOM",
    "DICOM_JSON",
    "DICOM_XML",
    "OCTET_STREAM",
    "ZIP",
    "Accepted",
    "Kind",
    "Offer",
    "format_offer",
    "join_lines",
    "read_accept_parameter",
    "read_request",
]

DICOM = "application/dicom"
DICOM_JSON = "application/dicom+json"
DICOM_XML = "application/dicom+xml"
OCTET_STREAM = "application/octet-stream"
ZIP = "application/zip"

_DEFAULT_SYNTAXES = {DICOM: EXPLICIT_VR_LE, OCTET_STREAM: EXPLICIT_VR_LE, **DEFAULT_TRANSFER_SYNTAXES}
_DICOM_TYPES = frozenset({DICOM, DICOM_JSON, DICOM_XML, OCTET_STREAM})
_STORED_IMAGES = frozenset({"image/jls", "image/dicom-rle", "image/jpx", "image/jphc"})
_RENDERED_IMAGES = frozenset({"image/gif", "image/png", "image/jph"})  # of Table 8.7.4-1, and of no other
_EITHER = frozenset({"image/jpeg", "image/jp2", "image/jxl", "video/mpeg", "video/mp4", "video/h265"})
_RENDERED_TEXT = frozenset({"text/html", "text/plain", "text/xml", "text/rtf", "application/pdf"})


class Kind(Enum):
    """What the representations of a resource are, as far as both kinds must not be asked for at once (§8.7.5)."""

    STORED = "DICOM media types"
    RENDERED = "Rendered media types"


_MIXTURES = {  # for each kind of resource, what must not stand beside what in one list
    Kind.STORED: (_RENDERED_IMAGES, _DICOM_TYPES | _STORED_IMAGES),
    Kind.RENDERED: (_RENDERED_IMAGES | _RENDERED_TEXT | _EITHER, _DICOM_TYPES),
}


@dataclass(frozen=True, slots=True)
class Offer:
    """One thing that could be sent; `transfer_syntax` None where none applies."""

    essence: str
    multipart: bool
    transfer_syntax: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The lists that speak for a client, the first to find something decides."""

    lists: tuple[tuple[MediaRange, ...], ...]

    def best(self, offers: Sequence[Offer]) -> Offer | None:
        """The best of `offers`, which stand in our own order of preference; None if none is acceptable."""
        for ranges in self.lists:
            ranked = [(*_weight(ranges, offer), -place) for place, offer in enumerate(offers)]
            weight, _, place = max(ranked, default=(0.0, (), 0))
            if weight > 0:
                return offers[-place]
        return None

    def best_conversion(self, offers: Sequence[Offer]) -> Offer | None:
        """As `best`, of what would have to be converted: into a lossy form only where that very form is named."""
        named = {item.media_type.transfer_syntax for ranges in self.lists for item in ranges}
        return self.best([one for one in offers if one.transfer_syntax in named or not _is_lossy(one)])


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


def read_request(
    header: str | None, parameter: str | None, require_accept: bool, available: Sequence[str], kind: Kind = Kind.STORED
) -> Accepted:
    """Read both lists.

    Parameters
    ----------
    header, parameter : str or None
        The Accept header, and the ``accept`` query parameter from `read_accept_parameter`; None if absent.
    require_accept : bool
        Whether a missing header is refused (PS3.18 §8.7.5) or means ``*/*`` (RFC 9110 §12.5.1).
    available : sequence of str
        What to name as possible where it is refused.
    kind : Kind
        Of the resource.

    Raises
    ------
    NotAcceptable
        The header is missing and required.
    BadParameter
        A malformed ``accept`` parameter; DICOM and Rendered media types in one list.
    """
    if header is None and require_accept:
        raise NotAcceptable(available, "the Accept header is missing (PS3.18 §8.7.5)")
    from_header = parse_accept(header) if header is not None and header.strip() else parse_accept("*/*")
    _refuse_mixture("Accept", from_header, kind)
    if parameter is None:
        return Accepted((from_header,))
    wished = parse_accept(parameter)
    if not wished:
        raise BadParameter("accept", "not a list of media types")
    if any(item.media_type.has_wildcard for item in wished):
        raise BadParameter("accept", "wildcards are for the Accept header only")
    _refuse_mixture("accept", wished, kind)
    return Accepted((tuple(item for item in wished if _is_compatible(item, from_header)), from_header))


def format_offer(offer: Offer) -> str:
    """Write an offer as the media type that would ask for it."""
    syntax = (("transfer-syntax", offer.transfer_syntax),) if offer.transfer_syntax is not None else ()
    if not offer.multipart:
        return format_media_type(offer.essence, syntax)
    return format_media_type(MULTIPART_RELATED, (("type", offer.essence), *syntax))


def _is_lossy(offer: Offer) -> bool:
    return offer.transfer_syntax is not None and get_transfer_syntax(offer.transfer_syntax).lossy


def _refuse_mixture(name: str, ranges: Sequence[MediaRange], kind: Kind) -> None:
    named = {item.media_type.representation_type for item in ranges if item.q > 0}
    if "*/*" not in named and all(named & types for types in _MIXTURES[kind]):
        raise BadParameter(name, "DICOM and rendered media types exclude each other (PS3.18 §8.7.5)")


def _is_compatible(wished: MediaRange, header: Sequence[MediaRange]) -> bool:
    media_type = wished.media_type
    essence, multipart = media_type.representation_type, media_type.is_multipart
    return any(item.q > 0 and item.covers(essence, multipart=multipart) for item in header)


def _weight(ranges: Sequence[MediaRange], offer: Offer) -> tuple[float, tuple[int, int, int]]:
    """Weight and specificity of the most specific range that takes `offer`; weight 0 where none does."""
    matching = [(item.specificity, item.q) for item in ranges if _takes(item, offer)]
    specificity, q = max(matching, default=((0, 0, 0), 0.0))
    return q, specificity


def _takes(item: MediaRange, offer: Offer) -> bool:
    if item.covers(offer.essence, multipart=offer.multipart):
        return offer.transfer_syntax is None or _takes_syntax(item.media_type, offer.transfer_syntax)
    return offer.transfer_syntax is not None and _takes_as_octets(item, offer)


def _takes_syntax(wanted: MediaType, transfer_syntax: str) -> bool:
    """Whether the ``transfer-syntax`` of a range, or its absence, allows `transfer_syntax` (§8.7.8.2)."""
    if wanted.transfer_syntax is not None:
        return wanted.transfer_syntax in ("*", transfer_syntax)
    if wanted.has_wildcard or _DEFAULT_SYNTAXES.get(wanted.representation_type, transfer_syntax) == transfer_syntax:
        return True
    # What exists in lossy form only may be sent so although the default is another syntax (§8.7.3.1).
    return get_transfer_syntax(transfer_syntax).lossy


def _takes_as_octets(item: MediaRange, offer: Offer) -> bool:
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
