"""gateway/sandbox/values.py"""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from gateway.sandbox.values import (
    parse_date,
    parse_datetime,
    parse_time,
    read_element,
    read_items,
    read_values,
)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("20240229", datetime(2024, 2, 29), datetime(2024, 2, 29, 23, 59, 59, 999999)),
        ("2024.02.29", datetime(2024, 2, 29), datetime(2024, 2, 29, 23, 59, 59, 999999)),
    ],
)
def test_a_date_covers_its_day(text, first, last):
    assert (parse_date(text).first, parse_date(text).last) == (first, last)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("10", (10, 0, 0, 0), (10, 59, 59, 999999)),
        ("1015", (10, 15, 0, 0), (10, 15, 59, 999999)),
        ("10:15:30", (10, 15, 30, 0), (10, 15, 30, 999999)),
        ("101530.1", (10, 15, 30, 100000), (10, 15, 30, 199999)),
        ("101530.123456", (10, 15, 30, 123456), (10, 15, 30, 123456)),
    ],
)
def test_a_time_covers_what_its_precision_leaves_open(text, first, last):
    assert parse_time(text).first == datetime(1900, 1, 1, *first)
    assert parse_time(text).last == datetime(1900, 1, 1, *last)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2024", datetime(2024, 1, 1), datetime(2024, 12, 31, 23, 59, 59, 999999)),
        ("202402", datetime(2024, 2, 1), datetime(2024, 2, 29, 23, 59, 59, 999999)),
        ("202412", datetime(2024, 12, 1), datetime(2024, 12, 31, 23, 59, 59, 999999)),
        ("20240229101530+0200", datetime(2024, 2, 29, 8, 15, 30), datetime(2024, 2, 29, 8, 15, 30, 999999)),
        ("20240229101530-0130", datetime(2024, 2, 29, 11, 45, 30), datetime(2024, 2, 29, 11, 45, 30, 999999)),
    ],
)
def test_a_date_time_covers_its_interval_in_utc(text, first, last):
    assert (parse_datetime(text).first, parse_datetime(text).last) == (first, last)


@given(st.text(max_size=20))
def test_garbage_is_a_value_error_or_an_interval(text):
    for parse in (parse_date, parse_time, parse_datetime):
        try:
            covered = parse(text)
        except (ValueError, OverflowError):
            continue
        assert covered.first <= covered.last


def test_an_undecodable_value_comes_back_raw():
    data_set = Dataset()
    data_set[0x00280010] = RawDataElement(Tag(0x00280010), "US", 3, b"abc", 0, False, True)
    assert read_values(read_element(data_set, 0x00280010)) == ["abc"]


def test_reading_leaves_the_data_set_raw():
    data_set = Dataset()
    raw = RawDataElement(Tag(0x00100010), "PN", 4, b"A^B ", 0, False, True)
    data_set[0x00100010] = raw
    assert [str(value) for value in read_values(read_element(data_set, 0x00100010))] == ["A^B"]
    assert data_set.get_item(0x00100010) is raw


def test_text_is_read_in_the_stored_character_set():
    data_set = Dataset()
    data_set.SpecificCharacterSet = "ISO_IR 144"
    value = "Люкceмбypг".encode("iso8859_5")
    data_set[0x00100010] = RawDataElement(Tag(0x00100010), "PN", len(value), value, 0, False, True)
    assert str(read_values(read_element(data_set, 0x00100010))[0]) == "Люкceмбypг"


def test_what_is_absent_or_empty_has_no_values():
    data_set = Dataset()
    data_set.PatientName = None
    assert read_element(data_set, 0x00100020) is None
    assert read_values(None) == read_values(read_element(data_set, 0x00100010)) == []
    assert read_items(read_element(data_set, 0x00100010)) == []
