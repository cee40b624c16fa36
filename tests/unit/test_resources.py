"""Paths of resources, UIDs and frame lists."""

from __future__ import annotations

import pytest

from gateway.errors import BadParameter
from gateway.resources import Level, ResourcePath, is_valid_uid, parse_frame_list


@pytest.mark.parametrize("uid", ["1", "1.2.840.10008.1.2", "2.25.0", "1.02", "1." + "9" * 62])
def test_uids(uid: str) -> None:
    assert is_valid_uid(uid)


@pytest.mark.parametrize("uid", ["", ".", "1.", ".1", "1..2", "1.a", " 1", "1\n", "1.2*", "١.٢", "1." + "9" * 63])
def test_what_is_no_uid(uid: str) -> None:
    assert not is_valid_uid(uid)


def test_the_level_is_that_of_the_lowest_part() -> None:
    paths = [ResourcePath("1"), ResourcePath("1", "2"), ResourcePath("1", "2", "3")]
    assert [path.level for path in paths] == [Level.STUDY, Level.SERIES, Level.IMAGE]
    assert [path.url_path for path in paths] == [
        "/studies/1",
        "/studies/1/series/2",
        "/studies/1/series/2/instances/3",
    ]


def test_an_instance_of_the_same_study() -> None:
    assert ResourcePath("1").with_instance("2", "3") == ResourcePath("1", "2", "3")


@pytest.mark.parametrize(("parts", "name"), [(("x",), "study"), (("1", "x"), "series"), (("1", "2", "x"), "instance")])
def test_a_part_that_is_no_uid_is_named(parts: tuple[str, ...], name: str) -> None:
    with pytest.raises(BadParameter) as caught:
        ResourcePath(*parts)
    assert caught.value.name == name


def test_an_instance_needs_its_series() -> None:
    with pytest.raises(BadParameter, match="series"):
        ResourcePath("1", None, "3")


@pytest.mark.parametrize(("text", "frames"), [("1", (1,)), ("1,2,9", (1, 2, 9)), ("007", (7,))])
def test_frame_lists(text: str, frames: tuple[int, ...]) -> None:
    assert parse_frame_list(text) == frames


@pytest.mark.parametrize("text", ["", "0", "-1", "+1", "1,", "2,1", "1,1", "a", "1.5", " 1", "²", "1;2", "9" * 5000])
def test_what_is_no_frame_list(text: str) -> None:
    with pytest.raises(BadParameter, match="frames"):
        parse_frame_list(text)
