from __future__ import annotations

import pytest
from pydicom import Dataset

from gateway.errors import ImagingFailed
from gateway.imaging.description import describe_image

EXPLICIT = "1.2.840.10008.1.2.1"


def make_data_set(**attributes: object) -> Dataset:
    data_set = Dataset()
    defaults: dict[str, object] = {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": 4,
        "Columns": 6,
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
    }
    for keyword, value in {**defaults, **attributes}.items():
        if value is not None:
            setattr(data_set, keyword, value)
    return data_set


def test_what_the_attributes_say() -> None:
    found = describe_image(make_data_set(NumberOfFrames=3, PixelRepresentation=1), EXPLICIT)
    assert (found.rows, found.columns, found.samples_per_pixel) == (4, 6, 1)
    assert (found.bits_allocated, found.bits_stored, found.high_bit, found.is_signed) == (16, 12, 11, True)
    assert (found.number_of_frames, found.transfer_syntax_uid, found.is_float) == (3, EXPLICIT, False)
    assert found.frame_bytes == 48
    assert found.native_frame_bits == 384


def test_what_may_be_missing() -> None:
    found = describe_image(
        make_data_set(SamplesPerPixel=None, PhotometricInterpretation=None, BitsStored=None, HighBit=None), EXPLICIT
    )
    assert (found.samples_per_pixel, found.photometric_interpretation) == (1, "MONOCHROME2")
    assert (found.bits_stored, found.high_bit, found.planar_configuration, found.number_of_frames) == (16, 15, 0, 1)


def test_subsampled_colour_is_stored_in_two_thirds() -> None:
    found = describe_image(
        make_data_set(
            SamplesPerPixel=3, PhotometricInterpretation="YBR_FULL_422", BitsAllocated=8, BitsStored=8, HighBit=7
        ),
        EXPLICIT,
    )
    assert (found.frame_bytes, found.native_frame_bits) == (72, 48 * 8)


def test_samples_of_float_pixel_data() -> None:
    found = describe_image(
        make_data_set(BitsAllocated=32, BitsStored=None, HighBit=None, PixelRepresentation=None), EXPLICIT
    )
    assert found.is_float
    assert not describe_image(make_data_set(BitsAllocated=32), EXPLICIT).is_float


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"Rows": None}, "Rows or Columns"),
        ({"Columns": 0}, "Rows or Columns"),
        ({"SamplesPerPixel": 2}, "Samples per Pixel"),
        ({"BitsAllocated": 12}, "Bits Allocated"),
        ({"BitsAllocated": None}, "Bits Allocated"),
        ({"BitsStored": 17}, "Bits Stored"),
        ({"HighBit": 16}, "High Bit"),
        ({"HighBit": 10}, "High Bit"),
        ({"Rows": 65_535, "Columns": 65_535}, "limit"),
    ],
)
def test_what_no_image_can_be(attributes: dict[str, object], reason: str) -> None:
    with pytest.raises(ImagingFailed, match=reason):
        describe_image(make_data_set(**attributes), EXPLICIT)


def test_the_limit_of_a_frame() -> None:
    describe_image(make_data_set(), EXPLICIT, max_frame_bytes=48)
    with pytest.raises(ImagingFailed, match="47 bytes"):
        describe_image(make_data_set(), EXPLICIT, max_frame_bytes=47)


def test_values_that_are_no_numbers() -> None:
    data_set = make_data_set()
    data_set["Rows"]._value = "many"
    with pytest.raises(ImagingFailed, match="Rows"):
        describe_image(data_set, EXPLICIT)
