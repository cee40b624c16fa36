"""Frames made to harm whoever decodes them: one error, within the limits of a worker."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from struct import pack

import imagecodecs
import numpy as np
import pytest

from gateway.errors import ImagingFailed
from gateway.imaging.conversion import convert_frame, plan_conversion
from gateway.imaging.decode import decode_frame
from gateway.imaging.workers import ImagingWorkers
from tests.support.images import describe, draw

PREFIX = "1.2.840.10008.1.2"
SMALL = draw((16, 16))


def claim_jpeg(data: bytes, marker: int) -> bytes:
    """The stream, its frame header saying 65,535 by 65,535."""
    place = data.index(bytes([0xFF, marker])) + 5
    return data[:place] + b"\xff\xff\xff\xff" + data[place + 4 :]


def claim_jpeg_2000(data: bytes) -> bytes:
    place = data.index(b"\xff\x51") + 6
    return data[:place] + pack(">2I", 0x7FFFFFFF, 0x7FFFFFFF) + data[place + 8 :]


CLAIMS = {
    ".4.50": claim_jpeg(imagecodecs.jpeg8_encode(SMALL), 0xC0),
    ".4.70": claim_jpeg(imagecodecs.jpeg8_encode(SMALL, lossless=True, bitspersample=8), 0xC3),
    ".4.80": claim_jpeg(imagecodecs.jpegls_encode(SMALL), 0xF7),
    ".4.90": claim_jpeg_2000(imagecodecs.jpeg2k_encode(SMALL, codecformat="j2k", reversible=True)),
    ".4.201": claim_jpeg_2000(imagecodecs.htj2k_encode(SMALL, reversible=True)),
    ".4.110": b"\xff\x0a" + b"\xff" * 14,
    ".5": pack("<16I", 15, *range(64, 79)) + bytes(15),
}


@pytest.mark.parametrize("suffix", CLAIMS)
def test_headers_that_claim_more_than_the_data_set_are_refused_before_the_codec_runs(suffix: str) -> None:
    with pytest.raises(ImagingFailed):
        decode_frame(describe((16, 16), syntax=PREFIX + suffix), CLAIMS[suffix] + b"\xff\xd9")


@pytest.fixture
async def workers() -> AsyncIterator[ImagingWorkers]:
    pool = ImagingWorkers(1, task_timeout_s=60, memory_mib=192)
    yield pool
    await pool.close()


BLANK = np.zeros((8000, 8000), np.uint8)
BOMBS = {
    ".4.90": bytes(imagecodecs.jpeg2k_encode(BLANK, codecformat="j2k", reversible=True)),
    ".4.110": bytes(imagecodecs.jpegxl_encode(BLANK, lossless=True, effort=1)),
    ".8.1": zlib.compress(BLANK.tobytes() * 2, wbits=-15),
}


@pytest.mark.parametrize("suffix", BOMBS)
async def test_bombs_end_at_the_memory_of_a_worker(suffix: str, workers: ImagingWorkers) -> None:
    """The data set says what the codestream says: nothing is wrong but the size."""
    source = describe(BLANK.shape, syntax=PREFIX + suffix)
    target = plan_conversion(source, PREFIX + ".4.57" if suffix == ".8.1" else PREFIX + ".1")
    assert len(BOMBS[suffix]) < BLANK.size / 100
    with pytest.raises(ImagingFailed):
        await workers.run(convert_frame, source, target, BOMBS[suffix])
    assert (
        await workers.run(convert_frame, describe((16, 16)), describe((16, 16)), SMALL.tobytes())
    ).native_bytes == 256
