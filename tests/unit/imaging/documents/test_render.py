"""Documents from bytes to bytes."""

from __future__ import annotations

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ImagingFailed, NotAcceptable
from gateway.imaging.documents.render import REPORT_MEDIA_TYPES, render_document
from tests.support.pictures import encode_header, make_item
from tests.support.reports import encode_report, make_content
from tests.support.samples import sample_files

REPORT = encode_report(make_content("TEXT", "Finding", TextValue="Größe 漢字"))


@pytest.mark.parametrize(
    ("media_type", "start"),
    [("text/html", b"<!DOCTYPE html>"), ("text/plain", b"Chest Report"), ("application/pdf", b"%PDF")],
)
def test_each_media_type(media_type: str, start: bytes) -> None:
    assert media_type in REPORT_MEDIA_TYPES
    assert render_document(REPORT, media_type).startswith(start)


def test_text_is_utf_8() -> None:
    for media_type in ("text/html", "text/plain"):
        assert "Größe 漢字" in render_document(REPORT, media_type).decode()


def test_links_are_relative_unless_a_root_is_given() -> None:
    image = make_item(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2", ReferencedSOPInstanceUID="1.9")
    series = make_item(SeriesInstanceUID="1.8", ReferencedSOPSequence=[make_item(ReferencedSOPInstanceUID="1.9")])
    evidence = [make_item(StudyInstanceUID="1.7", ReferencedSeriesSequence=[series])]
    item = make_content("IMAGE", ReferencedSOPSequence=[image])
    report = encode_report(item, CurrentRequestedProcedureEvidenceSequence=evidence)
    path = b"/studies/1.7/series/1.8/instances/1.9/rendered"
    assert b'href="../../../../../..' + path in render_document(report, "text/html")
    assert b'href="https://a.example' + path in render_document(report, "text/html", "https://a.example")


def test_encapsulated_documents_in_their_own_type_alone() -> None:
    data_set = encode_header(
        make_item(
            EncapsulatedDocument=b"solid\0", EncapsulatedDocumentLength=5, MIMETypeOfEncapsulatedDocument="model/stl"
        )
    )
    assert render_document(data_set, "model/stl") == b"solid"
    with pytest.raises(NotAcceptable) as raised:
        render_document(data_set, "text/html")
    assert raised.value.available == ("model/stl",)


def test_other_media_types_and_other_instances() -> None:
    with pytest.raises(NotAcceptable):
        render_document(REPORT, "text/rtf")
    with pytest.raises(ImagingFailed):
        render_document(encode_header(make_item(Rows=1)), "text/html")


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(REPORT) - 1), st.binary(min_size=1, max_size=6), st.sampled_from(REPORT_MEDIA_TYPES))
def test_overwritten_reports_give_a_document_or_one_kind_of_error(place: int, bad: bytes, media_type: str) -> None:
    broken = REPORT[:place] + bad + REPORT[place + len(bad) :]
    try:
        assert render_document(broken, media_type)
    except (ImagingFailed, NotAcceptable):
        pass


def test_sample_reports() -> None:
    rendered = 0
    for path in sample_files():
        if "SR" not in path.name.upper() and "report" not in path.name:
            continue
        try:
            data_set = encode_header(pydicom.dcmread(path))
        except Exception:
            continue  # broken on purpose
        if b"CONTAINER" in data_set:
            rendered += all(render_document(data_set, media_type) for media_type in REPORT_MEDIA_TYPES)
    assert rendered >= 3
