"""Models to data sets: as pydicom reads them, with gaps where bulk values go; what is refused is named by its tag."""

from __future__ import annotations

import random
from io import BytesIO
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from pydicom import Dataset, dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset

from gateway.codecs.dicom_json import read_data_set
from gateway.codecs.model_writer import BulkReference, write_model
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE
from gateway.errors import DecodeError
from tests.support.data_sets import read_sample, sample_names
from tests.unit.codecs.test_dicom_xml import _DATA_SETS

UI = {"vr": "UI", "Value": ["1.2.3"]}


def write(model: dict[str, Any]) -> bytes:
    """A model without bulk values, as bytes."""
    written = write_model(model)
    assert all(isinstance(piece, bytes) for piece in written) and len(written) <= 1
    return b"".join(piece for piece in written if isinstance(piece, bytes))


def read(data: bytes) -> Dataset:
    return read_dataset(DicomBytesIO(data), is_implicit_VR=False, is_little_endian=True)


def test_a_data_set_is_what_pydicom_makes_of_the_model() -> None:
    model = {
        "7FE00010": {"vr": "OW", "InlineBinary": "AAEC"},
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00080018": UI,
        "00081140": {"vr": "SQ", "Value": [{"00081155": UI, "00081150": UI}, {}, None]},
        "00081199": {"vr": "SQ"},
        "00090010": {"vr": "LO", "Value": ["Vendor A"]},
        "00091002": {"vr": "UN", "InlineBinary": "z0x9c8v7"},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小東"}]},
        "00280010": {"vr": "US", "Value": [512]},
        "00281050": {"vr": "DS", "Value": [40, "80.50"]},
        "0040a043": {"vr": "SQ", "Value": []},
    }
    found = read(write(model))
    assert [int(element.tag) for element in found] == sorted(int(tag, 16) for tag in model)
    assert found.PatientName == "Wang^XiaoDong=王^小東"
    assert found.PixelData == b"\0\1\2\0"
    assert [len(item) for item in found.ReferencedImageSequence] == [2, 0, 0]
    assert found[0x00091002].value == b"\xcf\x4c\x7d\x73\xcb\xfb"
    assert [str(value) for value in found.WindowCenter] == ["40", "80.50"]
    assert len(found.ConceptNameCodeSequence) == 0


def test_bulk_values_leave_gaps() -> None:
    model = {
        "00880200": {"vr": "SQ", "Value": [{"7FE00010": {"vr": "OB", "BulkDataURI": "icon"}, "00280010": UI}]},
        "7FE00010": {"vr": "OW", "BulkDataURI": "pixels"},
        "00283006": {"vr": "US", "BulkDataURI": "lut"},
        "00080018": UI,
    }
    before, lut, between, icon, after, pixels = write_model(model)
    assert lut == BulkReference(0x00283006, "US", "lut", "00283006")
    assert icon == BulkReference(0x7FE00010, "OB", "icon", "00880200/1/7FE00010")
    assert pixels == BulkReference(0x7FE00010, "OW", "pixels", "7FE00010")
    assert all(isinstance(piece, bytes) for piece in (before, between, after))


def test_what_is_no_part_of_a_data_set_is_left_out() -> None:
    dropped = {"00020010": UI, "00080000": {"vr": "UL", "Value": [4]}}
    assert write({**dropped, "00080018": UI}) == write({"00080018": UI})


# --- character sets ---

CHARACTER_SETS = [  # what (0008,0005) names, the text, what it names afterwards, the codec
    (None, "plain", None, "ascii"),
    (None, "Müller", "ISO_IR 192", "utf-8"),
    (["ISO_IR 100"], "plain", ["ISO_IR 100"], "ascii"),
    (["ISO_IR 100"], "Müller", ["ISO_IR 100"], "latin-1"),
    (["ISO_IR 100"], "山田", "ISO_IR 192", "utf-8"),
    (["ISO_IR 144"], "Люкceмбypг", ["ISO_IR 144"], "iso8859_5"),
    (["ISO_IR 192"], "山田", ["ISO_IR 192"], "utf-8"),
    (["GB18030"], "王^小东", ["GB18030"], "gb18030"),
    (["", "ISO 2022 IR 87"], "plain", ["", "ISO 2022 IR 87"], "ascii"),
    (["", "ISO 2022 IR 87"], "山田", "ISO_IR 192", "utf-8"),
    (["ISO_IR 13"], "ﾔﾏﾀﾞ", "ISO_IR 192", "utf-8"),
    (["unknown"], "é", "ISO_IR 192", "utf-8"),
]


@pytest.mark.parametrize(("named", "text", "afterwards", "codec"), CHARACTER_SETS)
def test_character_sets(named: Any, text: str, afterwards: Any, codec: str) -> None:
    item = {"00080104": {"vr": "LO", "Value": [text]}, "00080005": {"vr": "CS", "Value": ["ISO_IR 101"]}}
    model: dict[str, Any] = {"00081140": {"vr": "SQ", "Value": [item]}, "00104000": {"vr": "LT", "Value": [text]}}
    if named is not None:
        model["00080005"] = {"vr": "CS", "Value": named}
    data = write(model)
    found = read(data)
    assert text.encode(codec) in data
    assert found.PatientComments == found.ReferencedImageSequence[0].CodeMeaning == text
    assert "SpecificCharacterSet" not in found.ReferencedImageSequence[0]
    if afterwards is None:
        assert "SpecificCharacterSet" not in found
    elif isinstance(afterwards, str):
        assert found.SpecificCharacterSet == afterwards
    else:
        assert [found[0x00080005].value] == afterwards or list(found[0x00080005].value) == afterwards


def test_bulk_text_keeps_its_character_set() -> None:
    model = {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 100"]},
        "00104000": {"vr": "LT", "BulkDataURI": "x"},
        "00100020": {"vr": "LO", "Value": ["ü"]},
    }
    assert len(write_model(model)) == 2
    model["00100020"] = {"vr": "LO", "Value": ["山"]}
    with pytest.raises(DecodeError) as caught:
        write_model(model)
    assert caught.value.path == "00080005"


ITEM_CHARACTER_SETS = [  # of the data set, of an item with bulk text in it, whether that can be written
    (["ISO_IR 192"], ["ISO_IR 100"], False),
    (["ISO_IR 100"], ["ISO_IR 192"], False),
    (None, ["ISO_IR 192"], False),
    (["ISO_IR 192"], ["", "ISO 2022 IR 87"], False),
    (["ISO_IR 192"], [1], False),
    (["ISO_IR 192"], ["ISO_IR 192 "], True),
    (["", "ISO 2022 IR 87"], [None, "ISO 2022 IR 87"], True),
    (["ISO_IR 192"], ["ISO_IR 6"], True),
    (["ISO_IR 192"], [], True),
    (["ISO_IR 192"], None, True),
]


@pytest.mark.parametrize(("outer", "inner", "is_taken"), ITEM_CHARACTER_SETS)
@pytest.mark.parametrize("is_nested", [False, True])
def test_bulk_text_of_an_item_keeps_its_character_set(outer: Any, inner: Any, is_taken: bool, is_nested: bool) -> None:
    text: dict[str, Any] = {"0040A160": {"vr": "UT", "BulkDataURI": "x"}}
    if is_nested:
        text = {"0040A730": {"vr": "SQ", "Value": [text]}}
    item = text if inner is None else {**text, "00080005": {"vr": "CS", "Value": inner}}
    model: dict[str, Any] = {
        "0040A730": {"vr": "SQ", "Value": [item, {}]},
        "0040A160": {"vr": "UT", "BulkDataURI": "y"},
    }
    if outer is not None:
        model["00080005"] = {"vr": "CS", "Value": outer}
    if is_taken:
        assert [it.uri for it in write_model(model) if isinstance(it, BulkReference)] == ["y", "x"]
        return
    with pytest.raises(DecodeError, match="character set of its own") as caught:
        write_model(model)
    assert caught.value.path == "0040A730/1/00080005"
    sounds = {"5400100A": {"vr": "OW", "BulkDataURI": "x"}, "00080005": {"vr": "CS", "Value": inner}}
    assert len(write_model({**model, "0040A730": {"vr": "SQ", "Value": [sounds]}})) > 2  # which no text is


# --- what is refused ---

REFUSED = [
    ({"0010": UI}, ""),
    ({"PatientName": UI}, ""),
    ({"0010001g": UI}, ""),
    ({"0020000d": UI, "0020000D": UI}, "0020000D"),
    ({"FFFEE000": UI}, "FFFEE000"),
    ({"00000010": UI}, "00000010"),
    ({"00010010": UI}, "00010010"),
    ({"00100010": 5}, "00100010"),
    ({"00100010": None}, "00100010"),
    ({"00020010": None}, "00020010"),
    ({"00100010": {}}, "00100010"),
    ({"00100010": {"vr": "ox"}}, "00100010"),
    ({"00100010": {"vr": "OB or OW"}}, "00100010"),
    ({"00100010": {"vr": ["LO"]}}, "00100010"),
    ({"00100010": {"vr": "LO", "Value": "x"}}, "00100010"),
    ({"00100010": {"vr": "LO", "Value": {"0": "x"}}}, "00100010"),
    ({"00100010": {"vr": "LO", "InlineBinary": "AA=="}}, "00100010"),
    ({"00100010": {"vr": "LO", "BulkDataURI": "x"}}, "00100010"),
    ({"00100010": {"vr": "SQ", "BulkDataURI": "x"}}, "00100010"),
    ({"7FE00010": {"vr": "OW", "Value": [1]}}, "7FE00010"),
    ({"7FE00010": {"vr": "OW", "InlineBinary": "?"}}, "7FE00010"),
    ({"7FE00010": {"vr": "OW", "BulkDataURI": ""}}, "7FE00010"),
    ({"7FE00010": {"vr": "OW", "BulkDataURI": 5}}, "7FE00010"),
    ({"7FE00010": {"vr": "OW", "BulkDataURI": "x", "InlineBinary": "AAAA"}}, "7FE00010"),
    ({"00280010": {"vr": "US", "Value": [65536]}}, "00280010"),
    ({"00280010": {"vr": "US", "Value": [[1]]}}, "00280010"),
    ({"00100020": {"vr": "LO", "Value": ["\ud800"]}}, ""),
    ({"00081140": {"vr": "SQ", "Value": ["x"]}}, "00081140"),
    ({"00081140": {"vr": "SQ", "Value": [{}, {"00280010": {"vr": "US", "Value": ["x"]}}]}}, "00081140/2/00280010"),
]


@pytest.mark.parametrize(("model", "path"), REFUSED, ids=range(len(REFUSED)))
def test_what_breaks_the_model_is_refused_by_name(model: dict[str, Any], path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        write_model(model)
    assert caught.value.path == path


def test_depth_is_limited() -> None:
    model: dict[str, Any] = {"00280010": {"vr": "US"}}
    for _ in range(31):
        model = {"00081140": {"vr": "SQ", "Value": [model]}}
    write_model(model)
    for _ in range(900):
        model = {"00081140": {"vr": "SQ", "Value": [model]}}
    with pytest.raises(DecodeError, match="nested"):
        write_model(model)


def test_long_values_of_short_vrs_become_un() -> None:
    data = write({"00283006": {"vr": "US", "Value": list(range(40_000))}})
    assert data[4:6] == b"UN"
    assert data[12:] == b"".join(n.to_bytes(2, "little") for n in range(40_000))


# --- and back ---


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(_DATA_SETS)
def test_generated_models_come_back(model: dict[str, Any]) -> None:
    try:
        written = write_model(model)
    except DecodeError:
        return
    data = b"".join(piece for piece in written if isinstance(piece, bytes))
    again = read_data_set(data, EXPLICIT_VR_LE)
    assert write(again) == data or read_data_set(write(again), EXPLICIT_VR_LE) == again


@pytest.mark.parametrize("name", sample_names())
def test_samples_come_back(name: str) -> None:
    """The metadata of each sample as pydicom's JSON: what is written equals what pydicom makes of it."""
    sample = read_sample(name)
    try:
        data_set = dcmread(BytesIO(sample.content), force=True, stop_before_pixels=True)
        model = data_set.to_json_dict(suppress_invalid_tags=True)
        expected = Dataset.from_json(model)
    except Exception:
        return  # pydicom cannot write the sample as JSON
    names = list(model)
    random.Random(name).shuffle(names)
    try:
        data = write({tag: model[tag] for tag in names})
    except DecodeError as error:
        assert error.path  # an odd value of the sample, refused by name
        return
    found = read(data)
    if expected.get("SpecificCharacterSet") != found.get("SpecificCharacterSet"):
        assert found.SpecificCharacterSet == "ISO_IR 192"
    for element in expected:
        if element.tag.element and element.tag != 0x00080005 and element.VR != "SQ":
            value = found[element.tag].value
            if isinstance(element.value, bytes):
                assert value.rstrip(b"\0") == element.value.rstrip(b"\0")
            elif element.VR != "FL":
                assert str(value).rstrip() == str(element.value).rstrip() or value == element.value
