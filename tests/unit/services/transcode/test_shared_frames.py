from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from gateway.imaging.decode import decode_cells
from gateway.services.transcode.shared_frames import SharedFrame, convert_shared_frame
from tests.support.images import describe, draw

RLE = "1.2.840.10008.1.2.5"


def test_what_was_written_is_read_in_pieces() -> None:
    shared, data = SharedFrame(), os.urandom(700_000)
    shared.append(data[:300_000])
    shared.append(memoryview(data)[300_000:])
    assert shared.size == len(data)
    assert Path(shared.path).read_bytes() == data
    pieces = list(shared.iter_pieces())
    assert len(pieces) == 3
    assert b"".join(pieces) == data


def test_the_memory_is_given_back_after_reading_and_with_the_object() -> None:
    shared = SharedFrame()
    path = Path(shared.path)
    assert path.exists()
    assert list(shared.iter_pieces()) == []
    assert not path.exists()
    shared.close()
    other = SharedFrame()
    path = Path(other.path)
    del other
    assert not path.exists()


@pytest.mark.parametrize("shape", [(6, 9), (1100, 1000)])
def test_frames_are_converted_from_one_into_the_other(shape: tuple[int, int]) -> None:
    before, after, image = SharedFrame(), SharedFrame(), draw(shape)
    before.append(image.tobytes())
    target = describe(shape, syntax=RLE)
    frame = convert_shared_frame(describe(shape), target, before.path, after.path)
    assert (frame.data, frame.is_lossy, frame.native_bytes) == (b"", False, image.size)
    assert np.array_equal(decode_cells(target, b"".join(after.iter_pieces())).pixels, image)
