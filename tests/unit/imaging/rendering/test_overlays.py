"""Overlay planes (PS3.3 §C.9.2)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from gateway.imaging.description import ImageDescription, describe_image
from gateway.imaging.rendering.overlays import find_overlays, read_overlay
from tests.support.pictures import make_header

PLANE = np.array([[1, 0, 1], [0, 1, 0]], dtype=bool)


def add_overlay(header: Dataset, planes: list[np.ndarray], group: int = 0x6000, **elements: object) -> Dataset:
    base = group << 16
    header.add_new(base | 0x0010, "US", planes[0].shape[0])
    header.add_new(base | 0x0011, "US", planes[0].shape[1])
    header.add_new(base | 0x0040, "CS", elements.get("kind", "G"))
    header.add_new(base | 0x0050, "SS", elements.get("origin", [1, 1]))
    if len(planes) > 1:
        header.add_new(base | 0x0015, "IS", len(planes))
    bits = np.packbits(np.concatenate([plane.ravel() for plane in planes]), bitorder="little").tobytes()
    header.add_new(base | 0x3000, "OW", bits + bytes(len(bits) % 2))
    return header


def describe(header: Dataset) -> ImageDescription:
    return describe_image(header, ExplicitVRLittleEndian)


def find(header: Dataset, frame: bytes = b"", number: int = 1) -> list[list[list[bool]]]:
    return [mask.tolist() for mask in find_overlays(header, describe(header), frame, number)]


def test_graphics_are_found_and_regions_of_interest_are_not() -> None:
    header = add_overlay(make_header(np.zeros((2, 3), np.uint8)), [PLANE])
    add_overlay(header, [PLANE], group=0x601E)
    add_overlay(header, [PLANE], group=0x6002, kind="R")
    assert find(header) == [PLANE.tolist()] * 2


def test_one_plane_for_each_frame() -> None:
    header = add_overlay(make_header(np.zeros((2, 3), np.uint8)), [PLANE, ~PLANE])
    assert find(header, number=2) == [(~PLANE).tolist()]
    assert find(header, number=3) == []


@given(st.integers(-9, 9), st.integers(-9, 9))
def test_planes_lie_where_their_origin_says(row: int, column: int) -> None:
    header = add_overlay(make_header(np.zeros((4, 5), np.uint8)), [PLANE], origin=[row, column])
    expected = np.zeros((4, 5), bool)
    for (y, x), bit in np.ndenumerate(PLANE):
        if 0 <= y + row - 1 < 4 and 0 <= x + column - 1 < 5:
            expected[y + row - 1, x + column - 1] = bit
    mask = read_overlay(header, 0x6000, (4, 5))
    assert mask is not None
    assert (mask == expected).all()


def test_planes_in_unused_bits() -> None:
    pixels = np.array([[0x8001, 0x0002, 0x8FFF]], np.uint16)
    header = make_header(pixels, BitsStored=12, HighBit=11)
    for position, group in ((15, 0x6000), (3, 0x6002), (99, 0x6004)):
        header.add_new(group << 16 | 0x0040, "CS", "G")
        header.add_new(group << 16 | 0x0102, "US", position)
    assert find(header, pixels.tobytes()) == [[[True, False, True]]]
    assert find(header, pixels.tobytes()[:3]) == []


@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (2, 0), (65_535, 65_535), (3, 6)])
def test_planes_shorter_than_they_say(rows: int, columns: int) -> None:
    header = add_overlay(make_header(np.zeros((2, 3), np.uint8)), [PLANE])
    header[0x60000010].value, header[0x60000011].value = rows, columns
    assert find(header) == []
