"""Names of attributes: keywords, tags, dotted paths, private ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadParameter
from gateway.services.search.attributes import (
    AttributePath,
    attribute_vr,
    is_attribute_like,
    is_private_creator,
    parse_attribute_path,
)


@pytest.mark.parametrize(
    ("text", "tags", "vr"),
    [
        ("0020000D", ("0020000D",), "UI"),
        ("0020000d", ("0020000D",), "UI"),
        ("StudyInstanceUID", ("0020000D",), "UI"),
        ("00101002.00100020", ("00101002", "00100020"), "LO"),
        ("OtherPatientIDsSequence.PatientID", ("00101002", "00100020"), "LO"),
        ("OtherPatientIDsSequence.00100020", ("00101002", "00100020"), "LO"),
        ("00101002.00100024.00400032", ("00101002", "00100024", "00400032"), "UT"),
        ("SmallestImagePixelValue", ("00280106",), "US"),
        ("dBdt", ("00181318",), "DS"),
    ],
)
def test_paths_of_the_standard_are_read(text: str, tags: tuple[str, ...], vr: str) -> None:
    assert parse_attribute_path(text, {}) == AttributePath(tags, vr)


@pytest.mark.parametrize(
    "text",
    [
        "PatientNam",
        "patientname",
        "0010002",
        "00100020F",
        "0010,0020",
        "PatientName.PatientID",
        "OtherPatientIDsSequence.",
        ".PatientID",
        "",
        "00020010",
        "00000100",
        "FFFEE000",
        "00231001",
    ],
)
def test_what_is_no_attribute_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadParameter) as caught:
        parse_attribute_path(text, {})
    assert caught.value.name == text


def test_a_path_has_an_end() -> None:
    with pytest.raises(BadParameter):
        parse_attribute_path(".".join(["ContentSequence"] * 900 + ["PatientID"]), {})
    assert parse_attribute_path(".".join(["ContentSequence"] * 15 + ["TextValue"]), {}).vr == "UT"


def test_a_private_attribute_is_read_with_its_creator() -> None:
    creators = {"00230010": "AcmeCompany", "00190010": "GEMS_ACQU_01"}
    assert parse_attribute_path("00231001", creators).vr == "UN"
    assert parse_attribute_path("00191002", creators).vr != "UN"
    with pytest.raises(BadParameter):
        parse_attribute_path("00231101", creators)


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("00230010", True), ("002300FF", True), ("0023000F", False), ("00231001", False), ("00220010", False)],
)
def test_private_creators_are_told_by_their_tag(tag: str, expected: bool) -> None:
    assert is_private_creator(tag) is expected
    assert not expected or attribute_vr(tag) == "LO"


@pytest.mark.parametrize("name", ["PatientName", "dBdt", "0020000D", "deadbeef", "Nonsense", "a.b", "0010"])
def test_names_meant_as_attributes(name: str) -> None:
    assert is_attribute_like(name)


@pytest.mark.parametrize("name", ["limit", "orderby", "_", "", "accept", "x-trace", "ünicode"])
def test_names_meant_as_other_parameters(name: str) -> None:
    assert not is_attribute_like(name)


def test_a_path_is_named_by_keywords_where_there_are_some() -> None:
    assert parse_attribute_path("00101002.00100020", {}).name == "OtherPatientIDsSequence.PatientID"
    assert parse_attribute_path("00231001", {"00230010": "X"}).name == "00231001"


@given(st.text(max_size=40))
def test_garbage_gives_one_kind_of_error(text: str) -> None:
    try:
        path = parse_attribute_path(text, {})
    except BadParameter:
        return
    assert all(len(tag) == 8 and int(tag, 16) for tag in path.tags)
