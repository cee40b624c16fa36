from __future__ import annotations

import pytest

from gateway.imaging.codestreams import CodestreamHeader, read_jpeg_2000_header
from gateway.imaging.encode_jpeg_2000 import encode_htj2k, encode_jpeg_2000
from gateway.imaging.pixels import DecodedFrame
from tests.support.images import describe, draw


@pytest.mark.parametrize(("quality", "lossy"), [(None, False), (50, True)])
def test_headers_say_what_was_asked_for(quality: int | None, lossy: bool) -> None:
    image = draw((20, 30), 12, signed=True)
    data = encode_jpeg_2000(DecodedFrame(image, "MONOCHROME2", 12), describe((20, 30), stored=12, signed=True), quality)
    assert read_jpeg_2000_header(data) == CodestreamHeader(20, 30, 1, 12, is_signed=True, is_lossy=lossy)


@pytest.mark.parametrize(("name", "transform"), [("RGB", 1), ("YBR_FULL", 0)])
def test_rgb_alone_is_transformed(name: str, transform: int) -> None:
    frame = DecodedFrame(draw((20, 30, 3)), name, 8)
    for data in (encode_jpeg_2000(frame, describe((20, 30, 3)), None), encode_htj2k(frame, describe((20, 30, 3)))):
        assert data[data.index(b"\xff\x52") + 8] == transform
