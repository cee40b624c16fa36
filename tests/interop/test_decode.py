"""Frames of every compressed sample against decoders that the gateway does not use, bit for bit where lossless."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest

from gateway.codecs.transfer_syntax import get_transfer_syntax
from gateway.errors import DecodeError, ImagingFailed
from gateway.imaging.decode import DECODABLE, decode_cells, extract_stored_values
from gateway.imaging.description import ImageDescription, describe_image
from tests.support.data_sets import Sample, read_sample, sample_names
from tests.support.reference_decoders import decode_by_reference, extract_frames

pytestmark = pytest.mark.peer

# files whose pixel data is broken on purpose: each must fail as such
BROKEN = frozenset(
    {
        "odd/20-wrong-transfer-syntax.dcm",
        "syntax/JPEG2000-embedded-sequence-delimiter.dcm",
        "test_files/JPEG2000-embedded-sequence-delimiter.dcm",
        "test_files/SC_rgb_rle_16bit_2frame_truncated.dcm",
    }
)
# one bit in RLE, and deflated frames, are read by none of the programs; the same images in JPEG 2000 are
TWINS = {
    f"liver_{size}{form}.dcm": f"liver_{size}j2k.dcm"
    for size in ("", "nonbyte_aligned_")
    for form in ("rle", "deflate")
}


def describe(sample: Sample) -> ImageDescription | None:
    data_set = pydicom.dcmread(BytesIO(sample.content))
    return describe_image(data_set, sample.transfer_syntax_uid) if "Rows" in data_set else None


def is_compressed_image(name: str) -> bool:
    syntax = get_transfer_syntax(read_sample(name).transfer_syntax_uid)
    return syntax.encapsulated and syntax.uid in DECODABLE and describe(read_sample(name)) is not None


COMPRESSED = [name for name in sample_names() if is_compressed_image(name)]


@pytest.mark.parametrize("name", [name for name in COMPRESSED if name not in BROKEN])
def test_frames_equal_those_of_an_independent_decoder(name: str, tmp_path: Path) -> None:
    sample = read_sample(name)
    description = describe(sample)
    assert description is not None
    frames = extract_frames(sample.data_set, sample.transfer_syntax_uid)
    ours = [decode_cells(description, frame) for frame in frames]
    assert len(ours) == description.number_of_frames
    twin = TWINS.get(name.rpartition("/")[2])
    if twin is not None:
        sample = read_sample(name.replace(name.rpartition("/")[2], twin))
        frames = extract_frames(sample.data_set, sample.transfer_syntax_uid)
    reference = describe(sample)
    assert reference is not None
    found = decode_by_reference(sample.content, reference, frames, tmp_path)
    assert found is not None, "no program can read it"
    for frame, theirs in zip(ours, found[1], strict=True):
        # stored values: programs differ in what they put beside the bits stored
        values = extract_stored_values(frame.pixels, description).astype(np.int64)
        expected = extract_stored_values(theirs.astype(frame.pixels.dtype), description).astype(np.int64)
        if frame.is_lossy and frame.bits > description.bits_stored:
            expected = np.minimum(theirs, (1 << description.bits_stored) - 1)  # overshoot, which they leave as it is
        assert np.abs(values - expected).max() <= (1 if frame.is_lossy else 0)


@pytest.mark.parametrize("name", sorted(BROKEN & set(sample_names())))
def test_broken_pixel_data_is_told(name: str) -> None:
    sample = read_sample(name)
    with pytest.raises((DecodeError, ImagingFailed)):
        for frame in extract_frames(sample.data_set, sample.transfer_syntax_uid):
            description = describe(sample)
            assert description is not None
            decode_cells(description, frame)


def test_there_are_samples_of_each_family() -> None:
    families = {read_sample(name).transfer_syntax_uid.removeprefix("1.2.840.10008.1.2.")[:3] for name in COMPRESSED}
    assert {"4.5", "4.7", "4.8", "4.9", "5"} <= families
