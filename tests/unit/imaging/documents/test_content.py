"""The tree that reports are laid out from."""

from __future__ import annotations

from gateway.imaging.documents.content import ContentItem, Report


def test_words_about_patients_stay_out_of_representations() -> None:
    item = ContentItem("Finding", lines=("of Jane Doe",))
    report = Report("Report", (("Patient", "Jane Doe"),), (("Referring physician", "Doe"),), item)
    assert "Doe" not in repr(report) + repr(item)
