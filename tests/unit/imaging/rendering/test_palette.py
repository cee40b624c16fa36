"""Palettes (PS3.3 §C.7.6.3.1.5, §C.7.9.2)."""

from __future__ import annotations

import numpy as np
import pydicom.data
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels.processing import _expand_segmented_lut

from gateway.errors import ImagingFailed
from gateway.imaging.rendering.palette import Palette, expand_segments, read_palette


def make_palette(planes: list[bytes], descriptor: list[int], *, segmented: bool = False) -> Dataset:
    data_set = Dataset()
    for number, plane in enumerate(planes):
        data_set.add_new(0x00281101 + number, "US", descriptor)
        data_set.add_new((0x00281221 if segmented else 0x00281201) + number, "OW", plane)
    return data_set


def pack(*words: int) -> bytes:
    return np.array(words, dtype="<u2").tobytes()


def test_sixteen_bits_are_reduced_to_the_upper_eight() -> None:
    palette = read_palette(make_palette([pack(0, 0xFF00), pack(0x1234, 1), pack(0xFFFF, 2)], [2, 10, 16]))
    assert palette is not None
    assert palette.apply(np.array([[0, 10, 11, 99]])).tolist() == [
        [[0, 0x12, 255], [0, 0x12, 255], [255, 0, 0], [255, 0, 0]]
    ]


def test_sixteen_bits_that_are_eight() -> None:
    palette = read_palette(make_palette([pack(1, 255)] * 3, [2, 0, 16]))
    assert palette is not None
    assert palette.colours.tolist() == [[1, 1, 1], [255, 255, 255]]


def test_eight_bits() -> None:
    palette = read_palette(make_palette([b"\x01\x02", b"\x03\x04", b"\x05\x06"], [2, 65_535, 8]), is_signed=True)
    assert palette is not None
    assert palette.apply(np.array([[-1, 0]], np.int8)).tolist() == [[[1, 3, 5], [2, 4, 6]]]


def test_scaled_over_all_colours() -> None:
    palette = read_palette(make_palette([b"\x00\x10\x20\x30"] * 3, [4, 0, 8]))
    assert palette is not None
    assert palette.scale(np.array([0.0, 0.34, 1.0, np.nan]))[:, 0].tolist() == [0, 0x10, 0x30, 0]


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32])
def test_any_type_of_pixels(kind: type) -> None:
    palette = Palette(-5, np.stack([np.arange(200, dtype=np.uint8)] * 3, axis=-1))
    ends = np.iinfo(kind)
    pixels = np.array([[ends.min, 0, 100, ends.max]], kind)
    levels = [min(max(int(value) + 5, 0), 199) for value in pixels[0]]
    assert palette.apply(pixels)[0, :, 0].tolist() == levels
    assert palette.apply(pixels[:, 1:3])[0, :, 0].tolist() == levels[1:3]
    assert palette.apply(pixels[:, :0]).shape == (1, 0, 3)


def test_no_palette_and_broken_ones() -> None:
    assert read_palette(Dataset()) is None
    broken = make_palette([b"\x01\x02"] * 3, [4, 0, 8])
    missing = make_palette([b"\x01\x02"] * 2, [2, 0, 8])
    short = make_palette([b"\x01\x02"] * 3, [2, 0, 8])
    short.GreenPaletteColorLookupTableDescriptor = [2, 0]
    for data_set in (broken, missing, short):
        with pytest.raises(ImagingFailed):
            read_palette(data_set)


def test_segments_of_well_known_palettes() -> None:
    folder = pydicom.data.__path__[0]
    for name in ("spring", "summer", "fall", "winter"):
        data_set = pydicom.dcmread(f"{folder}/palettes/{name}.dcm")
        octets = data_set.SegmentedRedPaletteColorLookupTableData
        words = list(np.frombuffer(octets, "<u2" if data_set.RedPaletteColorLookupTableDescriptor[2] == 16 else "u1"))
        bits = data_set.RedPaletteColorLookupTableDescriptor[2]
        expected = _expand_segmented_lut(tuple(int(w) for w in words), "<H" if bits == 16 else "<B")
        assert expand_segments([int(w) for w in words], bits) == expected
        assert read_palette(data_set) is not None


def test_linear_and_indirect_segments() -> None:
    direct = [0, 2, 10, 20, 1, 2, 40]
    assert expand_segments(direct, 16) == [10, 20, 30, 40]
    assert expand_segments([*direct, 2, 2, 0, 0], 16) == [10, 20, 30, 40, 10, 20, 30, 40]
    assert expand_segments([*direct, 2, 1, 0, 0, 0, 0, 0], 8) == [10, 20, 30, 40, 10, 20]


@pytest.mark.parametrize("words", [[1, 5, 9], [0, 5, 1], [3, 1, 1], [0, 1, 7, 2, 1, 6, 0], [0, 1, 7, 1, 2]])
def test_segments_that_cannot_be(words: list[int]) -> None:
    with pytest.raises(ImagingFailed):
        expand_segments(words, 16)


def test_expansion_is_bounded() -> None:
    assert len(expand_segments([0, 1, 7, *[1, 65_535, 9] * 50, *[2, 51, 0, 0] * 5_000], 16)) == 65_536


@given(st.lists(st.integers(0, 5), max_size=60), st.sampled_from([8, 16]))
def test_garbage_gives_one_kind_of_error(words: list[int], bits: int) -> None:
    try:
        expand_segments(words, bits)
    except ImagingFailed:
        pass
