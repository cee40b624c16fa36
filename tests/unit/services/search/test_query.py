"""Query strings as clients send them, and what is read from them."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadParameter
from gateway.services.search.query import SearchQuery, parse_search_query


def matched(query: SearchQuery) -> dict[str, tuple[str, ...]]:
    return {".".join(key.path.tags): key.values for key in query.matches}


def included(query: SearchQuery) -> list[str]:
    return [".".join(path.tags) for path in query.include]


MATCHES = [
    ("PatientName=Doe%5EJohn", {"00100010": ("Doe^John",)}),
    ("00100010=*Doe*", {"00100010": ("*Doe*",)}),
    ("PatientID=%2BA%2CB", {"00100020": ("+A,B",)}),
    ("PatientID=A+B", {"00100020": ("A+B",)}),
    ("PatientID=A%2520B", {"00100020": ("A%20B",)}),
    ("PatientID=a=b", {"00100020": ("a=b",)}),
    ("Patient%49D=x", {"00100020": ("x",)}),
    ("StudyInstanceUID=1.2,1.3", {"0020000D": ("1.2", "1.3")}),
    ("StudyInstanceUID=1.2%2C1.3", {"0020000D": ("1.2", "1.3")}),
    ("StudyInstanceUID=1.2%5C1.3", {"0020000D": ("1.2", "1.3")}),
    ("PatientName=%E7%8E%8B*", {"00100010": ("王*",)}),
    ("OtherPatientIDsSequence.00100020=11235813", {"00101002.00100020": ("11235813",)}),
    ("00230010=AcmeCompany&00231001=001239", {"00230010": ("AcmeCompany",), "00231001": ("001239",)}),
    ("00231001=001239&00230010=AcmeCompany", {"00231001": ("001239",), "00230010": ("AcmeCompany",)}),
    ("TimezoneOffsetFromUTC=%2B0100", {"00080201": ("+0100",)}),
    ("TimezoneOffsetFromUTC=+0100", {"00080201": ("+0100",)}),
    ("orderby=x&_=123&limit=5&accept=application/dicom%2Bjson", {}),
    ("&&PatientID=1&", {"00100020": ("1",)}),
    ("", {}),
]


@pytest.mark.parametrize(("raw", "expected"), MATCHES)
def test_matches(raw: str, expected: dict[str, tuple[str, ...]]) -> None:
    assert matched(parse_search_query(raw)) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("includefield=00081030", ["00081030"]),
        ("includefield=00081030%2C00080060%2C00080090", ["00081030", "00080060", "00080090"]),
        ("includefield=StudyDescription,00080060&includefield=PatientName", ["00081030", "00080060", "00100010"]),
        ("includefield=StudyDescription&includefield=00081030", ["00081030"]),
        ("includefield=00101002.00100020", ["00101002.00100020"]),
        ("includefield=00231001&00230010=Acme", ["00231001"]),
        ("StudyDescription", ["00081030"]),
        ("StudyDescription=", ["00081030"]),
        ("StudyDescription=*", ["00081030"]),
        ("includefield=", []),
    ],
)
def test_fields_to_return(raw: str, expected: list[str]) -> None:
    assert included(parse_search_query(raw)) == expected


def test_all_fields() -> None:
    query = parse_search_query("includefield=all")
    assert query.include_all and not query.include


@pytest.mark.parametrize(
    ("raw", "limit", "offset"),
    [("limit=101&offset=0", 101, 0), ("limit=0", 0, 0), ("offset=7", None, 7), ("limit=99999999999", 10**9, 0)],
)
def test_paging(raw: str, limit: int | None, offset: int) -> None:
    query = parse_search_query(raw)
    assert (query.limit, query.offset) == (limit, offset)


def test_matching_options() -> None:
    query = parse_search_query("fuzzymatching=true&emptyvaluematching=false&multiplevaluematching=true")
    assert (query.fuzzy, query.empty_value, query.multiple_value) == (True, False, True)


def test_unsupported_matching_options_widen_the_search() -> None:
    query = parse_search_query("emptyvaluematching=true&AccessionNumber=%22%22")
    assert included(query) == ["00080050"] and not query.matches
    query = parse_search_query("multiplevaluematching=true&PatientID=a%5Cb")
    assert included(query) == ["00100020"] and not query.matches


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("PatientID=1&PatientID=2", "PatientID"),
        ("PatientID=1&00100020=2", "00100020"),
        ("PatientID=1&PatientID", "PatientID"),
        ("limit=1&limit=2", "limit"),
        ("limit=-1", "limit"),
        ("limit=", "limit"),
        ("limit=1.5", "limit"),
        ("limit=%C2%B2", "limit"),
        ("offset=x", "offset"),
        ("fuzzymatching=yes", "fuzzymatching"),
        ("fuzzymatching=TRUE", "fuzzymatching"),
        ("emptyvaluematching=", "emptyvaluematching"),
        ("multiplevaluematching=1", "multiplevaluematching"),
        ("includefield=all,PatientName", "includefield"),
        ("includefield=all&includefield=PatientName", "includefield"),
        ("includefield=Nonsense", "Nonsense"),
        ("includefield=00231001", "00231001"),
        ("Nonsense=1", "Nonsense"),
        ("0010002=1", "0010002"),
        ("00231001=1", "00231001"),
        ("StudyDate=2020-01-01", "StudyDate"),
        ("PatientID=%zz", "PatientID"),
        ("PatientID=%ff", "PatientID"),
        ("PatientID=a%5Cb", "PatientID"),
        ("%ff=1", "query"),
        ("PatientID=\udcff", "PatientID"),
    ],
)
def test_faults_are_named(raw: str, name: str) -> None:
    with pytest.raises(BadParameter) as caught:
        parse_search_query(raw)
    assert caught.value.name == name


def test_the_study_list_of_a_viewer() -> None:
    query = parse_search_query(
        "limit=101&offset=0&fuzzymatching=false&includefield=00081030%2C00080060%2C00080090%2C00100030"
        "&PatientName=*x*&00100020=*x*&AccessionNumber=*x*&StudyDescription=*x*&ModalitiesInStudy=CT"
        "&StudyDate=19700102-20261231"
    )
    assert matched(query) == {
        "00100010": ("*x*",),
        "00100020": ("*x*",),
        "00080050": ("*x*",),
        "00081030": ("*x*",),
        "00080061": ("CT",),
        "00080020": ("19700102-20261231",),
    }
    assert included(query) == ["00081030", "00080060", "00080090", "00100030"]


@given(st.text(max_size=64).filter(lambda text: "\\" not in text and text.strip("*")))
def test_any_text_survives_percent_encoding(text: str) -> None:
    raw = f"StudyDescription={quote(text, safe='')}"
    try:
        query = parse_search_query(raw)
    except BadParameter:
        assert any(ord(character) < 32 or ord(character) == 127 for character in text)
        return
    assert matched(query) == ({"00081030": (text,)} if text else {})


@given(st.text(max_size=80))
def test_garbage_gives_one_kind_of_error(raw: str) -> None:
    try:
        parse_search_query(raw)
    except BadParameter:
        pass
