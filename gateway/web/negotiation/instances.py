"""Instances: which transfer syntaxes a client takes them in, and in which frame (Table 10.4.4-1, PS3.18 §8.7.3.1).

Three frames: a multipart of files (or one file), a zip archive of files, and, as before 2016, their bulk data in a
multipart of octets (Table 10.4.4-1). A zip archive is no media type of the standard and is given only where it is
named; without a ``transfer-syntax`` its files are as the archive holds them.

What can be sent depends on how the archive stored them, which shows only when the first bytes arrive. So the answer
is an object that decides when that is known (`AcceptableInstances.choose`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from gateway.codecs.media_types import MULTIPART_RELATED, MediaRange, format_media_type
from gateway.codecs.transfer_syntax import EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE, get_transfer_syntax
from gateway.errors import NotAcceptable
from gateway.resources import Level, is_valid_uid
from gateway.web.negotiation.accepted import DICOM, OCTET_STREAM, ZIP, Accepted, Offer, read_request

__all__ = [
    "AcceptableInstances",
    "InstanceChoice",
    "InstanceFrame",
    "InstanceRepresentation",
    "negotiate_instance_frame",
    "negotiate_instances",
    "negotiate_zip",
]

_NEVER_SENT = frozenset({IMPLICIT_VR_LE, EXPLICIT_VR_BE})  # PS3.18 §8.7.3


class InstanceFrame(Enum):
    """What instances are sent in."""

    FILES = "a multipart of DICOM files, or one file"
    ZIP = "a zip archive of DICOM files"
    BULKDATA = "a multipart of their bulk data"


_MULTIPART, _SINGLE_PART = Offer(DICOM, multipart=True), Offer(DICOM, multipart=False)
_ZIP = Offer(ZIP, multipart=False)
_FRAMES = {
    _MULTIPART: InstanceFrame.FILES,
    _SINGLE_PART: InstanceFrame.FILES,
    _ZIP: InstanceFrame.ZIP,
    Offer(OCTET_STREAM, multipart=True): InstanceFrame.BULKDATA,
}


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
    _accepted: Accepted
    _forms: tuple[Offer, ...]

    def choose(self, delivered_transfer_syntax: str, targets: Sequence[str] = ()) -> InstanceRepresentation:
        """Decide the form for an instance that the archive delivers in a transfer syntax.

        Implicit VR, big endian and deflated data sets count as the Explicit VR LE they become on the way. A lossy
        syntax is sent as it is where the client named none (PS3.18 §8.7.3.1).

        Parameters
        ----------
        delivered_transfer_syntax : str
        targets : sequence of str, optional
            Transfer syntaxes that it can be converted into, best first; one of them is chosen only where the form
            delivered is not acceptable.

        Raises
        ------
        NotAcceptable
            The client takes neither this syntax nor what it becomes.
        """
        syntax = get_transfer_syntax(delivered_transfer_syntax)
        sent = EXPLICIT_VR_LE if syntax.is_uncompressed else syntax.uid
        best = self._accepted.best(self._offer((sent,))) or self._accepted.best_conversion(self._offer(targets))
        if best is None or best.transfer_syntax is None:
            available = [_dicom_type(uid) for uid in (sent, *targets)]
            raise NotAcceptable(available, "the instance is stored in another transfer syntax")
        return InstanceRepresentation(best.transfer_syntax, single_part=not best.multipart)

    def takes_conversion(self, targets: Sequence[str]) -> bool:
        """Whether something converted into one of `targets` would be acceptable."""
        return self._accepted.best_conversion(self._offer(targets)) is not None

    def _offer(self, transfer_syntaxes: Sequence[str]) -> list[Offer]:
        return [replace(form, transfer_syntax=uid) for uid in transfer_syntaxes for form in self._forms]


def negotiate_instance_frame(
    header: str | None, parameter: str | None, *, level: Level, require_accept: bool
) -> InstanceFrame:
    """Decide what a study, a series or an instance is sent in (PS3.18 Table 10.4.4-1).

    Parameters
    ----------
    header, parameter, require_accept
        As in ``read_request``.
    level : Level
        Only an instance is a single item by nature and may be a single part (Table 10.4.4-1 note 3).

    Raises
    ------
    NotAcceptable, BadParameter
        None is acceptable; as ``read_request``.
    """
    accepted = read_request(header, parameter, require_accept, _AVAILABLE)
    is_zip_named = any(item.media_type.essence == ZIP for ranges in accepted.lists for item in ranges)
    passed_over = (() if level is Level.IMAGE else (_SINGLE_PART,)) + (() if is_zip_named else (_ZIP,))
    best = accepted.best([offer for offer in _FRAMES if offer not in passed_over])
    if best is None:
        raise NotAcceptable(_AVAILABLE)
    return _FRAMES[best]


def negotiate_instances(
    header: str | None, parameter: str | None, *, level: Level, require_accept: bool
) -> AcceptableInstances:
    """Decide in which transfer syntaxes a client takes the files of a target (PS3.18 §10.4.4).

    Arguments are those of `negotiate_instance_frame`.

    Raises
    ------
    NotAcceptable, BadParameter
        Nothing we produce is acceptable; as ``read_request``.
    """
    accepted = read_request(header, parameter, require_accept, _AVAILABLE)
    forms = (_MULTIPART, _SINGLE_PART) if level is Level.IMAGE else (_MULTIPART,)
    choices = tuple(
        dict.fromkeys(
            InstanceChoice(syntax, single_part=not form.multipart)
            for ranges in accepted.lists
            for item in sorted(ranges, key=_by_preference)
            for syntax in _wanted_syntaxes(item)
            for form in forms
            if item.covers(DICOM, multipart=form.multipart)
        )
    )
    if not choices:
        raise NotAcceptable(_AVAILABLE)
    return AcceptableInstances(choices, accepted, forms)


def negotiate_zip(header: str | None, parameter: str | None, *, require_accept: bool) -> AcceptableInstances:
    """Decide in which transfer syntaxes a client takes the files in a zip archive.

    Arguments are those of `negotiate_instance_frame`, which has chosen the archive.

    Raises
    ------
    NotAcceptable, BadParameter
        As `negotiate_instances`.
    """
    accepted = read_request(header, parameter, require_accept, _AVAILABLE)
    choices = tuple(
        dict.fromkeys(
            InstanceChoice(syntax, single_part=True)
            for ranges in accepted.lists
            for item in sorted(ranges, key=_by_preference)
            if item.media_type.essence == ZIP
            for syntax in _wanted_syntaxes(item, by_default=("*",))
        )
    )
    if not choices:
        raise NotAcceptable(_AVAILABLE)
    return AcceptableInstances(choices, accepted, (_ZIP,))


def _by_preference(item: MediaRange) -> tuple[float, tuple[int, ...]]:
    return -item.q, tuple(-number for number in item.specificity)


def _wanted_syntaxes(item: MediaRange, by_default: tuple[str, ...] = (EXPLICIT_VR_LE,)) -> tuple[str, ...]:
    """The transfer syntaxes a range of instances asks for, best first."""
    wanted = item.media_type.transfer_syntax
    if item.q == 0 or wanted in _NEVER_SENT:
        return ()
    if wanted is None:
        return (EXPLICIT_VR_LE, "*") if item.media_type.has_wildcard else by_default
    return (wanted,) if wanted == "*" or is_valid_uid(wanted) else ()


def _dicom_type(transfer_syntax: str) -> str:
    return format_media_type(MULTIPART_RELATED, (("type", DICOM), ("transfer-syntax", transfer_syntax)))


_AVAILABLE = (_dicom_type("*"), ZIP, format_media_type(MULTIPART_RELATED, (("type", OCTET_STREAM),)))
