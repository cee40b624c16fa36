"""gateway/sandbox/report.py"""

from __future__ import annotations

import pydicom

from gateway.sandbox.cross_sections import make_ct_series
from gateway.sandbox.instances import Patient, Study, write_instance
from gateway.sandbox.report import make_report

STUDY = Study("test", Patient("T1", "Test^One", "ISO_IR 100"), "20240101", "101500", "Test", "A1")


def test_the_report_refers_to_its_evidence_and_has_content(tmp_path):
    evidence = list(make_ct_series(STUDY, 3, 16))
    report = pydicom.dcmread(write_instance(make_report(STUDY, 2, evidence), tmp_path, "report"))
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == evidence[0].SeriesInstanceUID
    assert [each.ReferencedSOPInstanceUID for each in series.ReferencedSOPSequence] == [
        instance.SOPInstanceUID for instance in evidence
    ]
    texts = [item.TextValue for section in report.ContentSequence for item in section.ContentSequence]
    assert len(texts) == 5
    assert all(texts)
    assert (report.Modality, report.SeriesNumber, report.StudyInstanceUID) == ("SR", 2, STUDY.uid)
