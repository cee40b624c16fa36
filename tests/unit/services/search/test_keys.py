"""The tables of keys against the tables of the standard."""

from __future__ import annotations

import pytest

from gateway.resources import Level
from gateway.services.search.attributes import parse_attribute_path
from gateway.services.search.keys import (
    DATE_TIME_PAIRS,
    OPTIONAL_KEYS,
    REQUIRED_TAGS,
    RETURN_KEYS,
    UNIQUE_KEYS,
    key_path,
    level_of,
)

# PS3.18 Tables 10.6.3-3 to 10.6.3-5, types U and R without Retrieve URL
REQUIRED = {
    Level.STUDY: "00080020 00080030 00080050 00080061 00080090 00100010 00100020 00100030 00100040 0020000D"
    " 00200010 00201206 00201208",
    Level.SERIES: "00080060 0020000E 00200011 00201209",
    Level.IMAGE: "00080016 00080018 00200013",
}


@pytest.mark.parametrize("level", list(Level))
def test_required_attributes_are_those_of_the_tables(level: Level) -> None:
    assert sorted(REQUIRED_TAGS[level]) == REQUIRED[level].split()
    assert UNIQUE_KEYS[level] in REQUIRED_TAGS[level]


@pytest.mark.parametrize("level", list(Level))
def test_every_key_of_a_level_belongs_to_it(level: Level) -> None:
    for path in (*RETURN_KEYS[level], *OPTIONAL_KEYS[level]):
        assert level_of(path) in (level, None), path.name


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("PatientName", Level.STUDY),
        ("OtherPatientIDsSequence.PatientID", Level.STUDY),
        ("StudyDescription", Level.STUDY),
        ("ReferencedStudySequence", Level.STUDY),
        ("SeriesDescription", Level.SERIES),
        ("RequestAttributesSequence.RequestedProcedureID", Level.SERIES),
        ("BodyPartExamined", Level.SERIES),
        ("SOPClassUID", Level.IMAGE),
        ("SliceThickness", Level.IMAGE),
        ("TimezoneOffsetFromUTC", None),
        ("InstanceAvailability", None),
    ],
)
def test_levels_of_attributes(name: str, level: Level | None) -> None:
    assert level_of(parse_attribute_path(name, {})) is level


def test_private_attributes_belong_to_the_level_searched() -> None:
    assert level_of(parse_attribute_path("00231001", {"00230010": "Acme"})) is None


def test_dates_and_times_pair() -> None:
    assert DATE_TIME_PAIRS["00080020"] == "00080030"
    assert DATE_TIME_PAIRS["00400244"] == "00400245"


def test_an_unknown_keyword_is_a_defect_of_the_tables() -> None:
    with pytest.raises(LookupError):
        key_path("Nonsense")
