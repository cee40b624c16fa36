"""Coerced data sets: the wanted values, those before in Original Attributes Sequence, everything else as it was."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
)

from gateway.errors import ConfigurationError, DecodeError
from gateway.services.store.coercion import CoercingEncoder, Coercion
from tests.support.elements import element, sequence
from tests.support.wado import split_file

SETTINGS = ("IssuerOfPatientID=HERE", "InstitutionName=General Hospital", "PatientComments=")


def make_coercion(*settings: str) -> Coercion:
    coercion = Coercion.from_settings(settings or SETTINGS, "GATEWAY")
    assert coercion is not None
    return coercion


def make_data_set(transfer_syntax: str, **attributes: Any) -> bytes:
    """An encoded instance with an issuer that differs and no institution."""
    instance = Dataset()
    instance.SpecificCharacterSet = "ISO_IR 192"
    instance.SOPClassUID, instance.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3.1.1"
    instance.PatientID, instance.IssuerOfPatientID = "P", "Früher"
    instance.StudyInstanceUID, instance.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    instance.ReferencedImageSequence = [Dataset()]
    instance.ReferencedImageSequence[0].InstitutionName = "inner values are left alone"
    instance.BitsAllocated = 16
    instance.add_new(0x7FE00010, "OW", bytes(range(256)) * 40)
    for keyword, value in attributes.items():
        setattr(instance, keyword, value)
    if transfer_syntax == JPEGLSLossless:
        instance.PixelData = encapsulate([bytes(5_000), bytes(7_000)])
    instance.ensure_file_meta()
    instance.file_meta.TransferSyntaxUID = transfer_syntax
    buffer = BytesIO()
    dcmwrite(buffer, instance, enforce_file_format=True)
    return split_file(buffer.getvalue())[1]


def coerce(data: bytes, transfer_syntax: str, size: int = 0, *settings: str) -> tuple[bytes, dict[str, Any] | None]:
    """Feed `data` in pieces of `size` bytes; what comes out, and the item for the response."""
    encoder = CoercingEncoder(make_coercion(*settings), transfer_syntax)
    pieces = [data[at : at + size] for at in range(0, len(data), size)] if size else [data]
    out = [bytes(piece) for fed in pieces for piece in encoder.feed(fed)]
    out += [bytes(piece) for piece in encoder.finish()]
    return b"".join(out), encoder.describe_originals()


def read(data: bytes, transfer_syntax: str = ExplicitVRLittleEndian) -> Dataset:
    """The data set as pydicom reads it."""
    group = element(0x00020010, "UI", transfer_syntax.encode() + b"\0" * (len(transfer_syntax) % 2))
    length = element(0x00020000, "UL", len(group).to_bytes(4, "little"))
    return dcmread(BytesIO(bytes(128) + b"DICM" + length + group + data))


SYNTAXES = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    JPEGLSLossless,
]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_values_are_set_and_what_they_were_is_kept(syntax: str) -> None:
    original = make_data_set(syntax, PatientComments="to be emptied")
    data, item = coerce(original, syntax)
    written = Coercion.choose_transfer_syntax(syntax)
    assert written == (syntax if syntax == JPEGLSLossless else ExplicitVRLittleEndian)
    stored, sent = read(data, written), read(original, syntax)
    assert (stored.IssuerOfPatientID, stored.InstitutionName) == ("HERE", "General Hospital")
    assert stored["PatientComments"].is_empty
    (kept,) = stored.OriginalAttributesSequence
    (previous,) = kept.ModifiedAttributesSequence
    assert (previous.IssuerOfPatientID, previous.PatientComments) == ("Früher", "to be emptied")
    assert previous["InstitutionName"].is_empty
    assert (kept.ModifyingSystem, kept.ReasonForTheAttributeModification) == ("GATEWAY", "COERCE")
    assert kept.SourceOfPreviousValues is None or kept.SourceOfPreviousValues == ""
    if syntax == ExplicitVRBigEndian:  # whose words pydicom leaves as they stand
        sent.PixelData = stored.PixelData
    for keyword in ("IssuerOfPatientID", "InstitutionName", "PatientComments", "OriginalAttributesSequence"):
        for data_set in (stored, sent):
            data_set.pop(keyword, None)
    assert [(it.tag, it.value) for it in stored] == [(it.tag, it.value) for it in sent]
    assert item is not None
    assert item["04000550"]["Value"] == [
        {
            "00080080": {"vr": "LO"},
            "00100021": {"vr": "LO", "Value": ["Früher"]},
            "00104000": {"vr": "LT", "Value": ["to be emptied"]},
        }
    ]
    assert item["04000562"]["Value"] == [kept.AttributeModificationDateTime]
    assert set(item) == {"04000550", "04000562", "04000563", "04000564", "04000565"}


@pytest.mark.parametrize("size", [1, 2, 7, 100, 4_096])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEGLSLossless])
def test_any_pieces_give_the_same(syntax: str, size: int) -> None:
    original = make_data_set(syntax)

    def mask(data: bytes) -> bytes:
        at = data.index(b"\0\4\x62\5DT")
        return data[:at] + data[at + 30 :]

    assert mask(coerce(original, syntax, size)[0]) == mask(coerce(original, syntax)[0])


def test_what_is_right_already_stays_as_it_is() -> None:
    original = make_data_set(
        ExplicitVRLittleEndian, IssuerOfPatientID="HERE", InstitutionName="General Hospital ", PatientComments=""
    )
    data, item = coerce(original, ExplicitVRLittleEndian)
    assert item is None
    assert "OriginalAttributesSequence" not in read(data)
    assert read(data) == read(original)


def test_what_was_changed_before_is_kept_too() -> None:
    earlier = Dataset()
    earlier.ModifyingSystem = "EARLIER"
    earlier.ModifiedAttributesSequence = [Dataset()]  # which may hold such a sequence in turn
    earlier.ModifiedAttributesSequence[0].OriginalAttributesSequence = [Dataset()]
    original = make_data_set(ExplicitVRLittleEndian, OriginalAttributesSequence=[earlier])
    data, _ = coerce(original, ExplicitVRLittleEndian)
    assert [it.ModifyingSystem for it in read(data).OriginalAttributesSequence] == ["EARLIER", "GATEWAY"]


def test_the_sequence_comes_last_where_nothing_follows() -> None:
    data, item = coerce(element(0x00100021, "LO", b"THERE "), ExplicitVRLittleEndian)
    stored = read(data)
    assert [it.keyword for it in stored] == ["InstitutionName", "IssuerOfPatientID", "OriginalAttributesSequence"]
    assert item is not None


@pytest.mark.parametrize("first", [b"THERE ", b"HERE"])
def test_a_value_that_stands_there_twice_is_set_twice(first: bytes) -> None:
    again = element(0x00100021, "LO", b"Elsewhere ")
    data, item = coerce(element(0x00100021, "LO", first) + again, ExplicitVRLittleEndian, 0, SETTINGS[0])
    assert data.startswith(element(0x00100021, "LO", b"HERE") * 2 + b"\x00\x04\x61\x05")
    kept = "THERE" if first == b"THERE " else "Elsewhere"
    assert item is not None and item["04000550"]["Value"] == [{"00100021": {"vr": "LO", "Value": [kept]}}]


@pytest.mark.parametrize(
    "data",
    [
        element(0x00104000, "LT", b"late") + element(0x00100021, "LO", b"X "),
        element(0x00200010, "SH", b"1 ") + element(0x00080080, "LO", b"X "),
        element(0x7FE00010, "OW", b"12") + sequence(0x04000561),
        sequence(0x00100021),
        element(0x00080080, "LO", b"Hospital")[:-1],
    ],
    ids=["not ascending", "after study", "sequence late", "a sequence", "cut"],
)
def test_what_cannot_be_changed_safely_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        coerce(data, ExplicitVRLittleEndian)


@given(st.binary(max_size=200))
def test_garbage_gives_one_kind_of_error(data: bytes) -> None:
    try:
        coerce(element(0x00080016, "UI", b"1.2\0") + data, ExplicitVRLittleEndian)
    except DecodeError:
        return


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("InstitutionName", "not KEYWORD=VALUE"),
        ("NoSuchThing=1", "not KEYWORD=VALUE"),
        ("SOPInstanceUID=1.2.3", "cannot be set"),
        ("StudyInstanceUID=1.2.3", "cannot be set"),
        ("StudyID=7", "cannot be set"),
        ("TransferSyntaxUID=1.2.3", "cannot be set"),
        ("PatientBirthDate=20000101", "cannot be set"),
        ("SpecificCharacterSet=ISO_IR 100", "cannot be set"),
        ("InstitutionName=Krankenhaus Köln", "printable ASCII"),
        ("InstitutionName=a\tb", "printable ASCII"),
        ("AccessionNumber=" + "1" * 17, "16 printable ASCII"),
    ],
)
def test_settings_that_cannot_be(setting: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        Coercion.from_settings([setting], "GATEWAY")


def test_no_settings_are_no_coercion() -> None:
    assert Coercion.from_settings([], "GATEWAY") is None


def test_values_are_padded_and_in_order() -> None:
    coercion = make_coercion("PatientComments=odd", " InstitutionName = General Hospital ")
    assert coercion.values == {0x00080080: ("LO", b"General Hospital"), 0x00104000: ("LT", b"odd ")}
    assert list(coercion.values) == sorted(coercion.values)
