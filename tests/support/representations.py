"""The tables of PS3.18 §8.7.3, §8.7.4 and §10.4.4 as cells: what is asked of which resource, and what must come.

One instance of each Resource Category; the cells hold for whatever archive they are in. A cell that the gateway does
not serve names the refusal that its conformance statement documents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    TwelveLeadECGWaveformStorage,
    UltrasoundMultiFrameImageStorage,
    VideoPhotographicImageStorage,
)

from tests.support.conformance_site import Service
from tests.support.small_archive import encode_file, make_instance
from tests.support.web_client import WebResponse

__all__ = ["CELLS", "WORKED", "Cell", "check_cell", "write_categories"]

ROOT = "1.2.826.0.1.3680043.8.498.40"
PREFIX = "1.2.840.10008.1.2"
EXPLICIT = str(ExplicitVRLittleEndian)
STUDY = f"/studies/{ROOT}.1"


def _path(series: int) -> str:
    return f"{STUDY}/series/{ROOT}.1.{series}/instances/{ROOT}.1.{series}.1"


SINGLE, MULTI, VIDEO, PDF, REPORT, OTHER = map(_path, range(1, 7))
SIDE, FRAME_COUNT = 16, 3
FRAME_PIXELS = [
    bytes((row * 15 + column + 40 * frame) % 256 for row in range(SIDE) for column in range(SIDE))
    for frame in range(FRAME_COUNT)
]
"""Native pixels of each frame; the image with one frame has the first."""
STREAM = b"\0\0\1\xb3" + bytes(range(256)) * 8
DOCUMENT = b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n" + b"% padding\n" * 200
LEAD = bytes(range(250)) * 8


def write_categories(folder: Path) -> list[Path]:
    """Write one instance of each category, all of one study."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for instance, syntax in _iter_instances():
        instance.PatientName, instance.PatientID, instance.StudyDate = "Category^One", "R-1", "20240301"
        instance.StudyTime, instance.AccessionNumber, instance.StudyID = "120000", "A-1", "1"
        paths.append(folder / f"{instance.SOPInstanceUID}.dcm")
        paths[-1].write_bytes(encode_file(instance, syntax))
    return paths


def _iter_instances() -> Iterator[tuple[Dataset, str]]:
    uids = [path.rpartition("/")[2] for path in (SINGLE, MULTI, VIDEO, PDF, REPORT, OTHER)]
    single = make_instance(uids[0], SecondaryCaptureImageStorage, Modality="OT", ConversionType="WSD")
    yield _with_pixels(single, FRAME_PIXELS[:1]), EXPLICIT
    multi = make_instance(uids[1], UltrasoundMultiFrameImageStorage, Modality="US")
    yield _with_pixels(multi, FRAME_PIXELS), EXPLICIT
    video = _with_pixels(make_instance(uids[2], VideoPhotographicImageStorage, Modality="ES"), FRAME_PIXELS)
    video.PixelData = encapsulate([STREAM])
    video["PixelData"].is_undefined_length = True
    yield video, str(MPEG2MPML)
    document = make_instance(uids[3], EncapsulatedPDFStorage, Modality="DOC", DocumentTitle="letter")
    document.EncapsulatedDocument, document.MIMETypeOfEncapsulatedDocument = DOCUMENT, "application/pdf"
    yield document, EXPLICIT
    report = make_instance(uids[4], ComprehensiveSRStorage, Modality="SR", ValueType="CONTAINER")
    report.ContinuityOfContent = "SEPARATE"
    report.ConceptNameCodeSequence = [_code("121071", "DCM", "Finding")]
    text = Dataset()
    text.RelationshipType, text.ValueType, text.TextValue = "CONTAINS", "TEXT", "nothing unusual"
    text.ConceptNameCodeSequence = [_code("121071", "DCM", "Finding")]
    report.ContentSequence = [text]
    report.CompletionFlag, report.VerificationFlag = "COMPLETE", "UNVERIFIED"
    yield report, EXPLICIT
    other = make_instance(uids[5], TwelveLeadECGWaveformStorage, Modality="ECG")
    lead = Dataset()
    lead.NumberOfWaveformChannels, lead.NumberOfWaveformSamples, lead.SamplingFrequency = 1, 1000, 500
    lead.WaveformBitsAllocated, lead.WaveformSampleInterpretation = 16, "SS"
    lead.WaveformData = LEAD
    lead["WaveformData"].VR = "OW"
    other.WaveformSequence = [lead]
    yield other, EXPLICIT


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _with_pixels(instance: Dataset, frames: list[bytes]) -> Dataset:
    instance.SamplesPerPixel, instance.PhotometricInterpretation = 1, "MONOCHROME2"
    instance.Rows = instance.Columns = SIDE
    instance.BitsAllocated = instance.BitsStored = 8
    instance.HighBit, instance.PixelRepresentation = 7, 0
    if len(frames) > 1:
        instance.NumberOfFrames, instance.FrameTime = len(frames), "40"
        instance.FrameIncrementPointer = 0x00181063
    instance.add_new(0x7FE00010, "OB", b"".join(frames))
    return instance


@dataclass(frozen=True, slots=True)
class Cell:
    """One question and its answer.

    Parameters
    ----------
    path, accept
        What is asked; `accept` None for no header.
    status
        200, or the documented refusal.
    content_type
        Of the parts of a multipart, or of the whole; parameters that are not named may be there.
    count
        Parts of a multipart; 0 for a single part.
    """

    path: str
    accept: str | None
    status: int
    content_type: str = ""
    count: int = 0

    def __str__(self) -> str:
        place = self.path.replace(ROOT, "").replace("/studies/.1", "S")
        return f"{place} {(self.accept or 'nothing').replace(PREFIX, '')}"


def check_cell(service: Service, cell: Cell) -> None:
    """Ask, and fail where the answer is another than the table has."""
    response = service.get(cell.path, cell.accept)
    assert response.status == cell.status, response.body[:500]
    if cell.status != 200:
        assert str(cell.status) in response.body.decode()  # the report is in a form that the client takes
        return
    if cell.count:
        assert response.essence == "multipart/related"
        types = [part.content_type for part in response.parts]
        assert len(types) == cell.count
    else:
        types = [response.header("Content-Type")]
    for found in types:
        assert (
            found == cell.content_type
            or found.startswith((cell.content_type + ";", cell.content_type + ","))
            or (not cell.content_type)
        ), types
    _check_pixels(cell, response)


def _check_pixels(cell: Cell, response: WebResponse) -> None:
    """Octets of frames are the pixels themselves."""
    if "/frames/" in cell.path and cell.content_type.startswith(OCTETS):
        numbers = [int(number) for number in cell.path.rpartition("/")[2].split(",")]
        bodies = [part.body for part in response.parts] if cell.count else [response.body]
        assert bodies == [FRAME_PIXELS[number - 1] for number in numbers]


def _multipart(essence: str, syntax: str = "") -> str:
    return f'multipart/related; type="{essence}"' + (f"; transfer-syntax={syntax}" if syntax else "")


# --- Table 8.7.3-2: application/dicom ---

MADE = {  # transfer syntaxes that eight-bit images are converted into
    f"{PREFIX}.{suffix}"
    for suffix in ("1 1.98 1.99 5 8.1 4.50 4.51 4.57 4.70 4.80 4.81 4.90 4.91 4.110 4.112 4.201 4.202 4.203".split())
}
# documented: what never leaves, JPEG 2000 Part 2, recompression of what is no JPEG, video, JPIP, what is unknown
NOT_MADE = {
    f"{PREFIX}{suffix}"
    for suffix in (
        " .2 .4.92 .4.93 .4.111 .4.100 .4.100.1 .4.101 .4.101.1 .4.102 .4.102.1 .4.103 .4.103.1 .4.104 .4.104.1"
        " .4.105 .4.105.1 .4.106 .4.106.1 .4.107 .4.108 .4.94 .4.999"
    ).split(" ")
}


def _list_instance_cells() -> Iterator[Cell]:
    dicom = "application/dicom"
    for path in (SINGLE, MULTI):
        for syntax in sorted(MADE):
            yield Cell(path, _multipart(dicom, syntax), 200, f"{dicom}; transfer-syntax={syntax}", 1)
        for syntax in sorted(NOT_MADE):
            yield Cell(path, _multipart(dicom, syntax), 406)
    for path in (PDF, REPORT, OTHER):  # without pixels each syntax says the same, but only the native ones are for them
        yield Cell(path, _multipart(dicom), 200, f"{dicom}; transfer-syntax={EXPLICIT}", 1)
    yield Cell(VIDEO, _multipart(dicom, "*"), 200, f"{dicom}; transfer-syntax={MPEG2MPML}", 1)
    yield Cell(VIDEO, _multipart(dicom, MPEG2MPML), 200, f"{dicom}; transfer-syntax={MPEG2MPML}", 1)
    yield Cell(VIDEO, _multipart(dicom), 200, f"{dicom}; transfer-syntax={MPEG2MPML}", 1)  # §8.7.3.1: lossy only
    yield Cell(VIDEO, _multipart(dicom, EXPLICIT), 406)
    yield Cell(SINGLE, f"{dicom}; transfer-syntax={PREFIX}.4.80", 200, f"{dicom}; transfer-syntax={PREFIX}.4.80")
    for path, count in ((STUDY, 6), (SINGLE.partition("/instances")[0], 1)):
        yield Cell(path, dicom, 406)
        yield Cell(path, _multipart(dicom, "*"), 200, dicom, count)
        yield Cell(path, "application/zip", 200, "application/zip")
    yield Cell(SINGLE, "application/zip", 200, "application/zip")
    yield Cell(SINGLE, f"application/zip; transfer-syntax={PREFIX}.4.102", 406)


# --- Table 8.7.3-3: metadata ---


def _list_metadata_cells() -> Iterator[Cell]:
    json, xml = "application/dicom+json", "application/dicom+xml"
    for path, count in ((STUDY, 6), (SINGLE.partition("/instances")[0], 1), (SINGLE, 1)):
        for accept in (None, "*/*", "application/*", json):
            yield Cell(f"{path}/metadata", accept, 200, json)
        yield Cell(f"{path}/metadata", _multipart(xml), 200, xml, count)
        yield Cell(f"{path}/metadata", "image/jpeg", 406)
        yield Cell(f"{path}/metadata", _multipart("application/octet-stream"), 406)
        yield Cell(f"{path}/metadata", f"{json}, image/png", 400)
        yield Cell(f"{path}/metadata", xml, 200 if path == SINGLE else 406, xml if path == SINGLE else "")


# --- Tables 8.7.3-4 and 8.7.3-5: frames, pixel data, bulk data ---

OCTETS = "application/octet-stream"
BULK_TYPES = {  # media type → transfer syntaxes, the default first; those in NOT_MADE are refused
    OCTETS: ["1"],
    "image/jpeg": ["4.70", "4.50", "4.51", "4.57"],
    "image/dicom-rle": ["5"],
    "image/jls": ["4.80", "4.81"],
    "image/jp2": ["4.90", "4.91"],
    "image/jpx": ["4.92", "4.93"],
    "image/jphc": ["4.201", "4.202", "4.203"],
    "image/jxl": ["4.110", "4.111", "4.112"],
    "video/mpeg": ["4.101", "4.100"],
    "video/mp4": ["4.102"],
    "video/H265": ["4.107", "4.108"],
}


def _list_frame_cells() -> Iterator[Cell]:
    for essence, suffixes in BULK_TYPES.items():
        for place, suffix in enumerate(suffixes):
            syntax = f"{PREFIX}.{suffix}"
            status = 406 if syntax in NOT_MADE else 200
            sent = f"{essence}; transfer-syntax={syntax}" if status == 200 else ""
            wishes = [_multipart(essence, syntax), *([_multipart(essence)] if place == 0 else [])]
            for path, frames, count in ((SINGLE, "1", 1), (MULTI, "1,3", 2)):
                for wish in wishes:
                    yield Cell(f"{path}/frames/{frames}", wish, status, sent, count if sent else 0)
            yield Cell(f"{MULTI}/frames/2", f"{essence}; transfer-syntax={syntax}", status, sent)
    for path in (SINGLE, MULTI):
        yield Cell(f"{path}/frames/1,9", "*/*", 404)
    yield Cell(f"{MULTI}/frames/1,2", OCTETS, 406)
    yield Cell(f"{MULTI}/frames/2,1", "*/*", 400)
    for path in (PDF, REPORT, OTHER):
        yield Cell(f"{path}/frames/1", "*/*", 404)
    yield Cell(f"{VIDEO}/frames/1", "*/*", 406)


def _list_bulk_cells() -> Iterator[Cell]:
    octets = f"{OCTETS}; transfer-syntax={EXPLICIT}"
    video = f"video/mpeg; transfer-syntax={MPEG2MPML}"
    for below in ("bulkdata/7FE00010", "pixeldata", "bulkdata"):
        for path in (SINGLE, MULTI):
            yield Cell(f"{path}/{below}", _multipart(OCTETS), 200, octets, 1)
            yield Cell(f"{path}/{below}", "*/*", 200, octets, 1)
            yield Cell(f"{path}/{below}", _multipart("image/jls"), 406)
        yield Cell(f"{VIDEO}/{below}", _multipart(OCTETS, "*"), 200, video, 1)
    for below in ("bulkdata/7FE00010", "pixeldata"):
        yield Cell(f"{VIDEO}/{below}", _multipart("video/mpeg", str(MPEG2MPML)), 200, video, 1)
        yield Cell(f"{VIDEO}/{below}", _multipart(OCTETS, EXPLICIT), 406)
    yield Cell(f"{VIDEO}/bulkdata/7FE00010", "video/mpeg", 200, video)
    yield Cell(f"{SINGLE}/bulkdata/7FE00010", OCTETS, 200, octets)
    yield Cell(f"{PDF}/bulkdata/00420011", "application/pdf", 200, "application/pdf")
    yield Cell(f"{PDF}/bulkdata/00420011", _multipart("application/pdf"), 200, "application/pdf", 1)
    yield Cell(f"{PDF}/bulkdata/00420011", "*/*", 200, octets, 1)
    yield Cell(f"{PDF}/bulkdata", _multipart(OCTETS), 200, octets, 1)
    yield Cell(f"{OTHER}/bulkdata", _multipart(OCTETS), 200, octets, 1)
    yield Cell(f"{OTHER}/bulkdata/54000100/1/54001010", OCTETS, 200, octets)
    for path in (PDF, REPORT, OTHER):
        yield Cell(f"{path}/pixeldata", "*/*", 404)
    yield Cell(f"{REPORT}/bulkdata", "*/*", 404)
    for path, pixels, bulk in ((STUDY, 3, 5), (MULTI.partition("/instances")[0], 1, 1)):
        yield Cell(f"{path}/pixeldata", _multipart(OCTETS, "*"), 200, "", pixels)
        yield Cell(f"{path}/bulkdata", _multipart(OCTETS, "*"), 200, "", bulk)
        yield Cell(path, _multipart(OCTETS, "*"), 200, "", bulk)
        for below in ("pixeldata", "bulkdata"):
            yield Cell(f"{path}/{below}", OCTETS, 406)


# --- Table 8.7.4-1: rendered media types ---

PICTURES = ["image/jpeg", "image/gif", "image/png", "image/jp2", "image/jxl"]


def _list_rendered_cells() -> Iterator[Cell]:
    for path in (f"{SINGLE}/rendered", f"{MULTI}/frames/2/rendered", f"{SINGLE}/frames/1/rendered"):
        for essence in PICTURES:
            yield Cell(path, essence, 200, essence)
            yield Cell(path, _multipart(essence), 200, essence, 1)
        for accept in ("image/jph", "text/html", "video/mp4", "application/dicom+json"):
            yield Cell(path, accept, 406)
        for accept in (None, "*/*", "image/*"):
            yield Cell(path, accept, 200, "image/jpeg")
        yield Cell(path, "application/dicom, image/jpeg", 400)
    yield Cell(f"{MULTI}/rendered", "image/gif", 200, "image/gif")
    yield Cell(f"{MULTI}/rendered", _multipart("image/png"), 200, "image/png", FRAME_COUNT)
    for path in (REPORT, PDF):
        yield Cell(f"{path}/rendered", "image/jpeg", 406)
    for essence in ("text/html", "text/plain", "application/pdf"):
        yield Cell(f"{REPORT}/rendered", essence, 200, essence)
    for accept in (None, "*/*"):
        yield Cell(f"{REPORT}/rendered", accept, 200, "text/html")
    yield Cell(f"{PDF}/rendered", "application/pdf", 200, "application/pdf")
    yield Cell(f"{OTHER}/rendered", "*/*", 406)
    for path in (STUDY, SINGLE.partition("/instances")[0], SINGLE, f"{MULTI}/frames/1"):
        yield Cell(f"{path}/thumbnail", "image/jpeg", 200, "image/jpeg")
        yield Cell(f"{path}/thumbnail", "*/*", 200, "image/jpeg")


CELLS = {
    "instances": list(_list_instance_cells()),
    "metadata": list(_list_metadata_cells()),
    "frames": list(_list_frame_cells()),
    "bulk data": list(_list_bulk_cells()),
    "rendered": list(_list_rendered_cells()),
}
"""Every cell, by table."""

_SERIES = MULTI.partition("/instances")[0]
WORKED = [  # the examples that follow from §8.7.5 to §8.7.8
    Cell(f"{STUDY}/metadata", "*/*", 200, "application/dicom+json"),
    Cell(f"{STUDY}/metadata", "application/*", 200, "application/dicom+json"),
    Cell(f"{STUDY}/metadata", _multipart("application/dicom+xml"), 200, "application/dicom+xml", 6),
    Cell(f"{STUDY}/metadata", "application/dicom+xml", 406),
    Cell(f"{SINGLE}/metadata", "application/dicom+xml", 200, "application/dicom+xml"),
    Cell(
        f"{SINGLE}/metadata",
        f"application/dicom+json;q=0.1, {_multipart('application/dicom+xml')}",
        200,
        "application/dicom+xml",
        1,
    ),
    Cell(f"{SINGLE}/metadata", "application/dicom+json, image/jpeg", 200, "application/dicom+json"),  # read liberally
    Cell(_SERIES, "*/*", 200, f"application/dicom; transfer-syntax={EXPLICIT}", 1),
    Cell(STUDY, _multipart("application/dicom", "*"), 200, "application/dicom", 6),
    Cell(STUDY, "application/dicom", 406),
    Cell(SINGLE, "application/dicom", 200, f"application/dicom; transfer-syntax={EXPLICIT}"),
    Cell(f"{SINGLE}/frames/1", _multipart("image/jpeg"), 200, f"image/jpeg; transfer-syntax={PREFIX}.4.70", 1),
    Cell(f"{SINGLE}/frames/1", OCTETS, 200, f"{OCTETS}; transfer-syntax={EXPLICIT}"),
    Cell(f"{MULTI}/frames/1,2", OCTETS, 406),
    Cell(f"{SINGLE}/rendered", "image/png;q=0.5, image/jpeg", 200, "image/jpeg"),
    Cell(f"{REPORT}/rendered", "*/*", 200, "text/html"),
    Cell(f"{SINGLE}/rendered", "application/dicom+json", 406),
    Cell(f"{SINGLE}/rendered", f"image/jpeg; transfer-syntax={PREFIX}.4.50", 406),
    Cell(f"{SINGLE}/rendered?accept=image/png", "image/jpeg", 200, "image/jpeg"),  # the header's choice
    Cell("/studies", "*/*", 200, "application/dicom+json"),
]
