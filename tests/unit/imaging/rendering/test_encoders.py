"""Pictures encoded and read back."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from gateway.errors import NotAcceptable
from gateway.imaging.rendering.encoders import CARRIES_PROFILE, DEEP_MEDIA_TYPES, MEDIA_TYPES, encode_picture
from gateway.imaging.rendering.icc_profiles import build_profile

RAMP = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
COLOUR = np.stack([RAMP, RAMP[:, ::-1], np.full_like(RAMP, 90)], axis=-1)


def read(data: bytes, media_type: str) -> np.ndarray:
    if media_type == "image/jxl":
        return imagecodecs.jpegxl_decode(data)
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB") if image.mode == "P" else image)


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
@pytest.mark.parametrize("pixels", [RAMP, COLOUR], ids=["gray", "colour"])
def test_pictures_come_back(media_type: str, pixels: np.ndarray) -> None:
    found = read(encode_picture(Image.fromarray(pixels), media_type, None, None), media_type)
    if media_type == "image/gif" and pixels.ndim == 2 and found.ndim == 3:
        found = found[..., 0]  # a palette of grays
    assert found.shape == pixels.shape
    error = np.abs(found.astype(int) - pixels)
    assert error.mean() <= (0 if media_type == "image/png" or (media_type, pixels.ndim) == ("image/gif", 2) else 3)


@pytest.mark.parametrize("media_type", ["image/jp2", "image/jxl"])
def test_quality_100_is_lossless(media_type: str) -> None:
    data = encode_picture(Image.fromarray(COLOUR), media_type, 100, None)
    assert (read(data, media_type) == COLOUR).all()


@pytest.mark.parametrize("media_type", ["image/jpeg", "image/jp2", "image/jxl"])
def test_lower_quality_is_shorter(media_type: str) -> None:
    noise = np.random.default_rng(5).integers(0, 255, (64, 64), np.uint8)
    lengths = [len(encode_picture(Image.fromarray(noise), media_type, quality, None)) for quality in (1, 50, 99)]
    assert lengths == sorted(lengths) and lengths[0] < lengths[2]


@pytest.mark.parametrize("media_type", sorted(DEEP_MEDIA_TYPES))
def test_sixteen_bits(media_type: str) -> None:
    deep = (RAMP.astype(np.uint16) * 257) ^ 1
    found = read(encode_picture(Image.fromarray(deep), media_type, 100, None), media_type)
    assert found.dtype == np.uint16
    assert (found == deep).all()


@pytest.mark.parametrize("media_type", sorted(CARRIES_PROFILE))
def test_profiles_are_embedded(media_type: str) -> None:
    profile = build_profile("adobergb")
    assert read_profile(encode_picture(Image.fromarray(COLOUR), media_type, None, profile)) == profile
    assert b"ICC_PROFILE" not in encode_picture(Image.fromarray(COLOUR), media_type, None, None)


def read_profile(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        found = image.info["icc_profile"]
    assert isinstance(found, bytes)
    return found


def test_jpeg_is_baseline() -> None:
    data = encode_picture(Image.fromarray(COLOUR), "image/jpeg", 75, None)
    assert b"\xff\xc0" in data and b"\xff\xc2" not in data


def test_other_media_types() -> None:
    with pytest.raises(NotAcceptable) as raised:
        encode_picture(Image.fromarray(RAMP), "image/bmp", None, None)
    assert raised.value.available == MEDIA_TYPES
