"""Frames made ready."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gateway.errors import ImagingFailed
from gateway.imaging.rendering.loading import load_frame
from tests.support.pictures import make_source


def test_header_description_and_pixels() -> None:
    pixels = np.arange(6, dtype=np.uint16).reshape(2, 3)
    frame = load_frame(make_source(pixels, 2, PatientID="1"))
    assert frame.shape == (2, 3)
    assert (frame.decoded.pixels == pixels).all()
    assert (frame.header.PatientID, frame.frame_number, frame.stored) == ("1", 2, pixels.tobytes())


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.95"])
def test_frames_that_are_not_what_their_syntax_says(syntax: str) -> None:
    with pytest.raises(ImagingFailed):
        load_frame(replace(make_source(np.zeros((8, 8), np.uint8)), transfer_syntax_uid=syntax))


def test_frames_that_are_too_short() -> None:
    with pytest.raises(ImagingFailed):
        load_frame(replace(make_source(np.zeros((8, 8), np.uint8)), frame=b"1234"))


def test_patient_data_stays_out_of_representations() -> None:
    source = make_source(np.zeros((1, 1), np.uint8), PatientName="Doe^Jane")
    assert "Doe" not in repr(source) + repr(load_frame(source))
