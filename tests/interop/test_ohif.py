"""OHIF as ``deploy/ohif`` sets it up, in Chromium, over the gateway and Orthanc: pictures reach the screen."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pydicom
import pytest
import pytest_asyncio
from numpy.typing import NDArray
from PIL import Image
from playwright.async_api import Browser, Page, Request, Response, expect
from pydicom.uid import JPEGBaseline8Bit

from gateway.config import BackendSettings
from gateway.sandbox.studies import write_demo_studies
from tests.support.browser import open_browser
from tests.support.peers import LOOPBACK, MoveDestination, OrthancPeer, find_free_port
from tests.support.running_gateway import RunningGateway, make_settings
from tests.support.samples import sample_files
from tests.support.viewer import ViewerPeer

pytestmark = [pytest.mark.peer, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

PICTURES = Path(__file__).resolve().parents[2] / "artefacts"
WAIT_MS = 90_000  # 10 MB of scripts and WebGL in software, on a loaded machine
POLL_MS = 250
GREY_LEVELS = 32
LETTERHEAD = (11, 110, 117)

READ_CANVAS = """() => {
  const [canvas] = [...document.querySelectorAll('.cornerstone-canvas')];
  if (!canvas?.width) return null;
  const copy = new OffscreenCanvas(256, 256).getContext('2d');
  copy.drawImage(canvas, 0, 0, 256, 256);
  return [...copy.getImageData(0, 0, 256, 256).data];
}"""


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """The demo's files by the name of their study's folder, and a loop in JPEG of a real machine."""
    files = write_demo_studies(tmp_path_factory.mktemp("ohif-studies"))
    names = {path.parent.name for path in files}
    jpeg = next(path for path in sample_files() if path.name == "examples_ybr_color.dcm")
    return {"jpeg": [jpeg]} | {name: [path for path in files if path.parent.name == name] for name in names}


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory, studies: dict[str, list[Path]]) -> Iterator[ViewerPeer]:
    """The viewer, the gateway behind it and Orthanc with the demo's studies behind that."""
    folder = tmp_path_factory.mktemp("ohif")
    ours = MoveDestination("GATEWAY", find_free_port())
    with OrthancPeer(folder / "orthanc", move_destinations=[ours]) as orthanc:
        assert orthanc.load([path for paths in studies.values() for path in paths]).refused == {}
        backend = BackendSettings(ae_title=orthanc.ae_title, host=LOOPBACK, port=orthanc.dicom_port, max_associations=4)
        with (
            RunningGateway(make_settings({"orthanc": backend}, ours.port)) as running,
            ViewerPeer(folder / "nginx", gateway_url=running.gateway.url) as viewer,
        ):
            yield viewer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser(has_webgl=True) as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, viewer: ViewerPeer) -> AsyncIterator[Page]:
    """A page, watched: a script error, an answer of 400 or above or a request to another place fails the test."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    page = await context.new_page()
    page.set_default_timeout(WAIT_MS)
    expect.set_options(timeout=WAIT_MS)
    faults: list[str] = []

    def note_request(request: Request) -> None:
        if urlsplit(request.url).scheme in ("http", "https") and not request.url.startswith(viewer.url):
            faults.append(f"request to {request.url}")

    def note_response(response: Response) -> None:
        if response.status >= 400:
            faults.append(f"{response.status} {response.url}")

    page.on("request", note_request)
    page.on("response", note_response)
    page.on("pageerror", lambda error: faults.append(f"script error: {error}"))
    yield page
    await context.close()
    assert faults == []


async def open_study(page: Page, viewer: ViewerPeer, files: list[Path]) -> None:
    """Open a study in the viewer and end its guided tour."""
    study = pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID
    await page.goto(f"{viewer.url}/viewer?StudyInstanceUIDs={study}")
    await page.get_by_text("Skip all").click()


async def open_series(page: Page, description: str) -> None:
    await page.get_by_text(description, exact=True).first.dblclick()


async def read_canvas(page: Page) -> NDArray[np.uint8]:
    """What the viewport shows: 256 x 256 x RGB; all zero while there is no canvas."""
    pixels = await page.evaluate(READ_CANVAS)
    shape = (256, 256, 4)
    return np.zeros(shape, np.uint8)[..., :3] if pixels is None else np.array(pixels, np.uint8).reshape(shape)[..., :3]


async def wait_for_picture(page: Page, *, unlike: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Wait until the canvas has a picture, another one than `unlike`."""
    async with asyncio.timeout(WAIT_MS / 1000):
        while True:
            shown = await read_canvas(page)
            if len(np.unique(shown)) >= GREY_LEVELS and (unlike is None or (shown != unlike).mean() > 0.02):
                return shown
            await page.wait_for_timeout(POLL_MS)


async def keep_screenshot(page: Page, name: str) -> None:
    PICTURES.mkdir(exist_ok=True)
    await page.screenshot(path=PICTURES / f"ohif-{name}.png")


async def test_the_study_list_shows_what_the_archive_holds(page: Page, viewer: ViewerPeer) -> None:
    await page.goto(viewer.url)
    for name in ("Müller-Beispiel, Änne", "Tesuto, Hanako", "Образцов, Пётр", "Przykładowa, Łucja"):
        await expect(page.get_by_text(name).first).to_be_visible()
    await keep_screenshot(page, "list")


async def test_a_ct_series_is_shown_and_scrolled(
    page: Page, viewer: ViewerPeer, studies: dict[str, list[Path]]
) -> None:
    async with page.expect_response(lambda response: "/thumbnail?" in response.url) as thumbnail:
        await open_study(page, viewer, studies["ct"])
    assert (await thumbnail.value).headers["content-type"] == "image/jpeg"
    first = await wait_for_picture(page)
    assert (first[..., 0] == first[..., 2]).mean() > 0.99  # grey
    assert (first[96:160, 96:160] > 60).mean() > 0.5  # the body in the middle
    assert first[:8].max() < 60  # air around it
    await expect(page.get_by_text("(1/48)")).to_be_visible()
    await expect(page.get_by_text("400", exact=True)).to_be_visible()  # the window of the data set
    await page.locator(".cornerstone-canvas").first.hover()
    for number in range(2, 12):
        await page.mouse.wheel(0, 120)
        await expect(page.get_by_text(f"({number}/48)")).to_be_visible()
    await wait_for_picture(page, unlike=first)
    await keep_screenshot(page, "ct")


async def test_a_multi_frame_ultrasound_is_shown_in_colour_and_scrolled(
    page: Page, viewer: ViewerPeer, studies: dict[str, list[Path]]
) -> None:
    await open_study(page, viewer, studies["us"])
    first = (await wait_for_picture(page)).astype(int)
    red, blue = first[..., 0] - first[..., 2], first[..., 2] - first[..., 0]
    assert red.max() > 200 and blue.max() > 200  # both ends of the colour bar
    await expect(page.get_by_text("(1/32)")).to_be_visible()
    await page.locator(".cornerstone-canvas").first.hover()
    await page.mouse.wheel(0, 120)
    await expect(page.get_by_text("(2/32)")).to_be_visible()
    await wait_for_picture(page, unlike=first.astype(np.uint8))
    await keep_screenshot(page, "us")


async def test_a_compressed_series_is_shown(page: Page, viewer: ViewerPeer, studies: dict[str, list[Path]]) -> None:
    compressed = pydicom.dcmread(studies["mr"][-1], stop_before_pixels=True)
    assert compressed.file_meta.TransferSyntaxUID.is_compressed
    await open_study(page, viewer, studies["mr"])
    first = await wait_for_picture(page)
    await open_series(page, compressed.SeriesDescription)
    await wait_for_picture(page, unlike=first)
    await keep_screenshot(page, "mr")


async def test_a_multi_frame_ultrasound_in_jpeg_is_shown(
    page: Page, viewer: ViewerPeer, studies: dict[str, list[Path]]
) -> None:
    loop = pydicom.dcmread(studies["jpeg"][0], stop_before_pixels=True)
    assert (loop.file_meta.TransferSyntaxUID, loop.NumberOfFrames) == (JPEGBaseline8Bit, 30)
    await open_study(page, viewer, studies["jpeg"])
    await wait_for_picture(page)
    await expect(page.get_by_text("(1/30)")).to_be_visible()
    await keep_screenshot(page, "us-jpeg")


async def test_a_structured_report_is_shown(page: Page, viewer: ViewerPeer, studies: dict[str, list[Path]]) -> None:
    await open_study(page, viewer, studies["ct"])
    await open_series(page, "Report")
    await expect(page.get_by_text("Round nodule in the right lung, well defined.")).to_be_visible()
    await expect(page.get_by_text("A synthetic torso. No real person was examined.")).to_be_visible()
    await keep_screenshot(page, "sr")


async def test_a_pdf_document_is_shown(page: Page, viewer: ViewerPeer, studies: dict[str, list[Path]]) -> None:
    await open_study(page, viewer, studies["cr"])
    async with page.expect_response(lambda response: response.url.endswith("/rendered")) as answer:
        await open_series(page, "Letter")
    assert (await answer.value).headers["content-type"] == "application/pdf"
    async with asyncio.timeout(WAIT_MS / 1000):
        while not await shows_colour(page, LETTERHEAD):  # the browser's own PDF viewer tells nothing when it is ready
            await page.wait_for_timeout(POLL_MS)
    await keep_screenshot(page, "pdf")


async def shows_colour(page: Page, colour: tuple[int, int, int]) -> bool:
    """Whether a good part of the window has this colour."""
    shown = np.asarray(Image.open(io.BytesIO(await page.screenshot())).convert("RGB"), dtype=int)
    return bool((np.abs(shown - colour).max(axis=-1) <= 2).mean() > 0.03)
