from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ImagingFailed, NotAcceptable
from gateway.imaging.conversion import CONVERTIBLE, PRODUCIBLE, RECOMPRESSED, convert_frame, plan_conversion
from gateway.imaging.decode import DECODABLE, decode_cells, to_rgb
from gateway.imaging.description import ImageDescription
from gateway.imaging.encode import ENCODABLE
from gateway.imaging.native import pack_native
from tests.support.images import describe, draw

PREFIX = "1.2.840.10008.1.2."
LOSSLESS = sorted(uid for uid in PRODUCIBLE if uid.removeprefix(PREFIX) not in ("4.50", "4.51", "4.111"))
BASELINE = PREFIX + "4.50"


def convert(source: ImageDescription, uid: str, data: bytes) -> tuple[ImageDescription, bytes]:
    target = plan_conversion(source, uid)
    return target, convert_frame(source, target, data).data


@given(
    first=st.sampled_from(LOSSLESS),
    second=st.sampled_from(LOSSLESS),
    samples=st.sampled_from([1, 3]),
    stored=st.sampled_from([8, 12, 16]),
    signed=st.booleans(),
    planar=st.sampled_from([0, 1]),
)
def test_from_any_lossless_syntax_into_any_other(
    first: str, second: str, samples: int, stored: int, signed: bool, planar: int
) -> None:
    shape = (11, 13) if samples == 1 else (11, 13, 3)
    image = draw(shape, stored, signed=signed)
    native = describe(shape, stored=stored, signed=signed, planar=planar)
    data = pack_native(image.transpose(2, 0, 1) if planar and samples == 3 else image, native.bits_allocated)
    try:
        middle, compressed = convert(native, first, data)
        target, again = convert(middle, second, compressed)
    except NotAcceptable:
        assert signed
        return
    frame = decode_cells(target, again)
    assert np.array_equal(frame.pixels, image)
    assert frame.photometric_interpretation == native.photometric_interpretation
    assert target.planar_configuration == 0


@pytest.mark.parametrize(
    ("suffix", "name", "expected"),
    [
        ("4.90", "RGB", "YBR_RCT"),
        ("4.201", "RGB", "YBR_RCT"),
        ("4.90", "YBR_FULL", "YBR_FULL"),
        ("4.70", "RGB", "RGB"),
        ("4.80", "YBR_FULL", "YBR_FULL"),
        ("5", "RGB", "RGB"),
        ("4.50", "RGB", "YBR_FULL_422"),
        ("4.50", "YBR_FULL", "YBR_FULL_422"),
        ("4.110", "RGB", "RGB"),
        ("1", "YBR_PARTIAL_422", "RGB"),
        ("1", "YBR_FULL_422", "YBR_FULL"),
    ],
)
def test_what_colour_is_called(suffix: str, name: str, expected: str) -> None:
    source = describe((2, 2, 3), photometric=name)
    assert plan_conversion(source, PREFIX + suffix).photometric_interpretation == expected


def test_what_jpeg_made_of_rgb_becomes_rgb_again() -> None:
    flat = np.full((16, 16, 3), (200, 30, 60), np.uint8)
    source = describe((16, 16, 3), photometric="YBR_FULL_422", syntax=BASELINE)
    stream = imagecodecs.jpeg8_encode(flat, 95)
    target, data = convert(source, PREFIX + "1", stream)
    assert target.photometric_interpretation == "RGB"
    assert np.array_equal(decode_cells(target, data).pixels, to_rgb(decode_cells(source, stream)).pixels)
    assert convert_frame(source, target, stream).is_lossy


HARMFUL: list[tuple[str, dict[str, Any], str]] = [
    ("4.50", {"stored": 12}, "12 bits stored"),
    ("4.51", {"stored": 16}, "16 bits stored"),
    ("4.51", {"stored": 12, "photometric": "RGB", "shape": (2, 2, 3)}, "colour of 12 bits"),
    ("4.50", {"signed": True}, "signed"),
    ("4.50", {"photometric": "PALETTE COLOR"}, "palette"),
    ("4.80", {"stored": 32}, "32 bits allocated"),
    ("4.80", {"stored": 1}, "1 bits allocated"),
    ("4.90", {"stored": 32, "floats": True}, "32 bits allocated"),
    ("5", {"stored": 32, "floats": True}, "floating"),
    ("4.110", {"signed": True}, "signed"),
    ("4.110", {"photometric": "YBR_FULL", "shape": (2, 2, 3)}, "luminance"),
    ("4.80", {"photometric": "HSV", "shape": (2, 2, 3)}, "colour space"),
    ("1", {"photometric": "RGB"}, "Photometric"),
    ("4.100", {}, "not offered"),
    ("4.111", {}, "not offered"),
    ("1", {"syntax": PREFIX + "4.102"}, "not offered"),
]


@pytest.mark.parametrize(("suffix", "attributes", "reason"), HARMFUL)
def test_conversions_that_would_do_harm_are_refused(suffix: str, attributes: dict[str, Any], reason: str) -> None:
    source = describe(attributes.pop("shape", (2, 2)), **attributes)
    with pytest.raises(NotAcceptable, match=reason):
        plan_conversion(source, PREFIX + suffix)


def test_lossy_jpeg_holds_what_is_stored_in_the_cell_it_needs() -> None:
    target = plan_conversion(describe((2, 2), stored=8, allocated=16), BASELINE)
    assert (target.bits_allocated, target.bits_stored) == (8, 8)
    off = replace(describe((2, 2), stored=8, allocated=16), high_bit=11)
    with pytest.raises(NotAcceptable, match="High Bit"):
        plan_conversion(off, BASELINE)


@pytest.mark.parametrize("padding", [b"", b"\0"])
def test_a_jpeg_stream_is_recompressed_and_restored_as_it_was(padding: bytes) -> None:
    stream = imagecodecs.jpeg8_encode(draw((16, 20, 3)), 80)
    source = describe((16, 20, 3), photometric="YBR_FULL_422", syntax=BASELINE)
    middle, data = convert(source, RECOMPRESSED, stream + padding)
    target, again = convert(middle, BASELINE, data)
    assert again == stream
    assert replace(target, transfer_syntax_uid="") == replace(source, transfer_syntax_uid="")


def test_broken_frames_fail_in_one_way() -> None:
    source = describe((16, 16), syntax=BASELINE)
    for uid in (RECOMPRESSED, PREFIX + "1"):
        with pytest.raises(ImagingFailed):
            convert_frame(source, plan_conversion(source, uid), b"\xff\xd8\xff\xd9")


def test_what_is_planned_is_what_the_codecs_can() -> None:
    assert CONVERTIBLE == DECODABLE
    assert PRODUCIBLE == ENCODABLE | {RECOMPRESSED}


def test_planning_loads_no_codec() -> None:
    code = "import sys, gateway.services.transcode.part10, gateway.services.transcode.frames; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"numpy", "imagecodecs", "pydicom"}.isdisjoint(loaded)
