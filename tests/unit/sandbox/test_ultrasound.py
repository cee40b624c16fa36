"""gateway/sandbox/ultrasound.py"""

from __future__ import annotations

import numpy as np

from gateway.sandbox.instances import Patient, Study
from gateway.sandbox.ultrasound import make_ultrasound_loop

STUDY = Study("test", Patient("T1", "Test^One", "ISO_IR 100"), "20240101", "101500", "Test", "A1")


def test_the_loop_is_colour_and_moves():
    loop = make_ultrasound_loop(STUDY, 8, 96, 128)
    assert (loop.NumberOfFrames, loop.PhotometricInterpretation, loop.PlanarConfiguration) == (8, "RGB", 0)
    frames = loop.pixel_array.astype(int)
    assert frames.shape == (8, 96, 128, 3)
    assert all(np.any(one != other) for one, other in zip(frames, frames[1:], strict=False))
    assert np.any(frames[2, :80, 30:, 0] > frames[2, :80, 30:, 2] + 100)  # inflow, red
    assert np.any(frames[6, :80, 30:, 2] > frames[6, :80, 30:, 0] + 100)  # outflow, blue


def test_outside_the_sector_it_is_dark():
    frame = make_ultrasound_loop(STUDY, 1, 96, 128).pixel_array
    assert frame[:10, 40:55].max() == 0


def test_the_same_call_gives_the_same_pixels():
    assert make_ultrasound_loop(STUDY, 2, 48, 64).PixelData == make_ultrasound_loop(STUDY, 2, 48, 64).PixelData
