"""Pictures and readable documents: which rendered media type a client gets (PS3.18 §8.7.4, Table 8.7.4-1).

The category of an instance shows only when it has arrived, and what can be made of it too, so that the answer is an
object that decides then (`AcceptableRendered.choose`). The handlers of rendered resources, thumbnails and the URI
service call this.

A resource that is one picture by nature is sent as a single part, even where ``*/*`` would allow a multipart. The
frames of a multi-frame instance are parts of a multipart, or one animation; a client that names a single still
picture of it gets one frame that stands for all, as viewers expect that show it as a thumbnail.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from gateway.codecs.media_types import MediaRange
from gateway.errors import NotAcceptable
from gateway.web.negotiation.accepted import Accepted, Kind, Offer, format_offer, read_request

__all__ = [
    "RENDERED_TYPES",
    "AcceptableRendered",
    "RenderedCategory",
    "RenderedRepresentation",
    "RenderedScope",
    "negotiate_rendered",
]


class RenderedCategory(Enum):
    """Resource Categories that have renderings (Table 8.7.2-1)."""

    SINGLE_FRAME = "an image with one frame, or one frame of an image"
    MULTI_FRAME = "an image with several frames"
    VIDEO = "a video"
    TEXT = "a report or an encapsulated document"


class RenderedScope(Enum):
    """How much one representation shows."""

    EACH_FRAME = "one frame; there is one representation for each"
    WHOLE = "everything: an animation, a video, a document"
    ONE_FRAME = "one frame, which stands for all others"


@dataclass(frozen=True, slots=True)
class RenderedRepresentation:
    """The form of a rendering; `scope` is EACH_FRAME for an image with one frame."""

    media_type: str
    single_part: bool
    scope: RenderedScope


_STILL = ("image/jpeg", "image/png", "image/gif", "image/jp2", "image/jph", "image/jxl")
_MOVING = ("image/gif", "video/mp4")
_VIDEO = ("video/mp4", "video/mpeg", "video/h265")
_TEXT = ("text/html", "text/plain", "text/xml", "text/rtf", "application/pdf")

RENDERED_TYPES: dict[RenderedCategory, tuple[str, ...]] = {
    RenderedCategory.SINGLE_FRAME: _STILL,
    RenderedCategory.MULTI_FRAME: tuple(dict.fromkeys((*_STILL, *_MOVING))),
    RenderedCategory.VIDEO: (*_VIDEO, *_STILL),
    RenderedCategory.TEXT: _TEXT,
}
"""Media types of Table 8.7.4-1 by category, the one of choice first."""

_SINGLE, _MULTI = (False,), (True,)
_Row = tuple[RenderedScope, tuple[str, ...], tuple[bool, ...]]
_ALONE: dict[RenderedCategory, tuple[_Row, ...]] = {  # scope, media types, framings; in our order of preference
    RenderedCategory.SINGLE_FRAME: ((RenderedScope.EACH_FRAME, _STILL, _SINGLE + _MULTI),),
    RenderedCategory.MULTI_FRAME: (
        (RenderedScope.EACH_FRAME, _STILL, _MULTI),
        (RenderedScope.WHOLE, _MOVING, _SINGLE),
        (RenderedScope.ONE_FRAME, _STILL, _SINGLE),
        (RenderedScope.WHOLE, _MOVING, _MULTI),
    ),
    RenderedCategory.VIDEO: (
        (RenderedScope.WHOLE, _VIDEO, _SINGLE + _MULTI),
        (RenderedScope.ONE_FRAME, _STILL, _SINGLE),
        (RenderedScope.EACH_FRAME, _STILL, _MULTI),
    ),
    RenderedCategory.TEXT: ((RenderedScope.WHOLE, _TEXT, _SINGLE + _MULTI),),
}
_NO_SYNTAX = "transfer-syntax"  # no rendered type has this parameter: a range with it is invalid (§8.7.4)


@dataclass(frozen=True, slots=True)
class AcceptableRendered:
    """What a client takes of a rendered resource."""

    _accepted: Accepted

    def choose(
        self, category: RenderedCategory, *, alone: bool, producible: Collection[str] | None = None
    ) -> RenderedRepresentation:
        """Decide the form in which one instance, or one frame of it, is rendered.

        Parameters
        ----------
        category : RenderedCategory
            SINGLE_FRAME for one chosen frame of any image.
        alone : bool
            Whether it is all that the request asks for, so that it may be a single part. False for the instances of
            a study or series, and for several frames.
        producible : collection of str, optional
            Media types in lower case that can be made of this instance; None for those of `RENDERED_TYPES`.

        Raises
        ------
        NotAcceptable
            With what would be possible.
        """
        offers = _list_offers(category, alone, producible)
        best = self._accepted.best(list(offers))
        if best is None:
            raise NotAcceptable(list(dict.fromkeys(map(format_offer, offers))), "no acceptable rendering")
        return RenderedRepresentation(best.essence, not best.multipart, offers[best])


def negotiate_rendered(header: str | None, parameter: str | None, *, require_accept: bool) -> AcceptableRendered:
    """Decide what a client takes of rendered resources and thumbnails (PS3.18 §10.4.4).

    A range with a ``transfer-syntax`` is passed over, since no rendered type has one. Arguments are those of
    ``read_request``.

    Raises
    ------
    NotAcceptable, BadParameter
        No rendered type whatever is acceptable; as ``read_request``.
    """
    possible = {offer for category in RenderedCategory for offer in _list_offers(category, True, None)}
    available = sorted({format_offer(offer) for offer in possible if not offer.multipart})
    read = read_request(header, parameter, require_accept, available, Kind.RENDERED)
    accepted = Accepted(tuple(tuple(filter(_is_valid, ranges)) for ranges in read.lists))
    if accepted.best(sorted(possible, key=format_offer)) is None:
        raise NotAcceptable(available)
    return AcceptableRendered(accepted)


def _is_valid(item: MediaRange) -> bool:
    return item.media_type.parameter(_NO_SYNTAX) is None


def _list_offers(
    category: RenderedCategory, alone: bool, producible: Collection[str] | None
) -> dict[Offer, RenderedScope]:
    """What could be sent, in our order; the scope of each. Of two scopes with the same offer the first counts."""
    offers: dict[Offer, RenderedScope] = {}
    for scope, types, framings in _ALONE[category]:
        # what may be made beyond the table (an encapsulated document in its own type) comes first
        own = tuple(name for name in producible or () if scope is RenderedScope.WHOLE and name not in _KNOWN)
        for essence in (*own, *types):
            for multipart in framings:
                if (alone or multipart) and (producible is None or essence in producible):
                    offers.setdefault(Offer(essence, multipart), scope)
    return offers


_KNOWN = frozenset(name for types in RENDERED_TYPES.values() for name in types)
