"""Reports as plain text."""

from __future__ import annotations

from gateway.imaging.documents.plain_text import write_text
from gateway.imaging.documents.report_reader import read_report
from tests.support.pictures import make_item
from tests.support.reports import make_content, make_report

EXPECTED = """\
Chest Report
============

Patient: Dr Jane Doe
Patient ID: 4711
Written: 2024-01-31 13:45
Status: complete


Findings
  Lung: clear
  History:
    smoker
    since 1990
    CT Image (1.9)
"""


def test_layout() -> None:
    reference = make_item(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2", ReferencedSOPInstanceUID="1.9")
    items = [
        make_content("TEXT", "Lung", TextValue="clear"),
        make_content("TEXT", "History", TextValue="smoker\nsince 1990", ReferencedSOPSequence=[reference]),
    ]
    report = read_report(make_report(make_content("CONTAINER", "Findings", ContentSequence=items)))
    assert write_text(report).decode() == EXPECTED
