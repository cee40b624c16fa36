"""gateway/sandbox/find.py, over associations with pynetdicom and DCMTK."""

from __future__ import annotations

import subprocess

import pytest
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

from gateway.sandbox import Behaviour, Disturbance, Fault, Moment
from tests.unit.sandbox.conftest import PATIENT_FIND, STUDY_FIND, find, identifier


def negotiate(information: bytes) -> SOPClassExtendedNegotiation:
    item = SOPClassExtendedNegotiation()
    item.sop_class_uid = STUDY_FIND
    item.service_class_application_information = information
    return item


@pytest.mark.parametrize(
    ("model", "level", "keys", "expected"),
    [
        (PATIENT_FIND, "PATIENT", {"PatientID": ""}, ["P1", "P2"]),
        (STUDY_FIND, "STUDY", {"PatientID": "P2"}, ["P2"]),
        (STUDY_FIND, "SERIES", {"StudyInstanceUID": "1.2.1", "SeriesInstanceUID": ""}, ["1.2.1.1", "1.2.1.2"]),
        (
            STUDY_FIND,
            "IMAGE",
            {"StudyInstanceUID": "1.2.1", "SeriesInstanceUID": "1.2.1.1", "SOPInstanceUID": ""},
            ["1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.3"],
        ),
    ],
)
def test_each_level(associate, model, level, keys, expected):
    with associate(model) as assoc:
        answers, statuses = find(assoc, identifier(level, **keys), model)
    asked = list(keys)[-1]
    assert [answer[asked].value for answer in answers] == expected
    assert statuses == [0xFF00] * len(expected) + [0x0000]
    assert all(answer.QueryRetrieveLevel == level for answer in answers)


def test_nothing_found_is_success(associate):
    with associate(STUDY_FIND) as assoc:
        assert find(assoc, identifier("STUDY", PatientID="NOBODY")) == ([], [0x0000])


def test_an_unsupported_key_makes_it_ff01(associate):
    with associate(STUDY_FIND) as assoc:
        _, statuses = find(assoc, identifier("STUDY", PatientID="P1", Modality=""))
    assert statuses == [0xFF01, 0x0000]


def test_hierarchical_rules_hold_until_relational_queries_are_agreed(associate):
    keys = identifier("IMAGE", SOPInstanceUID="")
    with associate(STUDY_FIND) as assoc:
        assert find(assoc, keys)[1] == [0xA900]
    with associate(STUDY_FIND, ext_neg=[negotiate(b"\x01")]) as assoc:
        assert len(find(assoc, keys)[0]) == 5


def test_combined_date_time_is_negotiated(associate):
    keys = identifier("STUDY", StudyDate="20240101-20240102", StudyTime="1100-1000", StudyInstanceUID="")
    with associate(STUDY_FIND) as assoc:
        assert find(assoc, keys)[0] == []
    keys.StudyTime = "1100-1100"
    with associate(STUDY_FIND, ext_neg=[negotiate(b"\x00\x01")]) as assoc:
        answers, _ = find(assoc, keys)
    assert [answer.StudyInstanceUID for answer in answers] == ["1.2.2"]


def test_fuzzy_matching_is_negotiated(associate):
    keys = identifier("STUDY", PatientName="patient1", StudyInstanceUID="")
    with associate(STUDY_FIND) as assoc:
        assert find(assoc, keys)[0] == []
    with associate(STUDY_FIND, ext_neg=[negotiate(b"\x00\x00\x01")]) as assoc:
        assert len(find(assoc, keys)[0]) == 1


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"])
def test_identifiers_in_each_native_syntax(associate, syntax):
    with associate(STUDY_FIND, transfer_syntax=syntax) as assoc:
        answers, _ = find(assoc, identifier("STUDY", PatientID="P1", NumberOfStudyRelatedInstances=""))
    assert [answer.NumberOfStudyRelatedInstances for answer in answers] == [4]


def test_an_identifier_that_cannot_be_read_is_refused(associate):
    with associate(STUDY_FIND) as assoc:
        assert find(assoc, identifier("NOWHERE"))[1] == [0xA900]


def test_cancel_ends_the_operation(archive, associate):
    stall = Disturbance(Fault.STALL, Moment.AFTER_RESPONSES, 1)
    archive.behaviour = Behaviour(disturbance=stall, repeat_answers=True)
    with associate(STUDY_FIND) as assoc:
        responses = assoc.send_c_find(identifier("STUDY", StudyInstanceUID=""), STUDY_FIND, msg_id=7)
        assert archive.wait_for(lambda counters: counters.stalls == 1)
        assoc.send_c_cancel(7, query_model=STUDY_FIND)
        assert archive.wait_for(lambda counters: counters.cancels == 1)
        archive.behaviour = Behaviour(repeat_answers=True)
        assert [status.Status for status, _ in responses] == [0xFF00, 0xFE00]
        # a message ID may be used again: the old C-CANCEL is void
        assert len(list(assoc.send_c_find(identifier("STUDY", PatientID="P2"), STUDY_FIND, msg_id=7))) == 2


def test_findscu_reads_the_answers(archive):
    command = ["/usr/bin/findscu", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=P1", "-k", "PatientName"]
    run = subprocess.run([*command, "127.0.0.1", str(archive.port)], capture_output=True, text=True, check=True)
    assert "[Test^Patient1 ]" in run.stdout + run.stderr
    assert "Patient2" not in run.stdout + run.stderr
