"""Frames that the gateway encodes, read by decoders that it does not use: bit for bit where lossless."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gateway.codecs.part10 import encode_file_meta
from gateway.imaging.conversion import convert_frame, plan_conversion
from gateway.imaging.decode import decode_cells
from gateway.imaging.native import pack_native
from tests.support.converting import convert, make_data_set, write
from tests.support.images import describe, draw
from tests.support.reference_decoders import decode_by_reference, extract_frames

pytestmark = pytest.mark.peer

PREFIX = "1.2.840.10008.1.2."
NATIVE = PREFIX + "1"
FORMS = [
    ((40, 50), 8, False),
    ((40, 50), 12, False),
    ((40, 50), 16, False),
    ((40, 50), 12, True),
    ((40, 50), 16, True),
    ((41, 51, 3), 8, False),
    ((300, 200), 16, True),
]


@pytest.mark.parametrize(
    "suffix", ["4.57", "4.70", "4.80", "4.81", "4.90", "4.91", "4.201", "4.202", "4.203", "5", "4.110", "4.112"]
)
@pytest.mark.parametrize(("shape", "stored", "signed"), FORMS)
async def test_lossless_instances_are_read_as_they_were(
    suffix: str, shape: tuple[int, ...], stored: int, signed: bool, tmp_path: Path
) -> None:
    if signed and suffix in ("4.110", "4.112"):
        return  # refused
    uid = PREFIX + suffix
    images = [draw(shape, stored, signed=signed, seed=seed) for seed in range(2)]
    native = describe(shape, stored=stored, signed=signed)
    data_set = make_data_set(images, native)
    data_set.StudyInstanceUID, data_set.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    data_set.ConversionType, data_set.Modality = "SYN", "OT"
    converted = await convert(write(data_set), NATIVE, uid)
    target = replace(plan_conversion(native, uid), number_of_frames=2)
    frames = extract_frames(converted, uid)
    content = encode_file_meta(data_set.SOPClassUID, data_set.SOPInstanceUID, uid) + converted
    found = decode_by_reference(content, target, frames, tmp_path)
    assert found is not None, "no program can read it"
    for image, theirs in zip(images, found[1], strict=True):
        assert np.array_equal(theirs.astype(image.dtype), image)


@pytest.mark.parametrize(
    ("suffix", "stored", "shape"), [("4.50", 8, (40, 50)), ("4.50", 8, (40, 50, 3)), ("4.51", 12, (40, 50))]
)
async def test_lossy_instances_are_read_as_we_read_them(
    suffix: str, stored: int, shape: tuple[int, ...], tmp_path: Path
) -> None:
    uid = PREFIX + suffix
    native = describe(shape, stored=stored)
    data_set = make_data_set([draw(shape, stored)], native)
    data_set.StudyInstanceUID, data_set.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    converted = await convert(write(data_set), NATIVE, uid)
    target = plan_conversion(native, uid)
    (frame,) = extract_frames(converted, uid)
    content = encode_file_meta(data_set.SOPClassUID, data_set.SOPInstanceUID, uid) + converted
    found = decode_by_reference(content, target, [frame], tmp_path)
    assert found is not None, "no program can read it"
    assert np.abs(found[1][0].astype(int) - decode_cells(target, frame).pixels).max() <= 1


def test_recompressed_jpeg_is_restored_byte_for_byte(tmp_path: Path) -> None:
    baseline = describe((40, 50, 3), photometric="YBR_FULL_422", syntax=PREFIX + "4.50")
    native = describe((40, 50, 3))
    stream = convert_frame(native, plan_conversion(native, PREFIX + "4.50"), pack_native(draw((40, 50, 3)), 8)).data
    target = plan_conversion(baseline, PREFIX + "4.111")
    source, restored = tmp_path / "in.jxl", tmp_path / "out.jpg"
    source.write_bytes(convert_frame(baseline, target, stream).data)
    subprocess.run(["djxl", source, restored], check=True, capture_output=True, timeout=60)
    assert restored.read_bytes() == stream
