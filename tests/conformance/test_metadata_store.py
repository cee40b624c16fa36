"""Store of metadata and bulk data, one case per statement of PS3.18 §8.6.1.2, §8.7.3, §10.5 and Annexes F and I."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit

from gateway.sandbox import SandboxArchive
from tests.conformance.test_store import CT_CLASS, FAILED, OTHER, SCHEMA, STORED, STUDY, reasons, stored_uids
from tests.support.conformance_site import Site, open_site
from tests.support.metadata_uploads import (
    JSON,
    XML,
    Bulk,
    Upload,
    data_elements,
    frame_parts,
    make_body,
    metadata_type,
    split_off_bulk,
)
from tests.support.reference_model import build_xml
from tests.support.small_archive import make_instance, write_small_archive
from tests.support.web_client import WebResponse

SERIES = f"{STUDY}.1"
ANY_SYNTAX = 'multipart/related; type="application/dicom"; transfer-syntax=*'
ROOTS = [JSON, XML]


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[SandboxArchive]:
    """An empty archive."""
    with SandboxArchive(tmp_path / "shelf") as shelf:
        yield shelf


@pytest.fixture
def store_site(shelf: SandboxArchive) -> Iterator[Site]:
    with open_site(shelf) as site:
        yield site


def an_image(number: int = 1, **attributes: Any) -> Dataset:
    """A CT of 32 x 32 pixels with one of everything."""
    image = make_instance(f"{SERIES}.{number}", PatientID="P", PatientName="Doe^Jane", **attributes)
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows = image.Columns = 32
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.WindowCenter, image.ImageType = ["40", "80.50"], ["ORIGINAL", "PRIMARY", ""]
    image.FrameIncrementPointer = 0x00181063
    image.ReferencedImageSequence = [make_instance("1.2.3.4.5"), Dataset()]
    block = image.private_block(0x0029, "CONFORMANCE", create=True)
    block.add_new(1, "OB", bytes(range(256)) * 8)
    block.add_new(2, "FD", [0.1, -1e300])
    image.add_new(0x7FE00010, "OW", bytes(range(256)) * 8)
    return image


def post(site: Site, body: bytes, root: str = JSON, path: str = "/studies", accept: str = JSON) -> WebResponse:
    return site.send("POST", path, accept, body=body, Content_Type=metadata_type(root))


def fetch(site: Site, number: int = 1) -> Dataset:
    """An instance as the archive has it."""
    (part,) = site.get(f"/studies/{STUDY}/series/{SERIES}/instances/{SERIES}.{number}", ANY_SYNTAX).parts
    return dcmread(BytesIO(part.body))


def expected_of(upload: Upload, number: int = 0) -> Dataset:
    """What pydicom makes of the same model and bulk data."""
    values = {part.location: part.data for part in upload.parts}
    return Dataset.from_json(upload.models[number], lambda _tag, _vr, uri: values[uri])


# --- what is stored ---


@pytest.mark.parametrize("path", ["/studies", f"/studies/{STUDY}"])
@pytest.mark.parametrize("root", ROOTS)
def test_the_data_set_is_that_of_metadata_and_bulk_data(store_site: Site, root: str, path: str) -> None:
    """§10.5.1.4, F.2, A.1: what is stored equals what pydicom reads from the same model."""
    upload = split_off_bulk(an_image())
    assert len(upload.parts) == 2
    response = post(store_site, upload.body(root), root, path)
    assert (response.status, stored_uids(response)) == (200, ["8.1.1"])
    stored = fetch(store_site)
    assert data_elements(stored) == data_elements(expected_of(upload)) == data_elements(an_image())
    meta = stored.file_meta
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (CT_CLASS, f"{SERIES}.1")
    assert meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"


@pytest.mark.parametrize("root", ROOTS)
def test_several_instances_and_bulk_data_in_any_order(store_site: Site, root: str) -> None:
    """§10.5.1.4: a JSON array, or an XML document a part; bulk parts after the metadata in any order."""
    uploads = [split_off_bulk(an_image(number, InstanceNumber=number), prefix=f"b{number}") for number in (1, 2, 3)]
    whole = Upload([it.models[0] for it in uploads], [part for it in uploads for part in it.parts])
    response = post(store_site, whole.body(root, random.Random(5)), root)
    assert (response.status, stored_uids(response)) == (200, ["8.1.1", "8.1.2", "8.1.3"])
    for number in (1, 2, 3):
        assert data_elements(fetch(store_site, number)) == data_elements(an_image(number, InstanceNumber=number))


@pytest.mark.parametrize("reference", ["bulk/1", "/dicomweb/bulk/1", "absolute", "?x=1", "urn:uuid:1-2", "http://[x"])
def test_locations_are_relative_to_the_request(store_site: Site, reference: str) -> None:
    """§8.6.1.2: the reference is compared with Content-Location, both resolved."""
    absolute = f"{store_site.url}/bulk/1"
    uri = absolute if reference == "absolute" else reference
    location = "bulk/1" if reference in ("/dicomweb/bulk/1", "absolute") else reference
    upload = split_off_bulk(an_image())
    upload.models[0]["7FE00010"]["BulkDataURI"] = uri
    upload.parts = [upload.parts[0], Bulk(location, upload.parts[1].data)]
    assert post(store_site, upload.body()).status == 200


@pytest.mark.parametrize("root", ROOTS)
def test_inline_binary_and_a_single_part(store_site: Site, root: str) -> None:
    """F.2.7, §8.6.1.1: values inline, so that the metadata alone can be the body."""
    model = an_image().to_json_dict(10**9)
    document = json.dumps([model]).encode() if root == JSON else build_xml(model)
    response = store_site.send("POST", "/studies", JSON, body=document, Content_Type=f"{root}; charset=utf-8")
    assert response.status == 200
    assert data_elements(fetch(store_site)) == data_elements(an_image())


@pytest.mark.parametrize("numbered", [False, True])
@pytest.mark.parametrize("root", ROOTS)
def test_compressed_multi_frame_pixel_data(store_site: Site, tmp_path: Path, root: str, numbered: bool) -> None:
    """Table 10.5.4-1, §8.7.3.3: a part for each frame; the media type tells the transfer syntax."""
    (sample,) = [path for path in write_small_archive(tmp_path) if _syntax_of(path) == JPEG2000Lossless]
    image = dcmread(sample)
    model = image.to_json_dict(10**9) | {"7FE00010": {"vr": "OW", "BulkDataURI": "pixels"}}
    upload = Upload([model], frame_parts("pixels", image.PixelData, 3, "image/jp2", numbered=numbered))
    response = post(store_site, upload.body(root, random.Random(1)), root)
    assert response.status == 200
    url = response.json[STORED]["Value"][0]["00081190"]["Value"][0].removeprefix(store_site.url)
    (part,) = store_site.get(url, ANY_SYNTAX).parts
    stored = dcmread(BytesIO(part.body))
    assert stored.file_meta.TransferSyntaxUID == JPEG2000Lossless
    assert stored["PixelData"].VR == "OB"
    frames = [list(generate_frames(it.PixelData, number_of_frames=3)) for it in (stored, image)]
    assert frames[0] == frames[1]
    back = store_site.get(f"{url}/frames/1,2,3", 'multipart/related; type="image/jp2"')
    assert [it.body for it in back.parts] == frames[1]


def _syntax_of(path: Path) -> str:
    return str(dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID)


def test_an_encapsulated_document(store_site: Site) -> None:
    """Table 10.5.4-1: its part is of the MIME Type of Encapsulated Document."""
    document = make_instance(
        f"{SERIES}.1", "1.2.840.10008.5.1.4.1.1.104.1", MIMETypeOfEncapsulatedDocument="application/pdf"
    )
    model = document.to_json_dict() | {"00420011": {"vr": "OB", "BulkDataURI": "pdf"}}
    response = post(store_site, Upload([model], [Bulk("pdf", b"%PDF-1.7 x", "application/pdf")]).body())
    assert response.status == 200
    assert fetch(store_site).EncapsulatedDocument == b"%PDF-1.7 x"


@pytest.mark.parametrize("kind", ["PNG", "GIF", "JPEG"])
def test_consumer_images_describe_themselves(store_site: Site, kind: str) -> None:
    """Table 10.5.2-1: PNG and GIF are transformed, JPEG is kept; the Image Pixel Description may be left out."""
    picture = Image.linear_gradient("L").resize((40, 30)).convert("RGB" if kind == "JPEG" else "L")
    buffer = BytesIO()
    picture.save(buffer, kind)
    model = make_instance(f"{SERIES}.1", "1.2.840.10008.5.1.4.1.1.7", PatientID="P").to_json_dict()
    model["7FE00010"] = {"vr": "OB", "BulkDataURI": "picture"}
    body = Upload([model], [Bulk("picture", buffer.getvalue(), f"image/{kind.lower()}")]).body()
    assert post(store_site, body).status == 200
    stored = fetch(store_site)
    assert (stored.Rows, stored.Columns, stored.BitsAllocated, stored.BitsStored) == (30, 40, 8, 8)
    if kind == "JPEG":
        assert (stored.file_meta.TransferSyntaxUID, stored.LossyImageCompression) == (JPEGBaseline8Bit, "01")
        (frame,) = generate_frames(stored.PixelData, number_of_frames=1)
        assert frame.rstrip(b"\0") == buffer.getvalue()
    else:
        expected = picture if kind == "PNG" else picture.convert("RGB")
        assert stored.SamplesPerPixel == len(expected.getbands())
        assert stored.PixelData == expected.tobytes()


CHARACTER_SETS = [  # what the metadata names, the name, what is stored
    (None, "Doe^Jane", None),
    (None, "山田^太郎", "ISO_IR 192"),
    ("ISO_IR 192", "Müller^山田", "ISO_IR 192"),
    ("ISO_IR 100", "Müller^Anna", "ISO_IR 100"),
    ("ISO_IR 100", "山田^太郎", "ISO_IR 192"),
]


@pytest.mark.parametrize(("named", "name", "stored"), CHARACTER_SETS)
@pytest.mark.parametrize("root", ROOTS)
def test_character_sets(store_site: Site, root: str, named: str | None, name: str, stored: str | None) -> None:
    """F.2, A.1.5: the text is Unicode; (0008,0005) says what it is stored in."""
    model = an_image().to_json_dict(10**9) | {"00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]}}
    if named is not None:
        model["00080005"] = {"vr": "CS", "Value": [named]}
    assert post(store_site, Upload([model]).body(root), root).status == 200
    found = fetch(store_site)
    assert (str(found.PatientName), found.get("SpecificCharacterSet")) == (name, stored)


# --- the response ---


@pytest.mark.parametrize("root", ROOTS)
def test_the_response_module(store_site: Site, tmp_path: Path, root: str) -> None:
    """Tables I.1-1, 10.5.3-2: the same module as for instances, in JSON and in XML."""
    body = split_off_bulk(an_image()).body(root)
    study_url = f"{store_site.url}/studies/{STUDY}"
    instance_url = f"{study_url}/series/{SERIES}/instances/{SERIES}.1"
    response = post(store_site, body, root)
    assert (response.status, response.essence, response.header("Location")) == (200, JSON, study_url)
    item = {
        "00081150": {"vr": "UI", "Value": [CT_CLASS]},
        "00081155": {"vr": "UI", "Value": [f"{SERIES}.1"]},
        "00081190": {"vr": "UR", "Value": [instance_url]},
    }
    assert response.json == {
        "00081190": {"vr": "UR", "Value": [study_url]},
        "00081199": {"vr": "SQ", "Value": [item]},
    }
    in_xml = post(store_site, body, root, accept=XML)
    assert (in_xml.status, in_xml.essence) == (200, XML)
    document = tmp_path / "module.xml"
    document.write_bytes(in_xml.body)
    assert subprocess.run(["jing", "-c", SCHEMA, document], capture_output=True, check=False).returncode == 0
    values = [element.text for element in etree.fromstring(in_xml.body).iter("{*}Value")]
    assert values == [study_url, CT_CLASS, f"{SERIES}.1", instance_url]


def test_an_instance_of_another_study_fails(store_site: Site, shelf: SandboxArchive) -> None:
    """§10.5.1: 409 and A900 if none is of the study in the path; the others are stored if some are."""
    upload = split_off_bulk(an_image())
    response = post(store_site, upload.body(), path=f"/studies/{STUDY}.77")
    assert (response.status, reasons(response), len(shelf.index)) == (409, [0xA900], 0)
    other = make_instance(f"{STUDY}.77.1.1").to_json_dict()
    response = post(store_site, Upload([other, *upload.models], upload.parts).body(), path=f"/studies/{STUDY}")
    assert (response.status, reasons(response), stored_uids(response)) == (202, [0xA900], ["8.1.1"])


def test_failures_and_warnings_of_the_archive(store_site: Site) -> None:
    """Tables I.2-1, I.2-2: as for instances."""
    upload = split_off_bulk(an_image())
    with store_site.behaving(store_status=0xB000):
        response = post(store_site, upload.body())
        assert (response.status, response.json[STORED]["Value"][0]["00081196"]["Value"]) == (202, [0xB000])
    with store_site.behaving(store_status=0xA900):
        response = post(store_site, upload.body())
        assert (response.status, reasons(response)) == (409, [0xA900])
    model = upload.models[0] | {"00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.31"]}}
    response = post(store_site, Upload([model], upload.parts).body())
    assert (response.status, reasons(response)) == (409, [0x0122])


# --- what is refused as a whole ---


def _missing(upload: Upload) -> bytes:
    return Upload(upload.models, upload.parts[:-1]).body()


def _surplus(upload: Upload) -> bytes:
    return Upload(upload.models, [*upload.parts, Bulk("x", b"xx")]).body()


def _among_others(upload: Upload) -> bytes:
    other = split_off_bulk(an_image(2), prefix="other")
    return Upload([*upload.models, *other.models], [*upload.parts, *other.parts[:-1]]).body()


def _without_closing_boundary(upload: Upload) -> bytes:
    return upload.body()[:-8]


def _bad_value(upload: Upload) -> bytes:
    return Upload([upload.models[0] | {"00280010": {"vr": "US", "Value": [-5]}}], upload.parts).body()


def _bad_vr(upload: Upload) -> bytes:
    return Upload([upload.models[0] | {"00280010": {"vr": "XX", "Value": [5]}}], upload.parts).body()


def _twice(upload: Upload) -> bytes:
    text = json.dumps(upload.models).replace('"00280010"', '"00280011": {"vr": "US"}, "00280010"')
    return make_body([(JSON, text.encode())], upload.parts)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_missing, "7FE00010"),
        (_surplus, "no metadata refers"),
        (_among_others, "7FE00010 of instance 2"),
        (_without_closing_boundary, "closing boundary"),
        (_bad_value, "00280010"),
        (_bad_vr, "00280010"),
        (_twice, "twice"),
    ],
)
def test_a_message_that_is_not_whole_is_400(store_site: Site, shelf: SandboxArchive, make: Any, words: str) -> None:
    """§10.5.1.4 (Sup 163 §6.6.1.1.2): as many bulk parts as URIs, else the whole message is invalid."""
    response = post(store_site, make(split_off_bulk(an_image())))
    assert response.status == 400
    assert words in response.json["detail"]
    assert len(shelf.index) == 0


def test_limits_are_413(shelf: SandboxArchive) -> None:
    """§8.5: metadata in memory and bulk data on disk are limited."""
    upload = split_off_bulk(an_image())
    with open_site(shelf, store={"max_spool_bytes": 1000}) as site:
        response = post(site, upload.body())
        assert (response.status, "1000" in response.json["detail"]) == (413, True)
    with open_site(shelf, store={"max_metadata_bytes": 65_536}) as site:
        large = upload.models[0] | {"00104000": {"vr": "LT", "Value": ["x" * 70_000]}}
        assert post(site, Upload([large], upload.parts).body()).status == 413
    with open_site(shelf, store={"max_instances": 1}) as site:
        inline = [an_image(number).to_json_dict(10**9) for number in (1, 2)]
        response = post(site, Upload(inline).body())
        assert (response.status, stored_uids(response), reasons(response, OTHER)) == (202, ["8.1.1"], [0xA700])
    assert FAILED not in response.json


def test_no_room_on_the_disk_is_503(shelf: SandboxArchive, tmp_path: Path) -> None:
    """§8.5: out of resources."""
    upload = split_off_bulk(an_image(PatientComments="x"))
    upload.models[0]["00283006"] = {"vr": "OW", "BulkDataURI": "lut"}
    upload.parts.insert(0, Bulk("lut", bytes(400_000)))
    with open_site(shelf, store={"spool_folder": str(tmp_path / "missing")}) as site:
        assert post(site, upload.body()).status == 503
    assert len(shelf.index) == 0
