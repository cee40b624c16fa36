"""Grammar of the query parameters of rendered resources (PS3.18 §8.3.5.1, §9.5.1.2)."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadParameter
from gateway.imaging.rendering import parameters
from gateway.imaging.rendering.parameters import (
    IccProfile,
    NormalizedRegion,
    RenderParameters,
    SourceRegion,
    Viewport,
    VoiFunction,
    Window,
)

PARSERS: dict[str, Callable[[str], object]] = {
    "window": parameters.parse_window,
    "viewport": parameters.parse_viewport,
    "region": parameters.parse_region,
    "quality": parameters.parse_quality,
    "annotation": parameters.parse_annotation,
    "iccprofile": parameters.parse_iccprofile,
}


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("40,400,linear", Window(40, 400, VoiFunction.LINEAR)),
        ("-100.5,1500,linear-exact", Window(-100.5, 1500, VoiFunction.LINEAR_EXACT)),
        ("0.5,.25,sigmoid", Window(0.5, 0.25, VoiFunction.SIGMOID)),
        ("1e2,+1E3,LINEAR", Window(100, 1000, VoiFunction.LINEAR)),
    ],
)
def test_windows(text: str, window: Window) -> None:
    assert parameters.parse_window(text) == window


@pytest.mark.parametrize(
    "text", ["", "40", "40,400", "40,400,cubic", "40,,linear", "40,0.5,linear", "40,0,sigmoid", "40,-1,linear-exact",
             "nan,1,linear", "inf,1,linear", "40,400,linear,1", "0x10,1,linear", "4 0,1,linear", "1e99,1e99,"]
)  # fmt: skip
def test_bad_windows(text: str) -> None:
    with pytest.raises(BadParameter):
        parameters.parse_window(text)


@pytest.mark.parametrize(
    ("text", "viewport"),
    [
        ("512,256", Viewport(512, 256)),
        ("512,512,,,512,512", Viewport(512, 512, SourceRegion(0, 0, 512, 512))),
        ("10,10,1.5,2.5", Viewport(10, 10, SourceRegion(1.5, 2.5))),
        ("10,10,-1", Viewport(10, 10, SourceRegion(1, 0))),
        ("8,8,1,2,-3,-4", Viewport(8, 8, SourceRegion(1, 2, 3, 4, True, True))),
        ("8,8,,,-3,4", Viewport(8, 8, SourceRegion(0, 0, 3, 4, True, False))),
    ],
)
def test_viewports(text: str, viewport: Viewport) -> None:
    assert parameters.parse_viewport(text) == viewport


@pytest.mark.parametrize(
    "text",
    ["", "1", "0,1", "1,0", "-1,1", "1.5,1", "8193,1", "1,1,", "1,1,1,1,1,1,1", "1,1,a", "1,1,0,0,0,1", "9" * 30],
)
def test_bad_viewports(text: str) -> None:
    with pytest.raises(BadParameter):
        parameters.parse_viewport(text)


def test_thumbnails_take_no_source_region() -> None:
    assert parameters.parse_viewport("64,64", size_only=True) == Viewport(64, 64)
    with pytest.raises(BadParameter):
        parameters.parse_viewport("64,64,0,0", size_only=True)


def test_size_of_the_uri_service() -> None:
    assert parameters.parse_size(None, None) is None
    assert parameters.parse_size("10", None) == Viewport(None, 10)
    assert parameters.parse_size(None, "20") == Viewport(20, None)
    for rows, columns in (("0", "1"), ("1", "x"), ("-1", None)):
        with pytest.raises(BadParameter):
            parameters.parse_size(rows, columns)


def test_window_of_the_uri_service() -> None:
    assert parameters.parse_window_center_width(None, None) is None
    assert parameters.parse_window_center_width("40", "400") == Window(40, 400)
    for center, width in (("40", None), (None, "400"), ("a", "400"), ("40", "0")):
        with pytest.raises(BadParameter):
            parameters.parse_window_center_width(center, width)


def test_regions() -> None:
    assert parameters.parse_region("0,0.25,1.0,.5") == NormalizedRegion(0, 0.25, 1, 0.5)
    for text in ("0,0,1", "0,0,1,1,1", "0.5,0,0.5,1", "-0.1,0,1,1", "0,0,1,1.1", "a,0,1,1", ""):
        with pytest.raises(BadParameter):
            parameters.parse_region(text)


def test_quality() -> None:
    assert [parameters.parse_quality(text) for text in ("1", "100")] == [1, 100]
    for text in ("0", "101", "", "5.5", "-1", "９"):
        with pytest.raises(BadParameter) as raised:
            parameters.parse_quality(text, "imageQuality")
        assert raised.value.name == "imageQuality"


def test_annotations_unsupported_ones_apart() -> None:
    assert parameters.parse_annotation("technique,patient") == (("patient", "technique"), ())
    assert parameters.parse_annotation('"patient",mirth,mirth') == (("patient",), ("mirth",))
    for text in ("", ",", "patient,", "a b", "<b>"):
        with pytest.raises(BadParameter):
            parameters.parse_annotation(text)


def test_icc_profiles() -> None:
    assert parameters.parse_iccprofile("adobergb") is IccProfile.ADOBERGB
    for text in ("", "SRGB", "no,yes"):
        with pytest.raises(BadParameter):
            parameters.parse_iccprofile(text)


@given(st.sampled_from(sorted(PARSERS)), st.text(alphabet='0123456789.,-+eE anoyslirgbx"é', max_size=30))
def test_garbage_gives_one_kind_of_error(name: str, text: str) -> None:
    try:
        PARSERS[name](text)
    except BadParameter as error:
        assert error.name == name


def test_parameters_travel_to_workers() -> None:
    given_parameters = RenderParameters(window=Window(1, 2), presentation_state=b"x", viewport=Viewport(1, 2))
    assert pickle.loads(pickle.dumps(given_parameters)) == given_parameters
