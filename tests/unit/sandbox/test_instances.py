"""gateway/sandbox/instances.py"""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.uid import UID, ExplicitVRLittleEndian

from gateway.sandbox.instances import Patient, Study, describe_instance, make_uid, set_pixels, write_instance

STUDY = Study("test", Patient("T1", "試験^花子", "ISO_IR 192"), "20240101", "101500", "Test", "A1")


def make(number=1):
    return describe_instance(STUDY, "1.2.840.10008.5.1.4.1.1.7", "SC", 1, number, "Test")


def test_uids_are_valid_and_depend_on_their_parts_alone():
    uids = {make_uid("a", 1), make_uid("a", 2), make_uid("b", 1)}
    assert len(uids) == 3
    assert make_uid("a", 1) in uids
    assert all(UID(uid).is_valid for uid in uids)


def test_instances_of_a_study_share_its_uids():
    first, second = make(1), make(2)
    assert first.StudyInstanceUID == second.StudyInstanceUID == STUDY.uid
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID


def test_a_written_instance_reads_back(tmp_path):
    instance = make()
    set_pixels(instance, np.arange(12, dtype=np.uint16).reshape(3, 4), 12)
    path = write_instance(instance, tmp_path / "new", "0001")
    read = pydicom.dcmread(path)
    assert read.PatientName == "試験^花子"
    assert read.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert np.array_equal(read.pixel_array, np.arange(12).reshape(3, 4))


@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [
        ((4, 6), np.uint16, (1, 4, 6, "MONOCHROME2", "OW")),
        ((2, 4, 6), np.uint8, (1, 4, 6, "MONOCHROME2", "OB")),
        ((4, 6, 3), np.uint8, (3, 4, 6, "RGB", "OB")),
        ((2, 4, 6, 3), np.uint8, (3, 4, 6, "RGB", "OB")),
    ],
)
def test_pixels_describe_themselves(shape, dtype, expected):
    instance = make()
    set_pixels(instance, np.zeros(shape, dtype), 8)
    names = ("SamplesPerPixel", "Rows", "Columns", "PhotometricInterpretation")
    assert (*(instance[name].value for name in names), instance["PixelData"].VR) == expected


def test_an_odd_number_of_bytes_is_padded():
    instance = make()
    set_pixels(instance, np.ones((3, 3), np.uint8), 8)
    assert len(instance.PixelData) == 10


def test_a_patient_without_a_character_set():
    study = Study("plain", Patient("T2", "Plain^Name", ""), "20240101", "101500", "Test", "A2")
    instance = describe_instance(study, "1.2.840.10008.5.1.4.1.1.7", "SC", 1, 1, "Test")
    assert "SpecificCharacterSet" not in instance
