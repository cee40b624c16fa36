"""Rendered resources and thumbnails (PS3.18 §10.4.1.1.3–4, §8.3.5) over HTTP, the pictures opened with Pillow."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset
from pydicom.uid import (
    BasicTextSRStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    SegmentationStorage,
)

from gateway.sandbox import SandboxArchive
from tests.support.conformance_site import Site, open_site
from tests.support.rendered_site import make_groups
from tests.support.small_archive import (
    BIG_ENDIAN,
    CT,
    CT_SERIES,
    CT_STUDY,
    EMPTY_STUDY,
    IMPLICIT,
    JPEG,
    JPEG_2000,
    LOOP,
    REPORT,
    US_STUDY,
    encode_file,
    make_instance,
)
from tests.support.web_client import WebResponse

STILLS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF", "image/jp2": "JPEG2000"}
PARTS = 'multipart/related; type="{}"'
ROOT = "1.2.826.0.1.3680043.10.1436.9"
SHADES = f"/studies/{ROOT}/series/{ROOT}.1/instances/{ROOT}.1.1"
"""8 bits, 20 columns by 10 rows: left half 0, right half 200; above the middle 50 more."""
STATE = f"/studies/{ROOT}/series/{ROOT}.2/instances/{ROOT}.2.1"
"""A presentation state that inverts the image before."""
SEGMENTS = f"/studies/{ROOT}/series/{ROOT}.5/instances/{ROOT}.5.1"
SR = f"/studies/{ROOT}/series/{ROOT}.3/instances/{ROOT}.3.1"
PDF = f"/studies/{ROOT}/series/{ROOT}.4/instances/{ROOT}.4.1"
DOCUMENT = b"%PDF-1.4\n1 0 obj << >> endobj\ntrailer << >>\n%%EOF\n"


def open_picture(response: WebResponse) -> Image.Image:
    assert response.status == 200, response.body
    image = Image.open(BytesIO(response.body))
    image.load()
    return image


def make_shades() -> Dataset:
    image = make_instance(f"{ROOT}.1.1", Modality="CT", PatientName="Doe^Jane")
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows, image.Columns = 10, 20
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit, image.PixelRepresentation = 7, 0
    image.WindowCenter, image.WindowWidth = "128", "256"
    image.add_new(0x7FE00010, "OB", draw_shades().tobytes())
    return image


def draw_shades() -> np.ndarray:
    pixels = np.zeros((10, 20), np.uint8)
    pixels[:, 10:] = 200
    pixels[:5] += 50
    return pixels


def make_state() -> Dataset:
    state = make_instance(f"{ROOT}.2.1", GrayscaleSoftcopyPresentationStateStorage, Modality="PR")
    image, series, area = Dataset(), Dataset(), Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", f"{ROOT}.1.1"
    series.SeriesInstanceUID, series.ReferencedImageSequence = f"{ROOT}.1", [image]
    state.ReferencedSeriesSequence = [series]
    area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner = [1, 1], [20, 10]
    area.PresentationSizeMode, area.PresentationPixelAspectRatio = "SCALE TO FIT", [1, 1]
    state.DisplayedAreaSelectionSequence = [area]
    state.PresentationLUTShape = "INVERSE"
    return state


def make_segmentation() -> Dataset:
    """One segment over the right half of the image."""
    segmentation, segment = make_instance(f"{ROOT}.5.1", SegmentationStorage, Modality="SEG"), Dataset()
    segment.SegmentNumber, segment.SegmentLabel = 1, "right"
    segment.RecommendedDisplayCIELabValue = [34885, 53485, 50171]  # red
    segmentation.SegmentSequence, segmentation.SegmentationType = [segment], "BINARY"
    [group] = make_groups(f"{ROOT}.1.1")
    identification = Dataset()
    identification.ReferencedSegmentNumber = 1
    group.SegmentIdentificationSequence = [identification]
    segmentation.PerFrameFunctionalGroupsSequence = [group]
    segmentation.SamplesPerPixel, segmentation.PhotometricInterpretation = 1, "MONOCHROME2"
    segmentation.Rows, segmentation.Columns, segmentation.NumberOfFrames = 10, 20, 1
    segmentation.BitsAllocated = segmentation.BitsStored = 1
    segmentation.HighBit, segmentation.PixelRepresentation = 0, 0
    bits = np.zeros((10, 20), np.uint8)
    bits[:, 10:] = 1
    segmentation.add_new(0x7FE00010, "OB", np.packbits(bits, bitorder="little").tobytes() + b"\0")
    return segmentation


def make_report() -> Dataset:
    report, text = make_instance(f"{ROOT}.3.1", BasicTextSRStorage, Modality="SR"), Dataset()
    text.RelationshipType, text.ValueType, text.TextValue = "CONTAINS", "TEXT", "Nothing <of> note"
    report.ValueType, report.ContentSequence = "CONTAINER", [text]
    return report


def make_document() -> Dataset:
    document = make_instance(f"{ROOT}.4.1", EncapsulatedPDFStorage, Modality="DOC")
    document.EncapsulatedDocument, document.MIMETypeOfEncapsulatedDocument = DOCUMENT, "application/pdf"
    return document


MADE = (make_shades(), make_state(), make_report(), make_document(), make_segmentation())


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway over an archive with one study: an image, a presentation state, a report and a document."""
    folder = tmp_path_factory.mktemp("pictures")
    with SandboxArchive(folder / "archive") as archive:
        for number, instance in enumerate(MADE):
            path = Path(folder, f"{number}.dcm")
            path.write_bytes(encode_file(instance, ExplicitVRLittleEndian))
            archive.index.add_file(path)
        with open_site(archive) as site:
            yield site


# --- what comes at each level ---


@pytest.mark.parametrize(
    ("path", "size"),
    [
        (CT, (16, 16)),
        (IMPLICIT, (8, 8)),
        (BIG_ENDIAN, (8, 8)),
        (f"{LOOP}/frames/2", (8, 8)),
        (f"{CT}/frames/1", (16, 16)),
    ],
)
@pytest.mark.parametrize("media_type", list(STILLS))
def test_one_picture_is_a_single_part(site: Site, path: str, size: tuple[int, int], media_type: str) -> None:
    """Table 10.4.4-1, Table 8.7.4-1; one pixel of the image is one of the picture (§8.3.5.1.3)."""
    response = site.get(f"{path}/rendered", media_type)
    image = open_picture(response)
    assert (response.essence, image.format, image.size) == (media_type, STILLS[media_type], size)
    assert int(response.header("Content-Length")) == len(response.body)
    assert path.partition("/frames")[0] in response.header("Content-Location")


def test_jpeg_is_the_default(site: Site) -> None:
    """Table 8.7.4-1, and §8.7.5 read liberally."""
    for accept in ("*/*", "image/*", None):
        assert open_picture(site.get(f"{CT}/rendered", accept)).format == "JPEG"


def test_native_encodings_give_the_same_picture(site: Site) -> None:
    little, big = (site.get(f"{path}/rendered", "image/png").body for path in (IMPLICIT, BIG_ENDIAN))
    assert little == big


def test_frames_are_parts_in_the_order_asked(site: Site) -> None:
    """§10.4.3.3.3; the frames of the loop are as dark as their numbers are low."""
    response = site.get(f"{LOOP}/frames/1,3,4/rendered?window=2.5,4,linear-exact", PARTS.format("image/png"))
    assert [part.content_type for part in response.parts] == ["image/png"] * 3
    assert [part.location.rsplit("/", 1)[1] for part in response.parts] == ["1", "3", "4"]
    levels = [np.asarray(Image.open(BytesIO(part.body))).mean() for part in response.parts]
    assert levels == sorted(levels) and len(set(levels)) == 3


def test_an_image_with_several_frames(site: Site) -> None:
    """A part for each, one animation, or one picture that stands for all: whichever the client names."""
    assert len(site.get(f"{LOOP}/rendered", PARTS.format("image/jpeg")).parts) == 4
    assert len(site.get(f"{LOOP}/rendered", "*/*").parts) == 4
    assert getattr(open_picture(site.get(f"{LOOP}/rendered", "image/gif")), "n_frames", 1) == 4
    still = site.get(f"{LOOP}/rendered", "image/png")
    assert open_picture(still).format == "PNG" and still.header("Content-Location").endswith("/frames/2")
    video = site.get(f"{LOOP}/rendered", "video/mp4")
    assert (video.status, video.essence, video.body[4:8]) == (200, "video/mp4", b"ftyp")


@pytest.mark.parametrize(
    ("path", "count"), [(f"/studies/{CT_STUDY}", 8), (f"/studies/{CT_STUDY}/series/{CT_SERIES}", 3)]
)
def test_a_study_and_a_series_are_multiparts(site: Site, path: str, count: int) -> None:
    """§10.4.3.3.3: each instance, each of its frames."""
    response = site.get(f"{path}/rendered", PARTS.format("image/jpeg"))
    assert len(response.parts) == count
    assert len({part.location for part in response.parts}) == count
    assert all(open_part.startswith(b"\xff\xd8") for open_part in (part.body for part in response.parts))
    assert site.get(f"{path}/rendered", "image/jpeg").status == 406  # Table 10.4.4-1 note 3


def test_parts_of_a_study_have_types_of_their_own(pictures: Site) -> None:
    """§8.7.8.1 is applied to each part."""
    response = pictures.get(f"/studies/{ROOT}/rendered", "*/*")
    assert sorted(part.content_type for part in response.parts) == [
        "application/pdf",
        "image/jpeg",
        "image/jpeg",
        "text/html; charset=utf-8",
    ]


# --- what cannot be shown ---


@pytest.mark.parametrize("path", [JPEG, f"{JPEG_2000}/frames/1"])
@pytest.mark.parametrize("form", ["rendered", "thumbnail"])
def test_broken_codestreams_are_told(site: Site, path: str, form: str) -> None:
    """They are no more than a start and an end marker."""
    response = site.get(f"{path}/{form}", "image/jpeg")
    assert response.status == 502
    assert response.json["detail"]


def test_broken_instances_do_not_hide_their_series(site: Site) -> None:
    response = site.get(f"/studies/{US_STUDY}/rendered", PARTS.format("image/jpeg"))
    assert response.status == 502  # there is nothing else in it
    assert len(site.get(f"/studies/{EMPTY_STUDY}/rendered", PARTS.format("image/jpeg")).parts) == 1


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        (CT, "application/dicom+json", 406),
        (CT, "application/dicom, image/png", 400),
        (CT, "image/jph", 406),
        (CT, "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50", 406),
        (f"{LOOP}/frames/1,2", "image/jpeg", 406),
        (f"{LOOP}/frames/5", "image/jpeg", 404),
        (f"{LOOP}/frames/0", "image/jpeg", 400),
        (f"{REPORT}/frames/1", "*/*", 404),
        (REPORT, "image/jpeg", 406),
        ("/studies/1.2.3", "*/*", 404),
        (f"/studies/{CT_STUDY}/series/1.2.3", "*/*", 404),
        ("/studies/x", "*/*", 400),
    ],
)
def test_refusals(site: Site, path: str, accept: str, status: int) -> None:
    """Table 10.4.3-1."""
    assert site.get(f"{path}/rendered", accept).status == status


# --- parameters ---


def render(site: Site, query: str, path: str = SHADES) -> np.ndarray:
    return np.asarray(open_picture(site.get(f"{path}/rendered?{query}", "image/png")).convert("L"))


def test_the_window_of_the_image_and_another_one(pictures: Site) -> None:
    """§8.3.5.1.4."""
    assert (render(pictures, "") == draw_shades()).all()
    assert set(np.unique(render(pictures, "window=125,2,linear"))) == {0, 255}
    assert sorted(np.unique(render(pictures, "window=100,200,linear-exact"))) == [0, 64, 255]
    assert len(np.unique(render(pictures, "window=100,200,sigmoid"))) == 4


def test_the_viewport(pictures: Site) -> None:
    """§8.3.5.1.3: as large as possible without distortion; a source region, and flips."""
    assert render(pictures, "viewport=40,40").shape == (20, 40)
    assert render(pictures, "viewport=5,5").shape in ((2, 5), (3, 5))
    assert render(pictures, "viewport=10,10,10").min() == 200
    right = render(pictures, "viewport=10,10,10,5,10,5")
    assert right.shape == (5, 10) and set(np.unique(right)) == {200}
    flipped = render(pictures, "viewport=20,10,0,0,-20,-10")
    assert (flipped == draw_shades()[::-1, ::-1]).all()


def test_annotation_is_drawn_and_what_is_unknown_is_told(pictures: Site) -> None:
    """§8.3.5.1.1."""
    plain = render(pictures, "viewport=400,400")
    response = pictures.get(f"{SHADES}/rendered?viewport=400,400&annotation=patient,tea", "image/png")
    assert (np.asarray(open_picture(response).convert("L")) != plain).any()
    text = "The following annotation values are not supported: tea"
    assert response.header("Warning") == f'299 {pictures.url} "{text}"'


def test_quality_is_of_what_loses_something(pictures: Site) -> None:
    """§8.3.5.1.2."""
    sizes = [len(pictures.get(f"{SHADES}/rendered?quality={q}&viewport=200,200", "image/jpeg").body) for q in (1, 100)]
    assert sizes[0] < sizes[1]
    assert (render(pictures, "quality=1") == draw_shades()).all()


def test_profiles(pictures: Site) -> None:
    """§8.3.5.1.5: embedded where asked for; 400 where the media type has no room for one."""
    assert "icc_profile" in open_picture(pictures.get(f"{SHADES}/rendered?iccprofile=srgb", "image/jpeg")).info
    assert "icc_profile" not in open_picture(pictures.get(f"{SHADES}/rendered?iccprofile=no", "image/jpeg")).info
    assert pictures.get(f"{SHADES}/rendered?iccprofile=srgb", "image/gif").status == 400


@pytest.mark.parametrize(
    "query",
    [
        "window=1,2",
        "window=1,x,linear",
        "viewport=1",
        "viewport=1,1,90,90,5,5",
        "quality=0",
        "annotation=",
        "iccprofile=x",
    ],
)
def test_bad_parameters(pictures: Site, query: str) -> None:
    """§8.3: a supported parameter with an invalid value."""
    assert pictures.get(f"{SHADES}/rendered?{query}", "image/png").status == 400


def test_unknown_parameters_are_ignored(pictures: Site) -> None:
    """§8.3."""
    assert (render(pictures, "contrast=5&Window=x") == draw_shades()).all()


# --- presentation states, segmentations, reports, documents ---


def test_a_segmentation_over_its_image(pictures: Site) -> None:
    """A parameter of our own, named like those of presentation states in §9.5."""
    query = f"segmentationSeriesUID={ROOT}.5&segmentationUID={ROOT}.5.1"
    picture = np.asarray(open_picture(pictures.get(f"{SHADES}/rendered?{query}", "image/png")).convert("RGB"))
    left, right = picture[:, :10].astype(int), picture[:, 10:].astype(int)
    assert (left[..., 0] == draw_shades()[:, :10]).all() and (left[..., 0] == left[..., 1]).all()
    assert (right[..., 0] > right[..., 1] + 50).all()
    alone = np.asarray(open_picture(pictures.get(f"{SEGMENTS}/rendered", "image/png")).convert("RGB"))
    assert (alone[:, :10] == 0).all() and (alone[:, 10:, 0] > 200).all()
    assert pictures.get(f"{SHADES}/rendered?{query}9", "image/png").status == 400


def test_a_presentation_state_by_parameter(pictures: Site) -> None:
    query = f"presentationSeriesUID={ROOT}.2&presentationUID={ROOT}.2.1"
    assert (render(pictures, query) == 255 - draw_shades()).all()
    assert pictures.get(f"{SHADES}/rendered?{query}&window=1,2,linear", "image/png").status == 400
    assert pictures.get(f"/studies/{ROOT}/rendered?{query}", "*/*").status == 400


def test_a_presentation_state_shows_its_image(pictures: Site) -> None:
    """§8.3.5.1.6."""
    assert (render(pictures, "", STATE) == 255 - draw_shades()).all()
    response = pictures.get(f"{STATE}/rendered", "image/png")
    assert f"{SHADES}/frames/1" in response.header("Content-Location")
    for query in ("window=1,2,linear", "viewport=5,5,1,1,2,2"):
        assert pictures.get(f"{STATE}/rendered?{query}", "image/png").status == 400
    assert pictures.get(f"{STATE}/frames/1/rendered", "image/png").status == 404


@pytest.mark.parametrize("media_type", ["text/html", "text/plain"])
def test_a_report(pictures: Site, media_type: str) -> None:
    response = pictures.get(f"{SR}/rendered", media_type)
    assert (response.status, response.essence) == (200, media_type)
    text = "Nothing &lt;of&gt; note" if media_type == "text/html" else "Nothing <of> note"
    assert text in response.body.decode("utf-8")


def test_a_report_on_paper(pictures: Site) -> None:
    assert pictures.get(f"{SR}/rendered", "application/pdf").body.startswith(b"%PDF-")
    assert pictures.get(f"{SR}/rendered", "*/*").essence == "text/html"


def test_a_report_and_a_state_by_the_uri_service(pictures: Site) -> None:
    """Table 8.7.4-1; §9.5.1.2.7."""
    uids = f"requestType=WADO&studyUID={ROOT}"
    report = pictures.get(f"/wado?{uids}&seriesUID={ROOT}.3&objectUID={ROOT}.3.1", "*/*")
    assert (report.status, report.essence) == (200, "text/html")
    image = f"{uids}&seriesUID={ROOT}.1&objectUID={ROOT}.1.1&contentType=image/png"
    state = f"&presentationSeriesUID={ROOT}.2&presentationUID={ROOT}.2.1"
    shown = np.asarray(open_picture(pictures.get(f"/wado?{image}{state}", "*/*")).convert("L"))
    assert (shown == 255 - draw_shades()).all()
    assert pictures.get(f"/wado?{image}{state}9", "*/*").status == 400
    assert pictures.get(f"/wado?{image}{state}&frameNumber=1", "*/*").status == 400


def test_a_document_in_its_own_type(pictures: Site) -> None:
    response = pictures.get(f"{PDF}/rendered", "*/*")
    assert (response.essence, response.body.rstrip(b"\0")) == ("application/pdf", DOCUMENT)
    assert pictures.get(f"{PDF}/rendered", "text/html").status == 406


# --- thumbnails ---


@pytest.mark.parametrize(
    ("path", "of"),
    [
        (f"/studies/{CT_STUDY}", f"{CT_SERIES}.2"),
        (f"/studies/{CT_STUDY}/series/{CT_SERIES}", f"{CT_SERIES}.2"),
        (CT, f"{CT_SERIES}.1"),
        (f"{CT}/frames/1", f"{CT_SERIES}.1"),
        (LOOP, LOOP.rsplit("/", 1)[1]),
    ],
)
def test_one_instance_stands_for_all(site: Site, path: str, of: str) -> None:
    """§10.4.1.1.4, §8.3.5.2."""
    response = site.get(f"{path}/thumbnail", "*/*")
    assert (response.essence, open_picture(response).size) == ("image/jpeg", (256, 256))
    assert f"/instances/{of}/frames/" in response.header("Content-Location")


def test_only_that_instance_is_fetched(site: Site) -> None:
    before = site.archive.counters.suboperations
    assert site.get(f"/studies/{CT_STUDY}/thumbnail", "image/jpeg").status == 200
    assert site.archive.counters.suboperations == before + 1


def test_the_size_of_a_thumbnail(pictures: Site) -> None:
    path = f"/studies/{ROOT}"
    assert open_picture(pictures.get(f"{path}/thumbnail", "image/png")).size == (256, 128)
    assert open_picture(pictures.get(f"{path}/thumbnail?viewport=64,64", "image/png")).size == (64, 32)
    assert open_picture(pictures.get(f"{path}/thumbnail?viewport=8000,8000", "image/png")).size == (1024, 512)
    assert pictures.get(f"{path}/thumbnail?viewport=64,64,0,0,5,5", "image/png").status == 400


def test_what_is_read_has_no_thumbnail(pictures: Site) -> None:
    for path in (SR, PDF):
        assert pictures.get(f"{path}/thumbnail", "image/jpeg").status == 404


def test_nobody_is_named_in_a_thumbnail(pictures: Site) -> None:
    """§10.4.3.3.4: annotation is no parameter of it."""
    plain, asked = (
        pictures.get(f"{SHADES}/thumbnail{query}", "image/png").body for query in ("", "?annotation=patient")
    )
    assert plain == asked


# --- conditional requests ---


@pytest.mark.parametrize("form", ["rendered", "thumbnail"])
def test_a_picture_that_the_client_has(pictures: Site, form: str) -> None:
    """RFC 9110 §13: as long as the metadata kept of it holds, its pictures do."""
    assert pictures.get(f"{SHADES}/metadata").status == 200
    first = pictures.get(f"{SHADES}/{form}", "image/png")
    tag = first.header("ETag")
    assert tag and "private" in first.header("Cache-Control")
    again = pictures.get(f"{SHADES}/{form}", "image/png", If_None_Match=tag)
    assert (again.status, again.body) == (304, b"")
    assert pictures.get(f"{SHADES}/{form}", "image/jpeg", If_None_Match=tag).status == 200
