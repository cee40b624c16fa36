"""Display shutters (PS3.3 §C.7.6.11)."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from gateway.imaging.rendering.shutter import read_shutter
from tests.support.pictures import make_item

RECTANGLE = {
    "ShutterUpperHorizontalEdge": 2, "ShutterLowerHorizontalEdge": 3,
    "ShutterLeftVerticalEdge": 2, "ShutterRightVerticalEdge": 4,
}  # fmt: skip


def show(shape: tuple[int, int] = (4, 5), **attributes: object) -> list[str] | None:
    """Rows of the image, what is visible as #."""
    shutter = read_shutter(make_item(**attributes), shape)
    return None if shutter is None else ["".join(".#"[not cell] for cell in row) for row in shutter.covered]


def test_rectangle() -> None:
    assert show(ShutterShape="RECTANGULAR", **RECTANGLE) == [".....", ".###.", ".###.", "....."]


def test_circle() -> None:
    attributes = {"CenterOfCircularShutter": [3, 3], "RadiusOfCircularShutter": 1}
    assert show((5, 5), ShutterShape="CIRCULAR", **attributes) == [".....", "..#..", ".###.", "..#..", "....."]


def test_polygon() -> None:
    vertices = [1, 1, 1, 4, 4, 1]
    assert show((4, 4), ShutterShape="POLYGONAL", VerticesOfThePolygonalShutter=vertices) == [
        "####",
        "###.",
        "##..",
        "#...",
    ]


def test_bitmap() -> None:
    state = Dataset()
    state.ShutterShape, state.ShutterOverlayGroup = "BITMAP", 0x6000
    for element, vr, value in ((0x10, "US", 1), (0x11, "US", 4), (0x50, "SS", [1, 1]), (0x3000, "OW", b"\x05\x00")):
        state.add_new(0x60000000 | element, vr, value)
    shutter = read_shutter(state, (1, 4))
    assert shutter is not None
    assert shutter.covered.tolist() == [[True, False, True, False]]


def test_several_show_what_lies_in_all() -> None:
    both = show(ShutterShape=["RECTANGULAR", "CIRCULAR"], CenterOfCircularShutter=[2, 2], RadiusOfCircularShutter=1,
                **RECTANGLE)  # fmt: skip
    assert both == [".....", ".##..", ".#...", "....."]


def test_colours() -> None:
    shutter = read_shutter(make_item(ShutterShape="RECTANGULAR", ShutterPresentationValue=65_535, **RECTANGLE), (4, 5))
    assert shutter is not None
    assert shutter.colour == (255, 255, 255)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"ShutterShape": "RECTANGULAR"},
        {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [1, 1]},
        {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [1, 1, 2]},
        {"ShutterShape": "BITMAP", "ShutterOverlayGroup": 5},
        {"ShutterShape": "HEXAGONAL"},
    ],
)
def test_shutters_that_are_none(attributes: dict[str, object]) -> None:
    assert show(**attributes) is None


def test_absurd_numbers() -> None:
    huge = 2_147_483_647
    vertices = [-huge, -huge, -huge, huge, huge, huge, huge, -huge]
    assert show((1, 2), ShutterShape="POLYGONAL", VerticesOfThePolygonalShutter=vertices) == ["##"]
    assert show((1, 2), ShutterShape="CIRCULAR", CenterOfCircularShutter=[huge, huge], RadiusOfCircularShutter=huge)
