from __future__ import annotations

from struct import pack

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ImagingFailed
from gateway.imaging.rle import decode_rle, encode_rle
from tests.support.images import describe, draw


@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 300),
    samples=st.sampled_from([1, 3]),
    stored=st.sampled_from([8, 12, 16, 32]),
    signed=st.booleans(),
    planar=st.sampled_from([0, 1]),
)
def test_images_come_back(rows: int, columns: int, samples: int, stored: int, signed: bool, planar: int) -> None:
    shape = (rows, columns) if samples == 1 else (rows, columns, samples)
    image = draw(shape, stored, signed=signed)
    description = describe(shape, stored=stored, signed=signed, planar=planar)
    assert np.array_equal(decode_rle(description, encode_rle(image, description.bits_allocated)), image)


def test_one_bit_pixels_are_packed_first() -> None:
    image = draw((7, 9), 1)
    data = encode_rle(image, 1)
    assert data[:8] == pack("<II", 1, 64)
    assert np.array_equal(decode_rle(describe((7, 9), stored=1), data), image)


def test_the_most_significant_byte_is_the_first_segment() -> None:
    data = encode_rle(np.array([[0x1234]], "<u2"), 16)
    first, second = (int.from_bytes(data[place : place + 4], "little") for place in (4, 8))
    assert data[first : first + 2] == bytes([0, 0x12])
    assert data[second : second + 2] == bytes([0, 0x34])
    assert len(data) % 2 == 0


def test_more_segments_than_the_header_holds() -> None:
    with pytest.raises(ImagingFailed, match="fifteen"):
        encode_rle(np.zeros((1, 1, 4), "<u4"), 32)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(64),
        pack("<16I", 16, *range(64, 79)),
        pack("<16I", 1, 8, *[0] * 14) + b"\0\0",
        pack("<16I", 1, 64, *[0] * 14),
        pack("<16I", 2, 66, 64, *[0] * 13) + bytes(8),
        pack("<16I", 2, 64, 66, *[0] * 13) + bytes(8),
        pack("<16I", 1, 64, *[0] * 14) + b"\x02abc",
        pack("<16I", 1, 64, *[0] * 14) + b"\x7fabc",
    ],
    ids=["empty", "none", "sixteen", "in-header", "nothing", "descending", "too-many", "short", "cut"],
)
def test_what_is_no_rle(data: bytes) -> None:
    with pytest.raises(ImagingFailed):
        decode_rle(describe((2, 4)), data)
