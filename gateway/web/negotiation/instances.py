"""Instances: which transfer syntaxes a client takes them in, and in which frame (Table 10.4.4-1, PS3.18 §8.7.3.1).

What can be sent depends on how the archive stored them, which shows only when the first bytes arrive. So the answer
is an object that decides when that is known (`AcceptableInstances.choose`).
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.codecs.media_types import MULTIPART_RELATED, MediaRange, format_media_type
from gateway.codecs.transfer_syntax import EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE, get_transfer_syntax
from gateway.errors import NotAcceptable
from gateway.resources import Level, is_valid_uid
from gateway.web.negotiation.accepted import DICOM, Accepted, Offer, read_request

__all__ = ["AcceptableInstances", "InstanceChoice", "InstanceRepresentation", "negotiate_instances"]

_NEVER_SENT = frozenset({IMPLICIT_VR_LE, EXPLICIT_VR_BE})  # PS3.18 §8.7.3


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
        best = self._accepted.best([Offer(DICOM, multipart, sent) for multipart in self._forms])
        if best is None:
            raise NotAcceptable(_instance_types(sent), "the instance is stored in another transfer syntax")
        return InstanceRepresentation(sent, single_part=not best.multipart)


def negotiate_instances(
    header: str | None, parameter: str | None, *, level: Level, require_accept: bool
) -> AcceptableInstances:
    """Decide what a client takes of a study, a series or an instance (PS3.18 §10.4.4).

    Parameters
    ----------
    header, parameter, require_accept
        As in ``read_request``.
    level : Level
        Only an instance is a single item by nature and may be a single part (Table 10.4.4-1 note 3).

    Raises
    ------
    NotAcceptable, BadParameter
        Nothing we produce is acceptable; as ``read_request``.
    """
    available = _instance_types("*")
    accepted = read_request(header, parameter, require_accept, available)
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
