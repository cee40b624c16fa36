"""gateway/sandbox/document.py"""

from __future__ import annotations

import re

import pytest

from gateway.sandbox.document import ENCAPSULATED_PDF, make_document, write_pdf
from gateway.sandbox.instances import Patient, Study

STUDY = Study("document", Patient("1", "Doe^Jane", ""), "20240101", "120000", "A (small) study", "ACC1")


def objects_of(pdf: bytes) -> list[bytes]:
    """The objects of a PDF, found by its cross-reference table as a reader does."""
    start = int(re.search(rb"startxref\n(\d+)\n%%EOF\n$", pdf)[1])
    assert pdf[start:].startswith(b"xref\n0 6\n0000000000 65535 f \n")
    offsets = [int(it) for it in re.findall(rb"(\d{10}) 00000 n \n", pdf[start:])]
    return [pdf[offset : pdf.index(b"endobj", offset)] for offset in offsets]


def test_every_object_is_where_the_table_says() -> None:
    objects = objects_of(write_pdf("Title", ["one", "two"]))
    assert [it.split(b" obj\n")[0] for it in objects] == [b"%d 0" % number for number in range(1, 6)]


def test_the_stream_is_as_long_as_it_says_and_has_the_words() -> None:
    content = objects_of(write_pdf("Title", ["one", "two"]))[3]
    length, stream = re.search(rb"/Length (\d+) >>\nstream\n(.*)\nendstream", content, re.DOTALL).groups()
    assert len(stream) == int(length)
    assert all(word in stream for word in (b"(Title) Tj", b"(one) Tj", b"(two) Tj"))


@pytest.mark.parametrize("text", ["(", ")", "\\", "a (b) \\ c"])
def test_what_delimits_strings_is_escaped(text: str) -> None:
    stream = objects_of(write_pdf(text, []))[3]
    shown = re.search(rb" Td \(((?:[^\\()]|\\.)*)\) Tj", stream)[1]
    assert re.sub(rb"\\(.)", rb"\1", shown).decode() == text


def test_the_instance_holds_the_document() -> None:
    instance = make_document(STUDY, 7)
    assert (instance.SOPClassUID, instance.Modality, instance.SeriesNumber) == (ENCAPSULATED_PDF, "DOC", 7)
    assert instance.MIMETypeOfEncapsulatedDocument == "application/pdf"
    document = instance.EncapsulatedDocument[: instance.EncapsulatedDocumentLength]
    assert document.startswith(b"%PDF-") and document.endswith(b"%%EOF\n")
    assert b"A \\(small\\) study" in document
    assert len(instance.EncapsulatedDocument) % 2 == 0
    assert len(instance.EncapsulatedDocument) > 1024  # longer than what metadata carry inline
