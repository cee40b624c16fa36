"""Identifiers written from keys are read back by pydicom and by our own reader."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset

from gateway.codecs.dicom_json import read_data_set
from gateway.codecs.identifier import encode_identifier
from gateway.codecs.transfer_syntax import DEFLATED, EXPLICIT_VR_LE, IMPLICIT_VR_LE
from gateway.errors import BadParameter

_BOTH = pytest.mark.parametrize("syntax", [IMPLICIT_VR_LE, EXPLICIT_VR_LE])


def _read(data: bytes, syntax: str) -> Dataset:
    return read_dataset(DicomBytesIO(data), syntax == IMPLICIT_VR_LE, True)


@_BOTH
def test_study_query(syntax: str) -> None:
    keys = {
        "0020000D": {"vr": "UI", "Value": ["1.2.3", "1.2.34"]},
        "00080020": {"vr": "DA", "Value": ["20200101-20201231"]},
        "00080052": {"vr": "CS", "Value": ["STUDY"]},
        "00080005": {"vr": "CS"},
        "00080061": {"vr": "CS"},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^J*"}]},
        "00201208": {"vr": "IS", "Value": [12]},
        "00101030": {"vr": "DS", "Value": [70.25, "80.50", None]},
        "00280010": {"vr": "US", "Value": ["512"]},
        "00189087": {"vr": "FD", "Value": [1000.5]},
        "00280009": {"vr": "AT", "Value": ["00181063"]},
        "0040A043": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["T-1"]}}]},
        "00400275": {"vr": "SQ", "Value": [{}]},
        "00401008": {"vr": "SQ"},
        "00420011": {"vr": "OB", "InlineBinary": "AQID"},
    }
    found = _read(encode_identifier(keys, syntax), syntax)
    assert [element.tag for element in found] == sorted(int(tag, 16) for tag in keys)
    assert found.StudyInstanceUID == ["1.2.3", "1.2.34"]
    assert found.StudyDate == "20200101-20201231"
    assert found.SpecificCharacterSet == ""
    assert found.ModalitiesInStudy == ""
    assert found.PatientName == "Doe^J*"
    assert found.NumberOfStudyRelatedInstances == 12
    assert [str(value) for value in found.PatientWeight] == ["70.25", "80.50", ""]
    assert found.Rows == 512
    assert found.DiffusionBValue == 1000.5
    assert found.FrameIncrementPointer == 0x00181063
    assert found.ConceptNameCodeSequence[0].CodeValue == "T-1"
    assert len(found.RequestAttributesSequence) == 1
    assert len(found.RequestAttributesSequence[0]) == 0
    assert len(found[0x00401008].value) == 0
    assert found.EncapsulatedDocument == b"\1\2\3\0"


def test_bytes_of_a_key_in_both_encodings() -> None:
    keys = {"0020000d": {"vr": "UI", "Value": ["1.2.3"]}}
    value = b"1.2.3" + bytes(1)
    assert encode_identifier(keys, IMPLICIT_VR_LE) == bytes.fromhex("20000D00 06000000") + value
    assert encode_identifier(keys, EXPLICIT_VR_LE) == bytes.fromhex("20000D00 5549 0600") + value


@_BOTH
@pytest.mark.parametrize(
    "keys",
    [
        {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller*"}]}},
        {"00400275": {"vr": "SQ", "Value": [{"00321060": {"vr": "LO", "Value": ["Schädel"]}}]}},
        {"00080005": {"vr": "CS"}, "00081030": {"vr": "LO", "Value": ["山*"]}},
    ],
)
def test_text_beyond_ascii_is_utf_8_and_says_so(keys: dict[str, Any], syntax: str) -> None:
    data = encode_identifier(keys, syntax)
    assert _read(data, syntax).SpecificCharacterSet == "ISO_IR 192"
    model = read_data_set(data, syntax)
    assert {**keys, "00080005": model["00080005"]} == model


def test_name_groups_keep_their_places() -> None:
    keys = {"00100010": {"vr": "PN", "Value": [{"Ideographic": "山田", "Alphabetic": ""}, {"Phonetic": "や"}]}}
    assert "=山田\\==や".encode() in encode_identifier(keys, IMPLICIT_VR_LE)


def test_character_set_is_written_only_where_needed_or_asked_for() -> None:
    assert b"ISO" not in encode_identifier({"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe"}]}}, IMPLICIT_VR_LE)
    asked = {"00080005": {"vr": "CS", "Value": ["ISO_IR 100"]}}
    assert b"ISO_IR 100" in encode_identifier(asked, IMPLICIT_VR_LE)


def test_uid_list_beyond_a_16_bit_length() -> None:
    uids = [f"1.2.3.{number:059d}" for number in range(1100)]
    data = encode_identifier({"00080018": {"vr": "UI", "Value": uids}}, EXPLICIT_VR_LE)
    assert data[4:6] == b"UN"
    assert data[12:].rstrip(b"\0").decode().split("\\") == uids


@pytest.mark.parametrize(
    ("vr", "value"),
    [("US", "abc"), ("US", 70000), ("US", None), ("UL", -1), ("FL", 1e300), ("AT", "Rows"), ("CS", "Ä"), ("FD", {})],
)
def test_value_that_the_vr_cannot_hold(vr: str, value: object) -> None:
    with pytest.raises(BadParameter) as caught:
        encode_identifier({"00280010": {"vr": vr, "Value": [value]}}, EXPLICIT_VR_LE)
    assert caught.value.name == "00280010"


def test_bad_base64() -> None:
    with pytest.raises(BadParameter):
        encode_identifier({"00420011": {"vr": "OB", "InlineBinary": "?"}}, EXPLICIT_VR_LE)


def test_other_transfer_syntax() -> None:
    with pytest.raises(ValueError, match="not written"):
        encode_identifier({}, DEFLATED)


_TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\\^= "), min_size=1, max_size=8)
_KEYS = {
    "00081030": st.fixed_dictionaries({"vr": st.just("LO"), "Value": st.lists(_TEXT, min_size=1, max_size=3)}),
    "00080050": st.just({"vr": "SH"}),
    "00100010": st.fixed_dictionaries(
        {"vr": st.just("PN"), "Value": st.lists(st.fixed_dictionaries({"Alphabetic": _TEXT}), min_size=1, max_size=2)}
    ),
    "00280010": st.fixed_dictionaries(
        {"vr": st.just("US"), "Value": st.lists(st.integers(0, 65535), min_size=1, max_size=3)}
    ),
    "00200013": st.fixed_dictionaries(
        {"vr": st.just("IS"), "Value": st.lists(st.integers(-99999, 99999), min_size=1, max_size=3)}
    ),
}
_ITEM = st.fixed_dictionaries({}, optional=_KEYS)


@given(
    st.fixed_dictionaries(
        {},
        optional=_KEYS
        | {"00400275": st.fixed_dictionaries({"vr": st.just("SQ"), "Value": st.lists(_ITEM, min_size=1, max_size=2)})},
    ),
    st.sampled_from([IMPLICIT_VR_LE, EXPLICIT_VR_LE]),
)
def test_round_trip(keys: dict[str, Any], syntax: str) -> None:
    data = encode_identifier(keys, syntax)
    assert len(data) % 2 == 0
    model = read_data_set(data, syntax)
    model.pop("00080005", None)
    assert model == keys
