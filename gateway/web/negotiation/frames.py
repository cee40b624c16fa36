"""Frames, pixel data and bulk data (PS3.18 §10.4.3.3.5, §10.4.3.3.6, Tables 8.7.3-4 and 8.7.3-5).

As with instances, the form is decided when the stored one is known (`AcceptableFrames.choose`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.codecs.document_types import DOCUMENT_TYPES
from gateway.codecs.media_types import format_media_type
from gateway.codecs.transfer_syntax import COMPRESSED, EXPLICIT_VR_LE, get_transfer_syntax
from gateway.errors import NotAcceptable
from gateway.web.negotiation.accepted import OCTET_STREAM, Accepted, Offer, format_offer, read_request

__all__ = ["AcceptableFrames", "FrameRepresentation", "negotiate_frames"]


@dataclass(frozen=True, slots=True)
class FrameRepresentation:
    """The form in which frames or one bulk data value are sent; a document has no transfer syntax."""

    media_type: str
    transfer_syntax: str | None
    single_part: bool

    @property
    def content_type(self) -> str:
        """For the parts, or for the whole response; viewers rely on the transfer syntax in it."""
        if self.transfer_syntax is None:
            return self.media_type
        return format_media_type(self.media_type, (("transfer-syntax", self.transfer_syntax),))


@dataclass(frozen=True, slots=True)
class AcceptableFrames:
    """What a client takes of frames and bulk data; decided when the stored transfer syntax is known."""

    _accepted: Accepted

    def choose(
        self,
        stored_transfer_syntax: str,
        frame_count: int,
        document_type: str | None = None,
        targets: Sequence[str] = (),
    ) -> FrameRepresentation:
        """Decide the form of pixel data, or of a bulk data value, that the archive delivers in a transfer syntax.

        Parameters
        ----------
        stored_transfer_syntax : str
            Of the data set. For a bulk data value that is not encapsulated pixel data: Explicit VR LE.
        frame_count : int
            How many representations will be sent; only one may be a single part. A video is one.
        document_type : str, optional
            Media type of an encapsulated document. It is sent as that where it is named, else as octets.
        targets : sequence of str, optional
            Transfer syntaxes that the frames can be converted into, best first; one of them is chosen only where the
            stored form is not acceptable.

        Raises
        ------
        NotAcceptable
            The client does not take the stored form.
        """
        offers = _frame_offers(stored_transfer_syntax, frame_count)
        if document_type is not None:
            offers += _document_offers(document_type, frame_count)
        converted = _list_offers(targets, frame_count)
        best = self._accepted.best(offers) or self._accepted.best_conversion(converted)
        if best is None:
            available = [format_offer(offer) for offer in (*offers, *converted)]
            raise NotAcceptable(available, "the value is stored in another form")
        if best.transfer_syntax is None:
            return FrameRepresentation(best.essence, None, single_part=not best.multipart)
        media_type = get_transfer_syntax(best.transfer_syntax).media_type or OCTET_STREAM
        return FrameRepresentation(media_type, best.transfer_syntax, single_part=not best.multipart)

    def takes_conversion(self, targets: Sequence[str], frame_count: int) -> bool:
        """Whether frames converted into one of `targets` would be acceptable."""
        return self._accepted.best_conversion(_list_offers(targets, frame_count)) is not None


def negotiate_frames(
    header: str | None, parameter: str | None, *, frame_count: int, require_accept: bool, documents: bool = False
) -> AcceptableFrames:
    """Decide what a client takes of frames, pixel data or a bulk data value (PS3.18 §10.4.4).

    Parameters
    ----------
    header, parameter, require_accept
        As in ``read_request``.
    frame_count : int
        How many representations the request names, 1 for a bulk data value.
    documents : bool
        Whether it may be an encapsulated document, which has a media type of its own.

    Raises
    ------
    NotAcceptable, BadParameter
        No stored form whatever would be acceptable; as ``read_request``.
    """
    possible = _list_offers(_PIXEL_SYNTAXES, frame_count)
    if documents:
        possible += [offer for name in DOCUMENT_TYPES.values() for offer in _document_offers(name, frame_count)]
    available = list(dict.fromkeys(format_offer(offer) for offer in possible if offer.multipart))
    accepted = read_request(header, parameter, require_accept, available)
    if accepted.best(possible) is None:
        raise NotAcceptable(available)
    return AcceptableFrames(accepted)


_PIXEL_SYNTAXES = (EXPLICIT_VR_LE, *COMPRESSED)


def _frame_offers(stored_transfer_syntax: str, frame_count: int) -> list[Offer]:
    syntax = get_transfer_syntax(stored_transfer_syntax)
    sent = EXPLICIT_VR_LE if syntax.is_uncompressed else syntax.uid
    essence = (syntax.media_type or OCTET_STREAM).lower()
    return [Offer(essence, multipart, sent) for multipart in ((True, False) if frame_count == 1 else (True,))]


def _list_offers(transfer_syntaxes: Sequence[str], frame_count: int) -> list[Offer]:
    return [offer for uid in transfer_syntaxes for offer in _frame_offers(uid, frame_count)]


def _document_offers(media_type: str, count: int) -> list[Offer]:
    return [Offer(media_type, multipart) for multipart in ((True, False) if count == 1 else (True,))]
