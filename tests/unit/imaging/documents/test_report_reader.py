"""Reports read into a tree (PS3.3 §C.17.3)."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from gateway.errors import ImagingFailed
from gateway.imaging.documents.content import ContentItem, InstanceReference
from gateway.imaging.documents.report_reader import read_report
from tests.support.pictures import make_item
from tests.support.reports import make_concept, make_content, make_report


def read_one(item: Dataset) -> ContentItem:
    return read_report(make_report(item)).root.children[0]


def measure(number: str, unit: str, meaning: str = "") -> list[Dataset]:
    return [make_item(NumericValue=number, MeasurementUnitsCodeSequence=make_concept(meaning, unit, "UCUM"))]


@pytest.mark.parametrize(
    ("item", "lines"),
    [
        (make_content("TEXT", TextValue="one\r\ntwo"), ("one", "two")),
        (make_content("CODE", ConceptCodeSequence=make_concept("Normal")), ("Normal",)),
        (make_content("NUM", MeasuredValueSequence=measure("12.5", "mm")), ("12.5 mm",)),
        (make_content("NUM", MeasuredValueSequence=measure("3", "1", "no units")), ("3",)),
        (make_content("NUM", MeasuredValueSequence=measure("72", "{beat}/min", "beats")), ("72 beats",)),
        (make_content("NUM", NumericValueQualifierCodeSequence=make_concept("Not a number")), ("Not a number",)),
        (make_content("NUM"), ()),
        (make_content("PNAME", PersonName="Doe^Jane"), ("Jane Doe",)),
        (make_content("DATE", Date="20240131"), ("2024-01-31",)),
        (make_content("TIME", Time="1345"), ("13:45",)),
        (make_content("DATETIME", DateTime="20240131134500"), ("2024-01-31 13:45:00",)),
        (make_content("UIDREF", UID="1.2.3"), ("1.2.3",)),
        (make_content("SCOORD", GraphicType="POLYLINE", GraphicData=[1.0, 2, 3, 4]), ("polyline of 2 points",)),
        (make_content("SCOORD3D", GraphicType="POINT", GraphicData=[1.0, 2, 3]), ("point of 1 point",)),
        (make_content("TCOORD", TemporalRangeType="SEGMENT", ReferencedTimeOffsets=["1", "2.5"]), ("segment 1, 2.5",)),
        (make_content("TABLE", TextValue="unknown type"), ("unknown type",)),
    ],
)  # fmt: skip
def test_values(item: Dataset, lines: tuple[str, ...]) -> None:
    assert read_one(item).lines == lines


def test_names_codes_and_places() -> None:
    inner = make_content(
        "CODE", "Severity", RelationshipType="HAS CONCEPT MOD", ConceptCodeSequence=make_concept("Mild", "9")
    )
    outer = read_one(make_content("CONTAINER", "Findings", ContentSequence=[inner]))
    assert (outer.name, outer.code, outer.is_container, outer.position) == ("Findings", "99TEST 1", True, "1.1")
    child = outer.children[0]
    assert (child.is_context, child.value_code, child.position) == (True, "99TEST 9", "1.1.1")


def test_items_by_reference() -> None:
    item = make_item(RelationshipType="INFERRED FROM", ReferencedContentItemIdentifier=[1, 2, 3])
    assert (read_one(item).lines, read_one(item).target) == (("see 1.2.3",), "1.2.3")


def test_references_are_placed_by_the_evidence() -> None:
    reference = make_item(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2", ReferencedSOPInstanceUID="1.9",
                          ReferencedFrameNumber=[3, 4])  # fmt: skip
    series = make_item(SeriesInstanceUID="1.8", ReferencedSOPSequence=[make_item(ReferencedSOPInstanceUID="1.9")])
    evidence = [make_item(StudyInstanceUID="1.7", ReferencedSeriesSequence=[series])]
    item = make_content("IMAGE", ReferencedSOPSequence=[reference])
    placed = read_report(make_report(item, CurrentRequestedProcedureEvidenceSequence=evidence))
    expected = InstanceReference("1.9", "1.7", "1.8", (3, 4), "CT Image, frames 3, 4")
    assert placed.root.children[0].references == (expected,)
    assert read_one(item).references[0].study_uid == ""


def test_what_stands_above_the_report() -> None:
    observer = make_item(
        VerifyingObserverName="Roe^Richard", VerificationDateTime="20240201", VerifyingOrganization="X"
    )
    report = read_report(make_report(VerifyingObserverSequence=[observer], PatientSex="F", AccessionNumber="A1"))
    assert report.title == "Chest Report"
    assert report.patient == (("Patient", "Dr Jane Doe"), ("Patient ID", "4711"), ("Sex", "F"))
    assert report.document == (
        ("Accession number", "A1"), ("Written", "2024-01-31 13:45"), ("Status", "complete"),
        ("Verified by", "Richard Roe, X, 2024-02-01"),
    )  # fmt: skip


def test_what_is_no_report() -> None:
    with pytest.raises(ImagingFailed):
        read_report(make_item(Rows=1))


def test_size_and_depth_are_bounded() -> None:
    with pytest.raises(ImagingFailed):
        read_report(make_report(*[make_content("TEXT")] * 20_001))
    item = make_content("TEXT", "deepest")
    for _ in range(200):
        item = make_content("CONTAINER", ContentSequence=[item])
    depth, node = 0, read_one(item)
    while node.children:
        depth, node = depth + 1, node.children[0]
    assert depth == 47
