"""Which C-FINDs answer which search."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.dimse.archive import QueryCapabilities
from gateway.errors import BadParameter
from gateway.resources import Level
from gateway.services.contracts import SearchRequest
from gateway.services.search.keys import RETURN_KEYS
from gateway.services.search.plan import (
    EMPTY_VALUE_UNSUPPORTED,
    FUZZY_UNSUPPORTED,
    IGNORED,
    MULTIPLE_VALUE_UNSUPPORTED,
    TIMEZONE_UNSUPPORTED,
    SearchPlan,
    make_plan,
)
from gateway.services.search.query import parse_search_query

STUDY, SERIES, IMAGE = Level.STUDY, Level.SERIES, Level.IMAGE
RESOURCES = [
    (STUDY, None, None, [STUDY], [STUDY]),
    (SERIES, "1.2", None, [SERIES], [SERIES]),
    (IMAGE, "1.2", "1.3", [IMAGE], [IMAGE]),
    (IMAGE, "1.2", None, [SERIES, IMAGE], [SERIES, IMAGE]),
    (SERIES, None, None, [STUDY, SERIES], [STUDY, SERIES]),
    (IMAGE, None, None, [STUDY, SERIES, IMAGE], [STUDY, SERIES, IMAGE]),
]


def plan(
    query: str, level: Level = STUDY, study: str | None = None, series: str | None = None, **can: bool
) -> SearchPlan:
    request = SearchRequest(level, query, "http://h", study, series)
    return make_plan(request, parse_search_query(query), QueryCapabilities(**can))


def value(keys: dict[str, dict[str, Any]], tag: str) -> Any:
    return keys[tag].get("Value")


@pytest.mark.parametrize(("level", "study", "series", "walked", "tables"), RESOURCES)
def test_without_relational_queries_each_level_is_asked(
    level: Level, study: str | None, series: str | None, walked: list[Level], tables: list[Level]
) -> None:
    found = plan("", level, study, series)
    assert [step.level for step in found.steps] == walked
    assert list(found.tables) == tables
    for step in found.steps:
        assert {path.tag for path in RETURN_KEYS[step.level]} <= set(step.keys)
        assert step.keys["00080005"] == {"vr": "CS"}
        assert value(step.keys, "00080052") == [step.level.value]


@pytest.mark.parametrize(("level", "study", "series", "walked", "tables"), RESOURCES)
def test_with_relational_queries_one_is_enough(
    level: Level, study: str | None, series: str | None, walked: list[Level], tables: list[Level]
) -> None:
    found = plan("", level, study, series, relational=True)
    assert [step.level for step in found.steps] == [level]
    for table in tables:
        assert {path.tag for path in RETURN_KEYS[table]} <= set(found.steps[0].keys)
    assert found.is_relational is (len(walked) > 1)


def test_a_hierarchical_identifier_holds_no_key_of_the_level_above() -> None:
    keys = plan("includefield=PatientName", SERIES, "1.2").steps[0].keys
    assert "00100010" not in keys and "00080020" not in keys


def test_fields_of_the_level_above_are_asked_for_by_a_query_of_its_own() -> None:
    found = plan("includefield=PatientName,SeriesDescription,Rows", IMAGE, "1.2", "1.3")
    assert [(parent.step.level, parent.tags) for parent in found.parents] == [
        (STUDY, ("00100010",)),
        (SERIES, ("0008103E",)),
    ]


def test_fields_of_levels_below_the_results_are_left_out() -> None:
    keys = plan("includefield=SeriesDescription,Rows,StudyDescription").steps[0].keys
    assert "00081030" in keys and "0008103E" not in keys and "00280010" not in keys


def test_all_fields_add_the_optional_keys_of_the_level() -> None:
    assert {"00081030", "00080062", "00101010"} <= set(plan("includefield=all").steps[0].keys)
    assert {"00180015", "00080070"} <= set(plan("includefield=all", SERIES, "1.2").steps[0].keys)


def test_matches_go_to_the_step_of_their_level() -> None:
    found = plan("PatientName=A*&Modality=CT&SOPClassUID=1.2.3", IMAGE)
    study, series, image = (step.keys for step in found.steps)
    assert value(study, "00100010") == [{"Alphabetic": "A*"}]
    assert value(series, "00080060") == ["CT"]
    assert value(image, "00080018") is None and value(image, "00080016") == ["1.2.3"]


def test_a_walk_is_spared_studies_without_the_modality() -> None:
    assert value(plan("Modality=CT", SERIES).steps[0].keys, "00080061") == ["CT"]
    assert value(plan("Modality=C*", SERIES).steps[0].keys, "00080061") is None
    assert value(plan("Modality=CT", SERIES, relational=True).steps[0].keys, "00080061") is None
    assert value(plan("Modality=CT&ModalitiesInStudy=MR", SERIES).steps[0].keys, "00080061") == ["MR"]


@pytest.mark.parametrize(
    ("query", "level", "study", "series", "ignored"),
    [
        ("SeriesDescription=x", STUDY, None, None, "SeriesDescription"),
        ("PatientName=x", SERIES, "1.2", None, "PatientName"),
        ("Modality=CT&00100010=x", IMAGE, "1.2", "1.3", "Modality, PatientName"),
        ("StudyInstanceUID=1.9", SERIES, "1.2", None, "StudyInstanceUID"),
        ("SpecificCharacterSet=ISO_IR 100", STUDY, None, None, "SpecificCharacterSet"),
    ],
)
def test_what_cannot_be_matched_here_is_ignored_and_told(
    query: str, level: Level, study: str | None, series: str | None, ignored: str
) -> None:
    found = plan(query, level, study, series)
    assert found.warnings == (f"{IGNORED}: {ignored}",)
    assert not found.matched


def test_the_uid_of_the_path_may_be_repeated_as_a_match() -> None:
    assert plan("StudyInstanceUID=1.2", SERIES, "1.2").warnings == ()


def test_values_beyond_ascii_set_the_character_set() -> None:
    assert value(plan("PatientName=%E7%8E%8B*").steps[0].keys, "00080005") == ["ISO_IR 192"]


def test_lists_of_uids_are_sent_and_choices_of_modalities_are_not() -> None:
    keys = plan("StudyInstanceUID=1.2,1.3&ModalitiesInStudy=CT,MR").steps[0].keys
    assert value(keys, "0020000D") == ["1.2", "1.3"]
    assert value(keys, "00080061") is None


def test_sequence_keys_share_one_item() -> None:
    query = "RequestAttributesSequence.RequestedProcedureID=A&00400275.00400007"
    keys = plan(query, SERIES, "1.2").steps[0].keys
    assert value(keys, "00400275") == [
        {"00401001": {"vr": "SH", "Value": ["A"]}, "00400009": {"vr": "SH"}, "00400007": {"vr": "LO"}}
    ]


def test_a_combined_range_is_sent_as_dates_only_unless_negotiated() -> None:
    query = "StudyDate=20060705-20060707&StudyTime=1000-1800"
    plain, negotiated = plan(query).steps[0], plan(query, combined_datetime=True).steps[0]
    assert value(plain.keys, "00080030") is None
    assert value(negotiated.keys, "00080030") == ["1000-1800"]
    assert len(plain.ranges) == len(negotiated.ranges) == 1
    assert [key.path.name for key in plain.filters] == ["StudyDate"]


@pytest.mark.parametrize("date", ["20060705", None])
def test_a_night_without_a_range_of_dates_is_refused(date: str | None) -> None:
    query = "StudyTime=2200-0600" + (f"&StudyDate={date}" if date else "")
    with pytest.raises(BadParameter) as caught:
        plan(query)
    assert caught.value.name == "StudyTime"


def test_a_night_within_a_range_of_dates_is_one_interval() -> None:
    assert len(plan("StudyTime=2200-0600&StudyDate=20060705-20060706").steps[0].ranges) == 1


def test_a_negotiated_time_zone_is_sent_and_dates_are_left_to_the_archive() -> None:
    query = "StudyDate=20060705&TimezoneOffsetFromUTC=%2B0100"
    step = plan(query, timezone=True).steps[0]
    assert value(step.keys, "00080201") == ["+0100"] and not step.filters
    refused = plan(query)
    assert value(refused.steps[0].keys, "00080201") is None
    assert refused.warnings == (TIMEZONE_UNSUPPORTED,)


def test_matching_options_are_told_as_the_standard_words_it() -> None:
    query = "fuzzymatching=true&emptyvaluematching=true&multiplevaluematching=true"
    assert plan(query).warnings == (FUZZY_UNSUPPORTED, EMPTY_VALUE_UNSUPPORTED, MULTIPLE_VALUE_UNSUPPORTED)
    fuzzy = plan("fuzzymatching=true&PatientName=doe", fuzzy=True)
    assert fuzzy.warnings == () and not fuzzy.compares_names


def test_private_attributes_are_asked_for_with_their_creator() -> None:
    keys = plan("00230010=AcmeCompany&00231001=001239").steps[0].keys
    assert value(keys, "00230010") == ["AcmeCompany"] and value(keys, "00231001") == ["001239"]
