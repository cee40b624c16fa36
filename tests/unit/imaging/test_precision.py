from __future__ import annotations

import numpy as np
import pytest

from gateway.imaging.precision import as_unsigned, find_precision
from tests.support.images import describe


@pytest.mark.parametrize(
    ("cells", "signed", "expected"),
    [
        ([0, 4095], False, 12),
        ([0, 4096], False, 16),
        ([-2048, 2047], True, 12),
        ([-2049, 0], True, 16),
        ([0, 2048], True, 16),
    ],
)
def test_stored_bits_suffice_where_nothing_lies_beside_them(cells: list[int], signed: bool, expected: int) -> None:
    pixels = np.array([cells], np.int16 if signed else np.uint16)
    assert find_precision(pixels, describe((1, 2), stored=12, signed=signed)) == expected


def test_the_bits_stay_without_the_sign() -> None:
    assert as_unsigned(np.array([-1, 1], np.int16)).tolist() == [65_535, 1]
