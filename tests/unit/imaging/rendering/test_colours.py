"""CIELab as DICOM encodes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from gateway.imaging.rendering.colours import read_colour, to_srgb
from tests.support.pictures import make_item


@pytest.mark.parametrize(
    ("encoded", "srgb"),
    [
        ((0, 32_896, 32_896), (0, 0, 0)),
        ((65_535, 32_896, 32_896), (255, 255, 255)),
        ((34_885, 53_485, 50_171), (255, 0, 0)),  # L* 53.2, a* 80.1, b* 67.2 relative to D65; D50 is near
    ],
)
def test_well_known_colours(encoded: tuple[int, int, int], srgb: tuple[int, int, int]) -> None:
    assert to_srgb(encoded) == pytest.approx(srgb, abs=14)


@given(st.integers(45, 80), st.integers(-12, 12), st.integers(-12, 12))
def test_same_as_little_cms(lightness: int, a: int, b: int) -> None:
    """Inside the gamut, beside the colour management that the ICC profiles go through."""
    lab = Image.new("LAB", (1, 1), (round(lightness * 255 / 100), a + 128, b + 128))
    transform = ImageCms.buildTransform(
        ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )  # fmt: skip
    expected = ImageCms.applyTransform(lab, transform).getpixel((0, 0))
    exact = round(lightness * 255 / 100) / 255 * 65_535
    assert to_srgb((exact, (a + 128) * 257, (b + 128) * 257)) == pytest.approx(
        expected, abs=6
    )  # its values of 8 bits are coarse


@given(st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=3))
def test_any_numbers_give_a_colour(encoded: list[float]) -> None:
    assert all(0 <= level <= 255 for level in to_srgb(encoded))


def test_lab_before_gray_before_default() -> None:
    lab, gray = "ShutterPresentationColorCIELabValue", "ShutterPresentationValue"
    both = make_item(**{lab: [65_535, 32_896, 32_896], gray: 0})
    assert read_colour(both, lab, gray, (1, 2, 3)) == (255, 255, 255)
    assert read_colour(make_item(**{gray: 65_535}), lab, gray, (1, 2, 3)) == (255, 255, 255)
    assert read_colour(make_item(), lab, gray, (1, 2, 3)) == (1, 2, 3)
