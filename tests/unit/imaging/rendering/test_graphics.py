"""Graphic annotation (PS3.3 §C.10.5)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset

from gateway.imaging.rendering.geometry import Presentation, plan_placement
from gateway.imaging.rendering.graphics import draw_graphics, get_layer_colour, get_layer_order, read_graphics
from gateway.imaging.rendering.parameters import Viewport
from tests.support.pictures import make_item

RED = (255, 0, 0)


def make_graphic(kind: str, data: list[float], *, units: str = "PIXEL", filled: str = "N") -> Dataset:
    return make_item(
        GraphicAnnotationUnits=units, GraphicDimensions=2, NumberOfGraphicPoints=len(data) // 2,
        GraphicData=data, GraphicType=kind, GraphicFilled=filled,
    )  # fmt: skip


def draw(*objects: Dataset, mode: str = "L", size: int = 40, **sequences: list[Dataset]) -> np.ndarray:
    item = make_item(**{"GraphicObjectSequence": list(objects), **sequences} if objects else sequences)
    image = Image.new(mode, (size, size))
    placement = plan_placement(Presentation((0, 0, 20, 20)), Viewport(size, size))
    draw_graphics(image, read_graphics(item, (255, 255, 255) if mode == "L" else RED), placement)
    return np.asarray(image)


def test_lines_in_pixels_of_the_image_are_scaled() -> None:
    picture = draw(make_graphic("POLYLINE", [5, 10, 15, 10]))
    assert picture[20, 10:31].all()
    assert not picture[:19].any() and not picture[22:].any()


def test_lines_in_fractions_of_the_displayed_area() -> None:
    assert draw(make_graphic("POLYLINE", [0.25, 0.5, 0.75, 0.5], units="DISPLAY"))[20, 10:31].all()


def test_colours() -> None:
    assert draw(make_graphic("POLYLINE", [5, 10, 15, 10]), mode="RGB")[20, 20].tolist() == [255, 0, 0]


def test_closed_shapes_are_filled_on_demand() -> None:
    square = [5, 5, 15, 5, 15, 15, 5, 15, 5, 5]
    assert draw(make_graphic("POLYLINE", square, filled="Y"))[20, 20]
    assert not draw(make_graphic("POLYLINE", square))[20, 20]


@pytest.mark.parametrize(
    ("kind", "data", "on", "off"),
    [
        ("CIRCLE", [10, 10, 15, 10], (20, 10), (20, 20)),
        ("ELLIPSE", [5, 10, 15, 10, 10, 8, 10, 12], (16, 20), (10, 20)),
        ("INTERPOLATED", [2, 10, 10, 10, 18, 10], (20, 12), (10, 12)),
        ("POINT", [10, 10], (17, 20), (20, 20)),
    ],
)
def test_outlines(kind: str, data: list[float], on: tuple[int, int], off: tuple[int, int]) -> None:
    picture = draw(make_graphic(kind, data))
    assert picture[on] and not picture[off]


def test_curves_go_through_their_points() -> None:
    points = [2.0, 2, 10, 18, 18, 4]
    picture = draw(make_graphic("INTERPOLATED", points))
    for x, y in zip(points[::2], points[1::2], strict=True):
        assert picture[int(y * 2) - 1 : int(y * 2) + 2, int(x * 2) - 1 : int(x * 2) + 2].any()


def test_texts_in_boxes_and_beside_anchors() -> None:
    boxed = make_item(UnformattedTextValue="Hi", BoundingBoxAnnotationUnits="DISPLAY",
                      BoundingBoxTopLeftHandCorner=[0, 0.5], BoundingBoxBottomRightHandCorner=[1, 1])  # fmt: skip
    anchored = make_item(UnformattedTextValue="Hi", AnchorPointAnnotationUnits="PIXEL", AnchorPoint=[10, 5])
    below, above = draw(TextObjectSequence=[boxed]), draw(TextObjectSequence=[anchored])
    assert below[20:].any() and not below[:15].any()
    assert above[:20, 20:].any() and not above[:, :18].any()


@pytest.mark.parametrize(
    "item",
    [
        make_graphic("POLYLINE", [1, 2, 3]),
        make_graphic("POLYLINE", [1, 2]),
        make_graphic("ELLIPSE", [1, 2, 3, 4]),
        make_graphic("SPIRAL", [1, 2, 3, 4]),
        make_item(GraphicType="POLYLINE"),
    ],
)
def test_objects_that_cannot_be_drawn_are_left_out(item: Dataset) -> None:
    assert not draw(item).any()


@given(st.sampled_from(["POINT", "POLYLINE", "INTERPOLATED", "CIRCLE", "ELLIPSE"]),
       st.lists(st.floats(width=32), min_size=8, max_size=8), st.sampled_from(["Y", "N"]))  # fmt: skip
def test_any_coordinates_are_survived(kind: str, data: list[float], filled: str) -> None:
    assert draw(make_graphic(kind, data, filled=filled)).shape == (40, 40)


def test_layers() -> None:
    layers = [make_item(GraphicLayer="A", GraphicLayerOrder=2), make_item(GraphicLayer="B", GraphicLayerOrder=1)]
    assert get_layer_order(layers, "A") == 2
    assert get_layer_order(layers, "C") == 0
    assert get_layer_colour(layers, "B", lambda layer: (1, layer.GraphicLayerOrder, 3), RED) == (1, 1, 3)
    assert get_layer_colour(layers, "C", lambda _: (0, 0, 0), RED) == RED
