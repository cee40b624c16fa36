"""What compressed images say of themselves: size, samples, and which transfer syntax they are in.

Reads the first kilobytes of a JPEG, JPEG-LS or JPEG 2000 codestream, HTJ2K included; decodes nothing. The store service
asks it about image parts whose metadata leaves this open (PS3.18 §10.5.2, Table 10.5.2-1).

Source: ISO/IEC 10918-1 Annex B, 14495-1 Annex C, 15444-1 Annex A and I, 15444-15 Annex A; PS3.5 §8.2
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import error, unpack_from

__all__ = ["HEAD_BYTES", "Codestream", "find_codestream", "is_box_file", "read_codestream"]

HEAD_BYTES = 262_144
"""Enough of a file for its headers, ICC profiles and thumbnails in APP segments included."""

_JPEG_SYNTAXES = {  # by start of frame; progressive JPEG has a retired one, which hardly any archive takes
    0xC0: "1.2.840.10008.1.2.4.50",
    0xC1: "1.2.840.10008.1.2.4.51",
    0xC2: "1.2.840.10008.1.2.4.55",
}
_LOSSLESS, _LOSSLESS_FIRST_ORDER = "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"
_JPEG_LS_LOSSLESS, _JPEG_LS = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"
_SOF3, _SOF55, _SOS, _APP14 = 0xC3, 0xF7, 0xDA, 0xEE
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
_STARTS_OF_FRAME = frozenset({*_JPEG_SYNTAXES, _SOF3, _SOF55})

_J2K_SIZ, _J2K_COD, _J2K_CAP, _J2K_SOT = 0x51, 0x52, 0x50, 0x90
_J2K_SYNTAXES = {  # by what the codestream needs of a decoder: whether reversible, or not
    "core": ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"),
    "extensions": ("1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93"),
    "high throughput": ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.203"),
}
_PART_2 = 0x8000  # in Rsiz: capabilities of ISO/IEC 15444-2
_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_CODESTREAM_BOX = b"jp2c"


@dataclass(frozen=True, slots=True)
class Codestream:
    """The image of one codestream.

    Parameters
    ----------
    transfer_syntax_uid : str
        The one whose encapsulated pixel data it can be.
    samples, bits : int
        Of each pixel, and of each sample.
    photometric_interpretation : str
        Of the codestream as it is, not of what a decoder makes of it (PS3.5 §8.2).
    frames : int
        More than one only where one file holds several images.
    """

    transfer_syntax_uid: str
    rows: int
    columns: int
    samples: int
    bits: int
    is_signed: bool
    photometric_interpretation: str
    frames: int = 1


def read_codestream(head: bytes) -> Codestream | None:
    """Read the start of a codestream, `HEAD_BYTES` or all of it.

    Returns
    -------
    Codestream or None
        None if it is none of those known, is damaged, or in a mode that no transfer syntax has.
    """
    try:
        if head.startswith(b"\xff\xd8"):
            return _read_jpeg(head)
        if head.startswith(b"\xff\x4f\xff\x51"):
            return _read_jpeg_2000(head)
    except (error, IndexError):
        return None
    return None


def is_box_file(head: bytes) -> bool:
    """Whether this is the start of a JP2, JPX or JPH file; 12 bytes tell."""
    return head.startswith(_JP2_SIGNATURE)


def find_codestream(head: bytes) -> tuple[int, int | None]:
    """Find the codestream within a JP2, JPX or JPH file, whose boxes are no part of pixel data (PS3.5 §A.4.4).

    Returns
    -------
    tuple of int and (int or None)
        Its offset, and its length where it ends before the file does. 0 and None for what is no such file.
    """
    if not is_box_file(head):
        return 0, None
    place = 0
    while place + 16 <= len(head):
        length, kind = unpack_from(">I4s", head, place)
        start = 8
        if length == 1:
            (length,) = unpack_from(">Q", head, place + 8)
            start = 16
        if kind == _CODESTREAM_BOX:
            return place + start, length - start if length else None
        if length < start:
            break
        place += length
    return 0, None


# --- JPEG and JPEG-LS ---


def _iter_segments(head: bytes) -> Iterator[tuple[int, int]]:
    """Marker and offset of the parameters of each segment, up to the first scan and with it."""
    place = 2
    while place + 4 <= len(head):
        marker = head[place + 1]
        if head[place] != 0xFF:
            return
        if marker == 0xFF:
            place += 1
            continue
        if marker in _WITHOUT_LENGTH:
            place += 2
            continue
        yield marker, place + 4
        if marker in (_SOS, _J2K_SOT):
            return
        place += 2 + int.from_bytes(head[place + 2 : place + 4], "big")


def _read_jpeg(head: bytes) -> Codestream | None:
    segments = dict(reversed(list(_iter_segments(head))))  # the first of each kind counts
    frame = next((marker for marker in segments if marker in _STARTS_OF_FRAME), None)
    if frame is None or _SOS not in segments:
        return None
    bits, rows, columns, samples = unpack_from(">BHHB", head, segments[frame])
    if not rows or not columns or samples not in (1, 3):
        return None
    syntax = _JPEG_SYNTAXES.get(frame) or _choose_lossless(frame, head, segments[_SOS])
    colours = "MONOCHROME2" if samples == 1 else _name_colours(head, frame, segments)
    return Codestream(syntax, rows, columns, samples, bits, False, colours)


def _choose_lossless(frame: int, head: bytes, scan: int) -> str:
    """By the predictor of lossless JPEG, or the greatest error of JPEG-LS: both stand after the list of components."""
    parameter = head[scan + 1 + 2 * head[scan]]
    if frame == _SOF55:
        return _JPEG_LS if parameter else _JPEG_LS_LOSSLESS
    return _LOSSLESS_FIRST_ORDER if parameter == 1 else _LOSSLESS


def _name_colours(head: bytes, frame: int, segments: dict[int, int]) -> str:
    """RGB where the stream says so or is lossless, else YBR_FULL, or YBR_FULL_422 where chroma is subsampled."""
    if frame in (_SOF3, _SOF55):
        return "RGB"
    adobe = segments.get(_APP14)
    if adobe is not None and head[adobe : adobe + 5] == b"Adobe":
        if not head[adobe + 11]:
            return "RGB"
    components = segments[frame] + 6
    if bytes(head[components : components + 7 : 3]) == b"RGB":
        return "RGB"
    return "YBR_FULL" if head[components + 1] == 0x11 else "YBR_FULL_422"


# --- JPEG 2000 ---


def _read_jpeg_2000(head: bytes) -> Codestream | None:
    segments = dict(_iter_segments(head))
    if _J2K_SIZ not in segments or _J2K_COD not in segments:
        return None
    size, coding = segments[_J2K_SIZ], segments[_J2K_COD]
    right, bottom, left, top = unpack_from(">IIII", head, size + 2)
    samples, precision = unpack_from(">HB", head, size + 34)
    if samples not in (1, 3) or right <= left or bottom <= top:
        return None
    is_transformed, is_reversible = head[coding + 4] == 1, head[coding + 9] == 1
    colours = "MONOCHROME2"
    if samples == 3:
        colours = "RGB" if not is_transformed else "YBR_RCT" if is_reversible else "YBR_ICT"
    (capabilities,) = unpack_from(">H", head, size)
    kind = "extensions" if capabilities & _PART_2 else "high throughput" if _J2K_CAP in segments else "core"
    return Codestream(
        _J2K_SYNTAXES[kind][not is_reversible],
        bottom - top,
        right - left,
        samples,
        (precision & 0x7F) + 1,
        bool(precision & 0x80),
        colours,
    )
