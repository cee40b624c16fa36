"""The console over the real thing: the gateway as it runs, and the sandbox archive with the demo's studies."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect
from pydicom import dcmread

from gateway.app import run_gateway
from gateway.config import GatewaySettings
from gateway.sandbox import SandboxArchive
from gateway.sandbox.demo import run_sandbox
from tests.support.browser import note_faults, open_browser

pytestmark = [pytest.mark.peer, pytest.mark.asyncio(loop_scope="module")]

WAIT_MS = 30_000  # a loaded machine, and the pause between two looks at the backends
CT, MR = "Müller-Beispiel, Änne", "Tesuto, Hanako"
US, CR = "Образцов, Пётр", "Przykładowa, Łucja"
PICTURES = Path(__file__).resolve().parents[2] / "artefacts"

READ_CANVAS = """() => {
  const copy = new OffscreenCanvas(64, 64).getContext('2d');
  copy.drawImage(document.getElementById('picture'), 0, 0, 64, 64);
  return [...copy.getImageData(0, 0, 64, 64).data];
}"""
"""The stage, 64 x 64 RGBA."""

WAIT_FOR_LAST_FRAME = """() => new Promise((resolve) => {
  const position = document.getElementById('stage-position');
  const look = () => position.textContent === 'Frame 32 of 32' && resolve();
  new MutationObserver(look).observe(position, { childList: true });
})"""
"""It stands for 40 ms in each round: too short for who only looks now and then."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("console-archive")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def archive(directory: Path) -> AsyncIterator[SandboxArchive]:
    archive = await asyncio.to_thread(run_sandbox, directory)
    yield archive
    await asyncio.to_thread(archive.stop)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(archive: SandboxArchive) -> AsyncIterator[str]:
    backend = {"ae_title": archive.ae_title, "host": archive.host, "port": archive.port}
    listen = {"listen": "127.0.0.1:0"}
    settings = GatewaySettings.model_validate({"http": listen, "dimse": listen, "backends": {"demo": backend}})
    async with run_gateway(settings) as gateway:
        archive.add_move_destination(settings.ae_title, "127.0.0.1", gateway.dimse_port)
        yield gateway.url


@pytest_asyncio.fixture(loop_scope="module")
async def page(url: str) -> AsyncIterator[Page]:
    expect.set_options(timeout=WAIT_MS)
    async with open_browser() as browser:
        page = await browser.new_page(locale="en-GB", viewport={"width": 1280, "height": 900})
        faults = note_faults(page, url)
        await page.goto(url)
        yield page
        assert faults == []


async def test_the_demo_studies_are_shown(page: Page) -> None:
    await expect(page.locator(".backend")).to_contain_text("Reachable")
    await expect(page.locator("tr.study")).to_have_count(4)
    row = page.get_by_role("row", name=MR)
    for words in ("試験, 花子", "DEMO-1002", "18 Apr 2024", "14:15", "MR", "MR head", "DEMO-MR-1", "2 series"):
        await expect(row).to_contain_text(words)


async def test_a_search_narrows_the_list(page: Page) -> None:
    await page.get_by_label("Patient name").fill("müller")
    await page.get_by_label("Study date from").fill("2024-03-11")
    await page.get_by_label("Study date to").fill("2024-03-11")
    await page.get_by_label("Modality").fill("ct")
    await page.get_by_role("button", name="Search").click()
    await expect(page.locator("tr.study")).to_have_count(1)
    await expect(page.get_by_role("button", name=CT)).to_be_visible()
    await page.get_by_label("Modality").fill("NM")
    await page.get_by_role("button", name="Search").click()
    await expect(page.locator("#studies")).to_contain_text("No studies found.")


async def test_an_instance_is_opened_read_and_saved(page: Page, directory: Path, tmp_path: Path) -> None:
    await page.get_by_role("button", name=CT).click()
    await page.locator(".series .opener").first.click()
    first = page.locator(".instance").first
    await expect(first).to_contain_text("CT Image · 512 × 512")
    await first.get_by_role("button", name="Metadata").click()
    await expect(page.locator("#metadata-tree")).to_contain_text("(0010,0010)Patient's NamePNMüller-Beispiel, Änne")
    await page.get_by_role("button", name="Close the metadata").click()
    async with page.expect_download() as saving:
        await first.get_by_role("button", name="Download").click()
    await (await saving.value).save_as(tmp_path / "instance.dcm")
    saved = dcmread(tmp_path / "instance.dcm")
    stored = [dcmread(path) for path in directory.rglob("*.dcm")]
    assert saved in stored


async def view(page: Page, study: str, series: str) -> None:
    """Open a series of a study that is closed yet in the viewer."""
    await page.get_by_role("button", name=study).click()
    entry = page.locator(".series", has=page.get_by_text(series, exact=True))
    await entry.get_by_role("button", name="View").first.click()


async def read_picture(page: Page, *, unlike: np.ndarray | None = None) -> np.ndarray:
    """The picture on the stage once it is there, as 64 x 64 x RGB; another one than `unlike`."""
    async with asyncio.timeout(WAIT_MS / 1000):
        while True:
            shown = np.array(await page.evaluate(READ_CANVAS), np.uint8).reshape(64, 64, 4)[..., :3]
            if shown.std() > 1 and (unlike is None or not np.array_equal(shown, unlike)):
                return shown
            await asyncio.sleep(0.05)


async def keep_screenshot(page: Page, name: str) -> None:
    PICTURES.mkdir(exist_ok=True)
    await page.screenshot(path=PICTURES / f"console-demo-{name}.png")


async def test_every_series_of_pictures_has_its_thumbnail(page: Page) -> None:
    for study in (CT, MR, US, CR):
        await page.get_by_role("button", name=study).click()
    await expect(page.locator(".series")).to_have_count(7)
    for place in await page.locator(".series > .entry .picture").all():
        await place.scroll_into_view_if_needed()
    await expect(page.locator(".picture[data-thumbnail=shown] img")).to_have_count(5)
    await expect(page.locator(".picture[data-thumbnail=none]")).to_have_text(["SR", "DOC"])
    await page.evaluate("window.scrollTo(0, 0)")
    await keep_screenshot(page, "list")


async def test_a_ct_series_is_scrolled_and_windowed(page: Page) -> None:
    await view(page, CT, "Chest and abdomen, portal venous")
    first = await read_picture(page)
    await expect(page.locator("#stage-position")).to_have_text("Image 1 of 48")
    await page.keyboard.press("PageDown")
    eleventh = await read_picture(page, unlike=first)
    await expect(page.locator("#stage-position")).to_have_text("Image 11 of 48")
    await expect(page.get_by_label("Center")).to_have_value("40")
    await page.get_by_label("Center").fill("-600")
    await page.get_by_label("Width").fill("1600")
    await page.get_by_label("Width").press("Enter")
    brighter = await read_picture(page, unlike=eleventh)
    assert brighter.mean() > eleventh.mean() + 20
    await keep_screenshot(page, "ct")


async def test_an_ultrasound_loop_plays_in_colour(page: Page) -> None:
    await view(page, US, "Apical loop, colour flow")
    first = (await read_picture(page)).astype(int)
    assert (first[..., 0] - first[..., 2]).max() > 100
    assert (first[..., 2] - first[..., 0]).max() > 100
    await expect(page.get_by_label("Center")).to_be_disabled()
    await page.get_by_role("button", name="Play").click()
    await asyncio.wait_for(page.evaluate(WAIT_FOR_LAST_FRAME), WAIT_MS / 1000)
    await page.get_by_role("button", name="Pause").click()
    await keep_screenshot(page, "us")


@pytest.mark.parametrize(("study", "series"), [(MR, "T2 axial"), (CR, "Chest PA")], ids=["rle", "large"])
async def test_compressed_and_large_pictures_are_shown(page: Page, study: str, series: str) -> None:
    await view(page, study, series)
    shown = await read_picture(page)
    assert shown.max() > 200
    await keep_screenshot(page, series.split()[0].lower())


async def test_a_report_is_read(page: Page) -> None:
    await view(page, CT, "Report")
    report = page.frame_locator("#document-page iframe")
    await expect(report.get_by_text("Round nodule in the right lung, well defined.")).to_be_visible()
    await expect(report.locator("body")).to_have_css("max-width", "768px")
    await keep_screenshot(page, "report")


async def test_a_letter_is_opened(page: Page) -> None:
    async with page.expect_response(lambda response: response.url.endswith("/rendered")) as answer:
        await view(page, CR, "Letter")
    assert (await answer.value).headers["content-type"] == "application/pdf"
    await expect(page.locator("#document-page iframe")).to_have_attribute("src", re.compile("^blob:"))
    await expect(page.get_by_role("link", name="Open in a tab of its own")).to_be_visible()


async def test_the_page_recovers_when_the_archive_is_back(page: Page, archive: SandboxArchive, directory: Path) -> None:
    await expect(page.locator("tr.study")).to_have_count(4)
    await asyncio.to_thread(archive.stop)
    await page.get_by_role("button", name="Search").click()
    await expect(page.get_by_role("alert")).to_contain_text(archive.ae_title)
    await expect(page.locator(".backend")).to_contain_text("Not reachable")
    successor = await asyncio.to_thread(run_sandbox, directory, archive.port)
    try:
        await expect(page.locator("tr.study")).to_have_count(4)
        await expect(page.locator(".backend")).to_contain_text("Reachable")
    finally:
        await asyncio.to_thread(successor.stop)
