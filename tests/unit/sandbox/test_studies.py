"""gateway/sandbox/studies.py"""

from __future__ import annotations

import pydicom
import pytest
from pydicom.uid import RLELossless

from gateway.sandbox.studies import write_demo_studies


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_demo_studies(tmp_path_factory.mktemp("studies"))


@pytest.fixture(scope="module")
def heads(files):
    return [pydicom.dcmread(path, stop_before_pixels=True) for path in files]


def test_there_is_something_of_everything_and_not_too_much(files, heads):
    assert {head.Modality for head in heads} == {"CT", "MR", "US", "CR", "SR", "DOC"}
    assert len({head.StudyInstanceUID for head in heads}) == len({head.PatientID for head in heads}) == 4
    assert len({head.SOPInstanceUID for head in heads}) == len(heads)
    assert 40_000_000 < sum(path.stat().st_size for path in files) < 60_000_000


def test_names_come_in_several_character_sets(heads):
    names = {str(head.PatientName) for head in heads}
    assert names == {
        "Müller-Beispiel^Änne",
        "Tesuto^Hanako=試験^花子=てすと^はなこ",
        "Образцов^Пётр",
        "Przykładowa^Łucja",
    }
    assert len({str(head.SpecificCharacterSet) for head in heads}) == 4


def test_nobody_is_real(heads):
    assert all("no real person" in head.PatientComments for head in heads)
    assert all(head.PatientID.startswith("DEMO-") for head in heads)


def test_one_series_is_compressed_and_decodes(files, heads):
    compressed = [
        path for path, head in zip(files, heads, strict=True) if head.file_meta.TransferSyntaxUID == RLELossless
    ]
    assert len(compressed) == 24
    assert pydicom.dcmread(compressed[12]).pixel_array.max() > 500


@pytest.mark.parametrize(
    ("modality", "keywords"),
    [
        ("CT", "ImageType RescaleIntercept RescaleSlope KVP AcquisitionNumber ImagePositionPatient"),
        ("MR", "ImageType ScanningSequence SequenceVariant ScanOptions MRAcquisitionType RepetitionTime EchoTime"),
        ("US", "ImageType NumberOfFrames FrameTime FrameIncrementPointer SequenceOfUltrasoundRegions"),
        ("CR", "ViewPosition BodyPartExamined ImagerPixelSpacing PatientOrientation"),
        ("SR", "CompletionFlag VerificationFlag ValueType ContinuityOfContent ConceptNameCodeSequence"),
        ("DOC", "ConversionType DocumentTitle ConceptNameCodeSequence MIMETypeOfEncapsulatedDocument"),
    ],
)
def test_attributes_that_the_object_definitions_want_are_there(heads, modality, keywords):
    """Type 1 and 2 attributes of the modality, and of the modules that all share (PS3.3 §A, §C.7)."""
    common = "PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime AccessionNumber StudyID"
    common += " ReferringPhysicianName Manufacturer SeriesNumber InstanceNumber"
    for head in heads:
        if head.Modality == modality:
            assert [keyword for keyword in f"{common} {keywords}".split() if keyword not in head] == []
            assert [keyword for keyword in common.split() if head[keyword].is_empty] == []
