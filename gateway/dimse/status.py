"""DIMSE status codes: their category and what they mean, per service (PS3.7 Annex C, PS3.4 Annexes B, C).

Pure tables; the HTTP side of a status is decided in ``web``.
"""

from __future__ import annotations

from enum import Enum

__all__ = [
    "CANCEL",
    "PENDING",
    "PENDING_WITH_WARNING",
    "SUCCESS",
    "Category",
    "describe_status",
    "status_category",
]

SUCCESS = 0x0000
PENDING = 0xFF00
PENDING_WITH_WARNING = 0xFF01
CANCEL = 0xFE00
SUBOPERATIONS_FAILED = 0xB000
OUT_OF_RESOURCES = 0xA700
PROCESSING_FAILURE = 0x0110
NOT_AUTHORIZED = 0x0124
UNRECOGNIZED_OPERATION = 0x0211
CANNOT_UNDERSTAND = 0xC000


class Category(Enum):
    """The five kinds of status (PS3.7 §C.1)."""

    SUCCESS = "success"
    PENDING = "pending"
    WARNING = "warning"
    CANCEL = "cancel"
    FAILURE = "failure"


_CATEGORIES = {
    SUCCESS: Category.SUCCESS,
    PENDING: Category.PENDING,
    PENDING_WITH_WARNING: Category.PENDING,
    CANCEL: Category.CANCEL,
    0x0001: Category.WARNING,
    0x0107: Category.WARNING,
    0x0116: Category.WARNING,
}

_GENERAL = {
    0x0000: "success",
    0x0001: "requested optional attributes are not supported",
    0x0105: "no such attribute",
    0x0106: "invalid attribute value",
    0x0107: "attribute list error",
    0x0110: "processing failure",
    0x0111: "duplicate SOP instance",
    0x0112: "no such SOP instance",
    0x0113: "no such event type",
    0x0114: "no such argument",
    0x0115: "invalid argument value",
    0x0116: "attribute value out of range",
    0x0117: "invalid SOP instance",
    0x0118: "no such SOP class",
    0x0119: "class-instance conflict",
    0x0120: "missing attribute",
    0x0121: "missing attribute value",
    0x0122: "SOP class not supported",
    0x0123: "no such action",
    0x0124: "not authorized",
    0x0210: "duplicate invocation",
    0x0211: "unrecognized operation",
    0x0212: "mistyped argument",
    0x0213: "resource limitation",
    0xFE00: "cancelled",
    0xFF00: "pending",
    0xFF01: "pending, some keys not supported",
}

_SPECIFIC: dict[str, tuple[tuple[int, int, str], ...]] = {
    "C-STORE": (
        (0xB000, 0xB000, "data elements coerced"),
        (0xB006, 0xB006, "data elements discarded"),
        (0xB007, 0xB007, "data set does not match SOP class"),
        (0xA700, 0xA7FF, "out of resources"),
        (0xA900, 0xA9FF, "data set does not match SOP class"),
        (0xC000, 0xCFFF, "cannot understand"),
    ),
    "C-FIND": (
        (0xA710, 0xA710, "invalid prior record key"),
        (0xB001, 0xB001, "response limit reached, a further request may give more"),
        (0xA700, 0xA7FF, "out of resources"),
        (0xA900, 0xA9FF, "identifier does not match SOP class"),
        (0xC000, 0xCFFF, "unable to process"),
    ),
    "C-GET": (
        (0xA701, 0xA701, "out of resources, cannot calculate the number of matches"),
        (0xA702, 0xA702, "out of resources, cannot perform sub-operations"),
        (0xA700, 0xA7FF, "out of resources"),
        (0xA801, 0xA801, "move destination unknown"),
        (0xA900, 0xA9FF, "identifier does not match SOP class"),
        (0xAA00, 0xAA00, "none of the frames requested were found"),
        (0xAA01, 0xAA01, "unable to create new object for this SOP class"),
        (0xAA02, 0xAA02, "unable to extract frames"),
        (0xAA03, 0xAA03, "time-based request for a non-time-based SOP instance"),
        (0xAA04, 0xAA04, "invalid request"),
        (0xB000, 0xB000, "sub-operations complete, one or more failures"),
        (0xC000, 0xCFFF, "unable to process"),
    ),
}
_SPECIFIC["C-MOVE"] = _SPECIFIC["C-GET"]


def status_category(status: int) -> Category:
    """The category of `status`; codes nobody assigned count as failure."""
    if (category := _CATEGORIES.get(status)) is not None:
        return category
    return Category.WARNING if status & 0xF000 == 0xB000 else Category.FAILURE


def describe_status(operation: str, status: int) -> str:
    """What `status` means for ``C-STORE``, ``C-FIND``, ``C-GET`` or ``C-MOVE``, in words; "" if unassigned."""
    for low, high, meaning in _SPECIFIC.get(operation, ()):
        if low <= status <= high:
            return meaning
    return _GENERAL.get(status, "")
