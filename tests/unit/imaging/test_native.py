from __future__ import annotations

import numpy as np
import pytest

from gateway.errors import ImagingFailed
from gateway.imaging.native import pack_native, unpack_native
from tests.support.images import describe, draw


@pytest.mark.parametrize(("stored", "signed"), [(8, False), (8, True), (12, True), (16, False), (32, False)])
@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 3)])
def test_samples_come_back(stored: int, signed: bool, shape: tuple[int, ...]) -> None:
    image = draw(shape, stored, signed=signed)
    description = describe(shape, stored=stored, signed=signed)
    assert np.array_equal(unpack_native(description, pack_native(image, description.bits_allocated)), image)


def test_planes_become_colour_by_pixel() -> None:
    image = draw((3, 5, 3))
    planes = image.transpose(2, 0, 1).tobytes()
    assert np.array_equal(unpack_native(describe((3, 5, 3), planar=1), planes), image)


def test_a_chroma_pair_is_given_to_both_pixels() -> None:
    description = describe((1, 4, 3), photometric="YBR_FULL_422")
    found = unpack_native(description, bytes([1, 2, 50, 60, 3, 4, 70, 80]))
    assert found.tolist() == [[[1, 50, 60], [2, 50, 60], [3, 70, 80], [4, 70, 80]]]
    with pytest.raises(ImagingFailed, match="odd"):
        unpack_native(describe((2, 3, 3), photometric="YBR_FULL_422"), bytes(12))


def test_one_bit_pixels_begin_at_bit_0() -> None:
    description = describe((2, 5), stored=1)
    found = unpack_native(description, bytes([0b00100001, 0b00000010]))
    assert found.tolist() == [[1, 0, 0, 0, 0], [1, 0, 0, 0, 1]]
    assert pack_native(found, 1) == bytes([0b00100001, 0b00000010])


def test_floats() -> None:
    image = np.array([[1.5, -2.25]], "<f4")
    assert unpack_native(describe((1, 2), stored=32, floats=True), image.tobytes()).tolist() == [[1.5, -2.25]]


@pytest.mark.parametrize("stored", [1, 8, 16])
def test_a_frame_cut_short(stored: int) -> None:
    description = describe((4, 8), stored=stored)
    needed = (description.native_frame_bits + 7) // 8
    unpack_native(description, bytes(needed))
    with pytest.raises(ImagingFailed, match="too short"):
        unpack_native(description, bytes(needed - 1))
