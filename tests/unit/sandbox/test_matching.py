"""gateway/sandbox/matching.py"""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from gateway.sandbox.matching import MatchingOptions, match_data_set

PLAIN = MatchingOptions()


def make(**attributes):
    data_set = Dataset()
    for keyword, value in attributes.items():
        setattr(data_set, keyword, value)
    return data_set


@pytest.mark.parametrize(
    ("keyword", "key", "stored", "expected"),
    [
        ("PatientID", "P1", "P1", True),
        ("PatientID", "p1", "P1", False),
        ("PatientID", "P", "P1", False),
        ("PatientID", "P*", "P1", True),
        ("PatientID", "P?", "P1", True),
        ("PatientID", "P?", "P12", False),
        ("PatientID", "P.", "P1", False),
        ("PatientID", "*", None, True),
        ("PatientID", "", "P1", True),
        ("PatientID", "P1", None, False),
        ("PatientName", "DOE^john", "Doe^John", True),
        ("PatientName", "Doe*", "Doe^John", True),
        ("PatientName", "Doe", "Doe^John", False),
        ("PatientName", "Doe", "Doe^^", True),
        ("PatientName", "山田^太郎", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("PatientName", "Yamada*", "Yamada^Tarou=山田^太郎", True),
        ("PatientName", "=山田*", "Yamada^Tarou=山田^太郎", True),
        ("PatientName", "=山本*", "Yamada^Tarou=山田^太郎", False),
        ("SOPInstanceUID", "1.2", "1.2", True),
        ("SOPInstanceUID", ["1.3", "1.2"], "1.2", True),
        ("SOPInstanceUID", ["1.3", "1.4"], "1.2", False),
        ("InstanceNumber", "1", "01", True),
        ("InstanceNumber", "2", "1", False),
        ("Rows", 512, 512, True),
        ("Rows", 512, 256, False),
        ("ImageType", "ORIGINAL", ["DERIVED", "ORIGINAL"], True),
        ("ImageType", "AXIAL", ["DERIVED", "ORIGINAL"], False),
        ("StudyDate", "20240101", "20240101", True),
        ("StudyDate", "20240102", "20240101", False),
        ("StudyDate", "20240101-20240131", "20240131", True),
        ("StudyDate", "20240101-20240131", "20240201", False),
        ("StudyDate", "20240101-", "20240101", True),
        ("StudyDate", "20240102-", "20240101", False),
        ("StudyDate", "-20240101", "20240101", True),
        ("StudyDate", "-20231231", "20240101", False),
        ("StudyDate", "20240101-20240131", None, False),
        ("StudyTime", "10", "101530", True),
        ("StudyTime", "1000-1015", "101559", True),
        ("StudyTime", "1000-1014", "101500", False),
        ("StudyTime", "101530", "101530.25", True),
        ("AcquisitionDateTime", "2024-2025", "20241231235959", True),
        ("AcquisitionDateTime", "-2023", "20241231", False),
        ("AcquisitionDateTime", "20240101100000+0100", "20240101090000+0000", True),
        ("AcquisitionDateTime", "20240101090000+0100-20240101110000+0100", "20240101090000", True),
        ("PixelData", b"ab", b"cd", True),  # not matchable: universal
    ],
)
def test_one_key(keyword, key, stored, expected):
    assert match_data_set(make(**{keyword: key}), make(**{keyword: stored}), PLAIN) is expected


def test_an_absent_attribute_matches_only_the_universal_key():
    assert match_data_set(make(StudyDescription=""), make(), PLAIN)
    assert not match_data_set(make(StudyDescription="Chest"), make(), PLAIN)


def test_unknown_values_of_required_keys_match_where_that_is_wanted():
    lenient = MatchingOptions(unknown_values_match=True)
    assert match_data_set(make(PatientID="P1"), make(PatientID=""), lenient)
    assert not match_data_set(make(StudyDescription="Chest"), make(StudyDescription=""), lenient)


def test_all_keys_of_a_sequence_match_in_one_item():
    stored = make(
        RequestAttributesSequence=[
            make(ScheduledProcedureStepID="S1", RequestedProcedureID="R1"),
            make(ScheduledProcedureStepID="S2", RequestedProcedureID="R2"),
        ]
    )

    def ask(**keys):
        return match_data_set(make(RequestAttributesSequence=[make(**keys)]), stored, PLAIN)

    assert ask(ScheduledProcedureStepID="S2", RequestedProcedureID="R2")
    assert ask(ScheduledProcedureStepID="S2", RequestedProcedureID="")
    assert not ask(ScheduledProcedureStepID="S1", RequestedProcedureID="R2")
    assert not match_data_set(make(RequestAttributesSequence=[make(ScheduledProcedureStepID="S1")]), make(), PLAIN)


@pytest.mark.parametrize("items", [[], [Dataset()], [make(ScheduledProcedureStepID="")]])
def test_an_empty_sequence_key_is_universal(items):
    assert match_data_set(make(RequestAttributesSequence=items), make(), PLAIN)


@pytest.mark.parametrize(
    ("date", "time", "combined", "separate"),
    [
        ("20240101", "120000", True, True),
        ("20240102", "090000", True, False),  # inside the interval, outside the time of day
        ("20240101", "090000", False, False),
        ("20240103", "170000", True, True),
        ("20240103", "190000", False, False),
    ],
)
def test_date_and_time_ranges_are_one_interval_only_if_agreed(date, time, combined, separate):
    keys = make(StudyDate="20240101-20240103", StudyTime="1000-1800")
    stored = make(StudyDate=date, StudyTime=time)
    assert match_data_set(keys, stored, MatchingOptions(combined_datetime=True)) is combined
    assert match_data_set(keys, stored, PLAIN) is separate


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"StudyDate": "20240101-", "StudyTime": "1000-"}, True),
        ({"StudyDate": "-20240101", "StudyTime": "-1000"}, False),
        ({"StudyDate": "-20240102", "StudyTime": "1000-"}, True),
    ],
)
def test_combined_intervals_may_be_open(keys, expected):
    stored = make(StudyDate="20240101", StudyTime="101500")
    assert match_data_set(make(**keys), stored, MatchingOptions(combined_datetime=True)) is expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [("muller", True), ("jurgen mull", True), ("Müller^Jürgen", True), ("schmidt", False), ("uller", False)],
)
def test_fuzzy_matching_of_names(key, expected):
    stored = make(SpecificCharacterSet="ISO_IR 192", PatientName="Müller^Jürgen")
    assert match_data_set(make(PatientName=key), stored, MatchingOptions(fuzzy=True)) is expected
    assert match_data_set(make(PatientName="muller"), stored, PLAIN) is False


def test_ignored_keys_are_not_matched():
    assert match_data_set(make(PatientID="P1"), make(PatientID="P2"), PLAIN, ignored=[0x00100020])
