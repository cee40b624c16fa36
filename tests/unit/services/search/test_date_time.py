"""Dates, times and ranges, and what lies inside them."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.services.search.date_time import (
    combine,
    is_range,
    is_reversed,
    overlaps,
    parse_range,
    parse_stored,
)

INSIDE = [
    ("DA", "20060705", "20060705"),
    ("DA", "20060705", "2006.07.05"),
    ("DA", "20060705-20060707", "20060707"),
    ("DA", "20060705-", "20990101"),
    ("DA", "-20060705", "19500101"),
    ("TM", "10", "105959.999"),
    ("TM", "1000-1800", "180059"),
    ("TM", "1000", "10:00:30"),
    ("TM", "101500", "101500.000000"),
    ("TM", "101500.25-101500.3", "101500.26"),
    ("DT", "2006", "20060705101500"),
    ("DT", "200607", "20060731235959.999999"),
    ("DT", "20060705100000+0000", "20060705120000+0200"),
    ("DT", "2005-0500", "20050101120000-0500"),
    ("DT", "2005-2006", "20060101"),
    ("DT", "20050101-0500-20060101-0500", "200506010000-0500"),
]
OUTSIDE = [
    ("DA", "20060705", "20060706"),
    ("DA", "20060705-20060707", "20060708"),
    ("DA", "20060705-", "20060704"),
    ("TM", "10", "110000"),
    ("TM", "1000-1800", "180100"),
    ("DT", "200607", "20060801"),
    ("DT", "20060705100000+0000", "20060705100000+0200"),
]


@pytest.mark.parametrize(("vr", "wanted", "stored"), INSIDE)
def test_a_stored_value_lies_inside(vr: str, wanted: str, stored: str) -> None:
    found = parse_stored(vr, stored)
    assert found is not None
    assert overlaps(parse_range(vr, wanted), found)


@pytest.mark.parametrize(("vr", "wanted", "stored"), OUTSIDE)
def test_a_stored_value_lies_outside(vr: str, wanted: str, stored: str) -> None:
    found = parse_stored(vr, stored)
    assert found is not None
    assert not overlaps(parse_range(vr, wanted), found)


@pytest.mark.parametrize(
    ("vr", "text"),
    [
        ("DA", "2006-07-05"),
        ("DA", "20060230"),
        ("DA", "-"),
        ("DA", "20060707-20060705"),
        ("DA", "2006*"),
        ("DA", "20060705-20060706-20060707"),
        ("DA", ""),
        ("TM", "25"),
        ("TM", "1060"),
        ("TM", "10:00"),
        ("TM", "1"),
        ("DT", "20061301"),
        ("DT", "yesterday"),
        ("DT", "00000101"),
    ],
)
def test_what_breaks_the_vr_is_refused(vr: str, text: str) -> None:
    with pytest.raises(ValueError):
        parse_range(vr, text)


@pytest.mark.parametrize(
    ("vr", "text", "expected"),
    [
        ("DA", "20060705", False),
        ("DA", "20060705-", True),
        ("TM", "1000-1800", True),
        ("DT", "2005-0500", False),
        ("DT", "2005-2006", True),
        ("DA", "x-y", False),
    ],
)
def test_a_hyphen_before_an_offset_makes_no_range(vr: str, text: str, expected: bool) -> None:
    assert is_range(vr, text) is expected


def test_date_and_time_ranges_form_one_interval() -> None:
    interval = combine("20060705-20060707", "1000-1800")
    assert interval.first == datetime(2006, 7, 5, 10)
    assert interval.last == datetime(2006, 7, 7, 18, 0, 59, 999999)


@pytest.mark.parametrize(
    ("date", "time", "first", "last"),
    [
        ("20060705-", "1000-", datetime(2006, 7, 5, 10), None),
        ("-20060707", "-18", None, datetime(2006, 7, 7, 18, 59, 59, 999999)),
        ("20060705-20060706", "22-", datetime(2006, 7, 5, 22), datetime(2006, 7, 6, 23, 59, 59, 999999)),
        ("20060705-20060706", "2200-0600", datetime(2006, 7, 5, 22), datetime(2006, 7, 6, 6, 0, 59, 999999)),
    ],
)
def test_open_ends_and_nights_combine(date: str, time: str, first: datetime | None, last: datetime | None) -> None:
    interval = combine(date, time)
    assert (interval.first, interval.last) == (first, last)


def test_a_time_range_across_midnight_is_told() -> None:
    assert is_reversed(parse_range("TM", "2200-0600"))
    assert not is_reversed(parse_range("TM", "0600-2200"))
    assert not is_reversed(parse_range("TM", "2200-"))


def test_an_unreadable_stored_value_is_none_and_offsets_are_not_compared_with_local_times() -> None:
    assert parse_stored("DA", "unknown") is None
    local = parse_stored("DT", "20060705")
    assert local is not None
    assert overlaps(parse_range("DT", "20010101000000+0100"), local)


@given(st.sampled_from(["DA", "TM", "DT"]), st.text(alphabet="0123456789.-+:", max_size=30))
def test_garbage_gives_value_error_only(vr: str, text: str) -> None:
    try:
        interval = parse_range(vr, text)
    except (ValueError, OverflowError):
        return
    assert interval.first is not None or interval.last is not None


@given(st.dates().map(lambda day: day.strftime("%Y%m%d")).filter(lambda text: len(text) == 8))
def test_every_day_lies_in_itself(day: str) -> None:
    stored = parse_stored("DA", day)
    assert stored is not None
    assert overlaps(parse_range("DA", f"{day}-{day}"), stored)
