"""PNG and GIF to pixel data: every sample, no transparency, and one error for what cannot be read."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gateway.errors import ImagingFailed
from gateway.imaging.consumer_images import ConsumerImage, read_consumer_image

LIMIT = 1 << 20
CHANCE = np.random.default_rng(1)


def a_file(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(*shape: int, kind: type = np.uint8) -> np.ndarray:
    return CHANCE.integers(0, np.iinfo(kind).max, shape, dtype=kind, endpoint=True)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("LA", 1), ("RGB", 3), ("RGBA", 3)])
def test_png_of_8_bits(mode: str, channels: int) -> None:
    array = noise(5, 7, len(mode)) if len(mode) > 1 else noise(5, 7)
    found = read_consumer_image("image/png", a_file(Image.fromarray(array, mode), "PNG"), LIMIT)
    kept = array if array.ndim == 2 else array[..., :channels]
    assert found == ConsumerImage(5, 7, channels, 8, 1, kept.tobytes())


def test_png_of_16_bits_is_little_endian() -> None:
    array = noise(4, 3, kind=np.uint16)
    found = read_consumer_image("image/png", a_file(Image.fromarray(array), "PNG"), LIMIT)
    assert found == ConsumerImage(4, 3, 1, 16, 1, array.astype("<u2").tobytes())


def test_an_indexed_png_becomes_rgb() -> None:
    picture = Image.fromarray(noise(6, 6) % 4, "P")
    picture.putpalette([9, 8, 7, 200, 100, 50, 1, 2, 3, 255, 255, 255])
    found = read_consumer_image("image/png", a_file(picture, "PNG"), LIMIT)
    assert (found.samples, found.pixels) == (3, np.asarray(picture.convert("RGB")).tobytes())


def test_gif_and_its_frames() -> None:
    frames = [Image.fromarray(np.full((4, 5, 3), (10 * n, 0, 255 - n), np.uint8)).convert("P") for n in range(3)]
    data = a_file(frames[0], "GIF", save_all=True, append_images=frames[1:])
    found = read_consumer_image("image/gif", data, LIMIT)
    assert (found.rows, found.columns, found.samples, found.bits, found.frames) == (4, 5, 3, 8, 3)
    assert found.pixels == b"".join(np.asarray(frame.convert("RGB")).tobytes() for frame in frames)
    assert read_consumer_image("image/gif", a_file(frames[0], "GIF"), LIMIT).frames == 1


PNG = a_file(Image.fromarray(noise(8, 8)), "PNG")
GIF = a_file(Image.fromarray(noise(8, 8)), "GIF")


def test_limits() -> None:
    with pytest.raises(ImagingFailed, match="more than"):
        read_consumer_image("image/png", PNG, 63)
    with pytest.raises(ImagingFailed, match="more than"):
        read_consumer_image("image/gif", GIF, 100)
    with pytest.raises(ImagingFailed, match="size"):
        read_consumer_image("image/png", PNG[:16] + b"\0\1\0\0" + PNG[20:], 1 << 40)


@pytest.mark.parametrize("data", [b"", PNG[:30], GIF[:8], b"\xff\xd8\xff", PNG.replace(b"IHDR", b"XXXX")])
def test_what_is_no_image(data: bytes) -> None:
    for media_type in ("image/png", "image/gif"):
        with pytest.raises(ImagingFailed):
            read_consumer_image(media_type, data, LIMIT)


@given(st.sampled_from([("image/png", PNG), ("image/gif", GIF)]), st.data())
def test_damage_gives_one_error(image: tuple[str, bytes], data: st.DataObject) -> None:
    media_type, content = image
    damaged = bytearray(content[: data.draw(st.integers(0, len(content)))])
    for _ in range(data.draw(st.integers(0, 3))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_consumer_image(media_type, bytes(damaged), LIMIT)
    except ImagingFailed:
        return
    assert len(found.pixels) == found.rows * found.columns * found.samples * found.bits // 8 * found.frames
