"""A series whose slices are stored in different transfer syntaxes, as migrations and mixed modalities leave them."""

from __future__ import annotations

from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from tests.support.samples import sample_files

__all__ = ["MIXED_SERIES", "MIXED_STUDY", "write_mixed_series"]

MIXED_STUDY = "1.2.826.0.1.3680043.8.498.7"
MIXED_SERIES = f"{MIXED_STUDY}.1"
_SOURCES = {  # files of the pydicom package: the same MR slice; a JPEG 2000 and a JPEG-LS one
    "MR_small.dcm": ExplicitVRLittleEndian,
    "MR_small_implicit.dcm": ImplicitVRLittleEndian,
    "MR_small_bigendian.dcm": ExplicitVRBigEndian,
    "MR_small_RLE.dcm": RLELossless,
    "MR_small_jp2klossless.dcm": UID("1.2.840.10008.1.2.4.90"),
    "MR_small_jpeg_ls_lossless.dcm": UID("1.2.840.10008.1.2.4.80"),
}


def write_mixed_series(folder: Path) -> list[Path]:
    """Write the slices below `folder`, one a transfer syntax."""
    named = {path.name: path for path in sample_files()}
    paths = []
    for number, (name, syntax) in enumerate(_SOURCES.items(), 1):
        instance = dcmread(named[name])
        assert instance.file_meta.TransferSyntaxUID == syntax
        paths.append(_save(instance, folder, number))
    deflated = dcmread(named["MR_small.dcm"])
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return [*paths, _save(deflated, folder, len(paths) + 1)]


def _save(instance: Dataset, folder: Path, number: int) -> Path:
    instance.StudyInstanceUID, instance.SeriesInstanceUID = MIXED_STUDY, MIXED_SERIES
    instance.SOPInstanceUID = instance.file_meta.MediaStorageSOPInstanceUID = f"{MIXED_SERIES}.{number}"
    instance.PatientID, instance.StudyID, instance.InstanceNumber = "MIXED", "MIXED", number
    path = folder / f"{number}.dcm"
    instance.save_as(path)
    return path
