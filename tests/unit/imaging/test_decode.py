from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ImagingFailed
from gateway.imaging.decode import DECODABLE, decode_cells, decode_frame, to_rgb
from gateway.imaging.rle import encode_rle
from tests.support.images import describe, draw

PREFIX = "1.2.840.10008.1.2"
Encode = Callable[[npt.NDArray[Any]], bytes]


def encode_lossless_jpeg(image: npt.NDArray[Any]) -> bytes:
    bits = image.dtype.itemsize * 8
    return bytes(imagecodecs.jpeg8_encode(image.view(f"u{image.dtype.itemsize}"), lossless=True, bitspersample=bits))


ENCODERS: dict[str, Encode] = {
    ".1": lambda image: image.tobytes(),
    ".1.98": lambda image: image.tobytes(),
    ".8.1": lambda image: zlib.compress(image.tobytes(), wbits=-15) + b"\0",
    ".5": lambda image: encode_rle(image, image.dtype.itemsize * 8),
    ".4.57": encode_lossless_jpeg,
    ".4.70": encode_lossless_jpeg,
    ".4.80": lambda image: imagecodecs.jpegls_encode(image.view(f"u{image.dtype.itemsize}")),
    ".4.90": lambda image: imagecodecs.jpeg2k_encode(image, codecformat="j2k", reversible=True),
    ".4.201": lambda image: imagecodecs.htj2k_encode(image, reversible=True),
}


@pytest.mark.parametrize("suffix", ENCODERS)
@pytest.mark.parametrize(("stored", "signed"), [(8, False), (12, False), (16, False), (12, True), (16, True)])
@pytest.mark.parametrize("shape", [(13, 18), (13, 18, 3)])
def test_lossless_frames_come_out_as_they_were(suffix: str, stored: int, signed: bool, shape: tuple[int, ...]) -> None:
    image = draw(shape, stored, signed=signed)
    frame = decode_frame(describe(shape, stored=stored, signed=signed, syntax=PREFIX + suffix), ENCODERS[suffix](image))
    assert frame.pixels.dtype == image.dtype
    assert np.array_equal(frame.pixels, image)
    assert frame.photometric_interpretation == ("RGB" if len(shape) == 3 else "MONOCHROME2")
    assert not frame.is_lossy


def test_samples_of_less_precision_than_their_cell_are_sign_extended() -> None:
    image = draw((5, 7), 12, signed=True)
    masked = (image.view(np.uint16) & 0xFFF).astype(np.uint16)
    data = imagecodecs.jpeg8_encode(masked, lossless=True, bitspersample=12)
    description = describe((5, 7), stored=12, signed=True, syntax=PREFIX + ".4.70")
    assert np.array_equal(decode_cells(description, data).pixels, image)


def test_colour_of_a_jpeg_stays_as_it_is_stored() -> None:
    flat = np.full((16, 16, 3), (200, 30, 60), np.uint8)
    data = imagecodecs.jpeg8_encode(flat, 95, subsampling="444")
    frame = decode_frame(describe((16, 16, 3), photometric="YBR_FULL_422", syntax=PREFIX + ".4.50"), data)
    assert (frame.photometric_interpretation, frame.is_lossy) == ("YBR_FULL", True)
    assert abs(int(frame.pixels[8, 8, 0]) - 84) <= 1
    assert np.abs(to_rgb(frame).pixels.astype(int) - flat).max() <= 3


def test_the_transform_of_jpeg_2000_is_undone() -> None:
    image = draw((9, 9, 3))
    data = imagecodecs.jpeg2k_encode(image, codecformat="j2k", reversible=True)
    frame = decode_frame(describe((9, 9, 3), photometric="YBR_RCT", syntax=PREFIX + ".4.90"), data)
    assert frame.photometric_interpretation == "RGB"
    assert np.array_equal(frame.pixels, image)


def test_stored_values_leave_out_what_lies_beside_them() -> None:
    cells = np.array([[0xF123, 0x0456]], np.uint16)
    description = describe((1, 2), stored=12)
    assert decode_frame(description, cells.tobytes()).pixels.tolist() == [[0x123, 0x456]]
    assert decode_cells(description, cells.tobytes()).pixels.tolist() == [[0xF123, 0x456]]


@pytest.mark.parametrize("suffix", [".4.102", ".4.94"])
def test_syntaxes_that_are_not_decoded(suffix: str) -> None:
    assert PREFIX + suffix not in DECODABLE
    with pytest.raises(ImagingFailed, match="not decoded"):
        decode_frame(describe((1, 1), syntax=PREFIX + suffix), b"\0")


def test_a_deflated_frame_stops_at_its_length() -> None:
    bomb = zlib.compress(bytes(50_000_000), wbits=-15)
    assert decode_frame(describe((4, 4), syntax=PREFIX + ".8.1"), bomb).pixels.shape == (4, 4)


@pytest.mark.parametrize("suffix", [".4.50", ".4.57", ".4.80", ".4.90", ".4.201", ".5"])
@pytest.mark.parametrize("kept", [0.5, 0.9, 0.99])
def test_frames_cut_short_are_refused(suffix: str, kept: float) -> None:
    image = draw((64, 64))
    data = imagecodecs.jpeg8_encode(image) if suffix == ".4.50" else ENCODERS[suffix](image)
    with pytest.raises(ImagingFailed):
        decode_frame(describe((64, 64), syntax=PREFIX + suffix), data[: int(len(data) * kept)])


@pytest.mark.parametrize("suffix", [key for key in ENCODERS if key != ".1"])
@given(data=st.data())
def test_damaged_frames_fail_in_one_way(suffix: str, data: st.DataObject) -> None:
    image = draw((12, 12))
    good = bytearray(ENCODERS[suffix](image))
    for _ in range(data.draw(st.integers(1, 6))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(good[: data.draw(st.integers(0, len(good)))])
    try:
        frame = decode_frame(describe((12, 12), syntax=PREFIX + suffix), cut)
    except ImagingFailed:
        return
    assert frame.pixels.shape == (12, 12)


@pytest.mark.parametrize("suffix", [".4.51", *ENCODERS])
@given(garbage=st.binary(max_size=300))
def test_garbage_fails_in_one_way(suffix: str, garbage: bytes) -> None:
    try:
        frame = decode_frame(describe((12, 12), syntax=PREFIX + suffix), garbage)
    except ImagingFailed:
        return
    assert frame.pixels.shape == (12, 12)
