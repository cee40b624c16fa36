"""The demo's structured report (PS3.3 §A.35.1): a Basic Text SR about the CT series."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset

from gateway.sandbox.instances import Study, describe_instance, make_code

__all__ = ["make_report"]

BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"

_SECTIONS: Sequence[tuple[tuple[str, str, str], tuple[str, str, str], Sequence[str]]] = (
    (("121060", "DCM", "History"), ("121060", "DCM", "History"), ("Phantom examination for demonstration.",)),
    (
        ("121070", "DCM", "Findings"),
        ("121071", "DCM", "Finding"),
        (
            "Round nodule in the right lung, well defined.",
            "Hypodense lesion in the liver, ellipsoid like everything else here.",
            "Both kidneys, spleen and aorta of geometric regularity.",
        ),
    ),
    (
        ("121076", "DCM", "Conclusions"),
        ("121077", "DCM", "Conclusion"),
        ("A synthetic torso. No real person was examined.",),
    ),
)


def _add_concept(item: Dataset, relationship: str, value_type: str, concept: tuple[str, str, str]) -> Dataset:
    item.RelationshipType = relationship
    item.ValueType = value_type
    item.ConceptNameCodeSequence = [make_code(*concept)]
    return item


def _make_section(title: tuple[str, str, str], concept: tuple[str, str, str], texts: Sequence[str]) -> Dataset:
    section = _add_concept(Dataset(), "CONTAINS", "CONTAINER", title)
    section.ContinuityOfContent = "SEPARATE"
    section.ContentSequence = []
    for text in texts:
        item = _add_concept(Dataset(), "CONTAINS", "TEXT", concept)
        item.TextValue = text
        section.ContentSequence.append(item)
    return section


def make_report(study: Study, series: int, evidence: Sequence[Dataset]) -> Dataset:
    """Return the report; `evidence` are the instances of one series that it refers to."""
    report = describe_instance(study, BASIC_TEXT_SR, "SR", series, 1, "Report")
    report.ReferencedPerformedProcedureStepSequence = []
    report.PerformedProcedureCodeSequence = []
    report.CompletionFlag, report.VerificationFlag = "COMPLETE", "UNVERIFIED"
    report.ValueType = "CONTAINER"
    report.ConceptNameCodeSequence = [make_code("18748-4", "LN", "Diagnostic imaging report")]
    report.ContinuityOfContent = "SEPARATE"
    report.CurrentRequestedProcedureEvidenceSequence = [_refer(study, evidence)]
    report.ContentSequence = [_make_section(*section) for section in _SECTIONS]
    return report


def _refer(study: Study, instances: Sequence[Dataset]) -> Dataset:
    """The hierarchical reference to one series (PS3.3 §C.18.3)."""
    series = Dataset()
    series.SeriesInstanceUID = instances[0].SeriesInstanceUID
    series.ReferencedSOPSequence = []
    for instance in instances:
        reference = Dataset()
        reference.ReferencedSOPClassUID = instance.SOPClassUID
        reference.ReferencedSOPInstanceUID = instance.SOPInstanceUID
        series.ReferencedSOPSequence.append(reference)
    item = Dataset()
    item.ReferencedSeriesSequence = [series]
    item.StudyInstanceUID = study.uid
    return item
