"""A multi-frame instance of any size that exists nowhere: its bytes are made as they are needed."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from gateway.codecs.part10 import encode_file_meta
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE

__all__ = ["ENHANCED_CT", "FRAME_BYTES", "SyntheticInstance"]

ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
ROWS = COLUMNS = 512
FRAME_BYTES = ROWS * COLUMNS * 2
_FILLING = bytes(FRAME_BYTES - 4)


@dataclass(frozen=True, slots=True)
class SyntheticInstance:
    """An Enhanced CT instance in Explicit VR Little Endian; the number of each frame, from 1, is its first word."""

    frames: int
    study_uid: str = "1.2.826.0.1.3680043.2.1"
    series_uid: str = "1.2.826.0.1.3680043.2.1.1"
    instance_uid: str = "1.2.826.0.1.3680043.2.1.1.1"

    @property
    def size(self) -> int:
        """Bytes of the data set."""
        return len(self.encode_head()) + self.frames * FRAME_BYTES

    @property
    def url_path(self) -> str:
        """Below the root of a DICOMweb service."""
        return f"/studies/{self.study_uid}/series/{self.series_uid}/instances/{self.instance_uid}"

    def encode_head(self) -> bytes:
        """The data set up to the first byte of its pixels."""
        head = Dataset()
        head.SOPClassUID, head.SOPInstanceUID = ENHANCED_CT, self.instance_uid
        head.StudyInstanceUID, head.SeriesInstanceUID = self.study_uid, self.series_uid
        head.Modality, head.PatientName, head.PatientID = "CT", "Large^Instance", "LARGE"
        head.SamplesPerPixel, head.PhotometricInterpretation = 1, "MONOCHROME2"
        head.NumberOfFrames, head.Rows, head.Columns = self.frames, ROWS, COLUMNS
        head.BitsAllocated, head.BitsStored, head.HighBit, head.PixelRepresentation = 16, 12, 11, 0
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        write_dataset(buffer, head)
        pixels = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, self.frames * FRAME_BYTES)
        return buffer.getvalue() + pixels

    def encode_part10_head(self) -> bytes:
        """The same as the beginning of a PS3.10 file."""
        return encode_file_meta(ENHANCED_CT, self.instance_uid, EXPLICIT_VR_LE) + self.encode_head()

    def iter_frames(self) -> Iterator[tuple[bytes, bytes]]:
        """Each frame in two pieces."""
        for number in range(1, self.frames + 1):
            yield number.to_bytes(4, "little"), _FILLING
