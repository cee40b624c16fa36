"""Place and size of pictures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gateway.errors import BadParameter
from gateway.imaging.rendering.geometry import Presentation, place_image, plan_placement
from gateway.imaging.rendering.parameters import NormalizedRegion, SourceRegion, Viewport

WHOLE = Presentation((0, 0, 6, 4))
PIXELS = np.arange(24, dtype=np.uint8).reshape(4, 6)
TURNS = st.sampled_from([0, 90, 180, 270])


def place(presentation: Presentation = WHOLE, pixels: np.ndarray = PIXELS, **wanted: object) -> np.ndarray:
    return np.asarray(place_image(Image.fromarray(pixels), plan_placement(presentation, **wanted)))


def test_original_size() -> None:
    assert (place() == PIXELS).all()


@pytest.mark.parametrize(
    ("viewport", "size"),
    [
        (Viewport(12, 12), (12, 8)),
        (Viewport(3, 100), (3, 2)),
        (Viewport(600, 4), (6, 4)),
        (Viewport(1, 1), (1, 1)),
        (Viewport(None, 8), (12, 8)),
        (Viewport(3, None), (3, 2)),
        (Viewport(10, 10, SourceRegion(2, 2)), (10, 5)),
        (Viewport(10, 10, SourceRegion(0, 0, 1, 4)), (3, 10)),
    ],
)
def test_as_large_as_the_viewport_allows(viewport: Viewport, size: tuple[int, int]) -> None:
    assert plan_placement(WHOLE, viewport).size == size


@given(
    st.integers(1, 3_000), st.integers(1, 3_000), st.integers(1, 500), st.integers(1, 500), st.floats(0.1, 10)
)  # fmt: skip
def test_never_larger_than_the_viewport_and_one_side_fits(
    columns: int, rows: int, width: int, height: int, aspect: float
) -> None:
    size = plan_placement(Presentation((0, 0, columns, rows), aspect=aspect), Viewport(width, height)).size
    assert 1 <= size[0] <= width and 1 <= size[1] <= height
    assert size[0] == width or size[1] == height


def test_aspect_ratio_loses_no_pixel() -> None:
    assert plan_placement(Presentation((0, 0, 6, 4), aspect=2.0)).size == (6, 8)
    assert plan_placement(Presentation((0, 0, 6, 4), aspect=0.5)).size == (12, 4)
    assert plan_placement(Presentation((0, 0, 6, 4), rotation=90, aspect=2.0)).size == (8, 6)


def test_sizes_nobody_asked_for_are_bounded() -> None:
    assert max(plan_placement(Presentation((0, 0, 60_000, 10), aspect=50.0)).size) == 16_384


def test_regions_are_cut() -> None:
    assert (place(viewport=Viewport(2, 3, SourceRegion(1, 1, 2, 3))) == PIXELS[1:, 1:3]).all()
    assert (place(region=NormalizedRegion(0.5, 0.5, 1, 1)) == PIXELS[2:, 3:]).all()


@pytest.mark.parametrize("region", [SourceRegion(6, 0), SourceRegion(0, 4), SourceRegion(1e30, 0, 1e30, 1)])
def test_regions_outside(region: SourceRegion) -> None:
    with pytest.raises(BadParameter):
        plan_placement(WHOLE, Viewport(1, 1, region))


def test_regions_reach_to_the_edge_at_most() -> None:
    assert plan_placement(WHOLE, Viewport(10, 10, SourceRegion(2, 0, 1e30, 1e30))).region == (2, 0, 6, 4)


def test_flips() -> None:
    flipped = Viewport(6, 4, SourceRegion(flip_horizontally=True, flip_vertically=True))
    assert (place(viewport=flipped) == PIXELS[::-1, ::-1]).all()


@given(st.booleans(), st.booleans())
def test_flips_are_involutions(horizontally: bool, vertically: bool) -> None:
    viewport = Viewport(6, 4, SourceRegion(flip_horizontally=horizontally, flip_vertically=vertically))
    assert (place(pixels=place(viewport=viewport), viewport=viewport) == PIXELS).all()


def test_rotation_is_clockwise_and_before_the_flip() -> None:
    assert (place(Presentation((0, 0, 6, 4), rotation=90)) == np.rot90(PIXELS, -1)).all()
    assert (place(Presentation((0, 0, 6, 4), rotation=270, is_flipped=True)) == np.rot90(PIXELS, 1)[:, ::-1]).all()


@given(TURNS, st.booleans(), st.booleans(), st.booleans(), st.integers(0, 5), st.integers(0, 3))
def test_points_go_where_pixels_go(turn: int, flip: bool, across: bool, down: bool, x: int, y: int) -> None:
    """A marked pixel of the image lies where the placement maps its middle to."""
    presentation = Presentation((-1, 0, 7, 5), rotation=turn, is_flipped=flip)
    viewport = Viewport(8, 8, SourceRegion(flip_horizontally=across, flip_vertically=down))
    marked = np.zeros((4, 6), np.uint8)
    marked[y, x] = 255
    placement = plan_placement(presentation, viewport)
    picture = np.asarray(place_image(Image.fromarray(marked), placement))
    column, row = np.floor(placement.map_points(np.array([[x + 0.5, y + 0.5]]))[0]).astype(int)
    assert picture[row, column] == 255
    assert np.count_nonzero(picture) == 1


def test_outside_the_image_is_black() -> None:
    found = place(Presentation((-1, -1, 3, 2)), np.full((4, 6), 9, np.uint8))
    assert found.tolist() == [[0, 0, 0, 0], [0, 9, 9, 9], [0, 9, 9, 9]]


def test_fractions_of_the_displayed_area() -> None:
    placement = plan_placement(Presentation((0, 0, 6, 4)), Viewport(12, 8))
    assert placement.map_fractions(np.array([[0.5, 0.25]])).tolist() == [[6, 2]]


def test_magnified_and_cut_to_the_viewport() -> None:
    presentation = Presentation((0, 0, 6, 4), magnification=2.0)
    assert plan_placement(presentation).size == (12, 8)
    cut = plan_placement(presentation, Viewport(4, 100))
    assert (cut.size, cut.region) == ((4, 8), (2, 0, 4, 4))
