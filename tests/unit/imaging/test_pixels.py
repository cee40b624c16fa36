from __future__ import annotations

import numpy as np
import pytest

from gateway.errors import ImagingFailed
from gateway.imaging.pixels import DecodedFrame, extract_stored_values, find_cell_type, to_rgb
from tests.support.images import describe


@pytest.mark.parametrize(
    ("stored", "signed", "floats", "expected"),
    [(1, False, False, "u1"), (8, True, False, "i1"), (12, False, False, "<u2"), (12, True, False, "<i2"),
     (32, False, True, "<f4"), (32, True, False, "<i4")],
)  # fmt: skip
def test_the_type_of_a_cell(stored: int, signed: bool, floats: bool, expected: str) -> None:
    assert find_cell_type(describe((1, 1), stored=stored, signed=signed, floats=floats)) == np.dtype(expected)


def test_bits_beside_the_stored_ones_are_dropped() -> None:
    cells = np.array([[0xF123, 0x8FFF]], np.uint16)
    assert extract_stored_values(cells, describe((1, 2), stored=12)).tolist() == [[0x123, 0xFFF]]


def test_the_sign_of_stored_values_is_extended() -> None:
    cells = np.array([[0x0800, 0xF7FF]], np.uint16).view(np.int16)
    assert extract_stored_values(cells, describe((1, 2), stored=12, signed=True)).tolist() == [[-2048, 2047]]


def test_cells_that_are_all_stored_are_left_alone() -> None:
    cells = np.zeros((1, 2), np.uint8)
    assert extract_stored_values(cells, describe((1, 2))) is cells


def make_frame(colour: tuple[int, int, int], name: str, bits: int = 8) -> DecodedFrame:
    return DecodedFrame(np.array([[colour]], np.uint8 if bits == 8 else np.uint16), name, bits)


@pytest.mark.parametrize(
    ("colour", "name", "expected"),
    [
        ((255, 128, 128), "YBR_FULL", (255, 255, 255)),
        ((76, 85, 255), "YBR_FULL", (254, 0, 0)),
        ((0, 128, 128), "YBR_FULL_422", (0, 0, 0)),
        ((235, 128, 128), "YBR_PARTIAL_422", (255, 255, 255)),
        ((16, 128, 128), "YBR_PARTIAL_420", (0, 0, 0)),
        ((1, 2, 3), "RGB", (1, 2, 3)),
        ((1, 2, 3), "YBR_RCT", (1, 2, 3)),
    ],
)
def test_colours_become_rgb(colour: tuple[int, int, int], name: str, expected: tuple[int, int, int]) -> None:
    frame = to_rgb(make_frame(colour, name))
    assert frame.photometric_interpretation == "RGB"
    assert tuple(frame.pixels[0, 0].tolist()) == expected


def test_colours_of_sixteen_bits() -> None:
    assert to_rgb(make_frame((65_535, 32_768, 32_768), "YBR_FULL", 16)).pixels[0, 0].tolist() == [65_535] * 3


def test_what_has_no_conversion() -> None:
    with pytest.raises(ImagingFailed, match="Photometric"):
        to_rgb(make_frame((1, 2, 3), "HSV"))
    with pytest.raises(ImagingFailed, match="no colour"):
        to_rgb(DecodedFrame(np.zeros((1, 1), np.uint8), "MONOCHROME2", 8))
