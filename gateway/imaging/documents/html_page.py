"""A report as a page of HTML: headings for containers, definition lists for findings, links to images.

Everything that comes from the data set is escaped; the page has no script, loads nothing, and says so in a policy, so
that a hostile report can do no more than look odd. Codes stand in the titles of the words they belong to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from itertools import groupby
from urllib.parse import quote

from gateway.imaging.documents.content import ContentItem, InstanceReference, Report

__all__ = ["STYLE", "write_html"]

_DEEPEST_HEADING = 6
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'"
STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 48rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .5rem; }
h2 { font-size: 1.25rem; margin-top: 2rem; border-bottom: 1px solid #8884; }
h3, h4, h5, h6 { font-size: 1.05rem; margin: 1.25rem 0 .25rem; }
header dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 0 0 1rem; }
dt { color: #777; } header dd, main dd { margin-left: 0; }
main dl > div { display: grid; grid-template-columns: minmax(6rem, 14rem) minmax(0, 1fr); gap: .1rem 1rem; }
main dl > div { margin: .25rem 0; } dd { overflow-wrap: anywhere; }
main dd dl { margin: 0; border-left: 2px solid #8884; padding-left: .75rem; }
section section { margin-left: 1rem; }
.context { font-size: .875rem; color: #777; } p { margin: 0; } .value { font-weight: 600; }
@media (max-width: 36rem) { main dl > div { display: block; } }
"""
"""All the style a report has; whoever shows one inside a page with a policy of its own allows it by its sum."""


def write_html(report: Report, base_url: str) -> bytes:
    """Lay `report` out as a page of UTF-8.

    Parameters
    ----------
    report : Report
        What to lay out.
    base_url : str
        Service root that links to instances begin with, absolute or relative, without a slash at its end.
    """
    writer = _Writer(base_url)
    title = escape(report.title)
    content = "".join(writer.iter_children(report.root, 2))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<header>\n<h1>{title}</h1>\n{_write_rows(report.patient)}{_write_rows(report.document)}</header>\n"
        f"<main>\n{content}</main>\n</body>\n</html>\n"
    ).encode()


def _write_rows(rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(f"<dt>{escape(label)}</dt><dd>{escape(value)}</dd>\n" for label, value in rows)
    return f"<dl>\n{cells}</dl>\n" if cells else ""


class _Writer:
    def __init__(self, base_url: str) -> None:
        self._base_url = base_url

    def iter_children(self, item: ContentItem, level: int) -> Iterator[str]:
        """Containers as sections; runs of other items between them as one list each."""
        for is_container, children in groupby(item.children, key=lambda child: child.is_container):
            if is_container:
                yield from (self._write_section(child, level) for child in children)
            else:
                yield f"<dl>\n{''.join(self._write_item(child, level) for child in children)}</dl>\n"

    def _write_section(self, item: ContentItem, level: int) -> str:
        rank = min(level, _DEEPEST_HEADING)
        heading = f"<h{rank}{_write_title(item.code)}>{escape(item.name or 'Section')}</h{rank}>\n"
        return (
            f'<section id="item-{item.position}">\n{heading}{"".join(self.iter_children(item, level + 1))}</section>\n'
        )

    def _write_item(self, item: ContentItem, level: int) -> str:
        kind = ' class="context"' if item.is_context else ""
        lines = "".join(f'<p class="value"{_write_title(item.value_code)}>{escape(line)}</p>' for line in item.lines)
        if item.target:
            lines = f'<p><a href="#item-{escape(item.target)}">see {escape(item.target)}</a></p>'
        links = "".join(f"<p>{self._write_link(reference)}</p>" for reference in item.references)
        below = "".join(self.iter_children(item, level))
        name = f"<dt{_write_title(item.code)}>{escape(item.name)}</dt>"
        return f'<div id="item-{item.position}"{kind}>{name}<dd>{lines}{links}{below}</dd></div>\n'

    def _write_link(self, reference: InstanceReference) -> str:
        label = escape(reference.label)
        if not (reference.study_uid and reference.series_uid):
            return f'<span title="{escape(reference.instance_uid)}">{label}</span>'
        path = f"/studies/{quote(reference.study_uid)}/series/{quote(reference.series_uid)}"
        path += f"/instances/{quote(reference.instance_uid)}"
        if reference.frames:
            path += f"/frames/{reference.frames[0]}"
        return f'<a href="{escape(self._base_url + path)}/rendered">{label}</a>'


def _write_title(code: str) -> str:
    return f' title="{escape(code)}"' if code else ""
