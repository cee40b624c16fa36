"""Which part answers which reference."""

from __future__ import annotations

import pytest

from gateway.codecs.media_types import parse_media_type
from gateway.errors import DecodeError
from gateway.services.store.bulkdata_parts import SENT, BulkdataParts, BulkPart, check_kept

OCTETS = parse_media_type("application/octet-stream")


def part(number: int) -> BulkPart:
    return BulkPart(OCTETS, number, 10, 10)


def test_one_part_for_one_value() -> None:
    parts = BulkdataParts()
    parts.add("u", part(1))
    assert parts.find("u") == part(1)
    assert parts.find("u", 1) is parts.find("v") is None
    assert (parts.count("u"), parts.count("v")) == (1, 0)


def test_frames_under_one_location_or_numbered() -> None:
    parts = BulkdataParts()
    for number in range(3):
        parts.add("same", part(number))
    for number in (2, 1, 3):
        parts.add(f"own/frames/{number}", part(number - 1))
    assert [parts.find("same", index) for index in range(4)] == [part(0), part(1), part(2), None]
    assert [parts.find("own", index) for index in range(4)] == [part(0), part(1), part(2), None]


def test_what_nothing_refers_to_is_counted() -> None:
    parts = BulkdataParts()
    for location in ("a", "a", "b", "c/frames/1", "c/frames/2"):
        parts.add(location, part(0))
    assert parts.count_unclaimed() == 5
    assert parts.claim("a", 1) == parts.claim("c", 0) == part(0)
    assert parts.claim("missing") is None
    assert parts.count_unclaimed() == 3


def test_what_was_sent_is_still_known() -> None:
    parts = BulkdataParts()
    parts.add("u", part(1))
    assert parts.mark_sent("u", 0) == 10
    sent = parts.find("u")
    assert sent == BulkPart(OCTETS, SENT, 10, 0)
    check_kept(part(0), "7FE00010")
    with pytest.raises(DecodeError, match="before") as caught:
        check_kept(sent, "7FE00010")
    assert caught.value.path == "7FE00010"
