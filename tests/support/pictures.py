"""Images for rendering, made or read: data sets, frames of files as the rendering takes them, pictures as arrays."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from gateway.imaging.rendering.parameters import FrameSource, RenderParameters
from gateway.imaging.rendering.render import render_frame

__all__ = [
    "INSTANCE_UID",
    "encode_header",
    "make_header",
    "make_item",
    "make_lut",
    "make_source",
    "make_state",
    "open_picture",
    "read_frame_source",
    "render_pixels",
    "write_file",
]

INSTANCE_UID = "1.2.3.4"
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def make_item(**attributes: Any) -> Dataset:
    """A data set of these keywords; lists of data sets become sequences."""
    item = Dataset()
    for keyword, value in attributes.items():
        is_sequence = isinstance(value, list) and value and isinstance(value[0], Dataset)
        setattr(item, keyword, Sequence(value) if is_sequence else value)
    return item


def make_header(pixels: np.ndarray, **attributes: Any) -> Dataset:
    """Image Pixel attributes that fit `pixels` (rows, columns[, 3]), and others."""
    size = pixels.dtype.itemsize * 8
    header = make_item(
        SOPClassUID=SecondaryCaptureImageStorage,
        SOPInstanceUID=INSTANCE_UID,
        SamplesPerPixel=3 if pixels.ndim == 3 else 1,
        PhotometricInterpretation="RGB" if pixels.ndim == 3 else "MONOCHROME2",
        Rows=pixels.shape[0],
        Columns=pixels.shape[1],
        BitsAllocated=size,
        BitsStored=size,
        HighBit=size - 1,
        PixelRepresentation=int(pixels.dtype.kind == "i"),
    )
    if pixels.ndim == 3:
        header.PlanarConfiguration = 0
    for keyword, value in make_item(**attributes).items():
        header[keyword] = value
    return header


def make_lut(entries: np.ndarray, first: int, bits: int) -> Dataset:
    """An item of a LUT sequence."""
    item = Dataset()
    item.add_new(0x00283002, "SS" if first < 0 else "US", [len(entries) & 0xFFFF, first, bits])
    item.add_new(0x00283006, "OW", entries.astype("<u2").tobytes())
    return item


def make_state(**attributes: Any) -> bytes:
    """A grayscale presentation state for the instance of `make_header`, encoded."""
    return encode_header(
        make_item(**{"SOPClassUID": "1.2.840.10008.5.1.4.1.1.11.1", "SOPInstanceUID": "1.2.3.9", **attributes})
    )


def encode_header(header: Dataset) -> bytes:
    """The data set in Explicit VR Little Endian, bare."""
    target = DicomBytesIO()
    target.is_little_endian, target.is_implicit_VR = True, False
    write_dataset(target, header)
    return target.getvalue()


def make_source(pixels: np.ndarray, frame_number: int = 1, **attributes: Any) -> FrameSource:
    """A native frame of `pixels`, which are little endian."""
    header = encode_header(make_header(pixels, **attributes))
    return FrameSource(header, ExplicitVRLittleEndian, pixels.tobytes(), frame_number)


def write_file(path: Path, header: Dataset, pixels: np.ndarray | None = None) -> Path:
    """Write a Part 10 file, for programs that read files."""
    data_set = pydicom.dcmread(io.BytesIO(encode_header(header)), force=True)
    if pixels is not None:
        data_set.add_new(0x7FE00010, "OW", pixels.tobytes() + bytes(pixels.nbytes % 2))
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = header.SOPClassUID
    meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    data_set.file_meta = meta
    data_set.save_as(path, enforce_file_format=True)
    return path


def read_frame_source(path: Path, frame_number: int = 1) -> FrameSource:
    """One frame of a file, cut out by pydicom."""
    data_set = pydicom.dcmread(path)
    pixels = next(data_set[keyword].value for keyword in _PIXELS if keyword in data_set)
    syntax = data_set.file_meta.TransferSyntaxUID
    frame = _cut(data_set, pixels, frame_number)
    for keyword in _PIXELS:
        data_set.pop(keyword, None)
    return FrameSource(encode_header(data_set), str(syntax), frame, frame_number)


def _cut(data_set: Dataset, pixels: bytes, frame_number: int) -> bytes:
    syntax = data_set.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated:
        count = int(data_set.get("NumberOfFrames", 1) or 1)
        return next(f for n, f in enumerate(generate_frames(pixels, number_of_frames=count), 1) if n == frame_number)
    bits = data_set.Rows * data_set.Columns * data_set.get("SamplesPerPixel", 1) * data_set.BitsAllocated
    bits = bits * 2 // 3 if "422" in data_set.PhotometricInterpretation else bits
    if bits % 8:
        cells = np.unpackbits(np.frombuffer(pixels, np.uint8), bitorder="little")
        return np.packbits(cells[bits * (frame_number - 1) : bits * frame_number], bitorder="little").tobytes()
    frame = pixels[bits // 8 * (frame_number - 1) : bits // 8 * frame_number]
    return np.frombuffer(frame, ">u2").astype("<u2").tobytes() if syntax == ExplicitVRBigEndian else frame


def open_picture(data: bytes) -> np.ndarray:
    """The pixels of an encoded picture."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def render_pixels(source: FrameSource, **parameters: Any) -> np.ndarray:
    """Render into PNG and read that back."""
    return open_picture(render_frame(source, RenderParameters(**{"media_type": "image/png", **parameters})).data)
