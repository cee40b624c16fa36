from __future__ import annotations

import imagecodecs
import numpy as np
import pytest

from gateway.errors import ImagingFailed
from gateway.imaging.decode import decode_cells
from gateway.imaging.frame_conversion import copy_stream, reencode_frame
from tests.support.images import describe, draw

BASELINE, RECOMPRESSED, RLE = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.5"


def test_a_frame_is_decoded_and_encoded() -> None:
    image = draw((9, 9, 3))
    target = describe((9, 9, 3), syntax=RLE)
    data, is_lossy = reencode_frame(describe((9, 9, 3)), target, "RGB", image.tobytes())
    assert not is_lossy
    assert np.array_equal(decode_cells(target, data).pixels, image)


def test_colour_is_converted_where_the_plan_says_so() -> None:
    white = np.full((2, 2, 3), (255, 128, 128), np.uint8)
    data, _ = reencode_frame(describe((2, 2, 3), photometric="YBR_FULL"), describe((2, 2, 3)), "RGB", white.tobytes())
    assert data == b"\xff" * 12


def test_a_stream_is_copied_without_its_padding() -> None:
    stream = imagecodecs.jpeg8_encode(draw((16, 16, 3)))
    within = copy_stream(describe((16, 16, 3), syntax=RECOMPRESSED), stream + b"\0")
    assert copy_stream(describe((16, 16, 3), syntax=BASELINE), within) == stream


@pytest.mark.parametrize("syntax", [BASELINE, RECOMPRESSED])
def test_what_is_no_stream_fails_in_one_way(syntax: str) -> None:
    with pytest.raises(ImagingFailed):
        copy_stream(describe((16, 16), syntax=syntax), b"\xff\xd8\xff\xd9")
