"""What an Accept header means for a retrieval, worked out once for each header.

A viewer sends the same header with every request for a frame, and finding out which of some forty transfer syntaxes
it takes costs more than anything else that the gateway does for one. Headers and their meaning are immutable, so the
last few are remembered. Pure; called by ``retrieve.py``. The rules are in ``negotiation/``.
"""

from __future__ import annotations

from functools import lru_cache

from gateway.errors import NotAcceptable
from gateway.resources import Level
from gateway.services.retrieve.transfer_demand import TransferDemand
from gateway.web.negotiation import AcceptableFrames, AcceptableInstances, negotiate_frames, negotiate_instances

__all__ = ["demand_frames", "demand_instances"]

REMEMBERED = 64
"""Headers; each has up to 64 KiB, viewers use a handful of some 100 bytes."""


@lru_cache(REMEMBERED)
def demand_frames(
    header: str | None, parameter: str | None, *, frame_count: int, require_accept: bool
) -> tuple[AcceptableFrames, TransferDemand]:
    """What a client takes of frames, and what to ask an archive for; arguments and errors of ``negotiate_frames``."""
    accepted = negotiate_frames(header, parameter, frame_count=frame_count, require_accept=require_accept)
    return accepted, TransferDemand.from_test(lambda uid: _takes_frames(accepted, uid, frame_count))


@lru_cache(REMEMBERED)
def demand_instances(
    header: str | None, parameter: str | None, *, level: Level, require_accept: bool
) -> tuple[AcceptableInstances, TransferDemand]:
    """The same for instances; arguments and errors of ``negotiate_instances``."""
    accepted = negotiate_instances(header, parameter, level=level, require_accept=require_accept)
    wishes = (choice.transfer_syntax for choice in accepted.choices)
    return accepted, TransferDemand.from_wishes(wishes, lambda uid: _takes(accepted, uid))


def _takes(accepted: AcceptableInstances, transfer_syntax_uid: str) -> bool:
    try:
        accepted.choose(transfer_syntax_uid)
    except NotAcceptable:
        return False
    return True


def _takes_frames(accepted: AcceptableFrames, transfer_syntax_uid: str, count: int) -> bool:
    try:
        accepted.choose(transfer_syntax_uid, count)
    except NotAcceptable:
        return False
    return True
