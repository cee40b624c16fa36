"""Explicit VR Little Endian elements written byte by byte, right and wrong ones (PS3.5 §7.1.2)."""

from __future__ import annotations

from struct import pack

__all__ = ["element", "encapsulated", "item", "sequence"]

_LONG = frozenset("OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())


def element(tag: int, vr: str, value: bytes) -> bytes:
    """Return one element as it stands, without padding."""
    length = pack("<HI", 0, len(value)) if vr in _LONG else pack("<H", len(value))
    return pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode()) + length + value


def item(content: bytes) -> bytes:
    """Return an item, or a fragment, of defined length."""
    return pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def sequence(tag: int, *items: bytes) -> bytes:
    """Return a sequence of defined length."""
    return element(tag, "SQ", b"".join(map(item, items)))


def encapsulated(tag: int, *fragments: bytes, table: bytes = b"") -> bytes:
    """Return an encapsulated value with its Basic Offset Table (PS3.5 §A.4)."""
    start = pack("<HH2sHI", tag >> 16, tag & 0xFFFF, b"OB", 0, 0xFFFFFFFF)
    return start + item(table) + b"".join(map(item, fragments)) + pack("<HHI", 0xFFFE, 0xE0DD, 0)
