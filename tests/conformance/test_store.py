"""The Store transaction, one case per statement of PS3.18 §10.5 and Annex I; sections stand in the docstrings."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless

from gateway.sandbox import SandboxArchive
from gateway.sandbox.behaviour import Behaviour
from tests.support.conformance_site import JSON, Site, open_site
from tests.support.small_archive import ROOT, encode_file, make_instance
from tests.support.web_client import WebResponse

BOUNDARY = "a boundary of (RFC 2046)?"
MULTIPART = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'
STUDY, OTHER_STUDY = f"{ROOT}.8", f"{ROOT}.9"
WORKLIST = "1.2.840.10008.5.1.4.31"  # a SOP class that no storage provider accepts
SCHEMA = Path(__file__).parents[1] / "data" / "native-dicom.rnc"
CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
FAILED, STORED, OTHER = "00081198", "00081199", "0008119A"


def a_file(number: int, study: str = STUDY, syntax: str = ExplicitVRLittleEndian, **attributes: Any) -> bytes:
    """An instance as a file."""
    return encode_file(make_instance(f"{study}.1.{number}", PatientID="P", **attributes), syntax)


def body_of(*parts: bytes, content_type: str = "application/dicom") -> bytes:
    """A multipart around `parts`."""
    head = f"--{BOUNDARY}\r\nContent-Type: {content_type}\r\n\r\n".encode()
    return b"".join(head + part + b"\r\n" for part in parts) + f"--{BOUNDARY}--".encode()


def store(
    site: Site, *parts: bytes, path: str = "/studies", accept: str | None = JSON, content_type: str = MULTIPART
) -> WebResponse:
    """POST `parts` as a multipart."""
    return site.send("POST", path, accept, body=body_of(*parts), Content_Type=content_type)


def post(site: Site, body: bytes, content_type: str | None, accept: str = JSON) -> WebResponse:
    """POST any body."""
    headers = {} if content_type is None else {"Content_Type": content_type}
    return site.send("POST", "/studies", accept, body=body, **headers)


def reasons(response: WebResponse, sequence: str = FAILED) -> list[int]:
    """The Failure Reasons of a response module."""
    return [item["00081197"]["Value"][0] for item in response.json.get(sequence, {}).get("Value", [])]


def stored_uids(response: WebResponse) -> list[str]:
    """The instances that a response module calls stored, without the root of the test data."""
    items = response.json.get(STORED, {}).get("Value", [])
    return [item["00081155"]["Value"][0].removeprefix(f"{ROOT}.") for item in items]


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[SandboxArchive]:
    """An empty archive."""
    with SandboxArchive(tmp_path / "shelf") as shelf:
        yield shelf


@pytest.fixture
def store_site(shelf: SandboxArchive) -> Iterator[Site]:
    with open_site(shelf) as site:
        yield site


# --- what is stored ---


@pytest.mark.parametrize("path", ["/studies", f"/studies/{STUDY}"])
def test_instances_are_stored(store_site: Site, shelf: SandboxArchive, path: str) -> None:
    """§10.5.2, Table 10.5.3-1: 200 and every instance in Referenced SOP Sequence; it can be had at once."""
    response = store(store_site, a_file(1), a_file(2), path=path)
    assert (response.status, response.essence) == (200, JSON)
    assert sorted(stored_uids(response)) == ["8.1.1", "8.1.2"]
    assert len(shelf.index) == 2
    url = response.json["00081190"]["Value"][0]
    assert store_site.get(url.removeprefix(store_site.url) + "/metadata").status == 200


def test_the_response_module(store_site: Site) -> None:
    """Table I.1-1: one object, ascending tags, class, instance and Retrieve URL of VR UR."""
    module = store(store_site, a_file(1)).json
    study_url = f"{store_site.url}/studies/{STUDY}"
    assert module == {
        "00081190": {"vr": "UR", "Value": [study_url]},
        "00081199": {
            "vr": "SQ",
            "Value": [
                {
                    "00081150": {"vr": "UI", "Value": [CT_CLASS]},
                    "00081155": {"vr": "UI", "Value": [f"{STUDY}.1.1"]},
                    "00081190": {"vr": "UR", "Value": [f"{study_url}/series/{STUDY}.1/instances/{STUDY}.1.1"]},
                }
            ],
        },
    }


def test_the_retrieve_url_of_several_studies_is_empty(store_site: Site) -> None:
    """Table I.1-1: Retrieve URL is type 2."""
    response = store(store_site, a_file(1), a_file(1, OTHER_STUDY))
    assert response.status == 200
    assert response.json["00081190"] == {"vr": "UR"}
    assert response.header("Location") == ""


def test_location_of_what_was_created(store_site: Site) -> None:
    """Table 10.5.3-2: Location and Content-Location where a new resource was created."""
    response = store(store_site, a_file(1))
    assert response.header("Location") == f"{store_site.url}/studies/{STUDY}"
    assert response.header("Content-Location") == f"{store_site.url}/studies/{STUDY}"


@pytest.mark.parametrize("accept", ["application/dicom+xml", f"{JSON};q=0.1, application/dicom+xml"])
def test_the_module_in_xml_is_valid(store_site: Site, tmp_path: Path, accept: str) -> None:
    """§10.5.4, Table I.1-1 as a Native DICOM Model document."""
    response = store(store_site, a_file(1), b"no instance", accept=accept)
    assert (response.status, response.essence) == (202, "application/dicom+xml")
    document = tmp_path / "module.xml"
    document.write_bytes(response.body)
    checked = subprocess.run(["jing", "-c", SCHEMA, document], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")
    assert all(f'tag="{tag}"' in response.body.decode() for tag in ("00081190", STORED, OTHER))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless])
def test_an_instance_is_stored_as_it_came(store_site: Site, syntax: str) -> None:
    """§10.5.1.4, §8.7.9: File Meta Information outranks the media type; Implicit VR is taken leniently."""
    sent = a_file(1, syntax=syntax, PatientName="Doe^J", PatientComments="x" * 3001)
    response = post(store_site, body_of(sent, content_type="application/dicom; transfer-syntax=1.2.3"), MULTIPART)
    assert response.status == 200
    back = store_site.get(f"/studies/{STUDY}", 'multipart/related; type="application/dicom"; transfer-syntax=*')
    (part,) = back.parts
    assert dcmread(DicomBytesIO(part.body)) == dcmread(DicomBytesIO(sent))
    (result,) = store_site.get("/instances").json
    assert result["00083002"]["Value"] == [syntax]


# --- forms of the request ---


@pytest.mark.parametrize("content_type", ["application/dicom", "application/dicom; transfer-syntax=*"])
def test_one_instance_as_the_whole_body(store_site: Site, content_type: str) -> None:
    """§8.6.1.1, example B.21: a single part."""
    assert post(store_site, a_file(1), content_type).status == 200


@pytest.mark.parametrize(
    "content_type",
    [
        f'multipart/related; boundary="{BOUNDARY}"; type=application/dicom',
        f'Multipart/Related;Type="application/dicom";BOUNDARY="{BOUNDARY}"',
        f'multipart/related; type="application/dicom"; start="<1>"; boundary="{BOUNDARY}"',
    ],
)
def test_content_types_that_mean_the_same(store_site: Site, content_type: str) -> None:
    """§8.7.1: names in any case, quotes or not."""
    assert store(store_site, a_file(1), content_type=content_type).status == 200


def test_preamble_epilogue_and_part_headers_in_any_case(store_site: Site) -> None:
    """RFC 2046 §5.1.1: what stands before and after is ignored; transport padding after a delimiter."""
    head = f"preamble\r\n--{BOUNDARY}  \r\ncontent-TYPE: application/dicom\r\nX-Other: 1\r\n\r\n"
    body = head.encode() + a_file(1) + f"\r\n--{BOUNDARY}--\r\nepilogue".encode()
    response = post(store_site, body, MULTIPART)
    assert (response.status, stored_uids(response)) == (200, ["8.1.1"])


def test_a_body_of_unknown_length(store_site: Site) -> None:
    """Table 8.4.3-1: chunked transfer coding in place of Content-Length."""
    body = body_of(a_file(1), a_file(2))
    pieces = [body[start : start + 100] for start in range(0, len(body), 100)]
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    response = store_site.send(
        "POST", "/studies", JSON, body=chunked, Content_Type=MULTIPART, Transfer_Encoding="chunked"
    )
    assert (response.status, len(stored_uids(response))) == (200, 2)


UNSUPPORTED = [
    None,
    "text/plain",
    "application/octet-stream",
    "multipart/form-data; boundary=x",
    f'multipart/related; type="application/json"; boundary="{BOUNDARY}"',
    f'multipart/related; type="image/jpeg"; boundary="{BOUNDARY}"',
    "application/json",
    "garbage",
]


@pytest.mark.parametrize("content_type", UNSUPPORTED)
def test_other_content_types_are_415(store_site: Site, shelf: SandboxArchive, content_type: str | None) -> None:
    """Table 10.5.3-1: 415, the payload lists what is supported."""
    response = post(store_site, body_of(a_file(1)), content_type)
    assert response.status == 415
    assert 'multipart/related; type="application/dicom"' in response.json["detail"]
    assert "application/dicom" in response.header("Accept-Post")
    assert shelf.counters.associations_total == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no boundary at all",
        f"--{BOUNDARY}--".encode(),
        f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode(),
        f"--{BOUNDARY}\r\nbad header line\r\n\r\nx\r\n--{BOUNDARY}--".encode(),
        body_of(b"garbage that is no instance"),
        body_of(b""),
        body_of(a_file(1)[:200]),
    ],
)
def test_a_body_without_an_instance_is_400(store_site: Site, shelf: SandboxArchive, body: bytes) -> None:
    """Table 10.5.3-1: nothing stored because the message is malformed."""
    assert post(store_site, body, MULTIPART).status == 400
    assert len(shelf.index) == 0


def test_a_multipart_without_boundary_is_400(store_site: Site) -> None:
    """§8.7.1: the boundary is required."""
    assert post(store_site, body_of(a_file(1)), 'multipart/related; type="application/dicom"').status == 400


@pytest.mark.parametrize("accept", ["text/html", "image/png", 'multipart/related; type="application/dicom"'])
def test_no_acceptable_form_of_the_answer_is_406(store_site: Site, shelf: SandboxArchive, accept: str) -> None:
    """§10.5.4: known before anything is stored."""
    response = store(store_site, a_file(1), accept=accept)
    assert response.status == 406
    assert JSON.encode() in response.body
    assert len(shelf.index) == 0


@pytest.mark.parametrize("accept", [None, "*/*", "application/*", JSON, "application/json", "text/html, */*;q=0.1"])
def test_the_module_is_json_by_default(store_site: Site, accept: str | None) -> None:
    """§10.5.4."""
    response = store(store_site, a_file(1), accept=accept)
    assert (response.status, response.json["00081190"]["vr"]) == (200, "UR")


def test_a_study_that_is_no_uid_is_400(store_site: Site) -> None:
    """§8.2."""
    assert store(store_site, a_file(1), path="/studies/x").status == 400


# --- limits ---


def test_a_body_over_the_limit_is_413(shelf: SandboxArchive) -> None:
    """§8.5: told by Content-Length at once, and while it arrives where there is none."""
    body = body_of(a_file(1), a_file(2, PatientComments="x" * 9000))
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    with open_site(shelf, http={"max_body_bytes": 5000}) as site:
        announced = post(site, body, MULTIPART)
        assert announced.status == 413
        assert "5000" in announced.json["detail"]
        assert len(shelf.index) == 0
        found = site.send("POST", "/studies", JSON, body=chunked, Content_Type=MULTIPART, Transfer_Encoding="chunked")
        # the limit may show before or after the first instance is stored, and the answer says which
        assert (found.status, len(shelf.index)) in ((413, 0), (202, 1))


def test_an_instance_over_the_limit_fails_alone(shelf: SandboxArchive) -> None:
    """§10.5.2: one instance over a limit of ours fails, out of resources; the other is stored."""
    with open_site(shelf, store={"max_instance_bytes": 5000}) as site:
        response = store(site, a_file(1, PatientComments="x" * 9000), a_file(2))
        assert (response.status, stored_uids(response)) == (202, ["8.1.2"])
        assert len(reasons(response)) == 1


# --- failures of single instances, Tables I.2-1 and I.2-2 ---

STORE_STATUSES = [  # status of C-STORE, HTTP status, sequence of the module
    (0xB000, 202, STORED),
    (0xB006, 202, STORED),
    (0xB007, 202, STORED),
    (0xB123, 202, STORED),
    (0x0001, 202, STORED),
    (0x0107, 202, STORED),
    (0x0116, 202, STORED),
    (0xA700, 503, FAILED),
    (0xA710, 503, FAILED),
    (0x0213, 503, FAILED),
    (0xA900, 409, FAILED),
    (0xC000, 409, FAILED),
    (0xC123, 409, FAILED),
    (0x0110, 409, FAILED),
    (0x0111, 409, FAILED),
    (0x0112, 409, FAILED),
    (0x0117, 409, FAILED),
    (0x0119, 409, FAILED),
    (0x0122, 409, FAILED),
    (0x0210, 409, FAILED),
    (0x0211, 409, FAILED),
    (0x0212, 409, FAILED),
    (0x0124, 403, FAILED),
]


@pytest.fixture(scope="module")
def status_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with SandboxArchive(tmp_path_factory.mktemp("statuses")) as archive, open_site(archive) as site:
        yield site


@pytest.mark.parametrize(
    ("dimse", "status", "sequence"),
    STORE_STATUSES,
    ids=lambda value: f"{value:04X}" if isinstance(value, int) and value > 999 else str(value),
)
def test_store_statuses(status_site: Site, dimse: int, status: int, sequence: str) -> None:
    """Table 10.5.3-1; the status is the reason, in Failure Reason or Warning Reason, unchanged."""
    with status_site.behaving(store_status=dimse):
        response = store(status_site, a_file(1))
    assert response.status == status
    (item,) = response.json[sequence]["Value"]
    assert item["00081155"]["Value"] == [f"{STUDY}.1.1"]
    assert item["00081196" if sequence == STORED else "00081197"] == {"vr": "US", "Value": [dimse]}
    assert set(response.json) == {"00081190", sequence}
    assert bool(response.header("Retry-After")) == (status == 503)
    if status == 503:
        assert response.header("Warning") == f'299 {status_site.url} "A700: Out of memory"'


def test_some_stored_and_some_not_is_202(store_site: Site) -> None:
    """Table 10.5.3-1: the module tells which; a part that is no instance is in Other Failures Sequence."""
    response = store(store_site, a_file(1), b"no instance", a_file(2, OTHER_STUDY), path=f"/studies/{STUDY}")
    assert (response.status, stored_uids(response)) == (202, ["8.1.1"])
    assert reasons(response) == [0xA900]
    assert reasons(response, OTHER) == [0xC000]
    assert list(response.json) == sorted(response.json)


def test_an_instance_of_another_study_conflicts(store_site: Site, shelf: SandboxArchive) -> None:
    """§10.5.2: all instances must be of the study in the path."""
    response = store(store_site, a_file(1, OTHER_STUDY), path=f"/studies/{STUDY}")
    assert (response.status, reasons(response)) == (409, [0xA900])
    assert len(shelf.index) == 0


def test_a_class_the_archive_does_not_take(store_site: Site) -> None:
    """Table I.2-2: 0122; the others are stored."""
    strange = encode_file(make_instance(f"{STUDY}.1.7", WORKLIST))
    response = store(store_site, strange)
    assert (response.status, reasons(response)) == (409, [0x0122])
    response = store(store_site, strange, a_file(2))
    assert (response.status, reasons(response), stored_uids(response)) == (202, [0x0122], ["8.1.2"])


def test_a_transfer_syntax_the_archive_does_not_take(shelf: SandboxArchive) -> None:
    """Table I.2-2: C122; never changed on the way, so that what is stored is what was sent."""
    shelf.behaviour = Behaviour(refuse_compressed=True)
    with open_site(shelf) as site:
        response = store(site, a_file(1, syntax=JPEG2000Lossless), a_file(2))
        assert (response.status, reasons(response), stored_uids(response)) == (202, [0xC122], ["8.1.2"])


def test_the_same_instance_twice_is_the_archives_decision(store_site: Site, shelf: SandboxArchive) -> None:
    """§10.5.2 does not regulate duplicates: both are sent, in their order, and both answers told."""
    response = store(store_site, a_file(1, PatientName="A"), a_file(1, PatientName="A"))
    assert (response.status, len(response.json[STORED]["Value"])) == (200, 2)
    assert len(shelf.index) == 1


def test_other_content_under_the_same_uid_is_a_duplicate(store_site: Site, shelf: SandboxArchive) -> None:
    """0111 (PS3.7 Annex C): what the archive has acknowledged in this request is not written over."""
    response = store(store_site, a_file(1, PatientName="A"), a_file(1, PatientName="B"))
    assert (response.status, reasons(response), stored_uids(response)) == (202, [0x0111], ["8.1.1"])
    assert len(shelf.index) == 1
    (result,) = store_site.get("/studies").json
    assert result["00100010"]["Value"][0]["Alphabetic"] == "A"


def test_a_truncated_body_tells_what_was_stored(store_site: Site) -> None:
    """Table 10.5.3-1: the first instance is stored, the second ends with the body."""
    body = body_of(a_file(1), a_file(2))
    response = post(store_site, body[: -len(BOUNDARY) - 40], MULTIPART)
    assert response.status == 202
    assert stored_uids(response) == ["8.1.1"]


def test_storing_twice_succeeds_twice(store_site: Site) -> None:
    """§10.5.2 does not regulate it; the archive decides."""
    assert [store(store_site, a_file(1)).status for _ in range(2)] == [200, 200]
