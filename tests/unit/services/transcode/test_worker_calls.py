from __future__ import annotations

import numpy as np
import pytest

from gateway.imaging.decode import decode_cells
from gateway.imaging.shared_bytes import Place, SharedBytes
from gateway.services.transcode.worker_calls import convert_shared_frame
from tests.support.images import describe, draw

RLE = "1.2.840.10008.1.2.5"


@pytest.mark.parametrize("shape", [(6, 9), (1100, 1000)])
def test_frames_are_converted_from_one_into_the_other(shape: tuple[int, int]) -> None:
    image = draw(shape)
    given, made = SharedBytes.from_bytes(b"before" + image.tobytes()), SharedBytes()
    target = describe(shape, syntax=RLE)
    frame = convert_shared_frame(describe(shape), target, Place(given.address, 6, image.nbytes), made.address)
    assert (frame.data, frame.is_lossy, frame.native_bytes) == (b"", False, image.size)
    assert np.array_equal(decode_cells(target, made.read()).pixels, image)
