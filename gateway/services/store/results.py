"""What became of the instances of one store request, and the module that says so (PS3.18 §10.5.3, Annex I).

Pure values and pure functions; the HTTP status that follows from them is decided in ``web``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.errors import GatewayError
from gateway.resources import ResourcePath

__all__ = [
    "Failed",
    "Stored",
    "StoreResult",
    "Unreadable",
    "describe_results",
    "encode_results",
    "find_study_url",
]

CANNOT_UNDERSTAND = 0xC000
OTHER_STUDY = 0xA900
OUT_OF_RESOURCES = 0xA700
PROCESSING_FAILURE = 0x0110
DUPLICATE_INSTANCE = 0x0111
COERCED = 0xB000
CLASS_NOT_SUPPORTED = 0x0122
TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122


@dataclass(frozen=True, slots=True)
class Stored:
    """The archive acknowledged the instance; `warning` is its status where that was a warning (Table I.2-1).

    `originals` is the item of Original Attributes Sequence (0400,0561) in the DICOM JSON Model, where attributes were
    given other values on the way.
    """

    path: ResourcePath
    sop_class_uid: str
    warning: int | None = None
    originals: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The instance was not stored; `reason` is the Failure Reason (0008,1197), Table I.2-2.

    `error` is what stood in its way where that was no fault of the instance: a broken association, a limit of size.
    """

    sop_class_uid: str
    sop_instance_uid: str
    reason: int
    error: GatewayError | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A part that is no instance; it goes to Other Failures Sequence (0008,119A)."""

    reason: int = CANNOT_UNDERSTAND


StoreResult = Stored | Failed | Unreadable


def describe_results(results: Iterable[StoreResult], base_url: str) -> dict[str, Any]:
    """The Store Instances Response Module in the DICOM JSON Model, one data set (Table I.1-1).

    Parameters
    ----------
    base_url
        Absolute URL of the service root, for Retrieve URLs.
    """
    attributes = ((tag, vr, list(values)) for tag, vr, values in _iter_attributes(results, base_url))
    return {tag: {"vr": vr, "Value": values} if values else {"vr": vr} for tag, vr, values in attributes}


def encode_results(results: Iterable[StoreResult], base_url: str) -> bytearray:
    """The same as a JSON document, written item by item: of 10,000 the model would take a multiple of the text."""
    document = bytearray()
    for tag, vr, values in _iter_attributes(results, base_url):
        document += b'%c"%b":{"vr":"%b"' % (b"," if document else b"{", tag.encode(), vr.encode())
        opening = b',"Value":['
        for value in values:
            document += opening
            document += orjson.dumps(value)
            opening = b","
        document += b"}" if opening != b"," else b"]}"
    document += b"}"
    return document


def find_study_url(results: Iterable[StoreResult], base_url: str) -> str:
    """The Retrieve URL of the study that holds everything stored; empty where there is none or are several."""
    studies = {result.path.study for result in results if isinstance(result, Stored)}
    return f"{base_url}/studies/{studies.pop()}" if len(studies) == 1 else ""


def _iter_attributes(
    results: Iterable[StoreResult], base_url: str
) -> Iterator[tuple[str, str, Iterable[str | dict[str, Any]]]]:
    """Tag, VR and values of each attribute of the module, tags ascending."""
    results = list(results)
    failed = [result for result in results if isinstance(result, Failed)]
    stored = [result for result in results if isinstance(result, Stored)]
    unreadable = [result for result in results if isinstance(result, Unreadable)]
    yield "00081190", "UR", filter(None, [find_study_url(stored, base_url)])
    if failed:
        yield "00081198", "SQ", map(_describe_failed, failed)
    if stored:
        yield "00081199", "SQ", (_describe_stored(result, base_url) for result in stored)
    if unreadable:
        yield "0008119A", "SQ", ({"00081197": _us(result.reason)} for result in unreadable)


def _describe_failed(result: Failed) -> dict[str, Any]:
    return {
        "00081150": _ui(result.sop_class_uid),
        "00081155": _ui(result.sop_instance_uid),
        "00081197": _us(result.reason),
    }


def _describe_stored(result: Stored, base_url: str) -> dict[str, Any]:
    item: dict[str, Any] = {
        "00081150": _ui(result.sop_class_uid),
        "00081155": _ui(result.path.instance or ""),
        "00081190": {"vr": "UR", "Value": [f"{base_url}{result.path.url_path}"]},
    }
    if result.warning is not None:
        item["00081196"] = _us(result.warning)
    if result.originals is not None:
        item["04000561"] = {"vr": "SQ", "Value": [result.originals]}
    return item


def _ui(uid: str) -> dict[str, Any]:
    return {"vr": "UI", "Value": [uid]}


def _us(value: int) -> dict[str, Any]:
    return {"vr": "US", "Value": [value]}
