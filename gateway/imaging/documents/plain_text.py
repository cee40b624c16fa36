"""A report as plain text, indented by depth; UTF-8, lines end with a line feed (PS3.18 Table 8.7.4-1)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.imaging.documents.content import ContentItem, Report

__all__ = ["write_text"]

_INDENT = "  "


def write_text(report: Report) -> bytes:
    """Lay `report` out, its title underlined first."""
    head = [report.title, "=" * len(report.title), ""]
    rows = [f"{label}: {value}" for label, value in (*report.patient, *report.document)]
    body = [line for child in report.root.children for line in _iter_lines(child, 0)]
    return "\n".join([*head, *rows, "", *body, ""]).encode()


def _iter_lines(item: ContentItem, depth: int) -> Iterator[str]:
    indent = _INDENT * depth
    values = [*item.lines, *(f"{reference.label} ({reference.instance_uid})" for reference in item.references)]
    if item.is_container:
        yield from ("", f"{indent}{item.name or 'Section'}")
    elif len(values) <= 1:
        yield f"{indent}{': '.join(part for part in (item.name, *values) if part)}"
    else:
        yield f"{indent}{item.name}:"
        yield from (f"{indent}{_INDENT}{value}" for value in values)
    for child in item.children:
        yield from _iter_lines(child, depth + 1)
