"""What an Accept header means for a retrieval, worked out once for each header.

A viewer sends the same header with every request for a frame, and finding out which of some forty transfer syntaxes
it takes costs more than anything else that the gateway does for one. Headers and their meaning are immutable, so the
last few are remembered. Pure; called by ``retrieve.py``. The rules are in ``negotiation/``.
"""

from __future__ import annotations

from functools import lru_cache

from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE
from gateway.errors import NotAcceptable
from gateway.resources import Level
from gateway.services.retrieve.transfer_demand import TransferDemand
from gateway.web.negotiation import (
    AcceptableFrames,
    AcceptableInstances,
    InstanceFrame,
    negotiate_frames,
    negotiate_instance_frame,
    negotiate_instances,
    negotiate_zip,
)

__all__ = ["demand_bulkdata", "demand_frames", "demand_instances", "demand_zip", "find_instance_frame"]

REMEMBERED = 64
"""Headers; each has up to 64 KiB, viewers use a handful of some 100 bytes."""


@lru_cache(REMEMBERED)
def demand_frames(
    header: str | None,
    parameter: str | None,
    *,
    frame_count: int,
    require_accept: bool,
    documents: bool = False,
    targets: tuple[str, ...] = (),
) -> tuple[AcceptableFrames, TransferDemand]:
    """What a client takes of frames, and what to ask an archive for; arguments and errors of ``negotiate_frames``.

    Where frames converted into one of `targets` are acceptable, whatever the archive holds will do in the end.
    """
    accepted = negotiate_frames(
        header, parameter, frame_count=frame_count, require_accept=require_accept, documents=documents
    )
    demand = TransferDemand.from_test(lambda uid: _takes_frames(accepted, uid, frame_count))
    return accepted, demand.or_anything() if accepted.takes_conversion(targets, frame_count) else demand


@lru_cache(REMEMBERED)
def demand_bulkdata(
    header: str | None, parameter: str | None, *, pixels_only: bool, require_accept: bool
) -> tuple[AcceptableFrames, TransferDemand]:
    """The same for all bulk data, or all pixel data, of a target; arguments and errors of ``negotiate_frames``.

    What is no pixel data has no other form than octets: a client that takes none of them is told so at once, unless
    it wants pixel data only. Instances without pixel data come in a native form, which is asked for then too; and in
    the end whatever the archive holds, so that what is not acceptable is told from what cannot be had.
    """
    accepted, demand = demand_frames(header, parameter, frame_count=2, require_accept=require_accept)
    if not pixels_only:
        accepted.choose(EXPLICIT_VR_LE, 2)
    elif not demand.admits(EXPLICIT_VR_LE):
        demand = TransferDemand((*demand.choices, (EXPLICIT_VR_LE,)), is_for_pixels=True)
    return accepted, demand.or_anything()


@lru_cache(REMEMBERED)
def find_instance_frame(
    header: str | None, parameter: str | None, *, level: Level, require_accept: bool
) -> InstanceFrame:
    """What instances are sent in; arguments and errors of ``negotiate_instance_frame``."""
    return negotiate_instance_frame(header, parameter, level=level, require_accept=require_accept)


@lru_cache(REMEMBERED)
def demand_instances(
    header: str | None, parameter: str | None, *, level: Level, require_accept: bool, targets: tuple[str, ...] = ()
) -> tuple[AcceptableInstances, TransferDemand]:
    """The same for instances; arguments and errors of ``negotiate_instances``."""
    accepted = negotiate_instances(header, parameter, level=level, require_accept=require_accept)
    return accepted, _demand_files(accepted, targets)


@lru_cache(REMEMBERED)
def demand_zip(
    header: str | None, parameter: str | None, *, require_accept: bool, targets: tuple[str, ...] = ()
) -> tuple[AcceptableInstances, TransferDemand]:
    """The same for the files of a ZIP archive; arguments and errors of ``negotiate_zip``."""
    accepted = negotiate_zip(header, parameter, require_accept=require_accept)
    return accepted, _demand_files(accepted, targets)


def _demand_files(accepted: AcceptableInstances, targets: tuple[str, ...]) -> TransferDemand:
    wishes = (choice.transfer_syntax for choice in accepted.choices)
    demand = TransferDemand.from_wishes(wishes, lambda uid: _takes(accepted, uid))
    return demand.or_anything() if accepted.takes_conversion(targets) else demand


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
