"""Attributes read without trusting them."""

from __future__ import annotations

import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from gateway.errors import ImagingFailed
from gateway.imaging.rendering import attributes
from tests.support.pictures import encode_header, make_item


def read(*elements: bytes) -> Dataset:
    return attributes.read_header(b"".join(elements))


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    return group.to_bytes(2, "little") + number.to_bytes(2, "little") + vr + len(value).to_bytes(2, "little") + value


@pytest.mark.parametrize(
    ("value", "numbers"),
    [(b"40\\80 ", (40, 80)), (b"abc ", ()), (b"1\\x ", ()), (b"", ()), (b"1e999 ", ()), (b"nan ", ())],
)
def test_numbers_that_are_none_count_as_absent(value: bytes, numbers: tuple[float, ...]) -> None:
    header = read(element(0x0028, 0x1050, b"DS", value))
    assert attributes.get_numbers(header, "WindowCenter") == numbers
    assert attributes.get_number(header, "WindowCenter", 7) == (numbers[0] if numbers else 7)


def test_texts_lose_their_padding() -> None:
    header = read(element(0x0008, 0x0008, b"CS", b"ORIGINAL\\ PRIMARY\0"))
    assert attributes.get_texts(header, "ImageType") == ("ORIGINAL", "PRIMARY")
    assert attributes.get_text(header, "ImageType") == "ORIGINAL"
    assert attributes.get_text(header, "Modality") == ""


def test_what_is_no_sequence_has_no_items() -> None:
    header = read(element(0x0028, 0x3010, b"LO", b"no sequence "))
    assert attributes.get_items(header, "VOILUTSequence") == []
    assert attributes.get_items(make_item(VOILUTSequence=[make_item(Rows=1)]), "VOILUTSequence")[0].Rows == 1


def test_macros_of_the_frame_come_before_shared_ones() -> None:
    shared = make_item(FrameVOILUTSequence=[make_item(WindowCenter=1)], PixelMeasuresSequence=[make_item(Rows=5)])
    own = [make_item(FrameVOILUTSequence=[make_item(WindowCenter=10 * n)]) for n in (1, 2)]
    header = make_item(SharedFunctionalGroupsSequence=[shared], PerFrameFunctionalGroupsSequence=own)

    def center(number: int) -> float | None:
        macro = attributes.find_macro(header, number, "FrameVOILUTSequence")
        return None if macro is None else attributes.get_number(macro, "WindowCenter")

    assert [center(1), center(2), center(3)] == [10, 20, 1]
    assert attributes.find_macro(header, 2, "PixelMeasuresSequence") is not None
    assert attributes.find_macro(header, 1, "FrameContentSequence") is None


def test_of_long_headers_one_is_kept_and_none_while_another_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(size: int) -> bytes:
        return b"\x09\0\0\x10OB\0\0" + size.to_bytes(4, "little") + bytes(size)

    kept: list[weakref.ref[Dataset]] = []
    counts = []
    parse = attributes._parse

    def parse_and_count(header: bytes) -> Dataset:
        gc.collect()
        counts.append(sum(one() is not None for one in kept))
        data_set = parse(header)
        kept.append(weakref.ref(data_set))
        return data_set

    monkeypatch.setattr(attributes, "_parse", parse_and_count)
    for size in (300_000, 300_000, 4_000_000, 300_002, 5_000_000, 5_000_000):
        attributes.read_header(make(size))
    assert counts == [0] * 5
    gc.collect()
    assert [one() for one in kept] == [None] * 5


def test_headers_are_parsed_once() -> None:
    data = encode_header(make_item(Rows=3))
    assert attributes.read_header(data) is attributes.read_header(bytes(data))


@pytest.mark.filterwarnings("ignore::UserWarning")
@given(st.binary(max_size=200))
def test_garbage_gives_one_kind_of_error(data: bytes) -> None:
    try:
        header = attributes.read_header(data)
    except ImagingFailed:
        return
    assert isinstance(attributes.get_numbers(header, "WindowCenter"), tuple)


def test_values_of_a_wrong_length_count_as_absent() -> None:
    assert attributes.get_numbers(read(element(0x0028, 0x0010, b"US", b"\1\0\0")), "Rows") == ()


def test_sequences_that_end_early_are_no_header() -> None:
    sequence = bytes.fromhex("0800 1511") + b"SQ\0\0" + b"\xff\xff\xff\xff" + b"\xfe\xff\x00"
    with pytest.raises(ImagingFailed):
        attributes.read_header(sequence)
