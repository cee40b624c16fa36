from __future__ import annotations

import imagecodecs
import pytest

from gateway.errors import ImagingFailed
from gateway.imaging.codestreams import (
    CodestreamHeader,
    check_end,
    check_header,
    read_jpeg_2000_header,
    read_jpeg_header,
)
from tests.support.images import describe, draw

GREY, COLOUR = draw((9, 14), 8), draw((9, 14, 3), 8)
DEEP = draw((9, 14), 12)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (imagecodecs.jpeg8_encode(GREY), CodestreamHeader(9, 14, 1, 8, is_lossy=True)),
        (imagecodecs.jpeg8_encode(COLOUR), CodestreamHeader(9, 14, 3, 8, is_lossy=True)),
        (imagecodecs.jpeg8_encode(DEEP, bitspersample=12), CodestreamHeader(9, 14, 1, 12, is_lossy=True)),
        (imagecodecs.jpeg8_encode(DEEP, lossless=True, bitspersample=12), CodestreamHeader(9, 14, 1, 12)),
        (imagecodecs.jpegls_encode(COLOUR), CodestreamHeader(9, 14, 3, 8)),
        (imagecodecs.jpegls_encode(GREY, 3), CodestreamHeader(9, 14, 1, 8, is_lossy=True)),
    ],
)
def test_jpeg_headers(data: bytes, expected: CodestreamHeader) -> None:
    assert read_jpeg_header(data) == expected


@pytest.mark.parametrize("form", ["j2k", "jp2"])
@pytest.mark.parametrize(("reversible", "lossy"), [(True, False), (False, True)])
def test_jpeg_2000_headers(form: str, reversible: bool, lossy: bool) -> None:
    data = imagecodecs.jpeg2k_encode(COLOUR, 40, codecformat=form, reversible=reversible)
    assert read_jpeg_2000_header(data) == CodestreamHeader(9, 14, 3, 8, is_lossy=lossy)


def test_signed_components() -> None:
    data = imagecodecs.jpeg2k_encode(draw((9, 14), 12, signed=True), codecformat="j2k", bitspersample=12)
    assert read_jpeg_2000_header(data) == CodestreamHeader(9, 14, 1, 12, is_signed=True)


def test_high_throughput_headers() -> None:
    assert read_jpeg_2000_header(imagecodecs.htj2k_encode(GREY, reversible=True)) == CodestreamHeader(9, 14, 1, 8)


@pytest.mark.parametrize("read", [read_jpeg_header, read_jpeg_2000_header])
def test_every_cut_of_a_header_is_refused_or_read(read: object) -> None:
    is_jpeg = read is read_jpeg_header
    data = imagecodecs.jpeg8_encode(GREY) if is_jpeg else imagecodecs.jpeg2k_encode(GREY, codecformat="j2k")
    whole = read_jpeg_header(data) if is_jpeg else read_jpeg_2000_header(data)
    for length in range(min(len(data), 700)):
        try:
            found = read_jpeg_header(data[:length]) if is_jpeg else read_jpeg_2000_header(data[:length])
        except ImagingFailed:
            continue
        assert (found.rows, found.columns, found.bits) == (whole.rows, whole.columns, whole.bits)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\x00\x01\x02\x03", b"\x89PNG", b"\xff\xd8" + b"\xff" * 9])
def test_what_is_no_jpeg(data: bytes) -> None:
    with pytest.raises(ImagingFailed):
        read_jpeg_header(data)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (CodestreamHeader(10, 14, 1, 8), "dimensions"),
        (CodestreamHeader(9, 14, 3, 8), "samples"),
        (CodestreamHeader(9, 14, 1, 12), "bits"),
    ],
)
def test_headers_that_do_not_agree_with_the_data_set(header: CodestreamHeader, reason: str) -> None:
    check_header(CodestreamHeader(9, 14, 1, 8), describe((9, 14)))
    with pytest.raises(ImagingFailed, match=reason):
        check_header(header, describe((9, 14)))


def test_the_end_may_be_padded_but_not_missing() -> None:
    data = imagecodecs.jpeg8_encode(GREY)
    for padding in (b"", b"\0", bytes(3), b"\xff"):
        check_end(data + padding)
    with pytest.raises(ImagingFailed, match="cut short"):
        check_end(data[:-2])
