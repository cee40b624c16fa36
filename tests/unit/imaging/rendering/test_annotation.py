"""Text burned into pictures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gateway.imaging.rendering.annotation import draw_annotation, draw_text, load_font, measure_text
from tests.support.pictures import make_item

HEADER = make_item(PatientName="Doe^Jane", PatientID="4711", Modality="CT", KVP="120", SliceThickness="5")


def draw(*kinds: str, mode: str = "L") -> np.ndarray:
    image = Image.new(mode, (200, 160))
    draw_annotation(image, HEADER, kinds)
    return np.asarray(image)


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
def test_patient_above_technique_below(mode: str) -> None:
    patient, technique = draw("patient", mode=mode), draw("technique", mode=mode)
    assert patient[:80].any() and not patient[80:].any()
    assert technique[80:].any() and not technique[:80].any()
    assert (draw("patient", "technique", mode=mode) == np.maximum(patient, technique)).all()


def test_every_line_fits_below() -> None:
    rows = {"ScanningSequence": "GR", "RepetitionTime": "5", "EchoTime": "2", "FlipAngle": "9", "SliceThickness": "4"}
    image = Image.new("L", (200, 300))
    draw_annotation(image, make_item(Modality="MR", MagneticFieldStrength="1.4939999580383", **rows), ("technique",))
    assert not np.asarray(image)[-2:].any()


def test_numbers_are_short() -> None:
    first, second = Image.new("L", (200, 99)), Image.new("L", (200, 99))
    for image, field in ((first, "1.4939999580383"), (second, "1.494")):
        draw_annotation(image, make_item(Modality="MR", MagneticFieldStrength=field), ("technique",))
    assert np.asarray(first).any() and (np.asarray(first) == np.asarray(second)).all()


def test_nothing_known_draws_nothing() -> None:
    image = Image.new("L", (50, 50))
    draw_annotation(image, make_item(), ("patient", "technique"))
    assert not np.asarray(image).any()


def test_white_on_a_dark_rim() -> None:
    image = Image.new("L", (60, 40), 128)
    draw_text(image, (10, 10), "H", load_font(20))
    pixels = np.asarray(image)
    assert pixels.max() == 255 and pixels.min() == 0


def test_fonts_are_bounded() -> None:
    small, large = (measure_text("Hg", load_font(size))[1] for size in (-5, 1e6))
    assert 4 < small < large < 200


@settings(deadline=None)
@given(st.text(st.characters(), max_size=12))
def test_any_text_is_drawn(text: str) -> None:
    """Lone surrogates, controls, all directions of writing."""
    font = load_font(12)
    assert min(measure_text(text, font)) >= 0
    draw_text(Image.new("L", (40, 20)), (1, 1), text, font)


def test_tiny_pictures() -> None:
    image = Image.new("RGB", (1, 1))
    draw_annotation(image, HEADER, ("patient", "technique"))
    assert image.size == (1, 1)
