"""gateway/sandbox/radiograph.py"""

from __future__ import annotations

from gateway.sandbox.instances import Patient, Study
from gateway.sandbox.radiograph import make_radiograph

STUDY = Study("test", Patient("T1", "Test^One", "ISO_IR 100"), "20240101", "101500", "Test", "A1")


def test_lungs_are_dark_and_the_spine_is_bright():
    image = make_radiograph(STUDY, 200, 160)
    pixels = image.pixel_array.astype(int)
    assert pixels.shape == (200, 160)
    lung, spine = pixels[70:80, 45:55].mean(), pixels[70:80, 78:82].mean()
    assert lung + 1000 < spine < 1 << image.BitsStored


def test_the_same_call_gives_the_same_pixels():
    assert make_radiograph(STUDY, 50, 40).PixelData == make_radiograph(STUDY, 50, 40).PixelData
