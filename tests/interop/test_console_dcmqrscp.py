"""The console over dcmqrscp, whose searches tell neither SOP class, nor number of frames, nor descriptions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from gateway.config import BackendSettings
from gateway.sandbox.instances import Patient, Study, write_instance
from gateway.sandbox.report import make_report
from gateway.sandbox.ultrasound import make_ultrasound_loop
from tests.support.browser import note_faults, open_browser
from tests.support.peers import LOOPBACK, DcmqrscpPeer, MoveDestination, find_free_port
from tests.support.running_gateway import RunningGateway, make_settings

pytestmark = [pytest.mark.peer, pytest.mark.asyncio(loop_scope="module")]

WAIT_MS = 30_000  # a loaded machine
FRAMES = 6


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway over dcmqrscp with a loop and a report about it."""
    folder = tmp_path_factory.mktemp("console-dcmqrscp")
    study = Study("terse", Patient("1", "Doe^Jane", ""), "20240101", "120000", "Echo", "ACC1")
    loop = make_ultrasound_loop(study, frames=FRAMES, rows=96, columns=128)
    files = [
        write_instance(loop, folder / "files", "loop"),
        write_instance(make_report(study, 2, [loop]), folder / "files", "report"),
    ]
    ours = MoveDestination("GATEWAY", find_free_port())
    with DcmqrscpPeer(folder / "dcmqrscp", move_destinations=[ours]) as archive:
        assert archive.load(files).refused == {}
        backend = BackendSettings(ae_title=archive.ae_title, host=LOOPBACK, port=archive.dicom_port)
        with RunningGateway(make_settings({"archive": backend}, ours.port)) as running:
            yield running.gateway.url


@pytest_asyncio.fixture(loop_scope="module")
async def page(url: str) -> AsyncIterator[Page]:
    expect.set_options(timeout=WAIT_MS)
    async with open_browser() as browser:
        page = await browser.new_page(locale="en-GB")
        faults = note_faults(page, url)
        await page.goto(url)
        await page.get_by_role("button", name="Doe, Jane").click()
        yield page
        assert faults == []


async def test_the_frames_of_a_loop_are_counted(page: Page) -> None:
    await page.get_by_role("group", name="Actions for Series 1").get_by_role("button", name="View").click()
    await expect(page.locator("#stage-position")).to_have_text(f"Frame 1 of {FRAMES}")
    await expect(page.locator("#stage")).not_to_have_attribute("data-busy", "yes")


async def test_a_report_is_known_as_one(page: Page) -> None:
    await page.get_by_role("group", name="Actions for Series 2").get_by_role("button", name="View").click()
    report = page.frame_locator("#document-page iframe")
    await expect(report.get_by_role("heading", name="Diagnostic imaging report")).to_be_visible()
