"""Frames as displayable pixels."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.errors import ImagingFailed
from gateway.imaging.rendering.composition import compose, find_display_range
from gateway.imaging.rendering.loading import load_frame
from gateway.imaging.rendering.parameters import FrameSource, RenderParameters, Window
from gateway.imaging.rendering.presentation_state import StateKind, read_presentation_state
from tests.support.pictures import encode_header, make_header, make_item, make_lut, make_source, make_state

RAMP = np.array([[0, 10, 20]], np.int16)
PALETTE = {
    "RedPaletteColorLookupTableDescriptor": [2, 0, 8], "GreenPaletteColorLookupTableDescriptor": [2, 0, 8],
    "BluePaletteColorLookupTableDescriptor": [2, 0, 8], "RedPaletteColorLookupTableData": b"\x00\xff",
    "GreenPaletteColorLookupTableData": b"\x10\x20", "BluePaletteColorLookupTableData": b"\x01\x02",
}  # fmt: skip


def show(pixels: np.ndarray, state: bytes | None = None, bits: int = 8, window: Window | None = None,
         parameters: RenderParameters | None = None, **attributes: object) -> list:  # fmt: skip
    frame = load_frame(make_source(pixels, **attributes))
    applied = None if state is None else read_presentation_state(state, frame.header, 1)
    wanted = parameters or RenderParameters(bits=bits, window=window)
    return compose(frame, wanted, applied)[0].tolist()


@pytest.mark.parametrize(
    ("attributes", "levels"),
    [
        ({}, [0, 128, 255]),
        ({"PhotometricInterpretation": "MONOCHROME1"}, [255, 128, 0]),
        ({"WindowCenter": "10.5", "WindowWidth": "11"}, [0, 128, 255]),
        ({"WindowCenter": "10", "WindowWidth": "1"}, [0, 255, 255]),
        ({"RescaleSlope": "-1", "RescaleIntercept": "0"}, [255, 128, 0]),
        ({"ModalityLUTSequence": [make_lut(np.array([9, 9, 5]), 0, 16)]}, [255, 0, 0]),
        ({"VOILUTSequence": [make_lut(np.arange(256), 0, 8)]}, [0, 10, 20]),
        ({"PixelPaddingValue": 0}, [0, 0, 255]),
        ({"PixelPaddingValue": 20, "PhotometricInterpretation": "MONOCHROME1"}, [255, 0, 0]),
        ({"PresentationLUTShape": "INVERSE"}, [255, 128, 0]),
    ],
)
def test_grayscale(attributes: dict[str, object], levels: list[int]) -> None:
    assert show(RAMP, **attributes) == levels


def test_the_window_of_the_request_takes_the_place_of_that_of_the_image() -> None:
    assert show(RAMP, window=Window(10, 1), WindowCenter="1000", WindowWidth="1") == [0, 255, 255]


def test_images_of_eight_bits_are_taken_for_display_values() -> None:
    assert show(np.array([[3, 200]], np.uint8)) == [3, 200]
    assert show(np.array([[3, 200]], np.uint8), RescaleSlope="1", RescaleIntercept="5") == [0, 255]


def test_sixteen_bits() -> None:
    assert show(RAMP, bits=16) == [0, 32_768, 65_535]


def test_palettes() -> None:
    levels = show(np.array([[0, 1]], np.uint8), PhotometricInterpretation="PALETTE COLOR", **PALETTE)
    assert levels == [[0, 0x10, 1], [255, 0x20, 2]]
    with pytest.raises(ImagingFailed):
        show(np.array([[0, 1]], np.uint8), PhotometricInterpretation="PALETTE COLOR")


def test_supplemental_palettes_colour_what_they_are_for() -> None:
    supplement = PALETTE | {f"{name}PaletteColorLookupTableDescriptor": [2, 20, 8] for name in ("Red", "Green", "Blue")}
    levels = show(RAMP, PixelPresentation="COLOR", WindowCenter="10.5", WindowWidth="11", **supplement)
    assert levels == [[0, 0, 0], [128, 128, 128], [0, 0x10, 1]]


def test_colour_of_any_depth() -> None:
    assert show(np.array([[[1, 2, 3]]], np.uint8)) == [[1, 2, 3]]
    assert show(np.array([[[0x1200, 0x34FF, 0xFFFF]]], np.uint16)) == [[0x12, 0x34, 0xFF]]
    assert show(np.array([[[1, 2, 15]]], np.uint8), BitsStored=4, HighBit=3) == [[16, 32, 240]]


def test_luminance_and_chrominance() -> None:
    assert show(np.array([[[76, 85, 255]]], np.uint8), PhotometricInterpretation="YBR_FULL") == [[254, 0, 0]]


def test_interpretations_that_are_not_known() -> None:
    for name, pixels in (
        ("CMYK", np.zeros((1, 1, 3), np.uint8)),
        ("RGB", RAMP),
        ("MONOCHROME2", np.zeros((1, 1, 3), np.uint8)),
    ):
        with pytest.raises(ImagingFailed):
            show(pixels, PhotometricInterpretation=name)


# --- what lies over the image ---


def test_shutters_and_their_colour() -> None:
    shutter = {"ShutterShape": "RECTANGULAR", "ShutterUpperHorizontalEdge": 1, "ShutterLowerHorizontalEdge": 1,
               "ShutterLeftVerticalEdge": 2, "ShutterRightVerticalEdge": 2}  # fmt: skip
    assert show(RAMP, **shutter) == [0, 128, 0]
    assert show(RAMP, bits=16, ShutterPresentationValue=65_535, **shutter) == [65_535, 32_768, 65_535]
    coloured = show(RAMP, ShutterPresentationColorCIELabValue=[34_885, 53_485, 50_171], **shutter)
    assert coloured[1] == [128, 128, 128] and coloured[0][0] > 200 > 100 > coloured[0][1]


def test_overlays_are_white() -> None:
    header = make_header(RAMP)
    for element, vr, value in ((0x10, "US", 1), (0x11, "US", 3), (0x40, "CS", "G"), (0x50, "SS", [1, 1])):
        header.add_new(0x60000000 | element, vr, value)
    header.add_new(0x60003000, "OW", b"\x02\x00")
    frame = load_frame(FrameSource(encode_header(header), "1.2.840.10008.1.2.1", RAMP.tobytes()))
    assert compose(frame, RenderParameters(), None)[0].tolist() == [0, 255, 255]
    state = read_presentation_state(make_state(), frame.header, 1)
    assert compose(frame, RenderParameters(), state)[0, 1] == 128  # not activated by the state


def test_segmentations_alone_and_over_an_image() -> None:
    attributes = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4", "SegmentationType": "BINARY"}
    segmentation = make_source(np.array([[0, 1, 1]], np.uint8), **attributes)
    assert show(np.array([[0, 1, 1]], np.uint8), **attributes) == [[0, 0, 0], [255, 179, 0], [255, 179, 0]]
    over = show(RAMP, parameters=RenderParameters(segmentations=(segmentation,)))
    assert over == [[0, 0, 0], [192, 154, 64], [255, 217, 128]]
    assert show(RAMP, parameters=RenderParameters(segmentations=(segmentation,), bits=16)) == over


# --- presentation states ---


def test_states_take_the_place_of_what_the_image_says() -> None:
    own = {"WindowCenter": "0", "WindowWidth": "1", "RescaleSlope": "7", "PhotometricInterpretation": "MONOCHROME1"}
    window = make_item(WindowCenter="10.5", WindowWidth="11")
    assert show(RAMP, make_state(SoftcopyVOILUTSequence=[window]), **own) == [0, 128, 255]


def test_states_without_window_mean_the_whole_range() -> None:
    pixels = np.array([[0, 2048, 4095]], np.uint16)
    assert show(pixels, make_state(), BitsStored=12, HighBit=11, WindowCenter="0", WindowWidth="1") == [0, 128, 255]
    signed = np.array([[-2048, 0, 2047]], np.int16)
    assert show(signed, make_state(PresentationLUTShape="INVERSE"), BitsStored=12, HighBit=11) == [255, 127, 0]


def test_whole_range_of_tables_and_of_real_numbers() -> None:
    table = make_state(ModalityLUTSequence=[make_lut(np.array([0, 51, 255]), 0, 8)])
    assert show(np.array([[0, 1, 2]], np.uint16), table) == [0, 51, 255]
    real = make_header(np.zeros((1, 3), np.uint32))
    del real.PixelRepresentation
    values = np.array([-1, 0, 3], np.float32)
    frame = load_frame(FrameSource(encode_header(real), "1.2.840.10008.1.2.1", values.tobytes()))
    state = read_presentation_state(make_state(), frame.header, 1)
    assert compose(frame, RenderParameters(), state)[0].tolist() == [0, 64, 255]


def test_pseudo_color_states() -> None:
    window = make_item(WindowCenter="10.5", WindowWidth="11")
    state = make_state(SOPClassUID=StateKind.PSEUDO_COLOR.value, SoftcopyVOILUTSequence=[window], **PALETTE)
    assert show(np.array([[0, 20]], np.int16), state) == [[0, 0x10, 1], [255, 0x20, 2]]
    with pytest.raises(ImagingFailed):
        show(RAMP, make_state(SOPClassUID=StateKind.PSEUDO_COLOR.value))


def test_blending_states_mix_the_superimposed_image_in() -> None:
    window = make_item(WindowCenter="10.5", WindowWidth="11")
    inputs = [
        make_item(BlendingPosition=name, SoftcopyVOILUTSequence=[window]) for name in ("UNDERLYING", "SUPERIMPOSED")
    ]
    state = make_state(SOPClassUID=StateKind.BLENDING.value, BlendingSequence=inputs, RelativeOpacity=0.5, **PALETTE)
    above = make_source(np.array([[20, 20, 0]], np.int16))
    mixed = show(RAMP, state, parameters=RenderParameters(superimposed=above))
    assert mixed == [[128, 16, 1], [192, 80, 65], [128, 136, 128]]
    assert show(RAMP, state) == [0, 128, 255]
    with pytest.raises(ImagingFailed):
        show(RAMP, state, parameters=RenderParameters(superimposed=make_source(np.zeros((2, 2), np.int16))))


# --- the range of several frames ---


def test_display_ranges() -> None:
    assert find_display_range(load_frame(make_source(RAMP, RescaleSlope="2", RescaleIntercept="1"))) == (1, 41)
    assert find_display_range(load_frame(make_source(RAMP, WindowCenter="1", WindowWidth="1"))) is None
    assert find_display_range(load_frame(make_source(np.zeros((1, 1, 3), np.uint8)))) is None


def test_a_given_range_takes_the_place_of_that_of_the_frame() -> None:
    frame = load_frame(make_source(RAMP))
    assert compose(frame, RenderParameters(), None, (0.0, 40.0))[0].tolist() == [0, 64, 128]
