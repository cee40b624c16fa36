"""The Store Instances Response Module, attribute by attribute, in JSON and in XML (PS3.18 §10.5.3, Table I.1-1)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from pydicom import Dataset, dcmread
from pydicom.datadict import keyword_for_tag
from pydicom.filebase import DicomBytesIO

from gateway.sandbox import SandboxArchive
from gateway.sandbox.behaviour import Behaviour
from tests.support.conformance_site import JSON, Site, open_site
from tests.support.metadata_uploads import Upload, metadata_type
from tests.support.small_archive import ROOT, encode_file, make_instance
from tests.support.uploads import CT, multipart, multipart_type
from tests.support.web_client import WebResponse

XML = "application/dicom+xml"
FORMS = [JSON, XML]
STUDY, OTHER_STUDY = f"{ROOT}.31", f"{ROOT}.32"
WORKLIST = "1.2.840.10008.5.1.4.31"  # a SOP class that no storage provider accepts

RETRIEVE_URL, FAILED, STORED, OTHER = "00081190", "00081198", "00081199", "0008119A"
CLASS, INSTANCE, WARNING, REASON = "00081150", "00081155", "00081196", "00081197"
ORIGINALS, MODIFIED = "04000561", "04000550"

# Table I.1-1: VR, type, and the attributes of the items of sequences
Table = dict[str, tuple[str, str, "Table"]]
MODULE: Table = {
    RETRIEVE_URL: ("UR", "2", {}),
    FAILED: ("SQ", "1C", {CLASS: ("UI", "1", {}), INSTANCE: ("UI", "1", {}), REASON: ("US", "1", {})}),
    STORED: (
        "SQ",
        "1C",
        {
            CLASS: ("UI", "1", {}),
            INSTANCE: ("UI", "1", {}),
            RETRIEVE_URL: ("UR", "2", {}),
            WARNING: ("US", "1C", {}),
            ORIGINALS: (
                "SQ",
                "3",
                {
                    MODIFIED: ("SQ", "1", {"*": ("*", "3", {})}),
                    "04000562": ("DT", "1", {}),
                    "04000563": ("LO", "1", {}),
                    "04000564": ("LO", "2", {}),
                    "04000565": ("CS", "1", {}),
                },
            ),
        },
    ),
    OTHER: ("SQ", "1C", {REASON: ("US", "1", {})}),
}

Module = dict[str, tuple[str, list[Any]]]
"""VR and values by tag; the values of a sequence are modules."""


# --- reading both forms into the same ---


def read_json(model: dict[str, Any]) -> Module:
    assert list(model) == sorted(model), "attributes are in ascending order (Annex F.2.2)"
    found: Module = {}
    for tag, attribute in model.items():
        assert re.fullmatch("[0-9A-F]{8}", tag)
        assert set(attribute) <= {"vr", "Value"}
        assert attribute.get("Value") != [], "no Value at all where there is none (Annex F.2.5)"
        values = attribute.get("Value", [])
        found[tag] = (attribute["vr"], [read_json(it) for it in values] if attribute["vr"] == "SQ" else values)
    return found


def read_xml(element: etree._Element) -> Module:
    found: Module = {}
    for attribute in element:
        tag, vr = attribute.get("tag", ""), attribute.get("vr", "")
        assert attribute.get("keyword") == keyword_for_tag(int(tag, 16))
        assert [child.get("number") for child in attribute] == [str(number + 1) for number in range(len(attribute))]
        read = int if vr == "US" else str
        items = [read_xml(child) for child in attribute] if vr == "SQ" else [read(it.text or "") for it in attribute]
        found[tag] = (vr, items)
    assert list(found) == sorted(found)
    return found


def read_module(response: WebResponse) -> Module:
    """The module, checked against the table."""
    if response.essence == JSON:
        module = read_json(response.json)
    else:
        assert response.essence == XML
        document = etree.fromstring(response.body)
        assert etree.QName(document).localname == "NativeDicomModel"
        module = read_xml(document)
    check_against(MODULE, module)
    return module


def check_against(table: Table, module: Module) -> None:
    """Every attribute is one of the table, of its VR, and present and filled as its type says."""
    for tag, (vr, values) in module.items():
        expected_vr, kind, inner = table.get(tag) or table["*"]
        assert vr == expected_vr or expected_vr == "*", tag
        assert values or kind in "23", f"{tag} is of type {kind} and empty"
        for item in values if vr == "SQ" else []:
            check_against(inner, item)
    missing = {tag for tag, (_, kind, _) in table.items() if kind in "12"} - set(module)
    assert not missing


def items_of(module: Module, tag: str) -> list[Module]:
    return module[tag][1] if tag in module else []


# --- requests ---


def a_file(number: int, study: str = STUDY, sop_class: str = CT, **attributes: Any) -> bytes:
    return encode_file(make_instance(f"{study}.1.{number}", sop_class, PatientID="P", **attributes))


def store(site: Site, *parts: bytes, accept: str = JSON, path: str = "/studies") -> WebResponse:
    return site.send("POST", path, accept, body=multipart(parts), Content_Type=multipart_type())


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[SandboxArchive]:
    with SandboxArchive(tmp_path / "shelf") as shelf:
        yield shelf


@pytest.fixture
def store_site(shelf: SandboxArchive) -> Iterator[Site]:
    with open_site(shelf) as site:
        yield site


# --- the statements of the table ---


@pytest.mark.parametrize("accept", FORMS)
def test_everything_at_once(store_site: Site, accept: str) -> None:
    """Table I.1-1: Retrieve URL, a failure, a success and a part that is no instance; 202 (Table 10.5.3-1)."""
    response = store(store_site, a_file(1), a_file(2, sop_class=WORKLIST), b"no instance", accept=accept)
    study_url = f"{store_site.url}/studies/{STUDY}"
    assert (response.status, read_module(response)) == (
        202,
        {
            RETRIEVE_URL: ("UR", [study_url]),
            FAILED: ("SQ", [{CLASS: ("UI", [WORKLIST]), INSTANCE: ("UI", [f"{STUDY}.1.2"]), REASON: ("US", [0x0122])}]),
            STORED: (
                "SQ",
                [
                    {
                        CLASS: ("UI", [CT]),
                        INSTANCE: ("UI", [f"{STUDY}.1.1"]),
                        RETRIEVE_URL: ("UR", [f"{study_url}/series/{STUDY}.1/instances/{STUDY}.1.1"]),
                    }
                ],
            ),
            OTHER: ("SQ", [{REASON: ("US", [0xC000])}]),
        },
    )


@pytest.mark.parametrize("accept", FORMS)
def test_sequences_are_there_only_if_they_have_items(store_site: Site, accept: str) -> None:
    """Type 1C: Referenced SOP Sequence if something was stored, Failed SOP Sequence if something failed."""
    stored = store(store_site, a_file(1), accept=accept)
    assert (stored.status, set(read_module(stored))) == (200, {RETRIEVE_URL, STORED})
    failed = store(store_site, a_file(1, sop_class=WORKLIST), accept=accept)
    assert (failed.status, set(read_module(failed))) == (409, {RETRIEVE_URL, FAILED})
    assert read_module(failed)[RETRIEVE_URL] == ("UR", [])


@pytest.mark.parametrize("accept", FORMS)
def test_one_item_for_each_instance_in_the_order_sent(store_site: Site, accept: str) -> None:
    """Annex I.2: exactly one reason each; several studies have no Retrieve URL in common, each instance has its own."""
    parts = [a_file(1), a_file(1, OTHER_STUDY), a_file(2), a_file(3, sop_class=WORKLIST), a_file(4, sop_class=WORKLIST)]
    module = read_module(store(store_site, *parts, accept=accept))
    stored = [item[INSTANCE][1][0] for item in items_of(module, STORED)]
    assert stored == [f"{STUDY}.1.1", f"{OTHER_STUDY}.1.1", f"{STUDY}.1.2"]
    assert [item[INSTANCE][1][0] for item in items_of(module, FAILED)] == [f"{STUDY}.1.3", f"{STUDY}.1.4"]
    assert module[RETRIEVE_URL] == ("UR", [])
    for item in items_of(module, STORED):
        url = item[RETRIEVE_URL][1][0]
        assert store_site.get(url.removeprefix(store_site.url) + "/metadata").status == 200


@pytest.mark.parametrize("accept", FORMS)
@pytest.mark.parametrize("warning", [0xB000, 0xB006, 0xB007])
def test_warning_reason(store_site: Site, shelf: SandboxArchive, accept: str, warning: int) -> None:
    """Table I.2-1: stored with a warning of the archive: 202, Warning Reason, no failure."""
    shelf.behaviour = Behaviour(store_status=warning)
    response = store(store_site, a_file(1), accept=accept)
    module = read_module(response)
    assert (response.status, set(module)) == (202, {RETRIEVE_URL, STORED})
    assert [item[WARNING] for item in items_of(module, STORED)] == [("US", [warning])]


@pytest.mark.parametrize("accept", FORMS)
@pytest.mark.parametrize(("reason", "status"), [(0xA700, 503), (0xA710, 503), (0xA900, 409), (0xC000, 409)])
def test_failure_reason(store_site: Site, shelf: SandboxArchive, accept: str, reason: int, status: int) -> None:
    """Table I.2-2, Table 10.5.3-1: the module is in the payload of a failure, too, in the form asked for."""
    shelf.behaviour = Behaviour(store_status=reason)
    response = store(store_site, a_file(1), a_file(2), accept=accept)
    module = read_module(response)
    assert (response.status, set(module)) == (status, {RETRIEVE_URL, FAILED})
    assert [item[REASON] for item in items_of(module, FAILED)] == [("US", [reason])] * 2


@pytest.mark.parametrize("accept", FORMS)
def test_what_breaks_the_whole_request_is_told_by_a_status_report(store_site: Site, accept: str) -> None:
    """Table 10.5.3-1: 400 and 415 say why; no module, since there is nothing to say of an instance."""
    for body, content_type, status in [
        (b"no multipart", multipart_type(), 400),
        (multipart([b"no instance"]), multipart_type(), 400),
        (multipart([a_file(1)]), "text/plain", 415),
    ]:
        response = store_site.send("POST", "/studies", accept, body=body, Content_Type=content_type)
        assert response.status == status
        if status == 415:
            assert "application/dicom" in response.header("Accept-Post")


# --- Original Attributes Sequence: where the gateway coerces ---

COERCED = {"store": {"coerce": ["IssuerOfPatientID=HERE", "InstitutionName=General Hospital"]}}


def read_held(shelf: SandboxArchive) -> Dataset:
    (held,) = shelf.index.select({})
    return dcmread(DicomBytesIO(Path(held.path).read_bytes()))


@pytest.mark.parametrize("accept", FORMS)
def test_coerced_attributes(shelf: SandboxArchive, accept: str) -> None:
    """§10.5.2: what was changed is in the stored object and in the response, with warning B000 and 202."""
    sent = a_file(1, InstitutionName="Elsewhere", ImageComments="x" * 20_000, PatientName="Doe^J")
    with open_site(shelf, **COERCED) as site:
        response = store(site, sent, accept=accept)
    module = read_module(response)
    (item,) = items_of(module, STORED)
    assert (response.status, item[WARNING]) == (202, ("US", [0xB000]))
    (original,) = items_of(item, ORIGINALS)
    (previous,) = items_of(original, MODIFIED)
    assert previous == {"00080080": ("LO", ["Elsewhere"]), "00100021": ("LO", [])}
    assert original["04000563"] == ("LO", ["GATEWAY"])
    assert original["04000565"] == ("CS", ["COERCE"])
    held = read_held(shelf)
    assert (held.InstitutionName, held.IssuerOfPatientID) == ("General Hospital", "HERE")
    (kept,) = held.OriginalAttributesSequence
    assert kept.ModifiedAttributesSequence[0].InstitutionName == "Elsewhere"
    assert original["04000562"] == ("DT", [kept.AttributeModificationDateTime])
    for keyword in ("InstitutionName", "IssuerOfPatientID", "OriginalAttributesSequence"):
        held.pop(keyword)
    expected = dcmread(DicomBytesIO(sent))
    del expected.InstitutionName
    assert held == expected


def test_metadata_and_bulk_data_are_coerced_alike(shelf: SandboxArchive) -> None:
    """§10.5.2: whatever form the request has."""
    sent = make_instance(f"{STUDY}.1.1", InstitutionName="Elsewhere", PatientName="Doe^J")
    with open_site(shelf, **COERCED) as site:
        body = Upload([sent.to_json_dict()]).body()
        response = site.send("POST", "/studies", JSON, body=body, Content_Type=metadata_type())
    (item,) = items_of(read_module(response), STORED)
    assert (response.status, item[WARNING]) == (202, ("US", [0xB000]))
    assert items_of(items_of(item, ORIGINALS)[0], MODIFIED)[0]["00080080"] == ("LO", ["Elsewhere"])
    assert read_held(shelf).InstitutionName == "General Hospital"


def test_nothing_is_coerced_where_nothing_is_to_change(shelf: SandboxArchive) -> None:
    """No warning, no Original Attributes Sequence; and none at all without configuration, as everywhere above."""
    sent = a_file(1, InstitutionName="General Hospital", IssuerOfPatientID="HERE")
    with open_site(shelf, **COERCED) as site:
        response = store(site, sent)
    assert (response.status, set(items_of(read_module(response), STORED)[0])) == (200, {CLASS, INSTANCE, RETRIEVE_URL})
    assert read_held(shelf) == dcmread(DicomBytesIO(sent))


def test_the_archives_own_warning_is_told_before_ours(shelf: SandboxArchive) -> None:
    """Annex I.2: one reason for each instance, the most apt: elements that the archive discarded are gone."""
    shelf.behaviour = Behaviour(store_status=0xB006)
    with open_site(shelf, **COERCED) as site:
        (item,) = items_of(read_module(store(site, a_file(1))), STORED)
    assert item[WARNING] == ("US", [0xB006])
    assert ORIGINALS in item


def test_the_module_is_one_object(store_site: Site) -> None:
    """Annex I: one data set, neither an array nor a multipart."""
    assert isinstance(json.loads(store(store_site, a_file(1)).body), dict)
    assert store(store_site, a_file(1), accept=XML).body.count(b"<NativeDicomModel") == 1
