"""XML to the DICOM JSON Model: what the writer wrote comes back, and what is no such document is refused."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from lxml import etree

from gateway.codecs.dicom_json import read_data_set
from gateway.codecs.dicom_xml import encode_native_xml
from gateway.codecs.native_xml_reader import read_native_xml
from gateway.errors import DecodeError
from tests.support.data_sets import read_sample, sample_names
from tests.unit.codecs.test_dicom_xml import _DATA_SETS

OPEN = '<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM" xml:space="preserve">'


def document(content: str, opening: str = OPEN) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>{opening}{content}</NativeDicomModel>'.encode()


def attribute(tag: str, vr: str, content: str, more: str = "") -> str:
    return f'<DicomAttribute tag="{tag}" vr="{vr}"{more}>{content}</DicomAttribute>'


# --- forms ---


def test_every_form() -> None:
    model = read_native_xml(
        document(
            attribute("00280010", "US", '<Value number="2">7</Value><Value number="1">512</Value>')
            + attribute("00080005", "CS", '<Value number="1">ISO_IR 192</Value>')
            + attribute("00080008", "CS", '<Value number="1">ORIGINAL</Value><Value number="2"/>')
            + attribute("00080090", "PN", "")
            + attribute(
                "00100010",
                "PN",
                '<PersonName number="1"><Alphabetic><FamilyName>Yamada</FamilyName><NamePrefix>Dr</NamePrefix>'
                "</Alphabetic><Ideographic><FamilyName>山田</FamilyName></Ideographic></PersonName>",
            )
            + attribute(
                "00082112", "SQ", '<Item number="1">' + attribute("00081155", "UI", "<Value>1.2</Value>") + "</Item>"
            )
            + attribute("00180050", "DS", '<Value number="1">1.50</Value>')
            + attribute("00189073", "FD", '<Value number="1">INF</Value><Value number="2">0.1</Value>')
            + attribute("00420011", "OB", "<InlineBinary>AA\n EC</InlineBinary>")
            + attribute("7FE00010", "OW", '<BulkData uri="https://h/bulk/1"/>')
        )
    )
    assert list(model) == sorted(model)
    assert model == {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00080008": {"vr": "CS", "Value": ["ORIGINAL", None]},
        "00080090": {"vr": "PN"},
        "00082112": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2"]}}]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Yamada^^^Dr", "Ideographic": "山田"}]},
        "00180050": {"vr": "DS", "Value": ["1.50"]},
        "00189073": {"vr": "FD", "Value": ["Infinity", 0.1]},
        "00280010": {"vr": "US", "Value": [512, 7]},
        "00420011": {"vr": "OB", "InlineBinary": "AAEC"},
        "7FE00010": {"vr": "OW", "BulkDataURI": "https://h/bulk/1"},
    }


def test_private_creators_get_blocks_of_their_own() -> None:
    private = (
        attribute("00090002", "LO", "<Value>a</Value>", ' privateCreator="ONE"')
        + attribute("00090002", "LO", "<Value>b</Value>", ' privateCreator="TWO"')
        + attribute("00090003", "LO", "<Value>c</Value>", ' privateCreator="ONE"')
    )
    assert read_native_xml(document(private)) == {
        "00090010": {"vr": "LO", "Value": ["ONE"]},
        "00090011": {"vr": "LO", "Value": ["TWO"]},
        "00091002": {"vr": "LO", "Value": ["a"]},
        "00091003": {"vr": "LO", "Value": ["c"]},
        "00091102": {"vr": "LO", "Value": ["b"]},
    }


def test_blocks_that_are_numbered_keep_their_creators() -> None:
    by_name = ' privateCreator="{}"'
    private = (
        attribute("00090010", "LO", "<Value>Y</Value>")
        + attribute("00091001", "LO", "<Value>of Y</Value>")
        + attribute("00090002", "LO", "<Value>of X</Value>", by_name.format("X"))
        + attribute("00090002", "LO", "<Value>of Z</Value>", by_name.format("Z"))
        + attribute("00090003", "LO", "<Value>of Y too</Value>", by_name.format("Y"))
        + attribute("00090012", "LO", "<Value>Z </Value>")
        + attribute("00091302", "LO", "<Value>of nobody</Value>")
        + attribute("00090001", "LO", "<Value>of W</Value>", by_name.format("W"))
        + attribute("000B0001", "LO", "<Value>of another group</Value>", by_name.format("W"))
    )
    assert {tag: value["Value"][0] for tag, value in read_native_xml(document(private)).items()} == {
        "00090010": "Y",
        "00090011": "X",
        "00090012": "Z ",
        "00090014": "W",
        "00091001": "of Y",
        "00091003": "of Y too",
        "00091102": "of X",
        "00091202": "of Z",
        "00091302": "of nobody",
        "00091401": "of W",
        "000B0010": "W",
        "000B1001": "of another group",
    }


def test_blocks_run_out() -> None:
    private = [attribute("00090001", "LO", "", f' privateCreator="{number}"') for number in range(239)]
    private.append(attribute("0009FF01", "LO", ""))
    assert len(read_native_xml(document("".join(private)))) == 2 * 239 + 1
    private.append(attribute("00090001", "LO", "", ' privateCreator="one more"'))
    with pytest.raises(DecodeError, match="blocks") as caught:
        read_native_xml(document("".join(private)))
    assert caught.value.path == "00090001"


def test_a_document_without_namespace_is_taken() -> None:
    plain = document(attribute("00080060", "CS", "<Value>CT</Value>"), "<NativeDicomModel>")
    assert read_native_xml(plain) == {"00080060": {"vr": "CS", "Value": ["CT"]}}


# --- against the writer ---


@pytest.mark.parametrize("name", sample_names())
def test_what_was_written_comes_back(name: str) -> None:
    sample = read_sample(name)
    try:
        written = encode_native_xml(read_data_set(sample.data_set, sample.transfer_syntax_uid))
    except DecodeError:
        return
    model = read_native_xml(written)
    again = encode_native_xml(model)
    assert read_native_xml(again) == model
    assert list_attributes(again) == list_attributes(written)


def list_attributes(written: bytes) -> list[tuple[str | None, ...]]:
    """Each attribute at any depth with all its text, sorted: blocks may be numbered in another order."""
    found = etree.fromstring(written).iter("{*}DicomAttribute")
    return sorted(
        (*(one.get(key, "") for key in ("tag", "vr", "privateCreator")), "".join(one.itertext())) for one in found
    )


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(model=_DATA_SETS)
def test_what_was_written_of_any_model_comes_back(model: dict[str, dict[str, object]]) -> None:
    written = encode_native_xml(dict(sorted(model.items())))
    try:
        model = read_native_xml(written)
    except DecodeError as error:
        # the generator puts any number into any VR, and UNKNOWN blocks may meet a creator of that name
        assert "not a value" in error.reason or "twice" in error.reason
        return
    assert encode_native_xml(read_native_xml(encode_native_xml(model))) == encode_native_xml(model)


# --- what is refused ---


@pytest.mark.parametrize(
    ("content", "reason", "path"),
    [
        (attribute("0008006", "CS", ""), "without a tag", ""),
        (attribute("00080060", "XX", ""), "without a known VR", "00080060"),
        (attribute("00080060", "CS", "<Item/>"), "Item where Value is due", "00080060"),
        (attribute("00080060", "CS", "<Value/><BulkData uri='x'/>"), "several kinds", "00080060"),
        (attribute("00080060", "CS", "<Value number='x'/>"), "a number that is none", "00080060"),
        (attribute("00280010", "US", "<Value>x</Value>"), "not a value of VR US", "00280010"),
        (attribute("7FE00010", "OW", "<BulkData/>"), "BulkData without uri", "7FE00010"),
        (attribute("7FE00010", "OW", "<BulkData uri='x'/><BulkData uri='y'/>"), "more than one", "7FE00010"),
        (attribute("00080060", "CS", "") * 2, "given twice", "00080060"),
        (attribute("00100010", "PN", "<PersonName><Latin/></PersonName>"), "not a value of VR PN", "00100010"),
        (attribute("00100020", "LO", "<Value>12<x/>34</Value>"), "not a value of VR LO", "00100020"),
        (attribute("00280010", "US", "<Value>12<x/>34</Value>"), "not a value of VR US", "00280010"),
        (attribute("00189073", "FD", "<Value>12<x/>34</Value>"), "not a value of VR FD", "00189073"),
        (attribute("00420011", "OB", "<InlineBinary>AAAA<x/>BBBB</InlineBinary>"), "within text", "00420011"),
        *(
            (attribute("00100010", "PN", f"<PersonName>{name}</PersonName>"), "not a value of VR PN", "00100010")
            for name in (
                "Doe",
                "<Alphabetic>Doe</Alphabetic>",
                "<Alphabetic><FamilyName>Doe</FamilyName>Jane</Alphabetic>",
                "<Alphabetic><FamilyName>Doe<x/>Roe</FamilyName></Alphabetic>",
                "<Alphabetic><FamilyName>Doe^Jane</FamilyName></Alphabetic>",
                "<Alphabetic><FamilyName>Doe=Jane</FamilyName></Alphabetic>",
                "<Alphabetic><FamilyName>Doe</FamilyName><FamilyName>Roe</FamilyName></Alphabetic>",
                "<Alphabetic/><Alphabetic><FamilyName>Doe</FamilyName></Alphabetic>",
            )
        ),
        (attribute("00082112", "SQ", "<Item><Value/></Item>"), "no DicomAttribute", "00082112/1/"),
        ("<Attribute/>", "no DicomAttribute", ""),
    ],
)
def test_what_is_no_such_model_is_refused(content: str, reason: str, path: str) -> None:
    with pytest.raises(DecodeError, match=reason) as caught:
        read_native_xml(document(content))
    assert caught.value.path == path


def test_what_breaks_no_text_is_read_over() -> None:
    split = "<Value>12<!-- 3 -->34<?p?>5&#54;<![CDATA[7]]></Value>"
    name = "<PersonName>\n<Alphabetic> <!-- --><FamilyName>A</FamilyName><NameSuffix>B^C</NameSuffix>\n</Alphabetic>"
    found = read_native_xml(
        document(attribute("00100020", "LO", split) + attribute("00100010", "PN", f"{name}</PersonName>"))
    )
    assert found["00100020"]["Value"] == ["1234567"]
    assert found["00100010"]["Value"] == [{"Alphabetic": "A^^^^B^C"}]


def test_names_of_the_first_schema_are_taken() -> None:
    single = "<SingleByte><FamilyName>A</FamilyName></SingleByte>"
    found = read_native_xml(document(attribute("00100010", "PN", f"<PersonName>{single}</PersonName>")))
    assert found["00100010"]["Value"] == [{"Alphabetic": "A"}]
    both = f"<PersonName>{single}{single.replace('SingleByte', 'Alphabetic')}</PersonName>"
    with pytest.raises(DecodeError, match="PN"):
        read_native_xml(document(attribute("00100010", "PN", both)))


def test_another_document_is_refused() -> None:
    for other in (b"", b"<a/>", b"{}", document("")[:-5]):
        with pytest.raises(DecodeError):
            read_native_xml(other)


def test_entities_are_neither_expanded_nor_fetched() -> None:
    bomb = (
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
        + document(attribute("00080060", "CS", "<Value>&b;</Value>")).partition(b"?>")[2]
    )
    with pytest.raises(DecodeError):
        read_native_xml(bomb)
    outside = b'<!DOCTYPE x SYSTEM "file:///etc/passwd">' + document("").partition(b"?>")[2]
    with pytest.raises(DecodeError, match="document type"):
        read_native_xml(outside)


def test_nesting_has_a_limit() -> None:
    content = ""
    for _ in range(40):
        content = attribute("00082112", "SQ", f"<Item>{content}</Item>")
    with pytest.raises(DecodeError, match="nested"):
        read_native_xml(document(content))


def test_garbage_gives_one_kind_of_error() -> None:
    chance = random.Random(7)
    good = document(attribute("00280010", "US", "<Value>5</Value>") + attribute("00100010", "PN", ""))
    for _ in range(500):
        damaged = bytearray(good)
        for _ in range(chance.randrange(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            read_native_xml(bytes(damaged))
        except DecodeError:
            pass


def test_documents_made_to_cost_are_refused_unread() -> None:
    with pytest.raises(DecodeError, match="tags"):
        read_native_xml(document("<Item/>" * 750_000))
