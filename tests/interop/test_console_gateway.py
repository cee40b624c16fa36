"""The console over the real thing: the gateway as it runs, and the sandbox archive with the demo's studies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect
from pydicom import dcmread

from gateway.app import run_gateway
from gateway.config import GatewaySettings
from gateway.sandbox import SandboxArchive
from gateway.sandbox.demo import run_sandbox
from tests.support.browser import open_browser

pytestmark = [pytest.mark.peer, pytest.mark.asyncio(loop_scope="module")]

WAIT_MS = 30_000  # a loaded machine, and the pause between two looks at the backends
CT, MR = "Müller-Beispiel, Änne", "Tesuto, Hanako"


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
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
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
