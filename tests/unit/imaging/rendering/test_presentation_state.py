"""Softcopy presentation states, read for one frame (PS3.3 §A.33)."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from gateway.errors import ImagingFailed
from gateway.imaging.rendering.geometry import Presentation
from gateway.imaging.rendering.graphics import Graphic
from gateway.imaging.rendering.modality import IDENTITY, Rescale
from gateway.imaging.rendering.parameters import Window
from gateway.imaging.rendering.presentation_lut import PresentationLut
from gateway.imaging.rendering.presentation_state import PresentationState, StateKind, read_presentation_state
from gateway.imaging.rendering.voi import WindowVoi
from tests.support.pictures import INSTANCE_UID, make_item, make_state

IMAGE = make_item(SOPInstanceUID=INSTANCE_UID)


def read(frame_number: int = 1, **attributes: object) -> PresentationState:
    return read_presentation_state(make_state(**attributes), IMAGE, frame_number)


def refer(*frames: int, uid: str = INSTANCE_UID) -> dict[str, list[Dataset]]:
    reference = make_item(ReferencedSOPInstanceUID=uid)
    if frames:
        reference.ReferencedFrameNumber = list(frames)
    return {"ReferencedImageSequence": [reference]}


def area(first: list[int], second: list[int], **attributes: object) -> dict[str, list[Dataset]]:
    item = make_item(
        DisplayedAreaTopLeftHandCorner=first, DisplayedAreaBottomRightHandCorner=second, **attributes
    )  # fmt: skip
    return {"DisplayedAreaSelectionSequence": [item]}


def test_transformations_that_are_absent_are_none() -> None:
    state = read()
    assert state.kind is StateKind.GRAYSCALE
    assert state.read_modality(is_signed=False) == IDENTITY
    assert state.read_voi(is_signed=False) is None
    assert state.presentation_lut == PresentationLut()
    assert state.read_presentation(4, 6) == Presentation((0, 0, 6, 4))


def test_transformations() -> None:
    state = read(RescaleSlope="2", RescaleIntercept="1", PresentationLUTShape="INVERSE",
                 SoftcopyVOILUTSequence=[make_item(WindowCenter="4", WindowWidth="8")])  # fmt: skip
    assert state.read_modality(is_signed=False) == Rescale(2, 1)
    assert state.read_voi(is_signed=False) == WindowVoi(Window(4, 8))
    assert state.presentation_lut == PresentationLut(is_inverse=True)


def test_windows_of_the_image_and_frame_that_are_meant() -> None:
    items = [
        make_item(WindowCenter="1", WindowWidth="5", **refer(uid="1.9")),
        make_item(WindowCenter="2", WindowWidth="5", **refer(1, 2)),
        make_item(WindowCenter="3", WindowWidth="5", **refer()),
    ]
    assert read(2, SoftcopyVOILUTSequence=items).read_voi(is_signed=False) == WindowVoi(Window(2, 5))
    assert read(3, SoftcopyVOILUTSequence=items).read_voi(is_signed=False) == WindowVoi(Window(3, 5))


def test_displayed_area_with_corners_as_displayed() -> None:
    state = read(ImageRotation=90, ImageHorizontalFlip="Y", **area([6, 1], [2, 4], PresentationPixelSpacing=["2", "1"]))
    assert state.read_presentation(4, 6) == Presentation((1, 0, 6, 4), 90, True, 2.0)


def test_displayed_area_magnified() -> None:
    attributes = {"PresentationSizeMode": "MAGNIFY", "PresentationPixelMagnificationRatio": 3.0}
    assert read(**area([1, 1], [6, 4], **attributes)).read_presentation(4, 6).magnification == 3
    attributes["PresentationPixelMagnificationRatio"] = 1e30
    assert read(**area([1, 1], [6, 4], **attributes)).read_presentation(4, 6).magnification == 64


def test_displayed_area_without_limits() -> None:
    with pytest.raises(ImagingFailed):
        read(**area([-(2**31), 1], [2**31 - 1, 4])).read_presentation(4, 6)
    assert read(**area([1], [2, 3])).read_presentation(4, 6).area == (0, 0, 6, 4)  # type: ignore[arg-type]


def test_graphics_lowest_layer_first() -> None:
    layers = [
        make_item(GraphicLayer="UP", GraphicLayerOrder=2, GraphicLayerRecommendedDisplayGrayscaleValue=0),
        make_item(GraphicLayer="DOWN", GraphicLayerOrder=1),
    ]
    graphic = make_item(GraphicType="POLYLINE", GraphicData=[1, 1, 2, 2], GraphicAnnotationUnits="PIXEL")
    items = [make_item(GraphicLayer=name, GraphicObjectSequence=[graphic]) for name in ("UP", "DOWN")]
    elsewhere = make_item(GraphicLayer="UP", GraphicObjectSequence=[graphic], **refer(uid="1.9"))
    state = read(GraphicLayerSequence=layers, GraphicAnnotationSequence=[*items, elsewhere])
    found = state.read_graphics()
    assert [type(each) for each in found] == [Graphic, Graphic]
    assert [each.colour for each in found] == [(255, 255, 255), (0, 0, 0)]


def add_plane(data_set: Dataset, group: int, bits: bytes) -> Dataset:
    for element, vr, value in ((0x10, "US", 1), (0x11, "US", 8), (0x40, "CS", "G"), (0x50, "SS", [1, 1])):
        data_set.add_new(group << 16 | element, vr, value)
    data_set.add_new(group << 16 | 0x3000, "OW", bits)
    return data_set


def test_overlays_that_are_activated() -> None:
    image = add_plane(add_plane(make_item(SOPInstanceUID=INSTANCE_UID), 0x6000, b"\x01\0"), 0x6002, b"\x02\0")
    attributes = make_item(GraphicLayerSequence=[make_item(GraphicLayer="L")])
    attributes.add_new(0x60001001, "CS", "L")
    add_plane(attributes, 0x6004, b"\x04\0").add_new(0x60041001, "CS", "L")
    attributes.SOPClassUID = StateKind.GRAYSCALE.value
    state = PresentationState(attributes, StateKind.GRAYSCALE, INSTANCE_UID, 1)
    masks = [int(np.packbits(mask, bitorder="little")[0]) for mask, _ in state.read_overlays(image, (1, 8))]
    assert masks == [1, 4]


def test_blending_states_hold_their_luts_in_items() -> None:
    inputs = [
        make_item(BlendingPosition="SUPERIMPOSED", RescaleSlope="5"),
        make_item(BlendingPosition="UNDERLYING", RescaleSlope="3"),
    ]
    state = read(SOPClassUID=StateKind.BLENDING.value, BlendingSequence=inputs, RelativeOpacity=0.25)
    assert state.read_modality(is_signed=False) == Rescale(3, 0)
    assert state.find_superimposed().RescaleSlope == 5
    assert state.opacity == 0.25
    with pytest.raises(ImagingFailed):
        read(SOPClassUID=StateKind.BLENDING.value).find_superimposed()


def test_other_instances_are_no_states() -> None:
    with pytest.raises(ImagingFailed):
        read(SOPClassUID="1.2.840.10008.5.1.4.1.1.2")
