"""The filter behind the archive's own."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.services.search.attributes import parse_attribute_path
from gateway.services.search.matching import DateTimeRange, is_excluded, lies_outside
from gateway.services.search.query import MatchKey


def key(name: str, *values: str) -> MatchKey:
    return MatchKey(parse_attribute_path(name, {}), values)


def model(name: str, *values: Any) -> dict[str, Any]:
    path = parse_attribute_path(name, {})
    return {path.tag: {"vr": path.vr, "Value": list(values)} if values else {"vr": path.vr}}


KEPT = [
    (key("PatientID", "A1"), model("PatientID", "A1")),
    (key("PatientID", "a1"), model("PatientID", "A1 ")),
    (key("PatientID", "A*"), model("PatientID", "A1")),
    (key("PatientID", "A?"), model("PatientID", "A1")),
    (key("StudyDescription", "*SCHADEL*"), model("StudyDescription", "MR Schädel")),
    (key("StudyDescription", "*schädel*"), model("StudyDescription", "CT SCHA\u0308DEL")),
    (key("PatientID", "A.*"), model("PatientID", "A.1")),
    (key("StudyDescription", "a[b]*"), model("StudyDescription", "A[B]C")),
    (key("PatientID", "A1"), model("PatientID")),
    (key("PatientID", "A1"), {}),
    (key("PatientName", "doe^j*"), model("PatientName", {"Alphabetic": "Doe^Jane"})),
    (key("PatientName", "王*"), model("PatientName", {"Alphabetic": "W", "Ideographic": "王^小東"})),
    (key("StudyDate", "20200101-20200131"), model("StudyDate", "20200115")),
    (key("StudyDate", "20200101"), model("StudyDate", "unknown")),
    (key("StudyInstanceUID", "1.2", "1.3"), model("StudyInstanceUID", "1.3")),
    (key("InstanceNumber", "7"), model("InstanceNumber", "007")),
    (key("InstanceNumber", "7"), model("InstanceNumber", "N/A")),
    (key("Rows", "512"), model("Rows", 512)),
    (key("ModalitiesInStudy", "CT", "PT"), model("ModalitiesInStudy", "MR", "PT")),
]
EXCLUDED = [
    (key("PatientID", "A1"), model("PatientID", "A2")),
    (key("PatientID", "A?"), model("PatientID", "A12")),
    (key("PatientID", "A.*"), model("PatientID", "AB1")),
    (key("PatientName", "doe^j*"), model("PatientName", {"Alphabetic": "Roe^Jane"})),
    (key("StudyDate", "20200101-20200131"), model("StudyDate", "20200201")),
    (key("StudyInstanceUID", "1.2", "1.3"), model("StudyInstanceUID", "1.4")),
    (key("InstanceNumber", "7"), model("InstanceNumber", 8)),
    (key("ModalitiesInStudy", "CT"), model("ModalitiesInStudy", "MR", "PT")),
    (key("StudyDescription", "a[b]"), model("StudyDescription", "ab")),
    # of many stars: an expression that went back over them would not end within the time limit of a test
    (key("StudyDescription", "*a" * 30 + "*b"), model("StudyDescription", "a" * 64)),
]


@pytest.mark.parametrize(("wanted", "answer"), KEPT)
def test_answers_that_may_match_are_kept(wanted: MatchKey, answer: dict[str, Any]) -> None:
    assert not is_excluded(answer, [wanted], names_too=True)


@pytest.mark.parametrize(("wanted", "answer"), EXCLUDED)
def test_answers_that_contradict_are_excluded(wanted: MatchKey, answer: dict[str, Any]) -> None:
    assert is_excluded(answer, [wanted], names_too=True)


def test_person_names_are_left_to_the_archive_unless_asked() -> None:
    wanted, answer = EXCLUDED[3]
    assert not is_excluded(answer, [wanted], names_too=False)


def test_keys_of_one_sequence_hold_in_one_item() -> None:
    wanted = [
        key("RequestAttributesSequence.RequestedProcedureID", "A"),
        key("RequestAttributesSequence.ScheduledProcedureStepID", "1"),
    ]
    procedure, step = "00401001", "00400009"

    def item(name: str, number: str) -> dict[str, Any]:
        return {procedure: {"vr": "SH", "Value": [name]}, step: {"vr": "SH", "Value": [number]}}

    together = {"00400275": {"vr": "SQ", "Value": [item("B", "2"), item("A", "1")]}}
    apart = {"00400275": {"vr": "SQ", "Value": [item("A", "2"), item("B", "1")]}}
    assert not is_excluded(together, wanted, names_too=False)
    assert is_excluded(apart, wanted, names_too=False)
    assert not is_excluded({"00400275": {"vr": "SQ"}}, wanted, names_too=False)


@pytest.mark.parametrize(
    ("date", "time", "outside"),
    [
        ("20060705", "0959", True),
        ("20060705", "1000", False),
        ("20060706", "0300", False),
        ("20060707", "180059", False),
        ("20060707", "1801", True),
        ("20060708", "", True),
        ("20060705", "", False),
        ("20060706", "noon", False),
        ("", "0300", False),
        ("soon", "0300", False),
    ],
)
def test_a_combined_range_is_one_interval(date: str, time: str, outside: bool) -> None:
    wanted = DateTimeRange.of(key("StudyDate", "20060705-20060707"), key("StudyTime", "1000-1800"))
    answer = {**model("StudyDate", date), **model("StudyTime", time)}
    assert lies_outside(answer, wanted) is outside
