"""One image brought onto the pixels of another."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.errors import ImagingFailed
from gateway.imaging.rendering.loading import LoadedFrame, load_frame
from gateway.imaging.rendering.registration import resample
from tests.support.pictures import make_item, make_source

AXIAL = ["1", "0", "0", "0", "1", "0"]


def make_frame(rows: int, columns: int, position: tuple[float, float] | None = None, spacing: float = 1,
               orientation: list[str] = AXIAL, reference: str = "1.2") -> LoadedFrame:  # fmt: skip
    place = {} if position is None else {
        "ImagePositionPatient": [str(position[0]), str(position[1]), "0"], "ImageOrientationPatient": orientation,
        "PixelSpacing": [str(spacing)] * 2, "FrameOfReferenceUID": reference,
    }  # fmt: skip
    return load_frame(make_source(np.zeros((rows, columns), np.uint8), **place))


def test_the_same_place() -> None:
    values = np.arange(6.0).reshape(2, 3)
    found, covered = resample(values, make_frame(2, 3, (5, 5)), make_frame(2, 3, (5, 5)))
    assert found.tolist() == values.tolist()
    assert covered.all()


def test_images_without_place_must_be_of_one_size() -> None:
    values = np.ones((2, 3))
    assert resample(values, make_frame(2, 3), make_frame(2, 3))[0] is values
    with pytest.raises(ImagingFailed):
        resample(values, make_frame(2, 3), make_frame(3, 3))
    with pytest.raises(ImagingFailed):
        resample(values, make_frame(2, 3, (0, 0)), make_frame(3, 3, (0, 0), reference="1.3"))


def test_moved_by_pixels() -> None:
    values = np.arange(9.0).reshape(3, 3)
    found, covered = resample(values, make_frame(3, 3, (0, 0)), make_frame(3, 3, (1, 2)))
    assert covered.tolist() == [[True, True, False], [False] * 3, [False] * 3]
    assert found[0, :2].tolist() == [7, 8]


def test_coarse_onto_fine() -> None:
    """Pixels of 2 mm whose outer edges are those of four times as many of 1 mm."""
    values = np.array([[10.0, 20], [30, 40]])
    found, covered = resample(values, make_frame(2, 2, (0.5, 0.5), 2), make_frame(4, 4, (0, 0), 1))
    assert covered.all()
    assert found[0, 0] == pytest.approx(10) and found[3, 3] == pytest.approx(40)
    assert found[1].tolist() == pytest.approx([15, 17.5, 22.5, 25])


def test_places_of_functional_groups() -> None:
    group = make_item(
        PlanePositionSequence=[make_item(ImagePositionPatient=["0", "0", "0"])],
        PlaneOrientationSequence=[make_item(ImageOrientationPatient=AXIAL)],
        PixelMeasuresSequence=[make_item(PixelSpacing=["2", "2"])],
    )
    attributes = {"SharedFunctionalGroupsSequence": [group], "FrameOfReferenceUID": "1.2"}
    enhanced = load_frame(make_source(np.zeros((2, 2), np.uint8), **attributes))
    covered = resample(np.ones((2, 2)), enhanced, make_frame(9, 9, (0, 0)))[1]
    assert covered.sum() == 9


@pytest.mark.parametrize(("position", "orientation"), [((0, 0), ["0", "1", "0", "1", "0", "0"]), ((1e12, 0), AXIAL)])
def test_images_that_cannot_be_related(position: tuple[float, float], orientation: list[str]) -> None:
    with pytest.raises(ImagingFailed):
        resample(np.ones((2, 2)), make_frame(2, 2, (0, 0)), make_frame(2, 2, position, orientation=orientation))
