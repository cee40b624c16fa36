"""The console in Chromium: what a person sees and can do, against a gateway of canned answers."""

from __future__ import annotations

import re
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.support.browser import note_faults, open_browser
from tests.support.fake_gateway import HOSTILE, INSTANCE_FILE, FakeGateway, make_study
from tests.support.http_server import serve

pytestmark = [pytest.mark.peer, pytest.mark.asyncio(loop_scope="module")]

PICTURES = Path(__file__).resolve().parents[2] / "artefacts"
WAIT_MS = 20_000  # a loaded machine, and the pause between two looks at the backends
expect.set_options(timeout=WAIT_MS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as browser:
        yield browser


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest_asyncio.fixture(loop_scope="module")
async def url(gateway: FakeGateway) -> AsyncIterator[str]:
    async with serve(gateway.make_application()) as url:
        yield url


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 900})
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(context: BrowserContext, url: str) -> AsyncIterator[Page]:
    """The page, watched: a script error or a request to another place fails the test."""
    page = await context.new_page()
    faults = note_faults(page, url)
    await page.goto(url)
    yield page
    assert faults == []


async def open_series(page: Page, study: str, series: str) -> None:
    await page.get_by_role("button", name=study).click()
    await page.get_by_role("button", name=series).click()


async def look_again(page: Page) -> None:
    """Have the page look at the backends now, as it does when its tab is shown."""
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


async def test_archives_are_listed_with_their_state(page: Page, gateway: FakeGateway) -> None:
    main = page.locator("label", has=page.get_by_role("radio", name="main"))
    await expect(main).to_contain_text("MAIN")
    await expect(main).to_contain_text("Reachable")
    await expect(main).to_contain_text("1 of 8 associations busy, 2 idle")
    await expect(page.get_by_role("radio", name="main")).to_be_checked()
    gateway.stop_backend("second")
    await look_again(page)
    second = page.locator("label", has=page.get_by_role("radio", name="second"))
    await expect(second).to_contain_text("Not reachable: the connection was refused")


async def test_studies_are_shown_as_people_read_them(page: Page) -> None:
    row = page.get_by_role("row", name="Yamada, Tarou")
    for words in (
        "山田, 太郎",
        "ID-0001",
        "23 May 1970",
        "31 Jan 2024",
        "10:15",
        "CT",
        "Study 1",
        "ACC0001",
        "123 instances",
    ):
        await expect(row).to_contain_text(words)
    odd = page.get_by_role("row", name="Doe, Dr Jane M")
    await expect(odd).to_contain_text("not a date")  # shown as it is
    await expect(odd.locator(".modality")).to_have_text(["MR", "SR"])


async def test_values_are_text_never_markup(page: Page) -> None:
    await expect(page.get_by_role("row", name="Doe, Dr Jane M")).to_contain_text(HOSTILE)
    await open_series(page, "Doe, Dr Jane M", "Axial")
    await page.locator(".instance").first.get_by_role("button", name="Metadata").click()
    await expect(page.locator("#metadata-tree")).to_contain_text(HOSTILE)
    assert await page.evaluate("window.stolen") is None
    assert await page.locator("main img:not([src^='blob:'])").count() == 0


async def test_pages_turn_forward_and_back(page: Page, gateway: FakeGateway) -> None:
    rows, following = page.locator("tr.study"), page.get_by_role("button", name="Next")
    await expect(rows).to_have_count(25)
    await following.click()
    await expect(page.locator("#page")).to_have_text("26–50")
    await following.click()
    await expect(rows).to_have_count(10)
    await expect(following).to_be_disabled()
    await page.get_by_role("button", name="Previous").click()
    await expect(page.locator("#page")).to_have_text("26–50")
    asked = [dict(query) for path, query in gateway.queries if path == "/dicomweb/studies"]
    assert [(query["limit"], query["offset"]) for query in asked] == [
        ("26", offset) for offset in ("0", "25", "50", "25")
    ]


async def test_the_form_becomes_a_query(page: Page, gateway: FakeGateway) -> None:
    await page.get_by_label("Patient name").fill("Sample, num")
    await page.get_by_label("Patient ID").fill("ID-00?4")
    await page.get_by_label("Accession number").fill("ACC")
    await page.get_by_label("Modality").fill("ct")
    await page.get_by_label("Study date from").fill("2024-01-01")
    await page.get_by_label("Description").fill("Study")
    await page.get_by_role("button", name="Search").click()
    await expect(page.locator("tr.study")).to_have_count(6)
    query = dict(gateway.queries[-1][1])
    assert query["PatientName"] == "*Sample*num*"
    assert query["PatientID"] == "ID-00?4"  # wildcards of its own are kept
    assert query["AccessionNumber"] == "*ACC*"
    assert query["ModalitiesInStudy"] == "CT"
    assert query["StudyDate"] == "20240101-"
    assert query["StudyDescription"] == "*Study*"
    await page.get_by_role("button", name="Clear").click()
    await expect(page.locator("tr.study")).to_have_count(25)
    assert "PatientName" not in dict(gateway.queries[-1][1])


async def test_nothing_found_is_said(page: Page) -> None:
    await page.get_by_label("Patient ID").fill("nobody")
    await page.keyboard.press("Enter")
    await expect(page.locator("#studies")).to_contain_text("No studies found.")
    await expect(page.locator("#pages")).to_be_hidden()


async def test_warnings_of_the_gateway_are_shown(page: Page, gateway: FakeGateway) -> None:
    gateway.warnings = ["The fuzzymatching parameter is not supported.", "Second, with a comma"]
    await page.get_by_role("button", name="Search").click()
    await expect(page.locator(".notice.warning")).to_have_text(gateway.warnings)


async def test_a_study_opens_to_series_and_instances(page: Page, gateway: FakeGateway) -> None:
    await open_series(page, "Yamada, Tarou", "Axial")
    await expect(page.locator(".series .opener .name")).to_have_text(["Dose report", "Axial 0.5 mm, soft tissue"])
    instances = page.locator(".instance")
    await expect(instances).to_have_count(24)
    await expect(instances.first).to_contain_text("Instance 1")
    await expect(instances.first).to_contain_text("CT Image · 512 × 384")
    await page.get_by_role("button", name="Show more (96 instances left)").click()
    await expect(instances).to_have_count(48)
    before = len(gateway.queries)
    opener = page.get_by_role("button", name="Yamada, Tarou")
    await opener.click()
    await expect(opener).to_have_attribute("aria-expanded", "false")
    await expect(instances.first).to_be_hidden()
    await opener.click()
    await expect(instances.first).to_be_visible()
    assert len(gateway.queries) == before  # what is known is not asked again


async def test_metadata_is_a_tree_with_names(page: Page) -> None:
    await open_series(page, "Yamada, Tarou", "Axial")
    await page.locator(".instance").first.get_by_role("button", name="Metadata").click()
    tree = page.locator("#metadata-tree")
    await expect(tree).to_contain_text("(0008,0016)SOP Class UIDUI1.2.840.10008.5.1.4.1.1.2  CT Image Storage")
    await expect(tree).to_contain_text("(0009,0010)Private Creator")
    await expect(tree).to_contain_text("4 bytes")
    await tree.get_by_text("Referenced Image Sequence").click()
    await expect(tree).to_contain_text("1.2.3.4.5.6")
    await page.get_by_label("Filter the attributes").fill("pixel")
    await expect(tree.locator("li:visible")).to_have_count(1)
    await page.keyboard.press("Escape")
    await page.keyboard.press("Escape")  # the first one may only clear the field
    await expect(page.locator("#metadata")).to_be_hidden()


async def test_metadata_of_a_series_lists_its_instances(page: Page) -> None:
    await page.get_by_role("button", name="Yamada, Tarou").click()
    await page.locator(".series").first.get_by_role("button", name="Metadata").click()
    parts = page.locator("#metadata-tree > details")
    await expect(parts).to_have_count(3)
    await parts.nth(1).locator("> summary").click()
    await expect(parts.nth(1)).to_contain_text("1.2.3.1")


async def test_an_instance_is_saved_as_it_is_stored(page: Page, gateway: FakeGateway, tmp_path: Path) -> None:
    await open_series(page, "Yamada, Tarou", "Dose report")
    async with page.expect_download() as saving:
        await page.locator(".instance").first.get_by_role("button", name="Download").click()
    download = await saving.value
    assert download.suggested_filename == "1.2.3.1.1.1.dcm"
    await download.save_as(tmp_path / "instance.dcm")
    assert (tmp_path / "instance.dcm").read_bytes() == INSTANCE_FILE
    assert gateway.accepts == ["application/dicom; transfer-syntax=*"]


async def test_a_curl_line_can_be_copied(page: Page, context: BrowserContext, url: str) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    await open_series(page, "Yamada, Tarou", "Dose report")
    await page.locator(".instance").first.get_by_role("button", name="Copy curl").click()
    await expect(page.locator(".instance").first.get_by_role("button", name="Copied")).to_be_visible()
    line = shlex.split(await page.evaluate("navigator.clipboard.readText()"))
    target = f"{url}/dicomweb/studies/1.2.3.1/series/1.2.3.1.1/instances/1.2.3.1.1.1"
    accept = "Accept: application/dicom; transfer-syntax=*"
    assert line == ["curl", "-H", accept, "-o", "1.2.3.1.1.1.dcm", target]


async def test_copying_works_without_https(page: Page, url: str) -> None:
    await page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    await page.get_by_role("button", name="Yamada, Tarou").click()
    await page.get_by_role("group", name="Actions for Study").get_by_role("button", name="Copy URL").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_focused()
    await page.get_by_label("Patient name").focus()
    await page.keyboard.press("Control+v")
    await expect(page.get_by_label("Patient name")).to_have_value(f"{url}/dicomweb/studies/1.2.3.1")


async def test_a_backend_is_chosen_and_kept_in_the_address(page: Page, gateway: FakeGateway) -> None:
    gateway.studies["second"] = [make_study(7, {"Alphabetic": "Only^Here"})]
    await page.get_by_role("radio", name="second").check()
    await expect(page.locator("tr.study")).to_have_count(1)
    assert urlsplit(page.url).fragment == "backend=second"
    await page.reload()
    await expect(page.get_by_role("radio", name="second")).to_be_checked()
    await expect(page.get_by_role("button", name="Only, Here")).to_be_visible()
    assert gateway.queries[-1][0] == "/backends/second/dicomweb/studies"


async def test_a_failure_is_told_and_the_page_recovers_by_itself(page: Page, gateway: FakeGateway) -> None:
    await expect(page.locator("tr.study")).to_have_count(25)
    gateway.stop_backend("main")
    await page.get_by_role("button", name="Search").click()
    failure = page.get_by_role("alert")
    await expect(failure).to_contain_text("Service Unavailable")
    await expect(failure).to_contain_text("MAIN: the connection was refused")
    await failure.get_by_role("button", name="Try again").click()
    await expect(failure).to_contain_text("Service Unavailable")
    await expect(page.locator(".state.bad")).to_have_count(1)
    gateway.start_backend("main")
    await expect(page.locator("tr.study")).to_have_count(25)
    await expect(page.locator(".state.bad")).to_have_count(0)


async def test_a_passing_failure_is_overcome_without_the_archive_ever_seen_away(
    page: Page, gateway: FakeGateway
) -> None:
    await expect(page.locator("tr.study")).to_have_count(25)
    gateway.stop_backend("main")
    await page.get_by_role("button", name="Search").click()
    await expect(page.get_by_role("alert")).to_contain_text("Service Unavailable")
    gateway.start_backend("main")
    await expect(page.locator("tr.study")).to_have_count(25)


async def test_a_refused_search_waits_for_the_person(page: Page, gateway: FakeGateway) -> None:
    await expect(page.locator("tr.study")).to_have_count(25)
    gateway.failures["main"] = {"status": 400, "title": "Bad Request", "detail": "PatientID: too long"}
    await page.get_by_role("button", name="Search").click()
    await expect(page.get_by_role("alert")).to_contain_text("PatientID: too long")
    await expect(page.get_by_role("alert")).not_to_contain_text("by itself")
    gateway.failures.clear()
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator("tr.study")).to_have_count(25)


async def test_a_hidden_tab_asks_for_nothing(page: Page, gateway: FakeGateway) -> None:
    await expect(page.locator("tr.study")).to_have_count(25)
    await page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    gateway.stop_backend("second")
    await look_again(page)
    await page.get_by_role("button", name="Search").click()
    await expect(page.locator("#studies")).to_have_attribute("aria-busy", "false")
    await expect(page.locator(".state.bad")).to_have_count(0)
    await page.evaluate("delete document.hidden")
    await look_again(page)
    await expect(page.locator(".state.bad")).to_have_count(1)


async def test_all_can_be_reached_by_keyboard_and_is_named(page: Page) -> None:
    await expect(page.locator("tr.study")).to_have_count(25)
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")  # the skip link
    await expect(page.locator("#results")).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Yamada, Tarou")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator(".series")).to_have_count(2)
    unnamed = await page.evaluate(
        "[...document.querySelectorAll('button, input')].filter(node => !node.labels?.length"
        " && !node.textContent.trim() && !node.ariaLabel).map(node => node.outerHTML)"
    )
    assert unnamed == []


@pytest.mark.parametrize("width", [360, 820, 1360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_every_screen_in_light_and_dark(browser: Browser, url: str, scheme: str, width: int) -> None:
    context = await browser.new_context(
        color_scheme=scheme,
        viewport={"width": width, "height": 900},
        locale="en-GB",  # type: ignore[arg-type]
    )
    page = await context.new_page()
    await page.goto(url)
    await open_series(page, "Yamada, Tarou", "Axial")
    await expect(page.locator(".instance")).to_have_count(24)
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    for selector in (".quiet:visible", ".state", "tr.study .name", ".modality", ".picture", "button.primary"):
        ratio = await page.locator(selector).first.evaluate(CONTRAST)
        assert ratio >= 4.5, f"{selector}: {ratio:.2f}"  # WCAG 2.2, 1.4.3
    PICTURES.mkdir(exist_ok=True)
    await page.screenshot(path=PICTURES / f"console-{scheme}-{width}.png")
    await context.close()


CONTRAST = re.sub(
    r"\s+",
    " ",
    """node => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (colour) => channels(colour).slice(0, 3).map((value) => value / 255)
    .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
  let behind = node;
  while (channels(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
  const [ink, ground] = [luminance(getComputedStyle(node).color), luminance(getComputedStyle(behind).backgroundColor)];
  return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
}""",
)
