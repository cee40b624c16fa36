"""A report as PDF, laid out by ReportLab.

Latin, Greek and Cyrillic letters come from DejaVu Sans where the system has it, else from the Vera fonts that
ReportLab brings; what those lack, above all Chinese, Japanese and Korean, from the fonts that PDF readers bring
(ISO 32000-1 §9.7.5.2). Scripts written from right to left are not reordered.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache
from html import escape
from itertools import groupby
from pathlib import Path

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer

from gateway.imaging.documents.content import ContentItem, Report

__all__ = ["find_font_files", "write_pdf"]

_SYSTEM_FONTS = Path("/usr/share/fonts/truetype/dejavu")
_WIDE_FONTS, _OWN_FONTS = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"), ("Vera.ttf", "VeraBd.ttf")
_TEXT, _BOLD = "ReportText", "ReportBold"
_JAPANESE, _KOREAN = "HeiseiKakuGo-W5", "HYGothic-Medium"
_HANGUL = (range(0x1100, 0x1200), range(0x3130, 0x3190), range(0xAC00, 0xD7B0))
_BLACK, _GRAY = HexColor(0x000000), HexColor(0x666666)
_STEP = 4 * mm
_DEEPEST_INDENT = 12
_MARGIN = 20 * mm


def write_pdf(report: Report) -> bytes:
    """Lay `report` out on pages of A4, numbered."""
    _register_fonts()
    target = io.BytesIO()
    template = SimpleDocTemplate(
        target, pagesize=A4, title=report.title, creator="dicomweb-gateway", invariant=1,
        leftMargin=_MARGIN, rightMargin=_MARGIN, topMargin=_MARGIN, bottomMargin=_MARGIN,
    )  # fmt: skip
    template.build(list(_iter_flowables(report)), onFirstPage=_number_page, onLaterPages=_number_page)
    return target.getvalue()


def _number_page(canvas: object, _: object) -> None:
    canvas.setFont(_TEXT, 8)  # type: ignore[attr-defined]
    canvas.drawRightString(A4[0] - _MARGIN, _MARGIN / 2, str(canvas.getPageNumber()))  # type: ignore[attr-defined]


@cache
def _register_fonts() -> None:
    for name, file in zip((_TEXT, _BOLD), find_font_files(_SYSTEM_FONTS), strict=True):
        pdfmetrics.registerFont(TTFont(name, file))
    for name in (_JAPANESE, _KOREAN):
        pdfmetrics.registerFont(UnicodeCIDFont(name))


def find_font_files(folder: Path) -> tuple[str, str]:
    """Regular and bold: the wide fonts where `folder` has them, else the names of those that ReportLab brings."""
    wide = tuple(folder / name for name in _WIDE_FONTS)
    return (str(wide[0]), str(wide[1])) if all(path.is_file() for path in wide) else _OWN_FONTS


def _iter_flowables(report: Report) -> Iterator[Flowable]:
    yield Paragraph(_mark_up(report.title), _make_style(16, 0, bold=True))
    yield Spacer(0, 3 * mm)
    for label, value in (*report.patient, *report.document):
        yield Paragraph(f"{_mark_up(label + ':')} {_mark_up(value)}", _make_style(9, 0))
    yield Spacer(0, 3 * mm)
    for child in report.root.children:
        yield from _iter_item(child, 0)


def _iter_item(item: ContentItem, depth: int) -> Iterator[Flowable]:
    if item.is_container:
        yield Spacer(0, 2 * mm)
        yield Paragraph(_mark_up(item.name or "Section"), _make_style(max(9, 13 - depth), depth, bold=True))
    else:
        yield Paragraph(_write_item(item), _make_style(8 if item.is_context else 9.5, depth, gray=item.is_context))
    for child in item.children:
        yield from _iter_item(child, depth + 1)


def _write_item(item: ContentItem) -> str:
    values = [*item.lines, *(reference.label for reference in item.references)]
    name = _mark_up(f"{item.name}:") if item.name else ""
    return f"{name} {'<br/>'.join(_mark_up(value) for value in values)}".strip()


@cache
def _make_style(size: float, depth: int, *, bold: bool = False, gray: bool = False) -> ParagraphStyle:
    return ParagraphStyle(
        "report",
        fontName=_BOLD if bold else _TEXT,
        fontSize=size,
        leading=size * 1.35,
        leftIndent=min(depth, _DEEPEST_INDENT) * _STEP,
        spaceAfter=1 * mm,
        textColor=_GRAY if gray else _BLACK,
        splitLongWords=1,
    )


def _mark_up(text: str) -> str:
    """Escape `text`, and name another font for the letters that the text font lacks."""
    pieces = []
    for font, letters in groupby(text, key=_choose_font):
        piece = escape("".join(letters))
        pieces.append(f'<font name="{font}">{piece}</font>' if font else piece)
    return "".join(pieces)


def _choose_font(letter: str) -> str:
    """Empty for the text font."""
    number = ord(letter)
    if number < 0x250 or number in pdfmetrics.getFont(_TEXT).face.charToGlyph:
        return ""
    return _KOREAN if any(number in block for block in _HANGUL) else _JAPANESE
