"""Data sets converted in tests: made, sent through a transcoder without processes, and read again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.encaps import generate_frames
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from gateway.codecs import Buffer
from gateway.codecs.part10 import encode_file_meta
from gateway.codecs.transfer_syntax import get_transfer_syntax
from gateway.imaging.decode import DecodedFrame, decode_cells
from gateway.imaging.description import ImageDescription, describe_image
from gateway.imaging.encode import encode_frame
from gateway.imaging.workers import ImagingWorkers
from gateway.services.transcode.transcoder import ReadPiece, Transcoder

__all__ = ["InlineWorkers", "convert", "make_data_set", "read_frames", "read_pieces", "write"]

LIMIT = 1 << 24


class InlineWorkers(ImagingWorkers):
    """Calls functions at once, and counts the frames that are under way."""

    def __init__(self) -> None:
        super().__init__(1)
        self.calls: list[str] = []

    async def run(self, function: Callable[..., Any], /, *arguments: Any, **keywords: Any) -> Any:
        """Call it here."""
        self.calls.append(function.__name__)
        return function(*arguments, **keywords)


def make_data_set(frames: list[npt.NDArray[Any]], description: ImageDescription, **others: Any) -> pydicom.Dataset:
    """A data set whose pixel data is `frames` in the transfer syntax of `description`."""
    data_set = pydicom.Dataset()
    data_set.SOPClassUID, data_set.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3.4"
    data_set.ImageType, data_set.PatientName = ["ORIGINAL", "PRIMARY", "AXIAL"], "Doe^Jane"
    data_set.SamplesPerPixel = description.samples_per_pixel
    data_set.PhotometricInterpretation = description.photometric_interpretation
    if description.samples_per_pixel > 1:
        data_set.PlanarConfiguration = description.planar_configuration
    data_set.NumberOfFrames = len(frames)
    data_set.Rows, data_set.Columns = description.rows, description.columns
    data_set.BitsAllocated, data_set.BitsStored = description.bits_allocated, description.bits_stored
    data_set.HighBit, data_set.PixelRepresentation = description.high_bit, int(description.is_signed)
    for keyword, value in others.items():
        setattr(data_set, keyword, value)
    name = "RGB" if description.samples_per_pixel > 1 else description.photometric_interpretation
    encoded = [
        encode_frame(DecodedFrame(frame, name, description.bits_stored), description, description.transfer_syntax_uid)
        for frame in frames
    ]
    if get_transfer_syntax(description.transfer_syntax_uid).encapsulated:
        data_set.PixelData = pydicom.encaps.encapsulate(encoded)
        data_set["PixelData"].is_undefined_length = True
    else:
        data_set.PixelData = b"".join(encoded) + b"\0" * (sum(map(len, encoded)) % 2)
    data_set["PixelData"].VR = "OW" if description.bits_allocated > 8 else "OB"
    return data_set


def write(data_set: pydicom.Dataset) -> bytes:
    """The data set in Explicit VR Little Endian, without File Meta Information."""
    out = DicomBytesIO()
    out.is_implicit_VR, out.is_little_endian = False, True
    write_dataset(out, data_set)
    return out.getvalue()


def read_pieces(data: bytes, size: int) -> ReadPiece:
    """`data` as it would come from an archive."""
    pieces: Iterator[Buffer] = (memoryview(data)[start : start + size] for start in range(0, len(data), size))

    async def read_piece() -> Buffer | None:
        return next(pieces, None)

    return read_piece


async def convert(
    data: bytes, source_uid: str, target_uid: str, *, size: int = 1000, workers: ImagingWorkers | None = None
) -> bytes:
    """Send a data set through a transcoder; whole at the end."""
    transcoder = Transcoder(workers or InlineWorkers(), LIMIT)
    pieces = transcoder.convert(read_pieces(data, size), source_uid, target_uid)
    return b"".join([bytes(piece) async for piece in pieces])


def read_frames(data: bytes, transfer_syntax_uid: str) -> tuple[pydicom.Dataset, list[npt.NDArray[Any]]]:
    """Read a converted data set with pydicom, and decode its frames."""
    data_set = pydicom.dcmread(BytesIO(encode_file_meta("1.2", "1.2.3.4", transfer_syntax_uid) + data))
    description = describe_image(data_set, transfer_syntax_uid)
    return data_set, [decode_cells(description, frame).pixels for frame in _split(data_set, description)]


def _split(data_set: pydicom.Dataset, description: ImageDescription) -> list[bytes]:
    count, bits = description.number_of_frames, description.native_frame_bits
    if get_transfer_syntax(description.transfer_syntax_uid).encapsulated:
        return list(generate_frames(data_set.PixelData, number_of_frames=count))
    if bits % 8 == 0:
        return [data_set.PixelData[place * bits // 8 : (place + 1) * bits // 8] for place in range(count)]
    every = np.unpackbits(np.frombuffer(data_set.PixelData, np.uint8), bitorder="little")
    return [
        np.packbits(every[place * bits : (place + 1) * bits], bitorder="little").tobytes() for place in range(count)
    ]
