"""Bulk values that an archive has left out of a data set, put back as something that metadata can refer to.

Retrieve Without Bulk Data leaves whole elements out (PS3.4 Table Z.1-1), while metadata must not: there, a value may
only be replaced by its URI (PS3.18 §10.4.1.1.2). What was there shows in the attributes that describe it. So an
element of two bytes is written for each that is missing; an encoder of metadata makes a URI of it, never a value.
Only image classes are served so, since of others it does not show. Called by the readers of metadata.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import pack

from gateway.codecs.dictionary import list_uids
from gateway.codecs.transfer_syntax import get_transfer_syntax

__all__ = ["PIXEL_CLASSES", "restore_elements"]

PIXEL_CLASSES = frozenset(
    uid
    for uid, name, kind in list_uids()
    if kind == "SOP Class"
    and name.endswith(("Image Storage", "Image Storage - For Presentation", "Image Storage - For Processing"))
)
"""Storage classes whose instances have Rows and Pixel Data (7FE0,0010), and no other bulk values but overlays."""

_ROWS, _PIXEL_DATA = 0x00280010, 0x7FE00010
_OVERLAYS = tuple((group << 16 | 0x0010, group << 16 | 0x3000) for group in range(0x6000, 0x6020, 2))
_VALUE = b"\0\0"


def restore_elements(transfer_syntax_uid: str, has_element: Callable[[int], bool]) -> bytes:
    """Elements to append to a data set: of each pair below, the second where only the first is there.

    Parameters
    ----------
    transfer_syntax_uid : str
        Of the data set; nothing can be appended to a deflated one.
    has_element : callable
        Tells whether the data set has an element of its own with a tag.

    Returns
    -------
    bytes
        Overlay Data for Overlay Rows, Pixel Data for Rows, in ascending order; empty where nothing is missing.
    """
    syntax = get_transfer_syntax(transfer_syntax_uid)
    if syntax.deflated:
        return b""
    order = "<" if syntax.little_endian else ">"
    return b"".join(
        _write(tag, order, explicit_vr=syntax.explicit_vr)
        for described, tag in (*_OVERLAYS, (_ROWS, _PIXEL_DATA))
        if has_element(described) and not has_element(tag)
    )


def _write(tag: int, order: str, *, explicit_vr: bool) -> bytes:
    head = pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    length = pack(f"{order}I", len(_VALUE))
    return head + (b"OW\0\0" if explicit_vr else b"") + length + _VALUE
