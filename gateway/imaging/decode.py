"""Frames as they are stored → arrays of samples: native, RLE, the JPEG families, deflated frames.

    frame = decode_frame(describe_image(data_set, transfer_syntax_uid), data)

One frame at a time, in memory; video is not decoded here. The header of each codestream is compared with the data set
before its codec runs (``codestreams``). Colour stays as the codec gives it, told by the photometric interpretation of
the result: `to_rgb` converts. Called in worker processes by the rendering and by ``convert``.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import imagecodecs
import numpy as np

from gateway.codecs.transfer_syntax import get_transfer_syntax
from gateway.errors import ImagingFailed
from gateway.imaging.codestreams import (
    CodestreamHeader,
    check_end,
    check_header,
    read_jpeg_2000_header,
    read_jpeg_header,
)
from gateway.imaging.description import ImageDescription, name_decoded
from gateway.imaging.jpeg_xl import decode_jpeg_xl, restore_jpeg
from gateway.imaging.native import unpack_native
from gateway.imaging.pixels import DecodedFrame, PixelArray, extract_stored_values, find_cell_type, to_rgb
from gateway.imaging.rle import decode_rle

__all__ = [
    "DECODABLE",
    "DecodedFrame",
    "decode_cells",
    "decode_frame",
    "extract_stored_values",
    "name_decoded",
    "to_rgb",
]

_Decoder = Callable[[ImageDescription, bytes], DecodedFrame]

# libjpeg gives components as they are where it takes both colour spaces for the same, whatever the markers say
_UNTRANSFORMED = {1: None, 3: "RGB", 4: "CMYK"}


def decode_frame(description: ImageDescription, data: bytes) -> DecodedFrame:
    """Decode one frame into stored values: only the bits of Bits Stored, the sign extended.

    Parameters
    ----------
    description : ImageDescription
        From `describe_image`, so that the frame is within limits.
    data : bytes
        The frame as stored: native samples, or the codestream without fragment items.

    Returns
    -------
    DecodedFrame
        Pixels of shape (rows, columns) or (rows, columns, samples), one-bit samples as 0 and 1.

    Raises
    ------
    ImagingFailed
        The frame cannot be decoded, does not agree with its description, or is of a form that is not known.
    """
    frame = decode_cells(description, data)
    values = extract_stored_values(frame.pixels, description)
    return DecodedFrame(values, frame.photometric_interpretation, frame.bits, frame.is_lossy)


def decode_cells(description: ImageDescription, data: bytes) -> DecodedFrame:
    """Decode one frame into pixel cells of Bits Allocated, with what native data holds beside the stored bits.

    Parameters, result and errors as of `decode_frame`.
    """
    decoder = _DECODERS.get(description.transfer_syntax_uid)
    if decoder is None:
        known = get_transfer_syntax(description.transfer_syntax_uid)
        raise ImagingFailed(f"frames in {known.name} are not decoded")
    try:
        return decoder(description, data)
    except MemoryError as error:
        raise ImagingFailed("the frame needs more memory than allowed") from error
    except (RuntimeError, ValueError, TypeError, OverflowError) as error:  # what codecs raise for broken streams
        raise ImagingFailed("the compressed frame cannot be decoded") from error


# --- native ---


def _decode_native(description: ImageDescription, data: bytes) -> DecodedFrame:
    return _describe(description, unpack_native(description, data))


def _decode_deflated(description: ImageDescription, data: bytes) -> DecodedFrame:
    """A native frame as one raw deflate stream, perhaps padded (PS3.5 §A.4.13)."""
    needed = (description.native_frame_bits + 7) // 8
    try:
        native = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, needed)
    except zlib.error as error:
        raise ImagingFailed("the deflated frame cannot be inflated") from error
    return _decode_native(description, native)


def _decode_rle(description: ImageDescription, data: bytes) -> DecodedFrame:
    return _describe(description, decode_rle(description, data))


# --- JPEG families ---


def _decode_jpeg(description: ImageDescription, data: bytes) -> DecodedFrame:
    header = read_jpeg_header(data)
    check_header(header, description)
    check_end(data)
    space = _UNTRANSFORMED[description.samples_per_pixel]
    return _take(description, header, imagecodecs.jpeg8_decode(data, colorspace=space, outcolorspace=space))


def _decode_jpeg_ls(description: ImageDescription, data: bytes) -> DecodedFrame:
    header = read_jpeg_header(data)
    check_header(header, description)
    check_end(data)
    return _take(description, header, imagecodecs.jpegls_decode(data))


def _decode_jpeg_2000(description: ImageDescription, data: bytes) -> DecodedFrame:
    header = read_jpeg_2000_header(data)
    check_header(header, description)
    check_end(data)
    return _take(description, header, imagecodecs.jpeg2k_decode(data, numthreads=1))


def _decode_htj2k(description: ImageDescription, data: bytes) -> DecodedFrame:
    header = read_jpeg_2000_header(data)
    check_header(header, description)
    check_end(data)
    with _unraisable_errors_raised():
        if header.is_lossy:  # OpenJPH does not clip what leaves the range of samples, OpenJPEG does
            pixels = imagecodecs.jpeg2k_decode(data, numthreads=1)
        else:
            pixels = imagecodecs.htj2k_decode(data, planar=False)
    return _take(description, header, pixels)


@contextmanager
def _unraisable_errors_raised() -> Iterator[None]:
    """Raise what a codec reported as unraisable: it went on and would return an image with parts never written."""
    reports: list[object] = []
    hook, sys.unraisablehook = sys.unraisablehook, reports.append
    try:
        yield
    finally:
        sys.unraisablehook = hook
    if reports:
        raise ImagingFailed("the compressed frame cannot be decoded")


def _decode_jpeg_xl(description: ImageDescription, data: bytes) -> DecodedFrame:
    bits = description.bits_stored if description.bits_allocated > 1 else 1
    header = CodestreamHeader(description.rows, description.columns, description.samples_per_pixel, bits)
    return _take(description, header, decode_jpeg_xl(description, data))


def _decode_recompressed(description: ImageDescription, data: bytes) -> DecodedFrame:
    """The JPEG stream inside; where it cannot be restored, which the codec does for colour alone, its pixels."""
    try:
        stream = restore_jpeg(data)
    except ImagingFailed:
        frame = _decode_jpeg_xl(description, data)
        name = "RGB" if description.samples_per_pixel > 1 else frame.photometric_interpretation
        return DecodedFrame(frame.pixels, name, frame.bits, is_lossy=True)
    return _decode_jpeg(description, stream)


def _take(description: ImageDescription, header: CodestreamHeader, pixels: PixelArray) -> DecodedFrame:
    """Give what a codec returned the shape and type that the data set says."""
    shape: tuple[int, ...] = (description.rows, description.columns)
    if description.samples_per_pixel > 1:
        shape = (*shape, description.samples_per_pixel)
    if pixels.shape != shape:
        raise ImagingFailed("the decoded frame has another shape than the data set says")
    cells = _fit_cells(pixels, header, description)
    if header.is_lossy and header.bits > description.bits_stored:
        cells = _clip_overshoot(cells, description)
    return DecodedFrame(cells, name_decoded(description), header.bits, header.is_lossy)


def _fit_cells(pixels: PixelArray, header: CodestreamHeader, description: ImageDescription) -> PixelArray:
    """Read samples of the codestream's precision as the data set's sign has them (PS3.5 §8.2.4)."""
    wanted = find_cell_type(description)
    unsigned = pixels.astype(np.dtype(f"<u{wanted.itemsize}"), copy=False)
    if description.bits_allocated == 1 or not (description.is_signed or header.is_signed):
        return unsigned
    spare = wanted.itemsize * 8 - header.bits
    return (unsigned << spare).view(wanted) >> spare


def _clip_overshoot(cells: PixelArray, description: ImageDescription) -> PixelArray:
    """Lossy coding of more bits than are stored may leave their range."""
    bits = description.bits_stored
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if description.is_signed else (0, (1 << bits) - 1)
    return np.clip(cells, low, high)


def _describe(description: ImageDescription, pixels: PixelArray) -> DecodedFrame:
    return DecodedFrame(pixels, name_decoded(description), description.bits_stored)


def _list_decoders() -> dict[str, _Decoder]:
    families: list[tuple[_Decoder, tuple[str, ...]]] = [
        (_decode_native, ("", ".1", ".1.99", ".2", ".1.98")),
        (_decode_deflated, (".8.1",)),
        (_decode_rle, (".5",)),
        (_decode_jpeg, tuple(f".4.{number}" for number in range(50, 71))),
        (_decode_jpeg_ls, (".4.80", ".4.81")),
        (_decode_jpeg_2000, (".4.90", ".4.91")),
        (_decode_htj2k, (".4.201", ".4.202", ".4.203")),
        (_decode_jpeg_xl, (".4.110", ".4.112")),
        (_decode_recompressed, (".4.111",)),
    ]
    return {f"1.2.840.10008.1.2{suffix}": decoder for decoder, suffixes in families for suffix in suffixes}


_DECODERS = _list_decoders()

DECODABLE: frozenset[str] = frozenset(_DECODERS)
"""UIDs of the transfer syntaxes whose frames can be decoded, retired JPEG processes included."""
