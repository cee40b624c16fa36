from __future__ import annotations

import imagecodecs
import numpy as np

from gateway.imaging.codestreams import read_jpeg_header
from gateway.imaging.encode_jpeg import encode_jpeg, encode_jpeg_ls, encode_lossless_jpeg
from gateway.imaging.pixels import DecodedFrame
from tests.support.images import describe, draw


def test_eight_bits_are_written_as_baseline_and_more_as_extended() -> None:
    narrow, wide = draw((8, 8)), draw((8, 8), 10)
    assert b"\xff\xc0" in encode_jpeg(DecodedFrame(narrow, "MONOCHROME2", 8), describe((8, 8)), None)
    extended = encode_jpeg(DecodedFrame(wide, "MONOCHROME2", 10), describe((8, 8), stored=10), None)
    assert read_jpeg_header(extended).bits == 12


def test_rgb_becomes_luminance_and_chrominance_that_two_pixels_share() -> None:
    flat = np.full((16, 16, 3), (200, 30, 60), np.uint8)
    data = encode_jpeg(DecodedFrame(flat, "RGB", 8), describe((16, 16, 3)), 95)
    frame_header = data.index(b"\xff\xc0")
    assert data[frame_header + 11] == 0x21  # sampling factors of the first component
    stored = imagecodecs.jpeg8_decode(data, colorspace="RGB", outcolorspace="RGB")[8, 8]
    assert np.abs(stored.astype(int) - (84, 114, 211)).max() <= 2


def test_chrominance_is_not_transformed_twice() -> None:
    flat = np.full((16, 16, 3), (84, 114, 211), np.uint8)
    data = encode_jpeg(DecodedFrame(flat, "YBR_FULL", 8), describe((16, 16, 3)), 95)
    stored = imagecodecs.jpeg8_decode(data, colorspace="RGB", outcolorspace="RGB")[8, 8]
    assert np.abs(stored.astype(int) - (84, 114, 211)).max() <= 2


def test_lossless_streams_name_process_14_and_selection_value_1() -> None:
    data = encode_lossless_jpeg(DecodedFrame(draw((8, 8), 12), "MONOCHROME2", 12), describe((8, 8), stored=12), None)
    header = read_jpeg_header(data)
    assert (header.bits, header.is_lossy) == (12, False)
    scan = data.index(b"\xff\xda")
    assert data[scan + 7] == 1


def test_signed_samples_keep_their_sign_at_the_top_of_the_cell() -> None:
    image = draw((8, 8), 12, signed=True)
    frame, description = DecodedFrame(image, "MONOCHROME2", 12), describe((8, 8), stored=12, signed=True)
    for data in (encode_lossless_jpeg(frame, description, None), encode_jpeg_ls(frame, description, None)):
        assert read_jpeg_header(data).bits == 16
