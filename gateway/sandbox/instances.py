"""Building blocks of synthetic instances: UIDs, patients, the modules that all share, and writing.

Everything is a function of its arguments, so that the same call gives the same bytes. The people are invented
and say so in their Patient Comments. Used by the demo studies and the loads for tests and benchmarks.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

__all__ = [
    "IMPLEMENTATION_CLASS_UID",
    "Patient",
    "Study",
    "describe_instance",
    "make_code",
    "make_file_meta",
    "make_uid",
    "set_pixels",
    "write_instance",
]

_NAMESPACE = uuid.UUID("6f2c1f4e-6f0b-5d3c-9d1b-0d1c0a7e5a11")
IMPLEMENTATION_CLASS_UID = f"2.25.{uuid.uuid5(_NAMESPACE, 'implementation').int}"


def make_uid(*parts: object) -> str:
    """Return a UID of the 2.25 kind (PS3.5 §B.2) that depends on `parts` alone."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, '/'.join(map(str, parts))).int}"


@dataclass(frozen=True, slots=True)
class Patient:
    """An invented person; `character_set` as in (0008,0005), able to write `name`."""

    patient_id: str
    name: str
    character_set: str | Sequence[str]
    birth_date: str = "19700101"
    sex: str = "O"


@dataclass(frozen=True, slots=True)
class Study:
    """A study of a patient; `key` makes its UIDs."""

    key: str
    patient: Patient
    date: str
    time: str
    description: str
    accession_number: str
    study_id: str = "1"
    referring_physician: str = "Demo^Referrer"

    @property
    def uid(self) -> str:
        """Study Instance UID."""
        return make_uid("study", self.key)


def describe_instance(
    study: Study, sop_class_uid: str, modality: str, series_number: int, number: int, series_description: str
) -> Dataset:
    """Return the Patient, General Study, General Series, General Equipment and SOP Common modules (PS3.3 §C.7)."""
    patient = study.patient
    instance = Dataset()
    if patient.character_set:
        charset = patient.character_set
        instance.SpecificCharacterSet = charset if isinstance(charset, str) else list(charset)
    instance.SOPClassUID = sop_class_uid
    instance.SOPInstanceUID = make_uid("instance", study.key, series_number, number)
    instance.InstanceCreationDate, instance.InstanceCreationTime = study.date, study.time
    instance.StudyDate = instance.SeriesDate = instance.ContentDate = study.date
    instance.StudyTime = instance.SeriesTime = instance.ContentTime = study.time
    instance.AccessionNumber = study.accession_number
    instance.Modality = modality
    instance.Manufacturer = "Synthetic"
    instance.ManufacturerModelName = "Sandbox"
    instance.DeviceSerialNumber = "0"
    instance.SoftwareVersions = "1"
    instance.ReferringPhysicianName = study.referring_physician
    instance.StudyDescription = study.description
    instance.SeriesDescription = series_description
    instance.PatientName = patient.name
    instance.PatientID = patient.patient_id
    instance.PatientBirthDate = patient.birth_date
    instance.PatientSex = patient.sex
    instance.PatientComments = "Synthetic data, no real person"
    instance.StudyInstanceUID = study.uid
    instance.SeriesInstanceUID = make_uid("series", study.key, series_number)
    instance.StudyID = study.study_id
    instance.SeriesNumber = series_number
    instance.InstanceNumber = number
    instance.file_meta = make_file_meta(instance, ExplicitVRLittleEndian)
    return instance


def make_code(value: str, scheme: str, meaning: str) -> Dataset:
    """Return an item of a code sequence (PS3.3 §8.8)."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def set_pixels(instance: Dataset, pixels: NDArray[Any], bits_stored: int, *, is_signed: bool = False) -> None:
    """Fill the Image Pixel module (PS3.3 §C.7.6.3).

    Parameters
    ----------
    pixels : array
        Rows x columns, rows x columns x 3, or either with frames in front; of 8 or 16 bits.
    """
    is_colour = pixels.ndim > 2 and pixels.shape[-1] == 3
    rows, columns = pixels.shape[-3:-1] if is_colour else pixels.shape[-2:]
    instance.SamplesPerPixel = 3 if is_colour else 1
    instance.PhotometricInterpretation = "RGB" if is_colour else "MONOCHROME2"
    if is_colour:
        instance.PlanarConfiguration = 0
    instance.Rows, instance.Columns = rows, columns
    instance.BitsAllocated = pixels.dtype.itemsize * 8
    instance.BitsStored, instance.HighBit = bits_stored, bits_stored - 1
    instance.PixelRepresentation = int(is_signed)
    little_endian = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<")).tobytes()
    instance.PixelData = little_endian + b"\x00" * (len(little_endian) % 2)
    instance["PixelData"].VR = "OW" if instance.BitsAllocated > 8 else "OB"


def write_instance(instance: Dataset, directory: Path, name: str) -> Path:
    """Write a Part 10 file in the transfer syntax of the instance and return its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.dcm"
    instance.save_as(path, enforce_file_format=True)
    return path


def make_file_meta(instance: Dataset, transfer_syntax_uid: str) -> FileMetaDataset:
    """Return the File Meta Information of an instance (PS3.10 §7.1)."""
    file_meta = FileMetaDataset()
    file_meta.MediaStorageSOPClassUID = instance.SOPClassUID
    file_meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID
    file_meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    file_meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    file_meta.ImplementationVersionName = "SANDBOX"
    return file_meta
