"""The demo's document (PS3.3 §A.45.1): a one-page PDF letter inside a DICOM instance.

The PDF is written here by hand (ISO 32000-1 §7.5): five objects, a cross-reference table, one of the fonts that
every reader has. Nothing is compressed, so it is longer than what metadata carry inline.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset

from gateway.sandbox.instances import Study, describe_instance, make_code

__all__ = ["make_document", "write_pdf"]

ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"

_WIDTH, _HEIGHT, _MARGIN = 595, 842, 72
"""A4 and its margin in points."""

_PARAGRAPHS: Sequence[str] = (
    "",
    "To whom it may concern,",
    "",
    "this page came out of an archive that speaks nothing but DIMSE. It was stored",
    "there as an Encapsulated PDF instance, fetched by C-GET or C-MOVE, and handed",
    "to you over HTTP as application/pdf, while it was still arriving.",
    "",
    "The radiograph beside it is as synthetic as this letter. No real person was",
    "examined, nobody is ill, and nothing has to be done.",
    "",
    "With kind regards,",
    "the sandbox",
)


def make_document(study: Study, series: int) -> Dataset:
    """Return an Encapsulated PDF instance with a letter about `study`."""
    instance = describe_instance(study, ENCAPSULATED_PDF, "DOC", series, 1, "Letter")
    title = f"Letter: {study.description}"
    content = write_pdf(title, [f"{study.accession_number}, {study.date}", *_PARAGRAPHS])
    instance.AcquisitionDateTime = study.date + study.time
    instance.ConversionType = "WSD"
    instance.BurnedInAnnotation = "NO"
    instance.ConceptNameCodeSequence = [make_code("51851-4", "LN", "Administrative note")]
    instance.DocumentTitle = title
    instance.MIMETypeOfEncapsulatedDocument = "application/pdf"
    instance.EncapsulatedDocumentLength = len(content)
    instance.EncapsulatedDocument = content + b"\x00" * (len(content) % 2)
    return instance


def write_pdf(title: str, lines: Sequence[str]) -> bytes:
    """Return a PDF of one page.

    Parameters
    ----------
    title, lines : str
        Shown as heading and text, each on a line of its own; ASCII.
    """
    page = _draw_page(title, lines)
    fonts = "/F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {_WIDTH} {_HEIGHT}] /Contents 4 0 R"
        f" /Resources << /Font << {fonts} >> >> >>",
        f"<< /Length {len(page)} >>\nstream\n{page}\nendstream",
        f"<< /Title ({_escape(title)}) >>",
    ]
    return _join(objects).encode("ascii")


def _draw_page(title: str, lines: Sequence[str]) -> str:
    """The content stream: a band of colour, the title in it, the lines below (ISO 32000-1 §8.5, §9.4)."""
    top = _HEIGHT - 120
    drawn = [
        f"0.043 0.431 0.459 rg 0 {top} {_WIDTH} 120 re f",
        f"1 1 1 rg BT /F1 24 Tf {_MARGIN} {top + 48} Td ({_escape(title)}) Tj ET",
        f"0.09 0.15 0.17 rg BT /F1 12 Tf 22 TL {_MARGIN} {top - 48} Td",
        *(f"({_escape(line)}) Tj T*" for line in lines),
        "ET",
        f"0.043 0.431 0.459 RG 2 w {_MARGIN} {_MARGIN} m {_WIDTH - _MARGIN} {_MARGIN} l S",
    ]
    return "\n".join(drawn)


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


def _join(objects: Sequence[str]) -> str:
    """The file: header, numbered objects, where each begins, trailer (ISO 32000-1 §7.5.4)."""
    text, offsets = "%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(text))
        text += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    trailer = f"trailer\n<< /Size {size} /Root 1 0 R /Info {len(objects)} 0 R >>\nstartxref\n{len(text)}\n%%EOF\n"
    return f"{text}xref\n0 {size}\n0000000000 65535 f \n{table}{trailer}"
