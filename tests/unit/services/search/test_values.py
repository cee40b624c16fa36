"""Match values against their VR, and the attributes made of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadParameter
from gateway.services.search.attributes import parse_attribute_path
from gateway.services.search.values import has_wildcard, read_match_values, to_attribute


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("PatientName", "Doe^J*", ("Doe^J*",)),
        ("PatientName", "Wang^XiaoDong=王^小東", ("Wang^XiaoDong=王^小東",)),
        ("PatientName", "", ()),
        ("PatientName", "*", ()),
        ("PatientName", "**", ()),
        ("PatientName", "?", ("?",)),
        ("PatientID", "a,b", ("a,b",)),
        ("StudyInstanceUID", "1.2,1.3", ("1.2", "1.3")),
        ("StudyInstanceUID", "1.2\\1.3", ("1.2", "1.3")),
        ("ModalitiesInStudy", "CT,MR", ("CT", "MR")),
        ("ModalitiesInStudy", "CT\\MR", ("CT", "MR")),
        ("Modality", "C?", ("C?",)),
        ("StudyDate", "20200101-20201231", ("20200101-20201231",)),
        ("PatientAge", "063Y", ("063Y",)),
        ("InstanceNumber", "-12", ("-12",)),
        ("SliceThickness", "1.25e0", ("1.25e0",)),
        ("Rows", "512", ("512",)),
        ("FrameIncrementPointer", "00181063", ("00181063",)),
        ("TimezoneOffsetFromUTC", "+0100", ("+0100",)),
        ("RequestAttributesSequence", "", ()),
    ],
)
def test_values_that_fit(name: str, text: str, values: tuple[str, ...]) -> None:
    assert read_match_values(name, parse_attribute_path(name, {}), text) == values


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("StudyInstanceUID", "1.2*"),
        ("StudyInstanceUID", "abc"),
        ("StudyInstanceUID", ","),
        ("StudyDate", "2020*"),
        ("StudyDate", "*"),
        ("StudyDate", "2020-01-01"),
        ("StudyTime", "25"),
        ("PatientID", "a\\b"),
        ("PatientID", "x" * 65),
        ("PatientID", "a\tb"),
        ("AccessionNumber", "x" * 17),
        ("Modality", "ct"),
        ("PatientName", "a=b=c=d"),
        ("PatientName", "=="),
        ("PatientAge", "63"),
        ("InstanceNumber", "*"),
        ("InstanceNumber", "1.5"),
        ("Rows", "65536"),
        ("Rows", "-1"),
        ("TimezoneOffsetFromUTC", "0100"),
        ("RequestAttributesSequence", "x"),
        ("PixelData", "AAAA"),
    ],
)
def test_values_that_do_not_fit_are_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(BadParameter) as caught:
        read_match_values(name, parse_attribute_path(name, {}), text)
    assert caught.value.name == name


@pytest.mark.parametrize(
    ("name", "values", "attribute"),
    [
        ("PatientName", ("A^B=C",), {"vr": "PN", "Value": [{"Alphabetic": "A^B", "Ideographic": "C"}]}),
        ("PatientName", ("=C",), {"vr": "PN", "Value": [{"Ideographic": "C"}]}),
        ("Rows", ("512",), {"vr": "US", "Value": [512]}),
        ("InstanceNumber", ("007",), {"vr": "IS", "Value": ["007"]}),
        ("StudyInstanceUID", ("1.2", "1.3"), {"vr": "UI", "Value": ["1.2", "1.3"]}),
        ("FrameIncrementPointer", ("0018106a",), {"vr": "AT", "Value": ["0018106A"]}),
        ("RequestAttributesSequence", (), {"vr": "SQ"}),
    ],
)
def test_attributes_of_the_json_model(name: str, values: tuple[str, ...], attribute: dict[str, Any]) -> None:
    assert to_attribute(parse_attribute_path(name, {}), values) == attribute


def test_a_private_value_of_unknown_vr_travels_as_text() -> None:
    path = parse_attribute_path("00231001", {"00230010": "AcmeCompany"})
    assert read_match_values("00231001", path, "001239") == ("001239",)
    assert to_attribute(path, ("001239",)) == {"vr": "LO", "Value": ["001239"]}


def test_wildcards() -> None:
    assert has_wildcard("a*") and has_wildcard("a?") and not has_wildcard("a")


@given(
    st.sampled_from("PatientName PatientID StudyDate StudyTime StudyInstanceUID Rows Modality".split()),
    st.text(max_size=40),
)
def test_garbage_gives_one_kind_of_error(name: str, text: str) -> None:
    path = parse_attribute_path(name, {})
    try:
        values = read_match_values(name, path, text)
    except BadParameter:
        return
    assert to_attribute(path, values)["vr"] == path.vr
