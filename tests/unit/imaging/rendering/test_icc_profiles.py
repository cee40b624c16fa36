"""Profiles made here, read by Little CMS."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image, ImageCms

from gateway.imaging.rendering.icc_profiles import build_profile


def convert(source: object, target: object, colour: tuple[int, int, int]) -> tuple[int, ...]:
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    image = ImageCms.profileToProfile(Image.new("RGB", (1, 1), colour), source, target, renderingIntent=intent)
    assert image is not None
    pixel = image.getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return tuple(int(level) for level in pixel)


def open_profile(name: str) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(build_profile(name)))


@pytest.mark.parametrize("name", ["srgb", "adobergb", "rommrgb"])
def test_profiles_are_read(name: str) -> None:
    data = build_profile(name)
    assert struct.unpack(">I", data[:4])[0] == len(data)
    profile = open_profile(name).profile
    assert (profile.xcolor_space, profile.connection_space, profile.device_class) == ("RGB ", "XYZ ", "mntr")
    assert profile.profile_description
    assert convert(open_profile(name), open_profile(name), (12, 130, 240)) == pytest.approx((12, 130, 240), abs=1)


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (10, 20, 200), (128, 128, 128), (3, 3, 3)])
def test_srgb_is_that_of_little_cms(colour: tuple[int, int, int]) -> None:
    assert convert(open_profile("srgb"), ImageCms.createProfile("sRGB"), colour) == pytest.approx(colour, abs=1)


@pytest.mark.parametrize(
    ("name", "expected"), [("adobergb", (219, 0, 0)), ("rommrgb", (179, 70, 26))]
)  # the red of sRGB in the wider spaces, as colour calculators give it
def test_wider_spaces(name: str, expected: tuple[int, int, int]) -> None:
    assert convert(open_profile("srgb"), open_profile(name), (255, 0, 0)) == pytest.approx(expected, abs=2)


def test_white_stays_white() -> None:
    for name in ("adobergb", "rommrgb"):
        assert convert(open_profile("srgb"), open_profile(name), (255, 255, 255)) == pytest.approx((255,) * 3, abs=1)


def test_unknown_spaces() -> None:
    with pytest.raises(KeyError):
        build_profile("cmyk")
