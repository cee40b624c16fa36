from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ImagingFailed
from gateway.imaging.decode import decode_cells
from gateway.imaging.encode import ENCODABLE, encode_frame
from gateway.imaging.pixels import DecodedFrame
from tests.support.images import describe, draw

PREFIX = "1.2.840.10008.1.2."
WITH_LOSS = ("4.50", "4.51")
WITHOUT_SIGN = ("4.110", "4.112")
ONE_BIT = ("1", "1.98", "1.99", "8.1", "5", "4.90", "4.91")
LOSSLESS = sorted(uid.removeprefix(PREFIX) for uid in ENCODABLE if uid.removeprefix(PREFIX) not in WITH_LOSS)


def there_and_back(image: npt.NDArray[Any], suffix: str, stored: int, signed: bool, **named: Any) -> npt.NDArray[Any]:
    description = describe(image.shape, stored=stored, signed=signed)
    frame = DecodedFrame(image, description.photometric_interpretation, stored)
    data = encode_frame(frame, description, PREFIX + suffix, **named)
    assert isinstance(data, bytes)
    pixels: npt.NDArray[Any] = decode_cells(replace(description, transfer_syntax_uid=PREFIX + suffix), data).pixels
    return pixels


@pytest.mark.parametrize("suffix", LOSSLESS)
@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 90),
    samples=st.sampled_from([1, 3]),
    stored=st.sampled_from([7, 8, 10, 12, 15, 16]),
    signed=st.booleans(),
    seed=st.integers(0, 99),
)
def test_lossless_images_come_back(
    suffix: str, rows: int, columns: int, samples: int, stored: int, signed: bool, seed: int
) -> None:
    signed = signed and suffix not in WITHOUT_SIGN
    shape = (rows, columns) if samples == 1 else (rows, columns, samples)
    image = draw(shape, stored, signed=signed, seed=seed)
    found = there_and_back(image, suffix, stored, signed)
    assert found.dtype == image.dtype
    assert np.array_equal(found, image)


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize(("shape", "stored"), [((300, 400), 8), ((301, 403, 3), 16)])
def test_noise_comes_back_though_it_cannot_be_compressed(suffix: str, shape: tuple[int, ...], stored: int) -> None:
    kind = np.uint8 if stored == 8 else np.uint16
    image = np.random.default_rng(0).integers(0, 1 << stored, shape).astype(kind)
    assert np.array_equal(there_and_back(image, suffix, stored, False), image)


@pytest.mark.parametrize("suffix", ONE_BIT)
def test_one_bit_images_come_back(suffix: str) -> None:
    image = draw((15, 33), 1)
    assert np.array_equal(there_and_back(image, suffix, 1, False), image)


@pytest.mark.parametrize("suffix", [suffix for suffix in LOSSLESS if suffix not in WITHOUT_SIGN])
@pytest.mark.parametrize("signed", [False, True])
def test_bits_beside_the_stored_ones_come_back(suffix: str, signed: bool) -> None:
    cells = draw((9, 17), 16, signed=signed)
    assert np.array_equal(there_and_back(cells, suffix, 12, signed), cells)


@pytest.mark.parametrize(
    ("suffix", "stored", "samples"), [("4.50", 8, 1), ("4.50", 8, 3), ("4.51", 8, 3), ("4.51", 10, 1), ("4.51", 12, 1)]
)
def test_loss_is_little(suffix: str, stored: int, samples: int) -> None:
    ramp = np.add.outer(np.arange(64), np.arange(80)) * ((1 << stored) - 1) // 142
    image = ramp.astype(np.uint8 if stored == 8 else np.uint16)
    if samples == 3:
        image = np.repeat(image[..., np.newaxis], 3, axis=2)
    found = there_and_back(image, suffix, stored, False)
    if samples == 3:
        found, image = found[..., 0], image[..., 0]  # luminance of grey is the grey itself
    assert np.abs(found.astype(int) - image).max() <= (1 << stored) // 60


@pytest.mark.parametrize("suffix", ["4.50", "4.81", "4.91", "4.112"])
def test_a_quality_makes_frames_smaller(suffix: str) -> None:
    image = draw((64, 64))
    frame, description = DecodedFrame(image, "MONOCHROME2", 8), describe((64, 64))
    sizes = [len(encode_frame(frame, description, PREFIX + suffix, quality=quality)) for quality in (30, 90, None)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_high_throughput_frames_have_the_rpcl_options() -> None:
    image = draw((200, 300))
    data = encode_frame(DecodedFrame(image, "MONOCHROME2", 8), describe((200, 300)), PREFIX + "4.202")
    style = data.index(b"\xff\x52")
    assert data[style + 5] == 2  # RPCL (T.800 Table A.16)
    assert 300 >> data[style + 9] <= 64  # decomposition levels
    assert b"\xff\x55" in data[: style + 100]  # TLM


def test_syntaxes_that_are_not_written() -> None:
    frame = DecodedFrame(draw((4, 4)), "MONOCHROME2", 8)
    for suffix in ("4.100", "4.53", "4.111"):
        with pytest.raises(ImagingFailed, match="no encoder"):
            encode_frame(frame, describe((4, 4)), PREFIX + suffix)


def test_what_a_codec_cannot_do_fails_in_one_way() -> None:
    image = draw((4, 4), 16, signed=True)
    with pytest.raises(ImagingFailed, match="cannot be encoded"):
        encode_frame(DecodedFrame(image, "MONOCHROME2", 16), describe((4, 4), stored=16, signed=True), PREFIX + "4.110")
