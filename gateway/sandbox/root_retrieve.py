"""Composite Instance Root Retrieve and Retrieve Without Bulk Data, for C-GET (PS3.4 Annexes Y and Z).

Selects what a request names, and makes of it what is sent: frames taken out of an instance, which become an instance
of their own (§Y.3.2.1), or an instance without its bulk values (Table Z.1-1). ``retrieve`` runs the operation.
"""

from __future__ import annotations

from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, generate_uid
from pynetdicom.dsutils import decode
from pynetdicom.presentation import PresentationContext

from gateway.sandbox.identifiers import IdentifierError
from gateway.sandbox.index import StoredInstance
from gateway.sandbox.negotiation import COMPOSITE_ROOT_GET
from gateway.sandbox.session import Session

__all__ = ["alter_instance", "select_named"]

_LEVELS = {COMPOSITE_ROOT_GET: ("IMAGE", "FRAME")}
_PIXEL_DATA = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_OMITTED = {*_PIXEL_DATA, 0x00420011, 0x54001010, 0x56000020}
_OVERLAY_DATA, _OVERLAY_GROUPS = 0x3000, range(0x6000, 0x6020, 2)


def select_named(session: Session, request: Any, context: PresentationContext) -> tuple[list[StoredInstance], Dataset]:
    """Return the instances that a request names, and its identifier.

    Raises
    ------
    IdentifierError
        Another level than the model has, no SOP Instance UID, or frames of more or less than one instance.
    """
    syntax = context.transfer_syntax[0]
    identifier = decode(request.Identifier, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    level = identifier.get("QueryRetrieveLevel", "")
    named = identifier.get("SOPInstanceUID") or ()
    uids = [str(named)] if isinstance(named, str) else [str(uid) for uid in named]
    if level not in _LEVELS.get(str(request.AffectedSOPClassUID), ("IMAGE",)) or not uids:
        raise IdentifierError("level or unique key")
    if (level == "FRAME") != ("SimpleFrameList" in identifier) or (level == "FRAME" and len(uids) != 1):
        raise IdentifierError("frames")
    return session.state.index.select({"sop_instance_uid": uids}), identifier


def alter_instance(instance: StoredInstance, model: str, identifier: Dataset) -> Dataset | None:
    """Make what is sent of `instance`; None where it is sent as it is.

    Raises
    ------
    IndexError
        A frame that it does not have.
    """
    if model != COMPOSITE_ROOT_GET:
        return _leave_out_bulk_data(pydicom.dcmread(instance.path))
    if identifier.QueryRetrieveLevel == "IMAGE":
        return None
    frames = identifier.SimpleFrameList
    numbers = [int(frames)] if isinstance(frames, int) else [int(number) for number in frames]
    return _extract_frames(pydicom.dcmread(instance.path), numbers)


def _leave_out_bulk_data(data_set: Dataset) -> Dataset:
    for element in list(data_set):
        tag = int(element.tag)
        is_overlay = tag >> 16 in _OVERLAY_GROUPS and tag & 0xFFFF == _OVERLAY_DATA
        if tag in _OMITTED or is_overlay:
            del data_set[tag]
        elif element.VR == "SQ":
            for item in element.value:
                _leave_out_bulk_data(item)
    return data_set


def _extract_frames(data_set: Dataset, numbers: list[int]) -> Dataset:
    syntax = UID(data_set.file_meta.TransferSyntaxUID)
    count = int(data_set.get("NumberOfFrames") or 1)
    if syntax.is_encapsulated:
        frames = list(generate_frames(data_set.PixelData, number_of_frames=count))
        data_set.PixelData = encapsulate([frames[number - 1] for number in numbers])
    else:
        size = len(data_set.PixelData) // count
        if max(numbers) > count:
            raise IndexError("no such frame")
        data_set.PixelData = b"".join(data_set.PixelData[size * (n - 1) : size * n] for n in numbers)
    data_set.NumberOfFrames = len(numbers)
    source = Dataset()
    source.MultiFrameSourceSOPInstanceUID = data_set.SOPInstanceUID
    source.SimpleFrameList = numbers
    data_set.FrameExtractionSequence = [source]
    data_set.SOPInstanceUID = generate_uid(entropy_srcs=[str(data_set.SOPInstanceUID), str(numbers)])
    return data_set
