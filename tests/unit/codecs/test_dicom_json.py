"""Data sets to the DICOM JSON Model: against pydicom over every sample, and rule by rule (PS3.18 Annex F)."""

from __future__ import annotations

import math
from io import BytesIO
from pathlib import Path
from struct import pack
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from gateway.codecs.dicom_json import dump_json, read_data_set
from gateway.codecs.transfer_syntax import EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE
from gateway.errors import DecodeError
from tests.support.data_sets import read_sample, sample_names
from tests.support.encoding import JsonModelBuilder

# Broken beyond reading; pydicom returns what it has come to.
_UNREADABLE = {
    "DICOMDIR-nooffset",  # an item longer than its sequence
    "GH179A.dcm",
    "GH179B.dcm",
    "MR_truncated.dcm",
    "emri_small_jpeg_2k_lossless_too_short.dcm",
    "rtplan_truncated.dcm",
    "truncated_pixeldata.dcm",
}


def _uri(path: str) -> str:
    return f"http://h/bulkdata/{path}"


# --- against pydicom ---


def _pydicom_model(data_set: Dataset) -> dict[str, Any]:
    """pydicom's model, without elements it cannot express: malformed values make it raise."""
    model = {}
    for tag in data_set.keys():
        if tag.element == 0 or tag == 0xFFFCFFFC:  # group lengths and trailing padding are left out (json-model rules)
            continue
        try:
            element = data_set[tag]
            if element.VR == "SQ":
                model[f"{tag:08X}"] = {"vr": "SQ", "Value": [_pydicom_model(item) for item in element.value]}
            else:
                model[f"{tag:08X}"] = element.to_json_dict(None, 1024)
        except Exception:
            model[f"{tag:08X}"] = {"vr": None}
    return model


def _check_models(ours: dict[str, Any], theirs: dict[str, Any], path: str = "") -> None:
    assert sorted(ours) == list(ours)
    assert sorted(theirs) == list(ours), path
    for tag, attribute in ours.items():
        if theirs[tag]["vr"] is not None and tag != "00080005":  # reads ISO_IR 192
            _check_attributes(attribute, theirs[tag], f"{path}{tag}")


def _check_attributes(ours: dict[str, Any], theirs: dict[str, Any], path: str) -> None:
    if "BulkDataURI" in ours:  # encapsulated pixel data and NaN, which have no inline form
        assert "InlineBinary" in theirs or not all(map(math.isfinite, theirs["Value"])), path
        assert ours["BulkDataURI"] == _uri(path)
        return
    if ours["vr"] == "UN" != theirs["vr"]:
        # pydicom also guesses private elements from its dictionary, and parses sequences out of UN
        assert int(path[-8:-4], 16) & 1 or theirs["vr"] == "SQ" or " or " in theirs["vr"], path
        return
    assert ours["vr"] == theirs["vr"], path
    if ours["vr"] == "SQ":
        for number, (our_item, their_item) in enumerate(
            zip(ours.get("Value", []), theirs["Value"], strict=True), start=1
        ):
            _check_models(our_item, their_item, f"{path}/{number}/")
        return
    assert ours.get("InlineBinary") == theirs.get("InlineBinary"), path
    our_values, their_values = ours.get("Value", []), theirs.get("Value", [])
    if our_values != their_values:
        assert [_plain(value, theirs["vr"]) for value in our_values] == [
            _plain(value, theirs["vr"]) for value in their_values
        ], path


def _plain(value: Any, vr: str) -> Any:
    """Lay off what may differ: padding, empty forms, empty name groups, numbers as text."""
    if isinstance(value, dict):
        # pydicom leaves the escape sequence of ISO 2022 IR 58 in the text
        groups = {name: text.replace("\x1b$)A", "").rstrip() for name, text in value.items()}
        return {name: text for name, text in groups.items() if text} or None
    if isinstance(value, str) and vr in ("FL", "FD", "DS", "IS", "SV", "UV"):
        return float(value) if value.strip() else None
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    return value.replace("\x1b$)A", "").strip(" \0") or None if isinstance(value, str) else value


@pytest.mark.parametrize("name", sample_names(bare=True))
def test_every_sample_equals_pydicom(name: str) -> None:
    sample = read_sample(name)
    builder = JsonModelBuilder(sample.transfer_syntax_uid, bulkdata_uri=_uri, inline_limit=1 << 22)
    if Path(name).name in _UNREADABLE:
        with pytest.raises(DecodeError):
            _build(builder, sample.data_set)
        return
    ours = _build(builder, sample.data_set)
    orjson.loads(dump_json(ours))
    theirs = _pydicom_model(dcmread(BytesIO(sample.content), force=True))
    native = theirs.get("7FE00010", {})
    if "InlineBinary" in native:
        assert ours["7FE00010"] == {"vr": ours["7FE00010"]["vr"], "BulkDataURI": _uri("7FE00010")}
        del ours["7FE00010"], theirs["7FE00010"]
    _check_models(ours, theirs)


def _build(builder: JsonModelBuilder, data: bytes, size: int = 0) -> dict[str, Any]:
    for start in range(0, len(data), size or max(len(data), 1)):
        builder.feed(data[start : start + (size or len(data))])
    return builder.finish()


# --- rules ---


def _encode(data_set: Dataset, *, implicit: bool = False, little: bool = True) -> bytes:
    out = DicomBytesIO()
    out.is_implicit_VR, out.is_little_endian = implicit, little
    write_dataset(out, data_set)
    return out.getvalue()


def _metadata(data: bytes, inline_limit: int = 1024) -> dict[str, Any]:
    return _build(JsonModelBuilder(EXPLICIT_VR_LE, bulkdata_uri=_uri, inline_limit=inline_limit), data)


def _element(tag: int, vr: str, value: bytes) -> bytes:
    long = vr in ("OB", "OD", "OF", "OL", "OV", "OW", "UC", "UN", "UR", "UT")
    return (
        pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
        + pack("<HI" if long else "<H", *([0] * long), len(value))
        + value
    )


def _sequence(tag: int, *items: bytes) -> bytes:
    content = b"".join(pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items)
    return pack("<HH2sHI", tag >> 16, tag & 0xFFFF, b"SQ", 0, len(content)) + content


def _encapsulated(tag: int, *fragments: bytes) -> bytes:
    items = b"".join(pack("<HHI", 0xFFFE, 0xE000, len(data)) + data for data in (b"", *fragments))
    return pack("<HH2sHI", tag >> 16, tag & 0xFFFF, b"OB", 0, 0xFFFFFFFF) + items + pack("<HHI", 0xFFFE, 0xE0DD, 0)


def test_tags_ascend_and_foreign_groups_are_left_out() -> None:
    data = b"".join(
        [
            _element(0x00020010, "UI", b"1.2\0"),
            _element(0x00080000, "UL", bytes(4)),
            _element(0x0020000D, "UI", b"1.2\0"),
            _element(0x00080060, "CS", b"CT"),
            _element(0x00080060, "CS", b"MR"),
            _element(0xFFFCFFFC, "OB", bytes(2000)),
        ]
    )
    model = _metadata(data)
    assert list(model) == ["00080060", "0020000D"]
    assert model["00080060"]["Value"] == ["MR"]


@pytest.mark.parametrize("vr", ["OB", "OW", "UN", "FD", "US", "DS", "IS"])
def test_long_values_of_some_vrs_are_bulk(vr: str) -> None:
    value = b"1\\" * 600
    model = _metadata(_element(0x00091010, vr, value) + _sequence(0x00400275, _element(0x00091010, vr, value)))
    assert model["00091010"] == {"vr": vr, "BulkDataURI": _uri("00091010")}
    assert model["00400275"]["Value"] == [{"00091010": {"vr": vr, "BulkDataURI": _uri("00400275/1/00091010")}}]


@pytest.mark.parametrize("vr", ["LO", "PN", "UI", "SH", "CS", "AT", "UR", "UT", "LT", "ST", "UC"])
def test_long_values_of_other_vrs_stay(vr: str) -> None:
    assert "Value" in _metadata(_element(0x00091010, vr, b"1\\" * 600))["00091010"]


def test_long_text_is_written_in_the_character_set_that_metadata_name() -> None:
    text = "ä" * 5_000
    model = _metadata(_element(0x00080005, "CS", b"ISO_IR 100") + _element(0x0040A160, "UT", text.encode("latin-1")))
    assert model["00080005"]["Value"] == ["ISO_IR 192"]
    assert model["0040A160"] == {"vr": "UT", "Value": [text]}
    longer = _metadata(_element(0x0040A160, "UT", b"x" * (4 * 1024 * 1024 + 2)))
    assert longer["0040A160"] == {"vr": "UT", "BulkDataURI": _uri("0040A160")}


def test_values_up_to_the_limit_are_inline() -> None:
    assert "InlineBinary" in _metadata(_element(0x00420011, "OB", bytes(8)), 8)["00420011"]
    assert "BulkDataURI" in _metadata(_element(0x00420011, "OB", bytes(10)), 8)["00420011"]


@pytest.mark.parametrize(("tag", "vr"), [(0x7FE00008, "OF"), (0x7FE00009, "OD"), (0x7FE00010, "OW")])
def test_pixel_data_is_bulk_however_short(tag: int, vr: str) -> None:
    pixels = _element(tag, vr, bytes(8))
    icon = _sequence(0x00880200, pixels, _element(tag, vr, bytes(2000)))
    model = _metadata(icon + pixels)
    assert model[f"{tag:08X}"] == {"vr": vr, "BulkDataURI": _uri(f"{tag:08X}")}
    short, long = model["00880200"]["Value"]
    assert short[f"{tag:08X}"] == {"vr": vr, "InlineBinary": "AAAAAAAAAAA="}
    assert long[f"{tag:08X}"] == {"vr": vr, "BulkDataURI": _uri(f"00880200/2/{tag:08X}")}


def test_empty_pixel_data_is_empty() -> None:
    assert _metadata(_element(0x7FE00010, "OW", b""))["7FE00010"] == {"vr": "OW"}


def test_encapsulated_pixel_data_is_bulk_anywhere() -> None:
    pixels = _encapsulated(0x7FE00010, b"\xff\xd8\xff\xd9")
    model = _metadata(_sequence(0x00880200, pixels) + pixels + _element(0xFFFCFFFC, "OB", bytes(2)))
    assert model["7FE00010"] == {"vr": "OB", "BulkDataURI": _uri("7FE00010")}
    assert model["00880200"]["Value"][0]["7FE00010"]["BulkDataURI"] == _uri("00880200/1/7FE00010")
    assert read_data_set(pixels, EXPLICIT_VR_LE) == {"7FE00010": {"vr": "OB"}}


def test_numbers_without_json_form_are_bulk_or_text() -> None:
    data = _element(0x00189087, "FD", pack("<dd", 1, math.nan))
    assert _metadata(data)["00189087"] == {"vr": "FD", "BulkDataURI": _uri("00189087")}
    assert read_data_set(data, EXPLICIT_VR_LE)["00189087"] == {"vr": "FD", "Value": [1.0, "NaN"]}


def test_sequences_and_items() -> None:
    data = _sequence(0x00081110) + _sequence(
        0x00081115, b"", _sequence(0x00081199, _element(0x00081150, "UI", b"1.2\0"))
    )
    assert read_data_set(data, EXPLICIT_VR_LE) == {
        "00081110": {"vr": "SQ"},
        "00081115": {
            "vr": "SQ",
            "Value": [{}, {"00081199": {"vr": "SQ", "Value": [{"00081150": {"vr": "UI", "Value": ["1.2"]}}]}}],
        },
    }


def test_items_inherit_or_replace_the_character_set() -> None:
    name = _element(0x00100010, "PN", b"\xc4neas ")
    greek = _element(0x00080005, "CS", b"ISO_IR 126")
    data = _element(0x00080005, "CS", b"ISO_IR 100") + _sequence(0x00081115, name, greek + name) + name
    model = read_data_set(data, EXPLICIT_VR_LE)
    inherited, own = model["00081115"]["Value"]
    assert inherited["00100010"]["Value"] == [{"Alphabetic": "Äneas"}]
    assert own["00100010"]["Value"] == [{"Alphabetic": "Δneas"}]
    assert model["00100010"]["Value"] == [{"Alphabetic": "Äneas"}]
    utf_8 = {"vr": "CS", "Value": ["ISO_IR 192"]}
    assert own["00080005"] == model["00080005"] == utf_8
    assert "00080005" not in inherited


def test_default_character_set_is_the_backends() -> None:
    name = _element(0x00100010, "PN", "Äneas ".encode())
    assert read_data_set(name, EXPLICIT_VR_LE, "ISO_IR 192")["00100010"]["Value"] == [{"Alphabetic": "Äneas"}]
    empty = _element(0x00080005, "CS", b"")
    assert read_data_set(empty + name, EXPLICIT_VR_LE, "ISO_IR 192")["00100010"]["Value"] == [{"Alphabetic": "Äneas"}]


def test_un_of_known_elements_gets_its_vr() -> None:
    data = (
        _element(0x00080060, "UN", b"CT")
        + _element(0x00090010, "UN", b"ACME")
        + _element(0x00091001, "UN", b"\1\2")
        + _element(0x00280106, "UN", b"\1\0")
        + _element(0x00400275, "UN", b"\1\0")
    )
    assert read_data_set(data, EXPLICIT_VR_LE) == {
        "00080060": {"vr": "CS", "Value": ["CT"]},
        "00090010": {"vr": "LO", "Value": ["ACME"]},
        "00091001": {"vr": "UN", "InlineBinary": "AQI="},
        "00280106": {"vr": "UN", "InlineBinary": "AQA="},
        "00400275": {"vr": "UN", "InlineBinary": "AQA="},
    }


def test_all_encodings_give_the_same_model() -> None:
    data_set = Dataset()
    data_set.Rows = 512
    data_set.PatientName = "Doe^Jane"
    data_set.FrameIncrementPointer = 0x00181063
    data_set.DiffusionBValue = 1.5
    data_set.WindowCenter = ["40", "80.5"]
    item = Dataset()
    item.ReferencedFrameNumber = [1, 2]
    data_set.ReferencedImageSequence = Sequence([item])
    expected = read_data_set(_encode(data_set), EXPLICIT_VR_LE)
    assert expected["00280009"]["Value"] == ["00181063"]
    assert read_data_set(_encode(data_set, implicit=True), IMPLICIT_VR_LE) == expected
    assert read_data_set(_encode(data_set, little=False), EXPLICIT_VR_BE) == expected


def test_truncated_data_set() -> None:
    data = _element(0x00100010, "PN", b"Doe^Jane")
    with pytest.raises(DecodeError):
        read_data_set(data[:-1], EXPLICIT_VR_LE)


def test_dump_is_utf_8() -> None:
    assert dump_json([{"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Ä"}]}}]) == (
        '[{"00100010":{"vr":"PN","Value":[{"Alphabetic":"Ä"}]}}]'.encode()
    )


_VARIED = (
    _element(0x00080005, "CS", b"ISO_IR 192")
    + _element(0x00100010, "PN", "Äneas ".encode())
    + _sequence(0x00880200, _element(0x00280010, "US", b"\1\0") + _element(0x7FE00010, "OW", bytes(30)))
    + _element(0x00420011, "OB", bytes(40))
    + _encapsulated(0x7FE00010, bytes(5), bytes(20))
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_pieces_of_any_size(size: int) -> None:
    whole = _metadata(_VARIED, 32)
    assert len(whole) == 5
    assert _build(JsonModelBuilder(EXPLICIT_VR_LE, bulkdata_uri=_uri, inline_limit=32), _VARIED, size) == whole


@given(st.lists(st.integers(0, len(_VARIED)), max_size=6))
def test_any_split(cuts: list[int]) -> None:
    builder = JsonModelBuilder(EXPLICIT_VR_LE, bulkdata_uri=_uri, inline_limit=32)
    bounds = [0, *sorted(cuts), len(_VARIED)]
    for start, stop in zip(bounds, bounds[1:], strict=False):
        builder.feed(memoryview(_VARIED)[start:stop])
    assert builder.finish() == _metadata(_VARIED, 32)


def test_dropped_values_take_no_memory() -> None:
    builder = JsonModelBuilder(EXPLICIT_VR_LE, bulkdata_uri=_uri)
    builder.feed(pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 1 << 31))
    chunk = bytes(1 << 20)
    for _ in range(2048):
        builder.feed(chunk)
    assert builder.finish() == {"7FE00010": {"vr": "OW", "BulkDataURI": _uri("7FE00010")}}


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_what_stands_before_the_damage_is_salvaged(size: int) -> None:
    whole = _element(0x00080018, "UI", b"1.2\0") + _sequence(0x00400275, _element(0x00400009, "SH", b"ID"))
    opened = pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    damaged = whole + opened + _element(0x0040A040, "CS", b"TEXT") + pack("<HH2sHI", 0x40, 0xA160, b"UT", 0, 50)
    builder = JsonModelBuilder(EXPLICIT_VR_LE, bulkdata_uri=_uri)
    with pytest.raises(DecodeError):
        _build(builder, damaged, size)
    model = builder.salvage()
    assert list(model) == ["00080018", "00400275", "0040A730"]
    assert model["0040A730"]["Value"] == [{"0040A040": {"vr": "CS", "Value": ["TEXT"]}}]


def test_what_stands_before_the_damage_in_one_piece_is_salvaged() -> None:
    deep = b"".join(
        pack("<HH2sHI", 0x40, 0xA730, b"SQ", 0, 0xFFFFFFFF) + pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
        for _ in range(100)
    )
    builder = JsonModelBuilder(EXPLICIT_VR_LE, bulkdata_uri=_uri)
    with pytest.raises(DecodeError):
        builder.feed(_element(0x00080018, "UI", b"1.2\0") + deep)  # nested too deep
    assert builder.salvage()["00080018"] == {"vr": "UI", "Value": ["1.2"]}
