"""gateway/sandbox/answers.py"""

from __future__ import annotations

import pytest
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from gateway.sandbox import Behaviour
from gateway.sandbox.answers import find_answers
from gateway.sandbox.identifiers import read_scope
from gateway.sandbox.matching import MatchingOptions
from tests.unit.sandbox.conftest import PATIENT_FIND, STUDY_FIND, identifier, make_instance, save


def ask(archive, level, model=STUDY_FIND, behaviour=Behaviour(), **keys):  # noqa: B008 - frozen
    request = identifier(level, **keys)
    scope = read_scope(request, model, relational=True)
    return list(find_answers(archive.index, request, scope, MatchingOptions(), behaviour, "SANDBOX"))


def test_computed_keys_of_a_study(archive):
    (answer,) = ask(
        archive,
        "STUDY",
        StudyInstanceUID="1.2.1",
        ModalitiesInStudy="",
        SOPClassesInStudy="",
        NumberOfStudyRelatedSeries="",
        NumberOfStudyRelatedInstances="",
        InstanceAvailability="",
    )
    assert list(answer.data_set.ModalitiesInStudy) == ["CT", "MR"]
    assert len(answer.data_set.SOPClassesInStudy) == 2
    assert answer.data_set.NumberOfStudyRelatedSeries == 2
    assert answer.data_set.NumberOfStudyRelatedInstances == 4
    assert answer.data_set.InstanceAvailability == "ONLINE"
    assert answer.data_set.RetrieveAETitle == "SANDBOX"
    assert answer.all_keys_supported


def test_computed_keys_of_a_patient_and_of_upper_levels(archive):
    (patient,) = ask(archive, "PATIENT", PATIENT_FIND, PatientID="P1", NumberOfPatientRelatedInstances="")
    assert patient.data_set.NumberOfPatientRelatedInstances == 4
    (image,) = ask(archive, "IMAGE", SOPInstanceUID="1.2.1.2.1", NumberOfStudyRelatedInstances="")
    assert image.data_set.NumberOfStudyRelatedInstances == 4


@pytest.mark.parametrize(("modality", "studies"), [("MR", ["1.2.1"]), ("CT", ["1.2.1", "1.2.2"]), ("US", [])])
def test_modalities_in_study_match_any_series(archive, modality, studies):
    answers = ask(archive, "STUDY", ModalitiesInStudy=modality, StudyInstanceUID="")
    assert [answer.data_set.StudyInstanceUID for answer in answers] == studies


def test_a_key_without_value_comes_back_empty(archive):
    (answer,) = ask(archive, "STUDY", StudyInstanceUID="1.2.2", StudyDescription="")
    assert answer.data_set["StudyDescription"].is_empty


def test_keys_of_lower_levels_are_left_out_and_said_to_be_unsupported(archive):
    (answer,) = ask(archive, "STUDY", StudyInstanceUID="1.2.2", Modality="MR", SOPInstanceUID="")
    assert "Modality" not in answer.data_set
    assert "SOPInstanceUID" not in answer.data_set
    assert not answer.all_keys_supported


def test_omit_optional_keys(archive):
    behaviour = Behaviour(omit_optional_keys=True)
    answers = ask(archive, "STUDY", behaviour=behaviour, ModalitiesInStudy="US", StudyInstanceUID="")
    assert len(answers) == 2
    assert all("ModalitiesInStudy" not in answer.data_set for answer in answers)
    assert not answers[0].all_keys_supported


def test_repeat_answers(archive):
    answers = ask(archive, "STUDY", behaviour=Behaviour(repeat_answers=True), StudyInstanceUID="1.2.1")
    assert [answer.data_set.StudyInstanceUID for answer in answers] == ["1.2.1"] * 4


def test_the_character_set_is_the_stored_one(archive):
    (answer,) = ask(archive, "STUDY", StudyInstanceUID="1.2.1", PatientName="")
    assert answer.data_set.SpecificCharacterSet == "ISO_IR 192"
    behaviour = Behaviour(omit_character_set=True)
    (answer,) = ask(archive, "STUDY", behaviour=behaviour, StudyInstanceUID="1.2.1")
    assert "SpecificCharacterSet" not in answer.data_set
    (answer,) = ask(archive, "STUDY", behaviour=behaviour, StudyInstanceUID="1.2.1", SpecificCharacterSet="")
    assert answer.data_set.SpecificCharacterSet == "ISO_IR 192"


def test_latin1_answers_come_without_a_character_set(archive, tmp_path):
    archive.index.add_file(save(make_instance("1.2.9.1.1", PatientName="Müller^Jürgen"), tmp_path))
    behaviour = Behaviour(latin1_answers=True)
    (answer,) = ask(archive, "STUDY", behaviour=behaviour, StudyInstanceUID="1.2.9", PatientName="")
    raw = answer.data_set.get_item("PatientName")
    assert raw.value.rstrip() == "Müller^Jürgen".encode("latin-1")
    assert len(raw.value) % 2 == 0
    assert "SpecificCharacterSet" not in answer.data_set


def test_odd_stored_values_are_passed_on_as_they_are(archive, tmp_path):
    instance = make_instance("1.2.9.1.1")
    instance[0x00200013] = RawDataElement(Tag(0x00200013), "IS", 4, b"1.5x", 0, False, True)
    archive.index.add_file(save(instance, tmp_path))
    (answer,) = ask(archive, "IMAGE", SOPInstanceUID="1.2.9.1.1", InstanceNumber="")
    assert answer.data_set.get_item(0x00200013).value == b"1.5x"
    (answer,) = ask(archive, "IMAGE", StudyInstanceUID="1.2.9", InstanceNumber="")
    assert answer.data_set.get_item(0x00200013).value == b"1.5x"


def test_sequences_come_with_the_keys_asked_for(archive, tmp_path):
    item = Dataset()
    item.ScheduledProcedureStepID, item.RequestedProcedureID = "S1", "R1"
    archive.index.add_file(save(make_instance("1.2.9.1.1", RequestAttributesSequence=[item]), tmp_path))
    wanted = Dataset()
    wanted.RequestedProcedureID = ""
    wanted.RequestedProcedureDescription = ""
    keys = {"StudyInstanceUID": "1.2.9", "SeriesInstanceUID": ""}
    (answer,) = ask(archive, "SERIES", RequestAttributesSequence=[wanted], **keys)
    (picked,) = answer.data_set.RequestAttributesSequence
    assert picked.RequestedProcedureID == "R1"
    assert picked["RequestedProcedureDescription"].is_empty
    assert "ScheduledProcedureStepID" not in picked
    (answer,) = ask(archive, "SERIES", RequestAttributesSequence=[], **keys)
    assert answer.data_set.RequestAttributesSequence[0].ScheduledProcedureStepID == "S1"


def test_any_attribute_of_the_instance_is_a_key(archive):
    (answer,) = ask(archive, "IMAGE", SOPInstanceUID="1.2.1.1.2", Rows=8, BitsAllocated=None)
    assert (answer.data_set.Rows, answer.data_set.BitsAllocated) == (8, 16)
    assert ask(archive, "IMAGE", Rows=9) == []
    assert isinstance(answer.data_set["Rows"], DataElement)
