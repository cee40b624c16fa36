"""The Retrieve transaction, one case per statement of PS3.18 §8.6, §8.7 and §10.4; sections stand in the docstrings."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from tests.support.conformance_site import JSON, Site
from tests.support.small_archive import (
    BIG_ENDIAN,
    CT,
    CT_COUNT,
    CT_SERIES,
    CT_STUDY,
    IMPLICIT,
    JPEG,
    JPEG_2000,
    LOOP,
    REPORT,
    US_STUDY,
)
from tests.support.web_client import WebResponse

FILES = 'multipart/related; type="application/dicom"'
ANY_FILES = FILES + "; transfer-syntax=*"
XML = 'multipart/related; type="application/dicom+xml"'
OCTETS = 'multipart/related; type="application/octet-stream"'
EXPLICIT_LE, J2K, BASELINE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.50"
ANYTHING = [CT, IMPLICIT, LOOP, JPEG_2000, JPEG, REPORT, BIG_ENDIAN]
TARGETS = {  # path → how many instances are below it
    f"/studies/{CT_STUDY}": CT_COUNT + 2,
    f"/studies/{CT_STUDY}/series/{CT_SERIES}": CT_COUNT,
    CT: 1,
}
MAY_BE_BULK = set("DS FL FD IS LT OB OD OF OL OV OW SL SS ST SV UC UL UN US UT UV".split())
SCHEMA = Path(__file__).parents[1] / "data" / "native-dicom.rnc"


def read(response: WebResponse) -> list[Any]:
    """The data sets of a multipart of DICOM files."""
    assert response.status == 200, (response.status, response.body)
    return [dcmread(DicomBytesIO(part.body)) for part in response.parts]


# --- instances ---


@pytest.mark.parametrize(("path", "count"), TARGETS.items())
def test_exactly_the_instances_of_the_target(site: Site, path: str, count: int) -> None:
    """§10.4.3.3.1: all instances of the target and no other."""
    response = site.get(path, ANY_FILES)
    found = [str(instance.SOPInstanceUID) for instance in read(response)]
    assert len(found) == len(set(found)) == count
    segment = path.rpartition("/")[2]
    assert all(uid == segment or uid.startswith(f"{segment}.") for uid in found)


@pytest.mark.parametrize("path", [f"/studies/{CT_STUDY}", CT, JPEG_2000, JPEG])
def test_part_headers_of_instances(site: Site, path: str) -> None:
    """§8.6.1.2, §10.4.3.3.1: type with transfer syntax, and the exact resource; the file agrees with both."""
    for part in site.get(path, ANY_FILES).parts:
        meta = dcmread(DicomBytesIO(part.body)).file_meta
        assert part.content_type == f"application/dicom; transfer-syntax={meta.TransferSyntaxUID}"
        assert part.location.startswith(site.url + "/studies/")
        assert part.location.endswith(f"/instances/{meta.MediaStorageSOPInstanceUID}")
        assert part.body[128:132] == b"DICM"


@pytest.mark.parametrize("accept", [FILES, ANY_FILES, "*/*", FILES.replace('"', ""), "multipart/related"])
@pytest.mark.parametrize("path", [IMPLICIT, BIG_ENDIAN])
def test_implicit_vr_and_big_endian_never_leave(site: Site, path: str, accept: str) -> None:
    """§8.7.3: neither Implicit VR Little Endian nor Explicit VR Big Endian, not even for ``transfer-syntax=*``."""
    (part,) = site.get(path, accept).parts
    assert part.content_type.endswith(f"transfer-syntax={EXPLICIT_LE}")
    instance = dcmread(DicomBytesIO(part.body))
    assert instance.file_meta.TransferSyntaxUID == EXPLICIT_LE
    assert instance.PixelData == bytes(range(128))


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.2"])
def test_implicit_vr_and_big_endian_are_not_acceptable(site: Site, uid: str) -> None:
    """§8.7.3, §8.7.8.1."""
    assert site.get(IMPLICIT, f"{FILES}; transfer-syntax={uid}").status == 406


INSTANCE_NEGOTIATION = [  # target, Accept, status, transfer syntax of the part
    (CT, "*/*", 200, EXPLICIT_LE),
    (CT, FILES, 200, EXPLICIT_LE),
    (CT, "multipart/*", 200, EXPLICIT_LE),
    (CT, f"{FILES}; transfer-syntax={EXPLICIT_LE}", 200, EXPLICIT_LE),
    (CT, f"{FILES}; transfer-syntax={J2K}", 200, J2K),  # converted
    (CT, f"{FILES}; transfer-syntax=1.2.840.10008.1.2.4.102", 406, ""),  # nothing becomes a video
    (CT, f"{FILES}; transfer-syntax={J2K}, {FILES}; transfer-syntax={EXPLICIT_LE};q=0.1", 200, EXPLICIT_LE),
    (CT, "multipart/related; type=application/dicom", 200, EXPLICIT_LE),
    (CT, 'Multipart/Related; TYPE="application/DICOM"', 200, EXPLICIT_LE),
    (CT, 'multipart/related; type="application/dicom; transfer-syntax=*"', 200, EXPLICIT_LE),
    (CT, "multipart/related; type=application/dicom; boundary=**", 200, EXPLICIT_LE),
    (CT, f"text/html, image/webp, {FILES}", 200, EXPLICIT_LE),
    (CT, f"{FILES};q=0", 406, ""),
    (CT, "image/png", 406, ""),
    (CT, "text/html", 406, ""),
    (CT, JSON, 406, ""),
    (JPEG_2000, ANY_FILES, 200, J2K),
    (JPEG_2000, f"{FILES}; transfer-syntax={J2K}", 200, J2K),
    (JPEG_2000, f'{FILES}; transfer-syntax="{J2K}"', 200, J2K),
    (JPEG_2000, "*/*", 200, J2K),
    (JPEG_2000, FILES, 502, ""),  # its frames are no pictures, so that they cannot be decoded
    (JPEG_2000, f"{FILES}; transfer-syntax={EXPLICIT_LE}", 502, ""),
    (JPEG_2000, f"{FILES}; transfer-syntax=1.2.840.10008.1.2.4.80, {ANY_FILES};q=0.2", 200, J2K),
    (JPEG, FILES, 200, BASELINE),  # §8.7.3.1: there is no other form of lossy pixels
    (f"/studies/{CT_STUDY}", "application/dicom", 406, ""),  # Table 10.4.4-1 note 3
    (f"/studies/{CT_STUDY}/series/{CT_SERIES}", "application/dicom", 406, ""),
]


@pytest.mark.parametrize(("path", "accept", "status", "syntax"), INSTANCE_NEGOTIATION)
def test_negotiation_of_instances(site: Site, path: str, accept: str, status: int, syntax: str) -> None:
    """§8.7.5 to §8.7.8, Table 10.4.4-1."""
    response = site.get(path, accept)
    assert response.status == status
    if status == 200:
        assert response.header("Content-Type").startswith('multipart/related; type="application/dicom"; boundary=')
        assert {part.content_type for part in response.parts} == {f"application/dicom; transfer-syntax={syntax}"}
    elif status == 406:
        assert b"application/dicom" in response.body  # §8.7.8.1: what there would be


def test_one_instance_as_a_single_part(site: Site) -> None:
    """Table 10.4.4-1: ``application/dicom`` for one instance, with its Content-Location."""
    response = site.get(CT, "application/dicom")
    assert response.header("Content-Type") == f"application/dicom; transfer-syntax={EXPLICIT_LE}"
    assert response.header("Content-Location") == site.url + CT
    assert dcmread(DicomBytesIO(response.body)).SOPInstanceUID == CT.rpartition("/")[2]


# --- multipart grammar ---


@pytest.mark.parametrize(
    ("path", "accept"),
    [(f"/studies/{CT_STUDY}", ANY_FILES), (f"/studies/{CT_STUDY}/metadata", XML), (LOOP + "/frames/1,2", OCTETS)],
)
def test_multipart_grammar(site: Site, path: str, accept: str) -> None:
    """§8.6.1.2, RFC 2046 §5.1.1: CRLF, closing delimiter, and a boundary that is new in each response."""
    first, second = site.get(path, accept), site.get(path, accept)
    assert first.parts == second.parts  # read by a parser that knows CRLF only
    boundaries = {response.headers.get_boundary() for response in (first, second)}
    assert len(boundaries) == 2
    for response in (first, second):
        boundary = response.headers.get_boundary() or ""
        assert 1 <= len(boundary) <= 70
        assert response.body.count(boundary.encode()) == len(response.parts) + 1
        assert response.headers.get_param("type") == first.parts[0].content_type.partition(";")[0]


@pytest.mark.parametrize("path", [CT, CT + "/metadata", LOOP + "/frames/1", "/studies"])
def test_length_or_transfer_coding_and_not_both(site: Site, path: str) -> None:
    """Table 8.4.3-1."""
    response = site.get(path, "*/*")
    assert response.status == 200
    assert bool(response.header("Content-Length")) != bool(response.header("Transfer-Encoding"))


# --- metadata ---


@pytest.mark.parametrize(("path", "count"), TARGETS.items())
def test_metadata_has_one_object_for_each_instance(site: Site, path: str, count: int) -> None:
    """§10.4.3.3.2: one array in one body; all attributes but group 2 and group lengths, ascending."""
    response = site.get(f"{path}/metadata")
    assert (response.status, response.essence) == (200, JSON)
    assert len(response.json) == count
    for model in response.json:
        tags = list(model)
        assert tags == sorted(tags)
        assert not any(tag.startswith("0002") or tag.endswith("0000") for tag in tags)
        assert {"00080016", "00080018", "0020000D", "0020000E", "00280010", "7FE00010"} <= set(tags)


@pytest.mark.parametrize("path", ANYTHING)
def test_each_attribute_has_its_vr_and_one_value_form(site: Site, path: str) -> None:
    """F.2.2: ``vr`` always, and one of Value, InlineBinary and BulkDataURI or none."""
    (model,) = site.get(f"{path}/metadata").json
    for attribute in model.values():
        forms = set(attribute) - {"vr"}
        assert "vr" in attribute and len(forms) <= 1
        assert forms <= {"Value", "InlineBinary", "BulkDataURI"}
        assert attribute.get("Value") != []
        if "BulkDataURI" in attribute:
            assert attribute["vr"] in MAY_BE_BULK


@pytest.mark.parametrize("path", ANYTHING)
def test_bulkdata_uris_resolve_to_the_value(site: Site, path: str) -> None:
    """§10.4.1.1.5: absolute URIs that give the whole Value Field; the part names the same URI (§10.4.3.3.5)."""
    (stored,) = read(site.get(path, ANY_FILES))
    (model,) = site.get(f"{path}/metadata").json
    uris = {tag: attribute["BulkDataURI"] for tag, attribute in model.items() if "BulkDataURI" in attribute}
    assert ("7FE00010" in uris) == ("PixelData" in stored)
    for tag, uri in uris.items():
        assert uri.startswith(site.url)
        response = site.get(uri.removeprefix(site.url), "*/*")
        assert response.status == 200
        assert {part.location for part in response.parts} == {uri}
        if stored[tag].VR == "LT":
            assert response.parts[0].body.decode().rstrip() == stored[tag].value.rstrip()
        elif not stored.file_meta.TransferSyntaxUID.is_compressed:
            assert response.parts[0].body == stored[tag].value


def test_the_encapsulated_value_comes_frame_by_frame(site: Site) -> None:
    """§8.7.3.3, Table 8.7.3-5: one part a frame, without fragment items or offset table."""
    response = site.get(JPEG_2000 + "/bulkdata/7FE00010", "*/*")
    assert [part.body[:5] for part in response.parts] == [b"\xff\x4f\xff\x51" + bytes([n]) for n in (1, 2, 3)]
    assert {part.content_type for part in response.parts} == {f"image/jp2; transfer-syntax={J2K}"}


METADATA_NEGOTIATION = [  # worked examples of the negotiation: Accept, status, type of the answer
    ("*/*", 200, JSON),
    ("application/*", 200, JSON),
    (JSON, 200, JSON),
    ("application/json", 200, "application/json"),
    (XML, 200, "multipart/related"),
    ("multipart/related; type=application/dicom+xml", 200, "multipart/related"),
    (f"{JSON};q=0.1, {XML}", 200, "multipart/related"),
    (f"{JSON}, image/jpeg", 200, JSON),
    (f"image/jpeg, {JSON};q=0.2", 200, JSON),
    ("image/jpeg", 406, ""),
    ("application/dicom", 406, ""),
    (f"{JSON};q=0", 406, ""),
    ("text/html", 406, ""),
]


@pytest.mark.parametrize(("accept", "status", "essence"), METADATA_NEGOTIATION)
def test_negotiation_of_metadata(site: Site, accept: str, status: int, essence: str) -> None:
    """§8.7.8.1, Table 10.4.4-1."""
    response = site.get(f"/studies/{CT_STUDY}/metadata", accept)
    assert response.status == status
    if status == 200:
        assert response.essence == essence
    else:
        assert b"application/dicom+json" in response.body
        assert b"application/dicom+xml" in response.body


def test_bare_xml_is_for_one_instance(site: Site) -> None:
    """§8.6.1.1: a single part only where the target is one item by nature."""
    assert site.get(f"/studies/{CT_STUDY}/metadata", "application/dicom+xml").status == 406
    response = site.get(CT + "/metadata", "application/dicom+xml")
    assert (response.status, response.essence) == (200, "application/dicom+xml")


@pytest.mark.parametrize(
    "path", [f"/studies/{CT_STUDY}/metadata", f"/studies/{US_STUDY}/metadata", REPORT + "/metadata"]
)
def test_xml_is_valid(site: Site, path: str, tmp_path: Path) -> None:
    """PS3.19 Annex A: each part is a valid Native DICOM Model document."""
    response = site.get(path, XML)
    documents = []
    for number, part in enumerate(response.parts):
        assert part.content_type == "application/dicom+xml"
        documents.append(tmp_path / f"{number}.xml")
        documents[-1].write_bytes(part.body)
    checked = subprocess.run(["jing", "-c", SCHEMA, *documents], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")


def test_xml_and_json_say_the_same(site: Site) -> None:
    """§10.4.3.3.2: both name the same attributes and the same Bulkdata URIs."""
    (model,) = site.get(CT + "/metadata").json
    document = site.get(CT + "/metadata", "application/dicom+xml").body.decode()
    for tag, attribute in model.items():
        if int(tag[:4], 16) % 2 == 0:  # private ones are named by their creator there, PS3.19 Table A.1.5-2
            assert f'tag="{tag}"' in document
        if "BulkDataURI" in attribute:
            assert attribute["BulkDataURI"] in document


# --- what is not there ---


@pytest.mark.parametrize("suffix", ["", "/metadata"])
@pytest.mark.parametrize(
    "path",
    [
        "/studies/1.2.3",
        f"/studies/{CT_STUDY}/series/1.2.3",
        f"/studies/{CT_STUDY}/series/{CT_SERIES}/instances/1.2.3",
        CT.replace(CT_STUDY + "/", US_STUDY + "/"),  # the instance exists, but not there
        CT.replace(f"{CT_SERIES}/", f"{CT_STUDY}.2/"),
    ],
)
def test_unknown_targets_are_404(site: Site, path: str, suffix: str) -> None:
    """Table 10.4.3-1: the target does not exist, or not in this hierarchy."""
    assert site.get(path + suffix, "*/*").status == 404


@pytest.mark.parametrize("path", ["/studies/x", "/studies/1..2/metadata", f"/studies/{'1' * 65}", CT + "x/frames/1"])
def test_malformed_uids_are_400(site: Site, path: str) -> None:
    """§8.2, PS3.5 §9.1."""
    assert site.get(path, "*/*").status == 400


@pytest.mark.parametrize("value", ["00204999", "xyz", "7FE00010/1", "0020400"])
def test_unknown_bulkdata_is_404(site: Site, value: str) -> None:
    """Table 10.4.3-1."""
    assert site.get(f"{CT}/bulkdata/{value}", "*/*").status == 404


# --- HEAD ---


@pytest.mark.parametrize("path", [CT, f"/studies/{CT_STUDY}/metadata", LOOP + "/frames/1"])
def test_head_is_get_without_a_body(site: Site, path: str) -> None:
    """RFC 9110 §9.3.2."""
    get, head = site.get(path, "*/*"), site.send("HEAD", path, "*/*")
    assert (head.status, head.essence, head.body) == (get.status, get.essence, b"")
    assert site.send("HEAD", "/studies/1.2.3", "*/*").status == 404
