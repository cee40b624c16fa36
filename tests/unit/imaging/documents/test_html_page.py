"""Reports as HTML, parsed by lxml."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from lxml import html

from gateway.imaging.documents.content import ContentItem, InstanceReference, Report
from gateway.imaging.documents.html_page import write_html
from gateway.imaging.documents.report_reader import read_report
from tests.support.reports import make_concept, make_content, make_report


def parse(report: Report, base_url: str = "") -> html.HtmlElement:
    return html.document_fromstring(write_html(report, base_url).decode())


def show(*children: ContentItem) -> html.HtmlElement:
    return parse(Report("Title", (("Patient", "Doe"),), (), ContentItem("Root", children=children)), "/dicomweb")


def test_containers_are_headings_and_others_lists() -> None:
    items = [
        make_content("TEXT", "Lung", TextValue="clear"),
        make_content("CODE", "Heart", ConceptCodeSequence=make_concept("Normal", "N1")),
    ]
    inner = make_content("CONTAINER", "Details", ContentSequence=items)
    page = parse(read_report(make_report(make_content("CONTAINER", "Findings", ContentSequence=[inner]))))
    assert page.xpath("//title/text()") == page.xpath("//h1/text()") == ["Chest Report"]
    assert page.xpath("//section/h2/text()") == ["Findings"]
    assert page.xpath("//section/section/h3/text()") == ["Details"]
    assert page.xpath("//section/dl/div/dt/text()") == ["Lung", "Heart"]
    assert page.xpath("//p[@title='99TEST N1']/text()") == ["Normal"]
    assert page.xpath("//header//dd/text()")[:2] == ["Dr Jane Doe", "4711"]


def test_context_is_set_apart() -> None:
    page = show(ContentItem("Observer", lines=("Person",), is_context=True), ContentItem("Finding", lines=("none",)))
    assert page.xpath("//div[@class='context']/dt/text()") == ["Observer"]


def test_links_lead_to_rendered_instances_and_frames() -> None:
    references = (
        InstanceReference("1.3", "1.1", "1.2", (), "CT"),
        InstanceReference("1.3", "1.1", "1.2", (4, 5), "CT, frames 4, 5"),
        InstanceReference("1.3", "", "", (), "unknown place"),
    )
    page = show(ContentItem("Images", references=references))
    instance = "/dicomweb/studies/1.1/series/1.2/instances/1.3"
    assert page.xpath("//a/@href") == [f"{instance}/rendered", f"{instance}/frames/4/rendered"]
    assert page.xpath("//span[@title='1.3']/text()") == ["unknown place"]


def test_references_to_other_items_are_links() -> None:
    page = show(ContentItem("Finding", lines=("x",), position="1.1"), ContentItem("", lines=("see 1.1",), target="1.1"))
    assert page.xpath("//a/@href") == ["#item-1.1"]
    assert page.xpath("//div[@id='item-1.1']/dt/text()") == ["Finding"]


HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>"


def test_everything_is_escaped() -> None:
    reference = InstanceReference(HOSTILE, HOSTILE, HOSTILE, (), HOSTILE)
    item = ContentItem(HOSTILE, HOSTILE, (HOSTILE,), HOSTILE, position="1.1", target=HOSTILE, references=(reference,))
    section = ContentItem(HOSTILE, HOSTILE, is_container=True, position="1.2", children=(item,))
    rows = ((HOSTILE, HOSTILE),)
    page = parse(Report(HOSTILE, rows, rows, ContentItem("", children=(item, section))))
    assert not page.xpath("//script | //img | //@onerror")
    assert page.xpath("//h1/text()") == page.xpath("//h2/text()") == [HOSTILE]
    assert {element.tag for element in page.iter()} <= {
        "html", "head", "meta", "title", "style", "body", "header", "main", "h1", "h2", "dl", "dt", "dd", "div", "p",
        "a", "section",
    }  # fmt: skip


@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1))
def test_text_comes_back(text: str) -> None:
    assert "".join(show(ContentItem("Name", lines=(text,))).xpath("//p[@class='value']/text()")) == text


def test_nothing_may_be_loaded() -> None:
    page = show()
    policy = page.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")[0]
    assert policy.startswith("default-src 'none'")
    assert not page.xpath("//@src | //link")
