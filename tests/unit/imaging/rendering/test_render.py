"""One frame into one picture, from bytes to bytes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from gateway.errors import BadParameter, GatewayError, ImagingFailed, NotAcceptable
from gateway.imaging.rendering.encoders import MEDIA_TYPES
from gateway.imaging.rendering.parameters import (
    FrameSource,
    IccProfile,
    RenderParameters,
    SourceRegion,
    Viewport,
    Window,
)
from gateway.imaging.rendering.render import render_frame, within_limits
from tests.support.pictures import (
    encode_header,
    make_item,
    make_source,
    make_state,
    read_frame_source,
    render_pixels,
)
from tests.support.samples import sample_files

PNG = RenderParameters("image/png")
RAMP = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
SIGNED = RAMP.astype(np.int16) - 100


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_each_media_type(media_type: str) -> None:
    picture = render_frame(make_source(RAMP), RenderParameters(media_type))
    assert (picture.media_type, picture.width, picture.height) == (media_type, 6, 4)
    assert picture.data and "data" not in repr(picture)


def test_jpeg_unless_told_otherwise() -> None:
    assert render_frame(make_source(RAMP), RenderParameters()).data.startswith(b"\xff\xd8")


def test_refused_media_types_and_profiles() -> None:
    with pytest.raises(NotAcceptable):
        render_frame(make_source(RAMP), RenderParameters("video/mp4"))
    with pytest.raises(BadParameter):
        render_frame(make_source(RAMP), RenderParameters("image/gif", iccprofile=IccProfile.SRGB))


def test_sixteen_bits_where_there_is_room() -> None:
    assert render_pixels(make_source(SIGNED), bits=16).dtype == np.uint16
    assert render_frame(make_source(SIGNED), RenderParameters("image/jpeg", bits=16)).data


def test_viewport_window_and_flip_together() -> None:
    viewport = Viewport(3, 4, SourceRegion(0, 0, 3, 4, flip_horizontally=True))
    found = render_pixels(make_source(SIGNED), viewport=viewport, window=Window(0, 1))
    assert (found == np.where(SIGNED[:, 2::-1] >= 0, 255, 0)).all()


def test_pixels_that_are_not_square() -> None:
    assert render_pixels(make_source(RAMP, PixelAspectRatio=["2", "1"])).shape == (8, 6)


def test_annotation_is_drawn() -> None:
    source = make_source(np.zeros((128, 128), np.uint8), PatientID="4711")
    assert not render_pixels(source).any()
    assert render_pixels(source, annotation=("patient",))[:64].any()


def test_graphics_of_a_state_are_drawn_at_the_size_of_the_picture() -> None:
    line = make_item(GraphicType="POLYLINE", GraphicData=[0, 2, 6, 2], GraphicAnnotationUnits="PIXEL")
    state = make_state(GraphicAnnotationSequence=[make_item(GraphicLayer="A", GraphicObjectSequence=[line])])
    source = make_source(np.zeros((4, 6), np.uint8))
    found = render_pixels(source, presentation_state=state, viewport=Viewport(60, 40))
    assert found[20].all() and np.count_nonzero(found.any(axis=1)) == 1


def test_graphics_in_colour_make_the_picture_colourful() -> None:
    line = make_item(GraphicType="POLYLINE", GraphicData=[0, 2, 6, 2], GraphicAnnotationUnits="PIXEL")
    red = make_item(GraphicLayer="A", GraphicLayerRecommendedDisplayCIELabValue=[34_885, 53_485, 50_171])
    item = make_item(GraphicLayer="A", GraphicObjectSequence=[line])
    state = make_state(GraphicLayerSequence=[red], GraphicAnnotationSequence=[item])
    found = render_pixels(make_source(np.zeros((4, 6), np.uint8)), presentation_state=state)
    assert found.shape == (4, 6, 3)
    assert found[2, 3, 0] > 200 > 50 > found[2, 3, 1]


def test_states_are_turned_before_they_are_scaled() -> None:
    state = make_state(ImageRotation=90, ImageHorizontalFlip="N")
    found = render_pixels(make_source(RAMP), presentation_state=state)
    assert (found == np.rot90(RAMP, -1)).all()


def test_profiles_are_embedded_on_demand() -> None:
    colour = make_source(np.zeros((2, 2, 3), np.uint8))
    plain, profiled = (
        render_frame(colour, RenderParameters("image/png", iccprofile=profile)).data
        for profile in (None, IccProfile.SRGB)
    )
    assert b"iCCP" not in plain and b"iCCP" in profiled


def test_memory_that_is_refused_is_an_imaging_failure() -> None:
    with pytest.raises(ImagingFailed), within_limits():
        raise MemoryError


def test_pydicom_says_nothing_of_odd_values(caplog: pytest.LogCaptureFixture) -> None:
    """What it would log quotes them, and they may be of patients."""
    header = encode_header(make_item(Rows=4, Columns=6, BitsAllocated=8, SamplesPerPixel=1))
    photometric = b"\x28\0\x04\0CS\x0c\0monochrome2 "
    render_frame(FrameSource(header[:10] + photometric + header[10:], "1.2.840.10008.1.2.1", RAMP.tobytes()), PNG)
    assert not caplog.records


def test_pictures_are_bounded() -> None:
    corners = {"DisplayedAreaTopLeftHandCorner": [1, 1], "DisplayedAreaBottomRightHandCorner": [16_000, 16_000]}
    state = make_state(DisplayedAreaSelectionSequence=[make_item(**corners)])
    with pytest.raises(ImagingFailed):
        render_frame(make_source(RAMP), RenderParameters(presentation_state=state))


# --- hostile values ---

NUMBERS = st.sampled_from([0, 1, -1, 2, 255, 256, 65_535, -32_768, 1e-30, 1e30, -1e300, 0.5])
DECIMALS = NUMBERS.map(lambda number: f"{number:.6g}")
WORDS = st.sampled_from([0, 1, 2, 7, 8, 12, 16, 17, 255, 256, 65_535])
ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        "WindowCenter": DECIMALS,
        "WindowWidth": DECIMALS,
        "RescaleSlope": DECIMALS,
        "RescaleIntercept": DECIMALS,
        "VOILUTFunction": st.sampled_from(["LINEAR", "SIGMOID", "LINEAR_EXACT", "ODD"]),
        "PixelPaddingValue": st.integers(0, 32_767),
        "PixelSpacing": st.lists(DECIMALS, min_size=2, max_size=2),
        "PhotometricInterpretation": st.sampled_from(["MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "ODD"]),
        "Rows": WORDS,
        "Columns": WORDS,
        "BitsStored": WORDS,
        "HighBit": WORDS,
        "ShutterShape": st.sampled_from(["RECTANGULAR", "CIRCULAR", "POLYGONAL", "BITMAP"]),
        "RadiusOfCircularShutter": st.integers(-(2**31), 2**31 - 1),
        "CenterOfCircularShutter": st.lists(st.integers(-(2**31), 2**31 - 1), min_size=2, max_size=2),
        "PresentationLUTShape": st.sampled_from(["IDENTITY", "INVERSE", "ODD"]),
    },
)


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
@settings(max_examples=200, deadline=None)
@given(ATTRIBUTES, st.sampled_from([RAMP, SIGNED]), st.sampled_from([None, make_state()]))
def test_odd_values_give_a_picture_or_one_kind_of_error(
    attributes: dict[str, object], pixels: np.ndarray, state: bytes | None
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, while the header is made
        source = make_source(pixels, **attributes)
    try:
        picture = render_frame(source, RenderParameters("image/png", presentation_state=state))
    except ImagingFailed:
        return
    assert picture.width >= 1


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 400), st.binary(min_size=1, max_size=8), st.binary(max_size=60))
def test_overwritten_headers_give_a_picture_or_a_gateway_error(place: int, bad: bytes, frame: bytes) -> None:
    header = encode_header(make_header_with_everything())
    place %= len(header)
    broken = header[:place] + bad + header[place + len(bad) :]
    try:
        render_frame(FrameSource(broken, "1.2.840.10008.1.2.1", frame), RenderParameters())
    except GatewayError:
        pass


def make_state_with_everything() -> bytes:
    graphic = make_item(
        GraphicType="CIRCLE", GraphicData=[1, 1, 2, 2], GraphicAnnotationUnits="PIXEL", GraphicFilled="N"
    )
    text = make_item(UnformattedTextValue="T", AnchorPoint=[1, 1], AnchorPointAnnotationUnits="DISPLAY")
    area = make_item(DisplayedAreaTopLeftHandCorner=[1, 1], DisplayedAreaBottomRightHandCorner=[6, 4],
                     PresentationSizeMode="MAGNIFY", PresentationPixelMagnificationRatio=2.0)  # fmt: skip
    item = make_item(GraphicLayer="A", GraphicObjectSequence=[graphic], TextObjectSequence=[text])
    return make_state(
        ImageRotation=90, ImageHorizontalFlip="Y", DisplayedAreaSelectionSequence=[area], RescaleSlope="1",
        SoftcopyVOILUTSequence=[make_item(WindowCenter="1", WindowWidth="5")], PresentationLUTShape="INVERSE",
        GraphicAnnotationSequence=[item], GraphicLayerSequence=[make_item(GraphicLayer="A", GraphicLayerOrder=1)],
        ShutterShape="CIRCULAR", CenterOfCircularShutter=[2, 2], RadiusOfCircularShutter=2,
    )  # fmt: skip


STATE = make_state_with_everything()


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(STATE) - 1), st.binary(min_size=1, max_size=8))
def test_overwritten_states_give_a_picture_or_one_kind_of_error(place: int, bad: bytes) -> None:
    broken = STATE[:place] + bad + STATE[place + len(bad) :]
    try:
        picture = render_frame(
            make_source(RAMP), RenderParameters(presentation_state=broken, viewport=Viewport(64, 64))
        )
    except ImagingFailed:
        return
    assert max(picture.width, picture.height) <= 64


def make_header_with_everything() -> Dataset:
    return make_item(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.7", SOPInstanceUID="1.2", PatientName="A^B", Rows=2, Columns=2,
        SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2", BitsAllocated=8, BitsStored=8, HighBit=7,
        PixelRepresentation=0, WindowCenter="1", WindowWidth="2", PixelSpacing=["1", "1"], PixelPaddingValue=0,
        RescaleSlope="1", RescaleIntercept="0", VOILUTSequence=[make_item(LUTDescriptor=[1, 0, 8], LUTData=[1])],
    )  # fmt: skip


def test_every_sample_gives_a_picture_or_is_refused() -> None:
    """Real files of all kinds; each that pydicom can cut a frame from."""
    rendered = 0
    for path in sample_files():
        try:
            source = read_frame_source(path)
        except Exception:
            continue  # no image, or no DICOM at all
        if len(source.frame) > 1_000_000:
            continue  # their like is here smaller
        try:
            rendered += render_frame(source, RenderParameters("image/png", Viewport(64, 64))).width >= 1
        except ImagingFailed:
            pass
    assert rendered >= 50
