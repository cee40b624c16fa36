"""Rendered images beside those of DCMTK: dcmj2pnm for images, dcmp2pgm for presentation states.

They agree within one level of gray on at least 99 of 100 pixels: DCMTK cuts fractions off where we round. Images made
here cover each feature, pydicom's test files and, where they lie beside the clone, all samples cover real ones.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from gateway.errors import ImagingFailed
from gateway.imaging.rendering.parameters import FrameSource, SourceRegion, Viewport, VoiFunction, Window
from gateway.imaging.rendering.segmentation import is_segmentation
from tests.support.peers import find_program
from tests.support.pictures import (
    encode_header,
    make_header,
    make_item,
    make_lut,
    read_frame_source,
    render_pixels,
    write_file,
)
from tests.support.samples import sample_files

pytestmark = pytest.mark.peer

SIZE = 96
WITHOUT_WINDOW, MIN_MAX, FIRST_WINDOW, FIRST_LUT = ["-W"], ["+Wm"], ["+Wi", "1"], ["+Wl", "1"]


def render_by_dcmtk(path: Path, *options: str, target: Path) -> np.ndarray | None:
    """The picture of dcmj2pnm, None where it refuses."""
    command = [find_program("dcmj2pnm"), "-q", *options, "+on", str(path), str(target)]
    if subprocess.run(command, capture_output=True, timeout=60, check=False).returncode:
        return None
    with Image.open(target) as image:
        return np.asarray(image.convert("RGB"))


def measure_agreement(ours: np.ndarray, theirs: np.ndarray, levels: int = 1) -> float:
    """The share of pixels that differ by `levels` at most."""
    coloured = ours if ours.ndim == 3 else np.repeat(ours[..., None], 3, axis=2)
    assert coloured.shape == theirs.shape
    return float((np.abs(coloured.astype(int) - theirs).max(axis=2) <= levels).mean())


# --- images made here ---


def make_waves(low: int, high: int, kind: type = np.uint8) -> np.ndarray:
    """Smooth in both directions, every value between `low` and `high` likely."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    waves = (np.sin(7 * x + 3 * y) * np.cos(5 * y - 2 * x) + 1) / 2
    waves[0, 0], waves[0, 1] = 0, 1
    return np.rint(low + waves * (high - low)).astype(kind)


def make_colours() -> np.ndarray:
    return np.stack([make_waves(0, 255), make_waves(255, 0), make_waves(30, 200).T], axis=-1)


def make_subsampled() -> np.ndarray:
    """Y1 Y2 CB CR for two pixels."""
    pixels = make_colours()
    chroma = pixels[:, ::2, 1:]
    return np.stack([pixels[:, ::2, 0], pixels[:, 1::2, 0], chroma[..., 0], chroma[..., 1]], axis=-1)


def make_palette(bits: int) -> dict[str, Any]:
    levels = np.linspace(0, (1 << bits) - 1, 256)
    planes = {"Red": levels, "Green": levels[::-1], "Blue": np.abs(levels - levels[128])}
    cells = np.dtype("<u2") if bits == 16 else np.dtype("u1")
    descriptors = {f"{name}PaletteColorLookupTableDescriptor": [256, 0, bits] for name in planes}
    tables = {f"{name}PaletteColorLookupTableData": plane.astype(cells).tobytes() for name, plane in planes.items()}
    return {"PhotometricInterpretation": "PALETTE COLOR", **descriptors, **tables}


def make_curve(count: int, first: int, bits: int) -> list[Dataset]:
    entries = np.rint(np.linspace(0, 1, count) ** 1.7 * ((1 << bits) - 1)).astype(np.uint16)
    return [make_lut(entries, first, bits)]


def add_plane(header: Dataset, **elements: Any) -> Dataset:
    """An overlay: a frame along the border of the image."""
    mask = np.ones((SIZE, SIZE), bool)
    mask[9:-9, 9:-9] = False
    values: tuple[tuple[int, str, Any], ...] = (
        (0x10, "US", SIZE), (0x11, "US", SIZE), (0x40, "CS", "G"), (0x50, "SS", [1, 1]), (0x100, "US", 1),
        (0x102, "US", 0), (0x3000, "OW", np.packbits(mask, bitorder="little").tobytes()),
    )  # fmt: skip
    for element, vr, value in values:
        header.add_new(0x60000000 | element, vr, value)
    return header


TWELVE = {"BitsStored": 12, "HighBit": 11}
WINDOW = {"WindowCenter": "1000", "WindowWidth": "1500"}
HOUNSFIELD = {"RescaleSlope": "1", "RescaleIntercept": "-1024", "RescaleType": "HU"}


@dataclass(frozen=True)
class Case:
    """An image, what DCMTK is told to do with it, and what we are."""

    pixels: np.ndarray
    attributes: dict[str, Any] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    change: Callable[[Dataset], Dataset] = lambda header: header
    levels: int = 1


CASES = {
    "monochrome 2": Case(make_waves(0, 255), {}, WITHOUT_WINDOW),
    "monochrome 1": Case(make_waves(0, 255), {"PhotometricInterpretation": "MONOCHROME1"}, WITHOUT_WINDOW),
    "8 bits with a window": Case(make_waves(0, 255), {"WindowCenter": "100", "WindowWidth": "77"}, FIRST_WINDOW),
    "8 bits signed": Case(make_waves(-128, 127, np.int8), {}, WITHOUT_WINDOW),
    "12 bits": Case(make_waves(0, 4095, np.uint16), TWELVE, MIN_MAX),
    "12 bits above others": Case(make_waves(0, 4095, np.uint16) << 4, {"BitsStored": 12, "HighBit": 15}, MIN_MAX),
    "12 bits signed with a window": Case(
        make_waves(-2048, 2047, np.int16), {**TWELVE, "WindowCenter": "-40", "WindowWidth": "800"}, FIRST_WINDOW
    ),
    "16 bits": Case(make_waves(0, 65_535, np.uint16), {}, MIN_MAX),
    "16 bits signed": Case(make_waves(-32_768, 32_767, np.int16), {}, MIN_MAX),
    "16 bits signed, monochrome 1": Case(
        make_waves(-3_000, 3_000, np.int16), {"PhotometricInterpretation": "MONOCHROME1", **WINDOW}, FIRST_WINDOW
    ),
    "32 bits": Case(make_waves(0, 2_000_000_000, np.uint32), {}, MIN_MAX),
    "rescale": Case(make_waves(0, 4095, np.uint16), {**TWELVE, **HOUNSFIELD, **WINDOW}, FIRST_WINDOW),
    "rescale that falls": Case(
        make_waves(0, 4095, np.uint16), {**TWELVE, "RescaleSlope": "-0.5", "RescaleIntercept": "7"}, MIN_MAX
    ),
    "modality LUT": Case(
        make_waves(0, 4095, np.uint16),
        {**TWELVE, "ModalityLUTSequence": make_curve(4096, 0, 16), "WindowCenter": "30000", "WindowWidth": "40000"},
        FIRST_WINDOW,
    ),
    "VOI LUT": Case(make_waves(0, 255), {"VOILUTSequence": make_curve(256, 0, 8)}, FIRST_LUT),
    "VOI LUT of 12 bits over part of the range": Case(
        make_waves(0, 4095, np.uint16), {**TWELVE, "VOILUTSequence": make_curve(2000, 1000, 12)}, FIRST_LUT
    ),
    "VOI LUT after rescale": Case(
        make_waves(0, 4095, np.uint16),
        {**TWELVE, **HOUNSFIELD, "VOILUTSequence": make_curve(3000, -1000, 16)},
        FIRST_LUT,
    ),
    "sigmoid": Case(
        make_waves(0, 4095, np.uint16), {**TWELVE, **WINDOW, "VOILUTFunction": "SIGMOID"}, [*FIRST_WINDOW, "+Wfs"]
    ),
    "presentation LUT shape": Case(
        make_waves(0, 255), {"PresentationLUTShape": "INVERSE"}, [*WITHOUT_WINDOW, "+Piv"]
    ),
    "palette": Case(make_waves(0, 255), make_palette(8)),
    "palette of 16 bits": Case(make_waves(0, 255), make_palette(16)),
    "RGB": Case(make_colours()),
    "RGB by plane": Case(np.ascontiguousarray(make_colours().transpose(2, 0, 1)), {"PlanarConfiguration": 1}),
    # DCMTK cuts both chroma terms of green off before it adds them; real YBR below agrees within one level
    "YBR_FULL": Case(make_colours(), {"PhotometricInterpretation": "YBR_FULL"}, levels=2),
    "YBR_FULL_422": Case(make_subsampled(), {"PhotometricInterpretation": "YBR_FULL_422"}, levels=2),
    "overlay": Case(make_waves(0, 200), {}, WITHOUT_WINDOW, change=add_plane),
    "window of the request": Case(
        make_waves(0, 4095, np.uint16), {**TWELVE, **WINDOW}, ["+Ww", "500", "100"], {"window": Window(500, 100)}
    ),
    "sigmoid of the request": Case(
        make_waves(0, 4095, np.uint16), TWELVE, ["+Ww", "500", "900", "+Wfs"],
        {"window": Window(500, 900, VoiFunction.SIGMOID)},
    ),
    "flips": Case(
        make_waves(0, 255), {}, [*WITHOUT_WINDOW, "+Lhv"],
        {"viewport": Viewport(SIZE, SIZE, SourceRegion(flip_horizontally=True, flip_vertically=True))},
    ),
    "source region": Case(
        make_waves(0, 255), {}, [*WITHOUT_WINDOW, "+C", "10", "20", "30", "40"],
        {"viewport": Viewport(30, 40, SourceRegion(10, 20, 30, 40))},
    ),
}  # fmt: skip


def describe(case: Case) -> Dataset:
    """A header of the true size, however the samples are laid out."""
    shape = np.zeros((SIZE, SIZE, 3), np.uint8) if case.pixels.ndim == 3 else case.pixels
    return case.change(make_header(shape, **case.attributes))


@pytest.mark.parametrize("name", CASES)
def test_each_feature(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    header = describe(case)
    path = write_file(tmp_path / "image.dcm", header, case.pixels)
    theirs = render_by_dcmtk(path, *case.options, target=tmp_path / "image.png")
    assert theirs is not None
    source = FrameSource(encode_header(header), "1.2.840.10008.1.2.1", case.pixels.tobytes())
    ours = render_pixels(source, **case.parameters)
    assert len(np.unique(ours)) > 1
    assert measure_agreement(ours, theirs, case.levels) >= 0.99


def test_pixels_that_are_not_square_have_the_same_size(tmp_path: Path) -> None:
    pixels = make_waves(0, 255)
    header = make_header(pixels, PixelAspectRatio=["3", "2"])
    path = write_file(tmp_path / "image.dcm", header, pixels)
    theirs = render_by_dcmtk(path, *WITHOUT_WINDOW, "+Sxf", "1", target=tmp_path / "image.png")
    ours = render_pixels(FrameSource(encode_header(header), "1.2.840.10008.1.2.1", pixels.tobytes()))
    assert theirs is not None
    assert ours.shape == theirs.shape[:2] == (SIZE * 3 // 2, SIZE)


# --- presentation states ---

CT = {**TWELVE, **HOUNSFIELD}
STATE = {"RescaleSlope": "1", "RescaleIntercept": "-1024", "RescaleType": "HU", "PresentationLUTShape": "IDENTITY"}
SOFT_TISSUE = {"SoftcopyVOILUTSequence": [make_item(WindowCenter="400", WindowWidth="900")]}


def make_displayed_area() -> dict[str, list[Dataset]]:
    item = make_item(
        DisplayedAreaTopLeftHandCorner=[1, 1], DisplayedAreaBottomRightHandCorner=[SIZE, SIZE],
        PresentationSizeMode="SCALE TO FIT", PresentationPixelSpacing=["1", "1"],
    )  # fmt: skip
    return {"DisplayedAreaSelectionSequence": [item]}


STATES: dict[str, dict[str, Any]] = {
    "window": {**STATE, **SOFT_TISSUE},
    "whole range": STATE,
    "inverse": {**STATE, **SOFT_TISSUE, "PresentationLUTShape": "INVERSE"},
    "no modality LUT": {"PresentationLUTShape": "IDENTITY", **SOFT_TISSUE},
    "VOI LUT": {**STATE, "SoftcopyVOILUTSequence": [make_item(VOILUTSequence=make_curve(2000, -500, 12))]},
    "presentation LUT": {**STATE, "PresentationLUTSequence": make_curve(4096, 0, 16)} | SOFT_TISSUE,
    "modality LUT": {"ModalityLUTSequence": make_curve(4096, 0, 16), "PresentationLUTShape": "IDENTITY"},
    "turned": {**STATE, **SOFT_TISSUE, "ImageRotation": 90, "ImageHorizontalFlip": "N"},
    "turned and flipped": {**STATE, **SOFT_TISSUE, "ImageRotation": 270, "ImageHorizontalFlip": "Y"},
}  # fmt: skip
STATES["presentation LUT"].pop("PresentationLUTShape")


@pytest.mark.parametrize("name", STATES)
def test_presentation_states(name: str, tmp_path: Path) -> None:
    pixels = make_waves(0, 4095, np.uint16)
    image = make_header(pixels, **CT, StudyInstanceUID="1.2.1", SeriesInstanceUID="1.2.2")
    image_path = write_file(tmp_path / "image.dcm", image, pixels)
    state = complete_state(STATES[name], image)
    state_path = write_file(tmp_path / "state.dcm", state)
    command = [find_program("dcmp2pgm"), "-q", "-p", str(state_path), str(image_path), str(tmp_path / "state.pgm")]
    subprocess.run(command, capture_output=True, timeout=60, check=True)
    with Image.open(tmp_path / "state.pgm") as picture:
        theirs = np.asarray(picture.convert("RGB"))
    source = FrameSource(encode_header(image), "1.2.840.10008.1.2.1", pixels.tobytes())
    ours = render_pixels(source, presentation_state=encode_header(state))
    assert measure_agreement(ours, theirs) >= 0.99


def complete_state(attributes: dict[str, Any], image: Dataset) -> Dataset:
    """What dcmp2pgm demands of a state (PS3.3 §A.33.1)."""
    instance = make_item(
        ReferencedSOPClassUID=image.SOPClassUID, ReferencedSOPInstanceUID=image.SOPInstanceUID
    )  # fmt: skip
    series = make_item(SeriesInstanceUID="1.2.2", ReferencedImageSequence=[instance])
    head = {
        "StudyInstanceUID": "1.2.1", "SeriesInstanceUID": "1.2.8", "Modality": "PR", "PatientName": "A",
        "PatientID": "1",
        "StudyDate": "", "StudyTime": "", "ReferringPhysicianName": "", "StudyID": "", "AccessionNumber": "",
        "PatientBirthDate": "", "PatientSex": "", "SeriesNumber": "1", "InstanceNumber": "1", "Manufacturer": "",
        "ContentLabel": "TEST", "ContentDescription": "", "ContentCreatorName": "",
        "PresentationCreationDate": "20240101", "PresentationCreationTime": "120000",
        "ReferencedSeriesSequence": [series],
    }  # fmt: skip
    classes = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.11.1", "SOPInstanceUID": "1.2.3.9"}
    return make_item(**classes, **head, **make_displayed_area(), **attributes)


# --- real files ---

BROKEN = {"MR_truncated.dcm", "truncated_pixeldata.dcm", "badVR.dcm"}
"""What DCMTK makes a picture of and we refuse: cut short, or no number of frames."""


def choose_options(header: Dataset) -> list[str]:
    """How dcmj2pnm is told to do what we do by default."""
    if not str(header.get("PhotometricInterpretation", "")).startswith("MONOCHROME"):
        return []
    if header.get("WindowWidth") not in (None, ""):
        return FIRST_WINDOW
    if "VOILUTSequence" in header:
        return FIRST_LUT
    return WITHOUT_WINDOW if header.BitsStored <= 8 and "RescaleSlope" not in header else MIN_MAX


def is_comparable(header: Dataset) -> bool:
    """Whether both sides mean the same by default.

    DCMTK shows segmentations as gray, ignores supplemental palettes, windows of functional groups and padding, and
    swaps words of 32 bits by halves; pixels that are not square are scaled here and not there.
    """
    spacing = header.get("PixelSpacing") or header.get("PixelAspectRatio") or [1, 1]
    reasons = (
        is_segmentation(header),
        "PerFrameFunctionalGroupsSequence" in header,
        "PixelPaddingValue" in header and "WindowWidth" not in header,
        header.get("PixelPresentation") == "COLOR",
        header.get("BitsAllocated") == 32 and not header.file_meta.TransferSyntaxUID.is_little_endian,
        header.get("BitsAllocated") == 8 and header.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.2",
        float(spacing[0]) != float(spacing[1]),
    )
    return not any(reasons)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_samples(tmp_path: Path) -> None:
    """Every sample that both sides render: some 30 of pydicom's, and five times as many where others lie beside."""
    compared, apart, refused = 0, [], set()
    for path in sample_files():
        try:
            header = pydicom.dcmread(path)
            source = read_frame_source(path)
        except Exception:
            continue  # no image, or no DICOM at all
        if not is_comparable(header) or len(source.frame) > 700_000:
            continue
        theirs = render_by_dcmtk(path, *choose_options(header), target=tmp_path / "image.png")
        if theirs is None:
            continue  # JPEG 2000 and others that it does not know
        try:
            ours = render_pixels(source)
        except ImagingFailed:
            refused.add(path.name)
            continue
        compared += 1
        if measure_agreement(ours, theirs) < 0.99:
            apart.append(f"{path.name}: {measure_agreement(ours, theirs):.3f}")
    assert compared >= 25
    assert apart == []
    assert refused <= BROKEN
