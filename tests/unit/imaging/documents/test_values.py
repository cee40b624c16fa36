"""Values as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.imaging.documents import values
from tests.support.pictures import make_item


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Doe^Jane^Q^Dr^MD", "Dr Jane Q Doe MD"),
        ("Doe", "Doe"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Tarou Yamada (太郎 山田, たろう やまだ)"),
        ("=山田^太郎", "太郎 山田"),
        ("", ""),
        ("^^^^", ""),
    ],
)
def test_names(value: str, text: str) -> None:
    assert values.format_name(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [("20240131", "2024-01-31"), ("2024.01.31", "2024-01-31"), ("soon", "soon"), ("", "")]
)
def test_dates(value: str, text: str) -> None:
    assert values.format_date(value) == text


@pytest.mark.parametrize(("value", "text"), [("13", "13"), ("1345", "13:45"), ("134507.25", "13:45:07"), ("x", "x")])
def test_times(value: str, text: str) -> None:
    assert values.format_time(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("20240131134507.1+0100", "2024-01-31 13:45:07 +0100"),
        ("2024", "2024"),
        ("202401311345", "2024-01-31 13:45"),
        ("?", "?"),
    ],
)
def test_date_times(value: str, text: str) -> None:
    assert values.format_date_time(value) == text


def test_codes() -> None:
    codes = [make_item(CodeValue="T-1", CodingSchemeDesignator="SRT", CodeMeaning="Chest"), make_item(CodeValue="x")]
    holder = make_item(ConceptCodeSequence=codes)
    assert values.format_meaning(holder, "ConceptCodeSequence") == "Chest"
    assert values.format_code(holder, "ConceptCodeSequence") == "SRT T-1"
    bare = make_item(ConceptCodeSequence=[make_item(LongCodeValue="long")])
    assert (
        values.format_meaning(bare, "ConceptCodeSequence") == values.format_code(bare, "ConceptCodeSequence") == "long"
    )
    assert values.format_meaning(make_item(), "ConceptCodeSequence") == ""
    assert values.format_code(make_item(), "ConceptCodeSequence") == ""


@given(st.text(max_size=30))
def test_any_text_is_survived(text: str) -> None:
    for formatter in (values.format_name, values.format_date, values.format_time, values.format_date_time):
        assert isinstance(formatter(text), str)
