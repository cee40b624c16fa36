"""A few small studies that have one of everything a conformance test asks about."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    MRImageStorage,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
)

__all__ = [
    "BIG_ENDIAN",
    "CT",
    "CT_COUNT",
    "CT_SERIES",
    "CT_STUDY",
    "EMPTY_STUDY",
    "FRAMES",
    "IMPLICIT",
    "JPEG",
    "JPEG_2000",
    "LOOP",
    "REPORT",
    "ROOT",
    "US_STUDY",
    "encode_file",
    "make_instance",
    "write_small_archive",
]

ROOT = "1.2.826.0.1.3680043.8.498.20"
CT_STUDY, US_STUDY, EMPTY_STUDY = f"{ROOT}.1", f"{ROOT}.2", f"{ROOT}.3"
CT_SERIES = f"{CT_STUDY}.1"
CT_COUNT = 3
FRAMES = 4

CT = f"/studies/{CT_STUDY}/series/{CT_SERIES}/instances/{CT_SERIES}.1"
"""Explicit VR Little Endian, with a private block, long text, odd numbers and 512 bytes of pixels."""
IMPLICIT = f"/studies/{CT_STUDY}/series/{CT_STUDY}.2/instances/{CT_STUDY}.2.1"
"""Stored in Implicit VR Little Endian."""
LOOP = f"/studies/{CT_STUDY}/series/{CT_STUDY}.3/instances/{CT_STUDY}.3.1"
"""Four native frames of 64 bytes; each byte of a frame is its number."""
JPEG_2000 = f"/studies/{US_STUDY}/series/{US_STUDY}.1/instances/{US_STUDY}.1.1"
"""Three frames in JPEG 2000 Lossless."""
JPEG = f"/studies/{US_STUDY}/series/{US_STUDY}.2/instances/{US_STUDY}.2.1"
"""One frame in JPEG Baseline: lossy."""
REPORT = f"/studies/{EMPTY_STUDY}/series/{EMPTY_STUDY}.1/instances/{EMPTY_STUDY}.1.1"
"""No pixels, and no value of most attributes a search returns."""
BIG_ENDIAN = f"/studies/{EMPTY_STUDY}/series/{EMPTY_STUDY}.2/instances/{EMPTY_STUDY}.2.1"
"""Stored in Explicit VR Big Endian; the same pixels as the one in Implicit VR."""

_REPORT_STORAGE = "1.2.840.10008.5.1.4.1.1.88.11"


def make_instance(uid: str, sop_class: str = CTImageStorage, **attributes: object) -> Dataset:
    """A data set whose study and series UIDs are `uid` without its last numbers."""
    instance = Dataset()
    instance.SOPClassUID, instance.SOPInstanceUID = sop_class, uid
    instance.SeriesInstanceUID, instance.StudyInstanceUID = uid.rsplit(".", 1)[0], uid.rsplit(".", 2)[0]
    instance.InstanceNumber = uid.rsplit(".", 1)[1]
    for keyword, value in attributes.items():
        setattr(instance, keyword, value)
    return instance


def encode_file(instance: Dataset, transfer_syntax: str = ExplicitVRLittleEndian) -> bytes:
    """`instance` as a PS3.10 file."""
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = transfer_syntax
    buffer = BytesIO()
    dcmwrite(buffer, instance, enforce_file_format=True)
    return buffer.getvalue()


def write_small_archive(folder: Path) -> list[Path]:
    """Write the studies as files; the same every time."""
    paths = []
    for number, (instance, transfer_syntax) in enumerate(_iter_instances(), 1):
        paths.append(folder / f"{number:02d}.dcm")
        paths[-1].write_bytes(encode_file(instance, transfer_syntax))
    return paths


def _add_pixels(instance: Dataset, data: bytes, rows: int, columns: int, bits: int = 16, frames: int = 1) -> None:
    instance.SamplesPerPixel, instance.PhotometricInterpretation = 1, "MONOCHROME2"
    instance.Rows, instance.Columns = rows, columns
    instance.BitsAllocated = instance.BitsStored = bits
    instance.HighBit, instance.PixelRepresentation = bits - 1, 0
    if frames > 1:
        instance.NumberOfFrames = frames
    instance.add_new(0x7FE00010, "OW" if bits == 16 else "OB", data)


def _iter_instances() -> Iterator[tuple[Dataset, str]]:
    mueller = {
        "SpecificCharacterSet": "ISO_IR 100",
        "PatientName": "Müller^Anna",
        "PatientID": "P-1",
        "PatientBirthDate": "19620413",
        "PatientSex": "F",
        "StudyDate": "20240105",
        "StudyTime": "101500",
        "StudyID": "S+1",
        "AccessionNumber": "A+1",
        "ReferringPhysicianName": "Arzt^Berta",
        "StudyDescription": "CT chest",
    }
    for number in range(1, CT_COUNT + 1):
        ct = make_instance(f"{CT_SERIES}.{number}", **mueller, Modality="CT", SeriesNumber=1, SeriesDescription="axial")
        ct.ImageComments = "long text, " * 200
        ct.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        block = ct.private_block(0x0029, "CONFORMANCE", create=True)
        block.add_new(1, "OB", bytes(range(256)) * 8)
        block.add_new(2, "LO", "private")
        _add_pixels(ct, bytes(range(256)) * 2, 16, 16)
        yield ct, ExplicitVRLittleEndian
    mr = make_instance(f"{CT_STUDY}.2.1", MRImageStorage, **mueller, Modality="MR", SeriesNumber=2)
    _add_pixels(mr, bytes(range(128)), 8, 8)
    yield mr, ImplicitVRLittleEndian
    loop = make_instance(f"{CT_STUDY}.3.1", UltrasoundMultiFrameImageStorage, **mueller, Modality="US", SeriesNumber=3)
    _add_pixels(loop, b"".join(bytes([n]) * 64 for n in range(1, FRAMES + 1)), 8, 8, 8, FRAMES)
    yield loop, ExplicitVRLittleEndian

    doe = {"PatientName": "Doe^John", "PatientID": "P-2", "StudyDate": "20240210", "StudyTime": "230000"}
    frames = [b"\xff\x4f\xff\x51" + bytes([number]) * 60 + b"\xff\xd9" for number in (1, 2, 3)]
    compressed = make_instance(f"{US_STUDY}.1.1", UltrasoundMultiFrameImageStorage, **doe, Modality="US")
    _add_pixels(compressed, encapsulate(frames), 8, 8, 8, 3)
    yield compressed, JPEG2000Lossless
    lossy = make_instance(f"{US_STUDY}.2.1", UltrasoundImageStorage, **doe, Modality="US", LossyImageCompression="01")
    _add_pixels(lossy, encapsulate([b"\xff\xd8" + b"\1" * 60 + b"\xff\xd9"]), 8, 8, 8)
    yield lossy, JPEGBaseline8Bit

    yield make_instance(f"{EMPTY_STUDY}.1.1", _REPORT_STORAGE, Modality="SR"), ExplicitVRLittleEndian
    big = make_instance(f"{EMPTY_STUDY}.2.1", MRImageStorage, Modality="MR")
    words = bytes(range(128))
    _add_pixels(big, b"".join(words[n : n + 2][::-1] for n in range(0, 128, 2)), 8, 8)
    yield big, ExplicitVRBigEndian
