"""Native DICOM Model documents: exact forms, and validity of what every sample and generated models become.

``jing`` judges validity against tests/data/native-dicom.rnc; where it is not installed the tests fail.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from pydicom.datadict import DicomDictionary

from gateway.codecs.dicom_json import read_data_set
from gateway.codecs.dicom_xml import NAMESPACE, encode_native_xml
from gateway.codecs.json_values import BULK_VRS, INLINE_VRS
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE
from gateway.errors import DecodeError
from tests.support.data_sets import read_sample, sample_names
from tests.support.elements import element
from tests.support.encoding import JsonModelBuilder
from tests.support.reference_model import build_xml

_SCHEMA = Path(__file__).parents[2] / "data" / "native-dicom.rnc"
_HEAD = f"<?xml version='1.0' encoding='UTF-8'?>\n<NativeDicomModel xmlns=\"{NAMESPACE}\" xml:space=\"preserve\">"


def _body(model: dict[str, Any]) -> str:
    text = encode_native_xml(model).decode()
    assert text.startswith(_HEAD)
    return text.removeprefix(_HEAD).removesuffix("</NativeDicomModel>")


def _validate(documents: list[bytes], folder: Path) -> None:
    paths = [folder / f"{number}.xml" for number in range(len(documents))]
    for path, document in zip(paths, documents, strict=True):
        path.write_bytes(document)
    run = subprocess.run(["jing", "-c", str(_SCHEMA), *map(str, paths)], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "")


# --- forms ---


def test_empty_data_set() -> None:
    assert encode_native_xml({}).decode() == _HEAD.removesuffix(">") + "/>"


def test_document_of_every_form() -> None:
    model = {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00080008": {"vr": "CS", "Value": ["ORIGINAL", None, "AXIAL"]},
        "00080050": {"vr": "SH"},
        "00081140": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.3"]}}, {}]},
        "00081199": {"vr": "SQ"},
        "00090010": {"vr": "LO", "Value": ["Vendor A"]},
        "00091002": {"vr": "UN", "InlineBinary": "AAEC"},
        "00100010": {
            "vr": "PN",
            "Value": [{"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小東"}, None, {"Phonetic": "^^^Dr."}],
        },
        "00280009": {"vr": "AT", "Value": ["00181063"]},
        "00280030": {"vr": "DS", "Value": [0.5, "0.40", 7]},
        "00189087": {"vr": "FD", "Value": [1.5, "NaN", "Infinity", "-Infinity", None]},
        "60003000": {"vr": "OW", "InlineBinary": "AAEC"},
        "7FE00010": {"vr": "OW", "BulkDataURI": "https://h/bulkdata/7FE00010?a&b"},
    }
    assert _body(model) == (
        '<DicomAttribute tag="00080005" vr="CS" keyword="SpecificCharacterSet"><Value number="1">ISO_IR 192</Value>'
        '</DicomAttribute><DicomAttribute tag="00080008" vr="CS" keyword="ImageType"><Value number="1">ORIGINAL</Value>'
        '<Value number="2"></Value><Value number="3">AXIAL</Value></DicomAttribute>'
        '<DicomAttribute tag="00080050" vr="SH" keyword="AccessionNumber"/>'
        '<DicomAttribute tag="00081140" vr="SQ" keyword="ReferencedImageSequence"><Item number="1">'
        '<DicomAttribute tag="00081155" vr="UI" keyword="ReferencedSOPInstanceUID"><Value number="1">1.2.3</Value>'
        '</DicomAttribute></Item><Item number="2"/></DicomAttribute>'
        '<DicomAttribute tag="00081199" vr="SQ" keyword="ReferencedSOPSequence"/>'
        '<DicomAttribute tag="00090002" vr="UN" privateCreator="Vendor A"><InlineBinary>AAEC</InlineBinary>'
        '</DicomAttribute><DicomAttribute tag="00100010" vr="PN" keyword="PatientName"><PersonName number="1">'
        "<Alphabetic><FamilyName>Wang</FamilyName><GivenName>XiaoDong</GivenName></Alphabetic>"
        "<Ideographic><FamilyName>王</FamilyName><GivenName>小東</GivenName></Ideographic></PersonName>"
        '<PersonName number="2"/><PersonName number="3"><Phonetic><NamePrefix>Dr.</NamePrefix></Phonetic></PersonName>'
        '</DicomAttribute><DicomAttribute tag="00280009" vr="AT" keyword="FrameIncrementPointer">'
        '<Value number="1">00181063</Value></DicomAttribute>'
        '<DicomAttribute tag="00280030" vr="DS" keyword="PixelSpacing"><Value number="1">0.5</Value>'
        '<Value number="2">0.40</Value><Value number="3">7</Value></DicomAttribute>'
        '<DicomAttribute tag="00189087" vr="FD" keyword="DiffusionBValue"><Value number="1">1.5</Value>'
        '<Value number="2">NaN</Value><Value number="3">INF</Value><Value number="4">-INF</Value>'
        '<Value number="5"></Value></DicomAttribute>'
        '<DicomAttribute tag="60003000" vr="OW" keyword="OverlayData"><InlineBinary>AAEC</InlineBinary>'
        "</DicomAttribute>"
        '<DicomAttribute tag="7FE00010" vr="OW" keyword="PixelData">'
        '<BulkData uri="https://h/bulkdata/7FE00010?a&amp;b"/></DicomAttribute>'
    )


def _private(tag: str) -> dict[str, Any]:
    return {tag: {"vr": "SH", "Value": ["x"]}}


def _identities(model: dict[str, Any]) -> list[tuple[str | None, str | None]]:
    root = etree.fromstring(encode_native_xml(model))
    return [(node.get("tag"), node.get("privateCreator")) for node in root]


def test_creators_are_those_of_the_same_item_group_and_block(tmp_path: Path) -> None:
    creators = {
        "00090010": {"vr": "LO", "Value": ["A"]},
        "00090011": {"vr": "LO", "Value": ["B "]},
        "00110010": {"vr": "LO", "Value": ["C"]},
    }
    model = {**creators, **_private("00091001"), **_private("00091101"), **_private("00111001"), **_private("00111101")}
    assert _identities(model) == [("00090001", "A"), ("00090001", "B"), ("00110001", "C"), ("00110001", "UNKNOWN 11")]
    nested = {**creators, "00400275": {"vr": "SQ", "Value": [_private("00091001")]}}
    root = etree.fromstring(encode_native_xml(nested))
    assert [node.get("privateCreator") for node in root.iter("{*}DicomAttribute")] == [None, "UNKNOWN 10"]
    _validate([encode_native_xml(model), encode_native_xml(nested)], tmp_path)


def test_private_elements_without_usable_creator(tmp_path: Path) -> None:
    model = {
        "00090001": {"vr": "UN", "InlineBinary": "AAE="},
        "00090010": {"vr": "LO"},
        "00090011": {"vr": "LO", "Value": ["x" * 65]},
        "00090012": {"vr": "UN", "InlineBinary": "QUI="},
        "00090013": {"vr": "LO", "Value": [None, "B"]},
        **_private("00091001"),
        **_private("00091101"),
        **_private("00091201"),
        **_private("00091301"),
        **_private("00092001"),
    }
    assert _identities(model) == [
        ("00090001", "UNKNOWN 00"),
        ("00090010", None),
        ("00090011", None),
        ("00090012", None),
        ("00090013", None),
        ("00090001", "UNKNOWN 10"),
        ("00090001", "UNKNOWN 11"),
        ("00090001", "UNKNOWN 12"),
        ("00090001", "UNKNOWN 13"),
        ("00090001", "UNKNOWN 20"),
    ]
    _validate([encode_native_xml(model)], tmp_path)


def test_group_lengths_and_unknown_keywords() -> None:
    assert encode_native_xml({"00080000": {"vr": "UL", "Value": [8]}}) == encode_native_xml({})
    assert _body({"00080002": {"vr": "UN"}}) == '<DicomAttribute tag="00080002" vr="UN"/>'


def test_characters_that_xml_cannot_hold() -> None:
    text = "a\x0cb\x1b\x00\ufffe<&>\r\n\t "
    model = {"00104000": {"vr": "LT", "Value": [text]}, "00100010": {"vr": "PN", "Value": [{"Alphabetic": "\x01^\r"}]}}
    document = encode_native_xml(model)
    assert b"a\xef\xbf\xbdb" in document
    assert b"&lt;&amp;&gt;&#13;\n\t " in document
    root = etree.fromstring(document)
    assert [node.text for node in root.iter("{*}Value", "{*}FamilyName", "{*}GivenName")] == [
        "a\ufffdb\ufffd\ufffd\ufffd<&>\r\n\t ",
        "\ufffd",
        "\r",
    ]


def test_more_than_five_name_components_stay_with_the_last() -> None:
    body = _body({"00100010": {"vr": "PN", "Value": [{"Alphabetic": "a^b^c^d^e^f^g"}]}})
    assert "<NameSuffix>e^f^g</NameSuffix>" in body


def test_every_keyword_is_a_token() -> None:
    keywords = {keyword for *_, keyword in DicomDictionary.values() if keyword}
    assert all(re.fullmatch("[A-Za-z][A-Za-z0-9]*", keyword) for keyword in keywords)


# --- validity ---


def _models() -> list[dict[str, Any]]:
    models = []
    for name in sample_names(bare=True):
        sample = read_sample(name)
        builder = JsonModelBuilder(sample.transfer_syntax_uid, bulkdata_uri=lambda path: f"http://h/{path}")
        try:
            builder.feed(sample.data_set)
            models.append(builder.finish())
        except DecodeError:
            continue
    return models


def _count(model: dict[str, Any]) -> int:
    """Count attributes at all levels, without private creators that have a name."""
    creators = [
        tag
        for tag, attribute in model.items()
        if int(tag[3], 16) & 1 and tag[4:6] == "00" and tag[6] != "0" and attribute.get("Value", [""])[0]
    ]
    items = [item for attribute in model.values() if attribute["vr"] == "SQ" for item in attribute.get("Value", [])]
    return len(model) - len(creators) + sum(map(_count, items))


def test_every_sample_is_valid_and_complete(tmp_path: Path) -> None:
    models = _models()
    assert len(models) > 50
    documents = [encode_native_xml(model) for model in models]
    assert documents == [build_xml(model) for model in models]
    for model, document in zip(models, documents, strict=True):
        assert len(list(etree.fromstring(document).iter("{*}DicomAttribute"))) == _count(model)
    _validate(documents, tmp_path)


_TEXT_VRS = ["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "SH", "ST", "TM", "UC", "UI", "UR", "UT"]
_NUMBER_VRS = ["FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"]
_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=6)
_TEXTS = st.lists(st.none() | _TEXT, min_size=1, max_size=3)
_NUMBERS = st.lists(st.none() | st.integers() | st.floats(allow_nan=False), min_size=1, max_size=3)
_GROUPS = st.fixed_dictionaries({}, optional=dict.fromkeys(("Alphabetic", "Ideographic", "Phonetic"), _TEXT))
_ATTRIBUTES = st.one_of(
    st.builds(lambda vr, value: {"vr": vr, "Value": value}, st.sampled_from(_TEXT_VRS), _TEXTS),
    st.builds(lambda vr, value: {"vr": vr, "Value": value}, st.sampled_from(_NUMBER_VRS), _NUMBERS),
    st.builds(lambda value: {"vr": "PN", "Value": value}, st.lists(st.none() | _GROUPS, min_size=1, max_size=3)),
    st.builds(lambda vr: {"vr": vr, "InlineBinary": "AAEC"}, st.sampled_from(sorted(INLINE_VRS))),
    st.builds(lambda vr: {"vr": vr, "BulkDataURI": "http://h/x"}, st.sampled_from(sorted(BULK_VRS))),
    st.builds(lambda vr: {"vr": vr}, st.sampled_from([*_TEXT_VRS, *_NUMBER_VRS, *INLINE_VRS, "SQ", "AT", "PN"])),
)
_TAGS = st.builds(
    lambda group, number: f"{group:04X}{number:04X}",
    st.sampled_from([0x0008, 0x0009, 0x0010, 0x0011, 0x5000, 0x7FE0]),
    st.one_of(st.integers(0, 0x20), st.integers(0, 0xFFFF)),
)
_DATA_SETS = st.recursive(
    st.dictionaries(_TAGS, _ATTRIBUTES, max_size=8),
    lambda items: st.dictionaries(
        _TAGS,
        st.builds(lambda value: {"vr": "SQ", "Value": value}, st.lists(items, min_size=1, max_size=2)),
        max_size=3,
    ),
    max_leaves=4,
)


def test_generated_models_are_valid(tmp_path: Path) -> None:
    documents: list[bytes] = []

    @settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
    @given(_DATA_SETS)
    def encode(model: dict[str, Any]) -> None:
        documents.append(encode_native_xml(model))
        assert documents[-1] == build_xml(model)

    encode()
    _validate(documents, tmp_path)


def test_any_data_set_bytes_become_a_valid_document(tmp_path: Path) -> None:
    documents: list[bytes] = []

    @settings(max_examples=150)
    @given(
        st.lists(
            st.tuples(
                _TAGS, st.sampled_from([*_TEXT_VRS, *_NUMBER_VRS, "AT", "PN", "OB", "UN"]), st.binary(max_size=20)
            )
        )
    )
    def encode(elements: list[tuple[str, str, bytes]]) -> None:
        data = b"".join(element(int(tag, 16), vr, value) for tag, vr, value in elements)
        try:
            documents.append(encode_native_xml(read_data_set(data, EXPLICIT_VR_LE)))
        except DecodeError:
            return

    encode()
    assert documents
    _validate(documents, tmp_path)
