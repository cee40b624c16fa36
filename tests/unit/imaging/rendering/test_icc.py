"""Which profile a picture carries (PS3.18 §8.3.5.1.5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gateway.errors import BadParameter, ImagingFailed
from gateway.imaging.rendering.icc import apply_profile, check_profile, find_profile
from gateway.imaging.rendering.icc_profiles import build_profile
from gateway.imaging.rendering.parameters import IccProfile
from tests.support.pictures import make_item

SRGB, ADOBE, ROMM = (build_profile(name) for name in ("srgb", "adobergb", "rommrgb"))
RED = Image.new("RGB", (1, 1), (255, 0, 0))
GRAY = Image.new("L", (1, 1), 99)


@pytest.mark.parametrize(
    ("own", "wanted", "media_type", "embedded"),
    [
        (ADOBE, None, "image/jpeg", ADOBE),
        (None, None, "image/jpeg", None),
        (ADOBE, None, "image/gif", None),
        (ADOBE, IccProfile.NO, "image/png", None),
        (ADOBE, IccProfile.YES, "image/png", ADOBE),
        (None, IccProfile.YES, "image/png", SRGB),
        (None, IccProfile.SRGB, "image/png", SRGB),
        (ADOBE, IccProfile.ROMMRGB, "image/png", ROMM),
    ],
)
def test_embedded_profiles(
    own: bytes | None, wanted: IccProfile | None, media_type: str, embedded: bytes | None
) -> None:
    assert apply_profile(RED, own, wanted, media_type)[1] == embedded


def test_conversion() -> None:
    image, _ = apply_profile(RED, None, IccProfile.ADOBERGB, "image/png")
    assert image.getpixel((0, 0)) == pytest.approx((219, 0, 0), abs=2)
    back, _ = apply_profile(image, ADOBE, IccProfile.SRGB, "image/png")
    assert back.getpixel((0, 0)) == pytest.approx((255, 0, 0), abs=2)


def test_gray_becomes_rgb_only_for_a_profile() -> None:
    assert apply_profile(GRAY, None, None, "image/png") == (GRAY, None)
    image, profile = apply_profile(GRAY, None, IccProfile.YES, "image/png")
    assert (image.mode, image.getpixel((0, 0)), profile) == ("RGB", (99, 99, 99), SRGB)
    with pytest.raises(BadParameter):
        apply_profile(Image.new("I;16", (1, 1)), None, IccProfile.YES, "image/png")


def test_media_types_without_profiles() -> None:
    for media_type in ("image/gif", "image/jp2", "image/jxl", "video/mp4"):
        check_profile(None, media_type)
        check_profile(IccProfile.NO, media_type)
        with pytest.raises(BadParameter):
            check_profile(IccProfile.SRGB, media_type)
    check_profile(IccProfile.SRGB, "image/jpeg")


def test_where_profiles_are_found() -> None:
    assert find_profile(make_item(), 1, None) is None
    image = make_item(ICCProfile=SRGB)
    assert find_profile(image, 1, None) == SRGB
    assert find_profile(image, 1, make_item(ICCProfile=ROMM)) == ROMM
    slide = make_item(ICCProfile=SRGB, OpticalPathSequence=[make_item(OpticalPathIdentifier="1", ICCProfile=ADOBE)])
    assert find_profile(slide, 1, None) == ADOBE


def test_optical_path_of_the_frame() -> None:
    paths = [make_item(OpticalPathIdentifier=n, ICCProfile=p) for n, p in (("1", ADOBE), ("2", ROMM))]
    frames = [make_item(OpticalPathIdentificationSequence=[make_item(OpticalPathIdentifier=n)]) for n in ("2", "1")]
    slide = make_item(OpticalPathSequence=paths, PerFrameFunctionalGroupsSequence=frames)
    assert [find_profile(slide, number, None) for number in (1, 2)] == [ROMM, ADOBE]


def test_profiles_without_curves_cannot_be_converted_from() -> None:
    broken = SRGB.replace(b"para", b"zzzz")
    assert find_profile(make_item(ICCProfile=broken), 1, None) == broken
    with pytest.raises(ImagingFailed):
        apply_profile(RED, broken, IccProfile.ADOBERGB, "image/png")


@given(st.integers(0, len(SRGB) - 1), st.binary(min_size=1, max_size=6))
def test_overwritten_profiles_give_a_picture_or_one_kind_of_error(place: int, bad: bytes) -> None:
    broken = SRGB[:place] + bad + SRGB[place + len(bad) :]
    own = find_profile(make_item(ICCProfile=broken), 1, None)
    try:
        assert apply_profile(RED, own, IccProfile.ROMMRGB, "image/png")[1] == ROMM
    except ImagingFailed:
        assert own is not None


@pytest.mark.parametrize("profile", [b"", b"rubbish.", SRGB[:100], bytes(5 * 1024 * 1024)])
def test_broken_profiles_count_as_none(profile: bytes) -> None:
    assert find_profile(make_item(ICCProfile=profile), 1, None) is None
