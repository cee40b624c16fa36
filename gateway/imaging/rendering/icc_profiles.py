"""ICC profiles that are made here: sRGB, Adobe RGB (1998) and ROMM RGB from their published primaries and curves.

Three-component matrix profiles, version 4 (ICC.1:2022 §8.3.3): every colour system reads them, and no profile file
with a licence of its own is needed.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache

__all__ = ["build_profile"]

# Name; XYZ of red, green and blue relative to D50; parameters g a b c d of the parametric curve type 3:
# Y = (aX + b)^g where X >= d, else cX. Sources: IEC 61966-2-1, Adobe RGB (1998) §4.3, ISO 22028-2.
_SPACES: dict[str, tuple[str, tuple[tuple[float, float, float], ...], tuple[float, ...]]] = {
    "srgb": (
        "sRGB",
        ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)),
        (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045),
    ),
    "adobergb": (
        "Compatible with Adobe RGB (1998)",
        ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)),
        (563 / 256, 1.0, 0.0, 0.0, 0.0),
    ),
    "rommrgb": (
        "ROMM RGB",
        ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491)),
        (1.8, 1.0, 0.0, 1 / 16, 1 / 32),
    ),
}
_D50 = (0.9642, 1.0, 0.8249)
_HEADER_BYTES, _TABLE_ROW_BYTES = 128, 12


@cache
def build_profile(name: str) -> bytes:
    """The profile of ``srgb``, ``adobergb`` or ``rommrgb``.

    Raises
    ------
    KeyError
        Another name.
    """
    description, primaries, curve = _SPACES[name]
    tags = {
        b"desc": _encode_text(description),
        b"cprt": _encode_text("No copyright, use freely"),
        b"wtpt": _encode_xyz(_D50),
        **{tag: _encode_xyz(primary) for tag, primary in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _encode_curve(curve)),
    }
    table, body = _lay_out(tags)
    size = _HEADER_BYTES + len(table) + len(body)
    return _encode_header(size) + table + body


def _lay_out(tags: dict[bytes, bytes]) -> tuple[bytes, bytes]:
    """Tag table and tag data; equal data is stored once (§7.3.1)."""
    offset = _HEADER_BYTES + 4 + _TABLE_ROW_BYTES * len(tags)
    places: dict[bytes, int] = {}
    rows, body = [struct.pack(">I", len(tags))], b""
    for tag, data in tags.items():
        if data not in places:
            places[data] = offset + len(body)
            body += data + bytes(-len(data) % 4)
        rows.append(tag + struct.pack(">II", places[data], len(data)))
    return b"".join(rows), body


def _encode_header(size: int) -> bytes:
    """Table 17 of ICC.1:2022: display device, RGB, XYZ as connection space; no date, so that it is always the same."""
    illuminant = b"".join(map(_encode_fixed, _D50))
    start = struct.pack(">I4xI4s4s4s", size, 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    return (start + struct.pack(">6H4s", 2020, 1, 1, 0, 0, 0, b"acsp")).ljust(68, b"\0") + illuminant.ljust(60, b"\0")


def _encode_fixed(value: float) -> bytes:
    """s15Fixed16Number."""
    return struct.pack(">i", round(value * 65_536))


def _encode_xyz(values: Sequence[float]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_encode_fixed, values))


def _encode_curve(parameters: Sequence[float]) -> bytes:
    return b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + b"".join(map(_encode_fixed, parameters))


def _encode_text(text: str) -> bytes:
    """multiLocalizedUnicodeType with one record."""
    encoded = text.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(encoded), 28) + encoded
