"""Files that are no instance, or not any more."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from tests.unit.sandbox.conftest import make_instance


def save_dicomdir(path: Path) -> Path:
    """Write a DICOM file that is no instance of a study."""
    directory = Dataset()
    directory.file_meta = FileMetaDataset()
    directory.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    directory.FileSetID = "SET"
    directory.save_as(path, enforce_file_format=True)
    return path


def save_broken_deflated(path: Path) -> Path:
    """Write a deflated instance of which nothing can be inflated."""
    instance = make_instance("1.2.1.1.9")
    instance.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    instance.save_as(path, enforce_file_format=True)
    content = bytearray(path.read_bytes())
    length = int.from_bytes(content[140:144], "little")  # of the file meta information, which is not deflated
    content[144 + length :] = b"\xff" * 64
    path.write_bytes(content)
    return path
