"""Segmentations in colour (PS3.3 §C.8.20)."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.errors import ImagingFailed
from gateway.imaging.rendering.loading import LoadedFrame, load_frame
from gateway.imaging.rendering.segmentation import (
    blend_segmentation,
    compose_segmentation,
    find_segmentation_frames,
    is_segmentation,
)
from tests.support.pictures import encode_header, make_item, make_source

SEGMENTATION, LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"
WHITE_LAB = [65_535, 32_896, 32_896]


def make_frame(pixels: np.ndarray, segment: int = 1, **attributes: object) -> LoadedFrame:
    identification = make_item(SegmentIdentificationSequence=[make_item(ReferencedSegmentNumber=segment)])
    segments = [make_item(SegmentNumber=1, RecommendedDisplayCIELabValue=WHITE_LAB), make_item(SegmentNumber=2)]
    return load_frame(
        make_source(
            pixels,
            **{
                "SOPClassUID": SEGMENTATION,
                "SegmentationType": "BINARY",
                "SegmentSequence": segments,
                "SharedFunctionalGroupsSequence": [identification],
                **attributes,
            },
        )
    )


PIXELS = np.array([[0, 1]], np.uint8)


def test_recommended_colour_else_one_by_number() -> None:
    assert compose_segmentation(make_frame(PIXELS)).tolist() == [[[0, 0, 0], [255, 255, 255]]]
    assert compose_segmentation(make_frame(PIXELS, 2)).tolist() == [[[0, 0, 0], [128, 62, 117]]]


def test_fractions() -> None:
    frame = make_frame(np.array([[0, 100, 200]], np.uint8), SegmentationType="FRACTIONAL", MaximumFractionalValue=200)
    assert compose_segmentation(frame)[0, :, 0].tolist() == [0, 128, 255]


def test_label_maps() -> None:
    pixels = np.array([[0, 1, 2, 700]], np.uint16)
    colours = compose_segmentation(make_frame(pixels, SOPClassUID=LABEL_MAP, SegmentationType="LABELMAP"))[0].tolist()
    assert colours[:3] == [[0, 0, 0], [255, 255, 255], [128, 62, 117]]
    assert colours[3] != [0, 0, 0]


def test_half_transparent_over_a_picture() -> None:
    picture = np.full((1, 2, 3), 100, np.uint8)
    assert blend_segmentation(picture, make_frame(PIXELS)).tolist() == [[[100] * 3, [178] * 3]]


def test_what_does_not_lie_on_the_image() -> None:
    with pytest.raises(ImagingFailed):
        blend_segmentation(np.zeros((2, 2, 3), np.uint8), make_frame(PIXELS))
    with pytest.raises(ImagingFailed):
        blend_segmentation(np.zeros((1, 2, 3), np.uint8), load_frame(make_source(PIXELS)))
    with pytest.raises(ImagingFailed):
        compose_segmentation(make_frame(np.zeros((1, 2, 3), np.uint8)))


def test_what_is_a_segmentation() -> None:
    assert is_segmentation(make_item(SOPClassUID=LABEL_MAP))
    assert not is_segmentation(make_item())


def test_frames_drawn_on_a_frame_of_an_image() -> None:
    def derive(uid: str, *frames: int) -> object:
        source = make_item(ReferencedSOPInstanceUID=uid)
        if frames:
            source.ReferencedFrameNumber = list(frames)
        return make_item(DerivationImageSequence=[make_item(SourceImageSequence=[source])])

    groups = [derive("1.1"), derive("1.2"), derive("1.1", 2, 3), make_item(Rows=1)]
    header = encode_header(make_item(PerFrameFunctionalGroupsSequence=groups))
    assert find_segmentation_frames(header, "1.1", [1]) == {1: frozenset()}
    assert find_segmentation_frames(header, "1.1", [3]) == {1: frozenset(), 3: frozenset({2, 3})}
    assert find_segmentation_frames(header, "1.3", []) == {}
