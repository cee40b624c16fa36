"""JPEG XL frames, decoded and encoded (ISO/IEC 18181; PS3.5 §A.4.12).

A frame of JPEG XL JPEG Recompression holds a JPEG stream that comes back byte for byte; it is then decoded as that. The
size in the header is read before the codec is called (ISO/IEC 18181-1 §D.2). Called by ``decode`` and ``encode``.
"""

from __future__ import annotations

import imagecodecs

from gateway.errors import ImagingFailed
from gateway.imaging.description import ImageDescription
from gateway.imaging.pixels import PixelArray

__all__ = ["decode_jpeg_xl", "encode_jpeg_xl", "read_size", "recompress_jpeg", "restore_jpeg"]

_CODESTREAM = b"\xff\x0a"
_CONTAINER = bytes.fromhex("0000000c4a584c200d0a870a")
_SIZE_WIDTHS = (9, 13, 18, 30)
# columns for rows, of the ratios that have a number
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_EFFORT = 3  # of 9: what is above takes several times as long for some percent


def decode_jpeg_xl(description: ImageDescription, data: bytes) -> PixelArray:
    """Decode a frame; shape and type are the codec's.

    Raises
    ------
    ImagingFailed
        The frame is no JPEG XL, or of other dimensions than the data set says.
    """
    if read_size(data) != (description.rows, description.columns):
        raise ImagingFailed("the compressed frame has other dimensions than the data set says")
    pixels: PixelArray = imagecodecs.jpegxl_decode(data, numthreads=1, keeporientation=True)
    return pixels


def encode_jpeg_xl(pixels: PixelArray, bits: int, distance: float) -> bytes:
    """Encode unsigned samples of `bits`; `distance` 0 loses nothing, 1 is hardly visible."""
    forms = {"distance": distance} if distance else {"lossless": True}
    return bytes(
        imagecodecs.jpegxl_encode(pixels, effort=_EFFORT, bitspersample=bits, usecontainer=False, numthreads=1, **forms)
    )


def recompress_jpeg(data: bytes) -> bytes:
    """Put a JPEG stream into JPEG XL, from which it can be restored."""
    return bytes(imagecodecs.jpegxl_encode_jpeg(data, numthreads=1))


def restore_jpeg(data: bytes) -> bytes:
    """Give back the JPEG stream that a JPEG XL frame was made of.

    Raises
    ------
    ImagingFailed
        It holds none that can be restored.
    """
    try:
        return bytes(imagecodecs.jpegxl_decode_jpeg(data, numthreads=1))
    except (RuntimeError, ValueError) as error:
        raise ImagingFailed("the JPEG XL frame holds no JPEG stream that can be restored") from error


def read_size(data: bytes) -> tuple[int, int]:
    """Rows and columns of a JPEG XL frame.

    Raises
    ------
    ImagingFailed
        It is no JPEG XL codestream, bare or in a container.
    """
    bits = _Bits(_find_codestream(data))
    is_small = bits.take(1)
    rows = _take_edge(bits, is_small)
    ratio = bits.take(3)
    if ratio:
        across, down = _RATIOS[ratio]
        return rows, rows * across // down
    return rows, _take_edge(bits, is_small)


def _take_edge(bits: _Bits, is_small: int) -> int:
    if is_small:
        return (bits.take(5) + 1) * 8
    return bits.take(_SIZE_WIDTHS[bits.take(2)]) + 1


def _find_codestream(data: bytes) -> bytes:
    """The first bytes after the signature of the codestream."""
    if data.startswith(_CODESTREAM):
        return data[2:16]
    position = len(_CONTAINER)
    while data.startswith(_CONTAINER) and position + 8 <= len(data):
        length, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        start = position + (16 if length == 1 else 8)
        if kind in (b"jxlc", b"jxlp"):
            start += 4 if kind == b"jxlp" else 0
            if data[start : start + 2] == _CODESTREAM:
                return data[start + 2 : start + 16]
        if length == 1:
            length = int.from_bytes(data[position + 8 : position + 16], "big")
        if length < 8:
            break
        position += length
    raise ImagingFailed("the frame is no JPEG XL codestream")


class _Bits:
    """Reads numbers from the least significant bit on."""

    def __init__(self, data: bytes) -> None:
        self._number = int.from_bytes(data, "little")
        self._left = len(data) * 8

    def take(self, width: int) -> int:
        if width > self._left:
            raise ImagingFailed("the JPEG XL header is cut short")
        value = self._number & ((1 << width) - 1)
        self._number >>= width
        self._left -= width
        return value
