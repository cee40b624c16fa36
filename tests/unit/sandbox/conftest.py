"""A sandbox archive with a few small instances, and pynetdicom as the requestor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association

from gateway.sandbox import SandboxArchive
from gateway.sandbox.session import prepare_transport

STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_GET = "1.2.840.10008.5.1.4.1.2.2.3"
PATIENT_FIND = "1.2.840.10008.5.1.4.1.2.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"


def make_instance(uid: str = "1.2.1.1.1", **attributes: object) -> Dataset:
    """Return a small CT instance; its UID's parts say study, series and number: 1.2.{study}.{series}.{n}."""
    study, series, number = uid.split(".")[2:]
    instance = Dataset()
    instance.SpecificCharacterSet = "ISO_IR 192"
    instance.SOPClassUID = CT
    instance.SOPInstanceUID = uid
    instance.StudyInstanceUID = f"1.2.{study}"
    instance.SeriesInstanceUID = f"1.2.{study}.{series}"
    instance.StudyDate, instance.StudyTime = f"2024010{study}", "101530"
    instance.AccessionNumber, instance.StudyID = f"A{study}", study
    instance.Modality = "CT"
    instance.SeriesNumber, instance.InstanceNumber = int(series), int(number)
    instance.PatientName, instance.PatientID = f"Test^Patient{study}", f"P{study}"
    instance.Rows = instance.Columns = 8
    instance.BitsAllocated = instance.BitsStored = 16
    instance.HighBit, instance.PixelRepresentation, instance.SamplesPerPixel = 15, 0, 1
    instance.PhotometricInterpretation = "MONOCHROME2"
    instance.PixelData = bytes(range(128))
    for keyword, value in attributes.items():
        setattr(instance, keyword, value)
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    instance.file_meta.MediaStorageSOPClassUID = UID(str(instance.SOPClassUID))
    instance.file_meta.MediaStorageSOPInstanceUID = UID(uid)
    return instance


def save(instance: Dataset, directory: Path) -> Path:
    """Write an instance as a Part 10 file."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{instance.SOPInstanceUID}.dcm"
    instance.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[SandboxArchive]:
    """Two studies: 1.2.1 with series 1 (CT, three instances) and 2 (MR, one), 1.2.2 with one CT."""
    with SandboxArchive(tmp_path / "archive") as running:
        for number in (1, 2, 3):
            running.index.add_file(save(make_instance(f"1.2.1.1.{number}"), tmp_path / "files"))
        mr = make_instance("1.2.1.2.1", SOPClassUID=MR, Modality="MR")
        running.index.add_file(save(mr, tmp_path / "files"))
        running.index.add_file(save(make_instance("1.2.2.1.1"), tmp_path / "files"))
        yield running


Associate = Callable[..., AbstractContextManager[Association]]


@pytest.fixture
def associate(archive: SandboxArchive) -> Associate:
    """A context manager: an association with the archive for the given contexts, released at the end."""

    @contextmanager
    def open_association(
        *abstract_syntaxes: str, transfer_syntax: str | list[str] | None = None, **options: object
    ) -> Iterator[Association]:
        ae = AE("REQUESTOR")
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 10
        for uid in abstract_syntaxes:
            ae.add_requested_context(uid, transfer_syntax or ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"])
        handlers = [(evt.EVT_CONN_OPEN, lambda event: prepare_transport(event.assoc))]
        assoc = ae.associate("127.0.0.1", archive.port, evt_handlers=handlers, **options)
        try:
            yield assoc
        finally:
            if assoc.is_established:
                assoc.release()

    return open_association


def identifier(level: str, **keys: object) -> Dataset:
    """Return a request identifier."""
    data_set = Dataset()
    data_set.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(data_set, keyword, value)
    return data_set


def find(assoc: Association, keys: Dataset, model: str = STUDY_FIND) -> tuple[list[Dataset], list[int]]:
    """Run a C-FIND; return the answers and all statuses, the final one last."""
    answers, statuses = [], []
    for status, answer in assoc.send_c_find(keys, model):
        statuses.append(status.Status if status else -1)
        if answer is not None:
            answers.append(answer)
    return answers, statuses
