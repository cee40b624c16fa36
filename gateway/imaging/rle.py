"""RLE Lossless, decoded and encoded: one PackBits segment for each byte of a sample (PS3.5 Annex G).

Segments begin with the most significant byte of the first sample. Called by ``decode`` and ``encode``.
"""

from __future__ import annotations

from struct import pack, unpack_from

import imagecodecs
import numpy as np

from gateway.errors import ImagingFailed
from gateway.imaging.description import ImageDescription
from gateway.imaging.native import shape_samples
from gateway.imaging.pixels import PixelArray, find_cell_type

__all__ = ["decode_rle", "encode_rle"]

_HEADER_LENGTH = 64
_MAX_SEGMENTS = 15
# PackBits makes at most 128 bytes of 2
_MAX_EXPANSION = 64


def decode_rle(description: ImageDescription, data: bytes) -> PixelArray:
    """Return the samples of a frame, colour by pixel.

    Raises
    ------
    ImagingFailed
        The segments are not those that the frame needs, or too short.
    """
    offsets = _read_offsets(data)
    width = max(description.bits_allocated // 8, 1)
    samples = description.samples_per_pixel
    if len(offsets) - 1 != width * samples:
        raise ImagingFailed("the number of RLE segments does not fit the image")
    plane = description.rows * description.columns
    if description.bits_allocated == 1:
        packed = _decode_segment(data, offsets[0], offsets[1], (plane + 7) // 8)
        return np.unpackbits(packed, bitorder="little")[:plane].reshape(description.rows, description.columns)
    out = np.empty((samples, plane, width), np.uint8)
    for index in range(width * samples):
        segment = _decode_segment(data, offsets[index], offsets[index + 1], plane)
        out[index // width, :, width - 1 - index % width] = segment
    cells = out.reshape(-1).view(find_cell_type(description)).reshape(samples, plane)
    if samples == 1:
        return shape_samples(description, cells[0])
    # segments are planes, whatever Planar Configuration says of them
    return np.ascontiguousarray(cells.T).reshape(description.rows, description.columns, samples)


def encode_rle(pixels: PixelArray, bits_allocated: int) -> bytes:
    """Write a frame of 8, 16 or 32 bits a sample, each row packed by itself (PS3.5 §G.3.1), or of one bit.

    Parameters
    ----------
    pixels : numpy.ndarray
        (rows, columns) or (rows, columns, samples).

    Raises
    ------
    ImagingFailed
        It would take more than 15 segments.
    """
    if bits_allocated == 1:
        packed = np.packbits(pixels.astype(np.uint8).reshape(-1), bitorder="little")
        return _join_segments([_encode_plane(packed.reshape(1, -1))])
    planes = pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
    width = pixels.dtype.itemsize
    if planes.shape[2] * width > _MAX_SEGMENTS:
        raise ImagingFailed("more RLE segments than fifteen")
    segments = []
    for sample in range(planes.shape[2]):
        plane = np.ascontiguousarray(planes[..., sample], dtype=pixels.dtype.newbyteorder(">"))
        raw = plane.view(np.uint8).reshape(*plane.shape, width)
        segments += [_encode_plane(raw[..., byte].copy()) for byte in range(width)]
    return _join_segments(segments)


def _read_offsets(data: bytes) -> list[int]:
    """Where the segments begin, and the end of the last."""
    if len(data) < _HEADER_LENGTH:
        raise ImagingFailed("the RLE header is cut short")
    count, *starts = unpack_from("<16I", data)
    if not 1 <= count <= _MAX_SEGMENTS:
        raise ImagingFailed("the RLE header names no segments, or more than fifteen")
    offsets = [*starts[:count], len(data)]
    ascending = all(first < second for first, second in zip(offsets, offsets[1:], strict=False))
    if offsets[0] < _HEADER_LENGTH or not ascending:
        raise ImagingFailed("the RLE header names segments that are not there")
    return offsets


def _decode_segment(data: bytes, start: int, stop: int, length: int) -> PixelArray:
    if (stop - start) * _MAX_EXPANSION < length:
        raise ImagingFailed("an RLE segment is too short")
    try:
        raw = imagecodecs.packbits_decode(data[start:stop])
    except (RuntimeError, ValueError) as error:
        raise ImagingFailed("an RLE segment cannot be read") from error
    if len(raw) < length:
        raise ImagingFailed("an RLE segment is too short")
    return np.frombuffer(raw, np.uint8, length)


def _encode_plane(plane: PixelArray) -> bytes:
    packed = bytes(imagecodecs.packbits_encode(plane, axis=-1))
    return packed + b"\0" if len(packed) % 2 else packed


def _join_segments(segments: list[bytes]) -> bytes:
    starts, position = [], _HEADER_LENGTH
    for segment in segments:
        starts.append(position)
        position += len(segment)
    padding = [0] * (_MAX_SEGMENTS - len(starts))
    return pack("<16I", len(starts), *starts, *padding) + b"".join(segments)
