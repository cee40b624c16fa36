"""Binary values, whichever VR they come in."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from gateway.imaging.rendering.element_values import read_octets, read_words

DATA = 0x00283006


def hold(vr: str, value: object) -> Dataset:
    data_set = Dataset()
    data_set.add_new(DATA, vr, value)
    return data_set


@pytest.mark.parametrize(
    ("vr", "value"),
    [
        ("OW", b"\x01\x00\xff\xff"),
        ("US", [1, 65_535]),
        ("SS", [1, -1]),
        ("UN", b"\x01\x00\xff\xff"),
        ("OB", b"\1\0\xff\xff"),
    ],
)
def test_words_of_any_representation(vr: str, value: object) -> None:
    found = read_words(hold(vr, value), DATA, 2)
    assert found is not None
    assert found.tolist() == [1, 65_535]


def test_one_number_is_one_word() -> None:
    assert read_octets(hold("US", 258), DATA) == b"\x02\x01"


def test_entries_packed_into_bytes() -> None:
    found = read_words(hold("OB", b"\x01\x02\x03\x04"), DATA, 3)
    assert found is not None
    assert found.tolist() == [1, 2, 3]
    assert found.dtype == np.uint16


def test_too_short_and_absent() -> None:
    assert read_words(hold("OW", b"\x01\x00"), DATA, 3) is None
    assert read_words(Dataset(), DATA, 1) is None
    assert read_octets(hold("LO", ["a", "b"]), DATA) is None
