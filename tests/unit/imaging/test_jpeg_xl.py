from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ImagingFailed
from gateway.imaging.decode import decode_frame
from gateway.imaging.jpeg_xl import decode_jpeg_xl, encode_jpeg_xl, read_size, recompress_jpeg, restore_jpeg
from tests.support.images import describe, draw

RECOMPRESSED = "1.2.840.10008.1.2.4.111"


@pytest.mark.parametrize("stored", [8, 10, 12, 16])
@pytest.mark.parametrize("shape", [(13, 18), (13, 18, 3)])
def test_lossless_frames_come_out_as_they_were(stored: int, shape: tuple[int, ...]) -> None:
    image = draw(shape, stored)
    assert np.array_equal(decode_jpeg_xl(describe(shape, stored=stored), encode_jpeg_xl(image, stored, 0)), image)


def test_a_distance_makes_them_smaller() -> None:
    image = draw((64, 64))
    assert len(encode_jpeg_xl(image, 8, 3)) < len(encode_jpeg_xl(image, 8, 0))


@given(rows=st.integers(1, 700), columns=st.integers(1, 700), container=st.booleans())
def test_the_size_is_read_from_the_header(rows: int, columns: int, container: bool) -> None:
    data = imagecodecs.jpegxl_encode(
        np.zeros((rows, columns), np.uint8), effort=1, lossless=True, usecontainer=container
    )
    assert read_size(data) == (rows, columns)


def test_sizes_with_a_ratio() -> None:
    for rows, columns in [(8, 8), (100, 120), (300, 400), (256, 512), (1080, 1920), (20_000, 8)]:
        data = imagecodecs.jpegxl_encode(np.zeros((rows, columns), np.uint8), effort=1, lossless=True)
        assert read_size(data) == (rows, columns)


def test_a_jpeg_stream_comes_back_byte_for_byte() -> None:
    stream = imagecodecs.jpeg8_encode(draw((20, 30, 3)), 85)
    assert restore_jpeg(recompress_jpeg(stream)) == stream


def test_a_recompressed_frame_decodes_as_its_jpeg() -> None:
    stream = imagecodecs.jpeg8_encode(draw((20, 30, 3)), 85)
    before = decode_frame(describe((20, 30, 3), photometric="YBR_FULL_422", syntax="1.2.840.10008.1.2.4.50"), stream)
    after = decode_frame(
        describe((20, 30, 3), photometric="YBR_FULL_422", syntax=RECOMPRESSED), recompress_jpeg(stream)
    )
    assert np.array_equal(before.pixels, after.pixels)
    assert (after.photometric_interpretation, after.is_lossy) == ("YBR_FULL", True)


def test_a_recompressed_grey_frame_is_decoded_as_pixels() -> None:
    stream = imagecodecs.jpeg8_encode(draw((20, 30)), 85)
    frame = decode_frame(describe((20, 30), syntax=RECOMPRESSED), recompress_jpeg(stream))
    assert frame.is_lossy
    assert np.abs(frame.pixels.astype(int) - imagecodecs.jpeg8_decode(stream)).max() <= 1


def test_other_dimensions_are_refused_before_the_codec_is_called() -> None:
    with pytest.raises(ImagingFailed, match="dimensions"):
        decode_jpeg_xl(describe((13, 19)), encode_jpeg_xl(draw((13, 18)), 8, 0))


@given(
    garbage=st.binary(max_size=40), start=st.sampled_from([b"", b"\xff\x0a", bytes.fromhex("0000000c4a584c200d0a870a")])
)
def test_garbage_fails_in_one_way(garbage: bytes, start: bytes) -> None:
    try:
        read_size(start + garbage)
    except ImagingFailed:
        pass
    with pytest.raises(ImagingFailed):
        restore_jpeg(start + garbage)
