"""Reports as PDF."""

from __future__ import annotations

import base64
import re
import zlib
from pathlib import Path

import pytest
from reportlab.pdfbase.ttfonts import TTFont

from gateway.imaging.documents import pdf
from gateway.imaging.documents.content import ContentItem, Report


def make_report(*lines: str) -> Report:
    children = tuple(ContentItem("Finding", lines=(line,)) for line in lines)
    root = ContentItem("", children=(ContentItem("Section", is_container=True, children=children),))
    return Report("Title", (("Patient", "Doe"),), (), root)


def read_streams(data: bytes) -> bytes:
    """All streams, decoded (ISO 32000-1 §7.4)."""
    found = re.findall(rb"(/Filter[^>]*?)?>>\s*stream\r?\n(.*?)endstream", data, re.DOTALL)
    return b"\n".join(_decode(body.strip(b"\r\n")) for _, body in found)


def _decode(body: bytes) -> bytes:
    try:
        return zlib.decompress(base64.a85decode(body.removesuffix(b"~>")) if body.endswith(b"~>") else body)
    except (ValueError, zlib.error):
        return body


def _unescape(found: re.Match[bytes]) -> bytes:
    return bytes([int(found[1], 8)]) if len(found[1]) == 3 else found[1]


def test_a_page_with_its_title() -> None:
    data = pdf.write_pdf(make_report("clear"))
    assert data.startswith(b"%PDF-1.") and data.rstrip().endswith(b"%%EOF")
    assert b"(Title)" in data
    assert data.count(b"/Type /Page\n") == 1


def test_the_same_report_gives_the_same_bytes() -> None:
    assert pdf.write_pdf(make_report("clear")) == pdf.write_pdf(make_report("clear"))


def test_long_reports_have_several_pages() -> None:
    assert pdf.write_pdf(make_report(*["word " * 400] * 12)).count(b"/Type /Page\n") > 3


def test_markup_in_values_is_text() -> None:
    assert pdf.write_pdf(make_report("<b>a</b> & <img src='/etc/passwd'/> <font name='x'>"))


@pytest.mark.parametrize(("text", "font"), [("漢字", "HeiseiKakuGo-W5"), ("한글", "HYGothic-Medium")])
def test_letters_that_the_text_font_lacks(text: str, font: str) -> None:
    data = pdf.write_pdf(make_report(f"plain {text}"))
    assert font.encode() in data
    assert font.encode() not in pdf.write_pdf(make_report("plain"))
    assert text.encode("utf-16-be") in re.sub(rb"\\([0-7]{3}|.)", _unescape, read_streams(data))


def test_fonts_of_reportlab_where_the_system_has_none(tmp_path: Path) -> None:
    own = pdf.find_font_files(tmp_path)
    assert [TTFont("x", name).face.name for name in own] == [b"BitstreamVeraSans-Roman", b"BitstreamVeraSans-Bold"]
    for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"):
        (tmp_path / name).write_bytes(b"")
    assert pdf.find_font_files(tmp_path) == (str(tmp_path / "DejaVuSans.ttf"), str(tmp_path / "DejaVuSans-Bold.ttf"))


def test_deep_reports_stay_on_the_page() -> None:
    item = ContentItem("Deepest", lines=("x" * 500,))
    for _ in range(40):
        item = ContentItem("Level", is_container=True, children=(item,))
    assert pdf.write_pdf(Report("Title", (), (), item)).startswith(b"%PDF")
