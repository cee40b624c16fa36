"""Pictures on the console in Chromium: thumbnails, the stack view, reports and documents, against canned answers."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray
from PIL import Image
from playwright.async_api import Browser, Page, expect

from tests.support.browser import note_faults, open_browser
from tests.support.canned_pictures import CannedPictures
from tests.support.fake_gateway import FRAMES, FakeGateway
from tests.support.http_server import serve

pytestmark = [pytest.mark.peer, pytest.mark.asyncio(loop_scope="module")]

SCREENSHOTS = Path(__file__).resolve().parents[2] / "artefacts"
WAIT_MS = 20_000  # a loaded machine
CT_STUDY, US_STUDY = "Yamada, Tarou", "Åström, Östen"
AXIAL, REPORT, LOOP, LETTER, RHYTHM = "Axial", "Dose report", "Apical loop", "Letter", "Rhythm"
LETTERHEAD = (11, 110, 117)
AHEAD, BEHIND, AT_A_TIME = 6, 2, 4  # as in frame-loader.js

BLANK = np.zeros(64 * 64, np.uint8)
READ_CANVAS = """() => {
  const copy = new OffscreenCanvas(64, 64).getContext('2d');
  copy.drawImage(document.getElementById('picture'), 0, 0, 64, 64);
  return [...copy.getImageData(0, 0, 64, 64).data].filter((_, index) => index % 4 === 0);
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as browser:
        yield browser


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
def pictures(gateway: FakeGateway) -> CannedPictures:
    return gateway.pictures


@pytest_asyncio.fixture(loop_scope="module")
async def url(gateway: FakeGateway) -> AsyncIterator[str]:
    async with serve(gateway.make_application()) as url:
        yield url


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, url: str) -> AsyncIterator[Page]:
    """The page, watched: a script error or a request to another place fails the test."""
    expect.set_options(timeout=WAIT_MS)
    context = await browser.new_context(locale="en-GB", viewport={"width": 1000, "height": 800})
    page = await context.new_page()
    faults = note_faults(page, url)
    await page.goto(url)
    yield page
    await context.close()
    assert faults == []


async def open_study(page: Page, study: str) -> None:
    await page.get_by_role("button", name=study).click()


async def view(page: Page, study: str, name: str) -> None:
    """Open a series in the viewer."""
    await open_study(page, study)
    await page.get_by_role("group", name="Actions for Series").nth(ORDER[name]).get_by_role("button").first.click()


ORDER = {REPORT: 0, AXIAL: 1, LOOP: 0, LETTER: 1, RHYTHM: 2}
"""Place of each series in its study's list."""


async def read_canvas(page: Page) -> NDArray[np.uint8]:
    """What the stage shows, 64 x 64 levels of red."""
    return np.array(await page.evaluate(READ_CANVAS), np.uint8)


async def wait_until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_MS / 1000):
        while not is_so():
            await asyncio.sleep(0.02)


async def wait_for_other(page: Page, before: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What the canvas shows once it is another picture than `before`."""
    async with asyncio.timeout(WAIT_MS / 1000):
        while np.array_equal(shown := await read_canvas(page), before):
            await asyncio.sleep(0.02)
    return shown


def instances_of(pictures: CannedPictures) -> list[int]:
    """Numbers of the instances whose frames were asked for, in this order."""
    return [int(it.path.split("/")[-4].rpartition(".")[2]) for it in pictures.frames()]


def position(page: Page) -> object:
    return expect(page.locator("#stage-position"))


# --- thumbnails ---


async def test_series_and_instances_have_thumbnails_once_they_are_in_view(page: Page, pictures: CannedPictures) -> None:
    await open_study(page, CT_STUDY)
    await expect(page.locator(".series > .entry .picture img")).to_have_count(2)
    assert {it.accept for it in pictures.asked} == {"image/jpeg"}
    assert {it.query["viewport"] for it in pictures.asked} == {"72,72"}
    await page.get_by_role("button", name=AXIAL).click()
    await expect(page.locator(".instance")).to_have_count(24)
    await expect(page.locator(".instance .picture img").first).to_be_visible()
    assert len(pictures.asked) < 2 + 24  # those far below wait
    await page.locator(".instance").last.scroll_into_view_if_needed()
    await expect(page.locator(".instance").last.locator(".picture img")).to_be_visible()


async def test_what_has_no_thumbnail_keeps_its_modality(page: Page, pictures: CannedPictures) -> None:
    pictures.failing.add("1.2.3.1.1/thumbnail")
    await open_study(page, CT_STUDY)
    places = page.locator(".series > .entry .picture")
    await expect(places.nth(1).locator("img")).to_be_visible()
    await expect(places.nth(0)).to_have_attribute("data-thumbnail", "none")
    await expect(places.nth(0)).to_have_text("SR")


async def test_thumbnails_of_studies_that_are_gone_are_called_off(page: Page, pictures: CannedPictures) -> None:
    pictures.gate.clear()
    await open_study(page, CT_STUDY)
    await wait_until(lambda: len(pictures.asked) == 2)
    await page.get_by_role("button", name="Search").click()
    await wait_until(lambda: len(pictures.left) == 2)


# --- the stack ---


async def test_a_series_is_scrolled_by_wheel_keys_and_slider(page: Page) -> None:
    await view(page, CT_STUDY, AXIAL)
    await position(page).to_have_text("Image 1 of 120")
    first = await wait_for_other(page, BLANK)
    await page.locator("#stage").hover()
    await page.mouse.wheel(0, 100)
    await position(page).to_have_text("Image 3 of 120")
    second = await wait_for_other(page, first)
    for key, place in {"ArrowUp": 2, "ArrowRight": 3, "PageDown": 13, "PageUp": 3, "End": 120, "Home": 1}.items():
        await page.keyboard.press(key)
        await position(page).to_have_text(f"Image {place} of 120")
    assert not np.array_equal(first, second)
    slider = page.get_by_role("slider", name="Position in the series")
    await slider.fill("60")
    await position(page).to_have_text("Image 60 of 120")
    await expect(slider).to_have_attribute("aria-valuetext", "Image 60 of 120")
    await expect(page.locator("#stage")).to_have_attribute("aria-label", "Image 60 of 120")


async def test_an_instance_opens_the_series_at_its_place(page: Page) -> None:
    await open_study(page, CT_STUDY)
    await page.get_by_role("button", name=AXIAL).click()
    await page.locator(".instance").nth(4).get_by_role("button", name="View").click()
    await position(page).to_have_text("Image 5 of 120")


async def test_the_thumbnail_opens_it_too(page: Page) -> None:
    await open_study(page, CT_STUDY)
    await page.locator(".series > .entry .picture").nth(1).click()
    await position(page).to_have_text("Image 1 of 120")
    await expect(page.get_by_role("heading", name="Axial 0.5 mm, soft tissue")).to_be_visible()


async def test_neighbours_are_fetched_within_bounds(page: Page, pictures: CannedPictures) -> None:
    pictures.gate.clear()
    await view(page, CT_STUDY, AXIAL)
    await wait_until(lambda: len(pictures.frames()) == AT_A_TIME)
    assert sorted(instances_of(pictures)) == [1, 2, 3, 4]
    pictures.gate.set()
    await wait_until(lambda: len(pictures.frames()) == 1 + AHEAD)
    assert sorted(instances_of(pictures)) == list(range(1, 2 + AHEAD))
    assert {it.accept for it in pictures.frames()} == {"image/jpeg"}
    await page.keyboard.press("PageDown")
    await wait_until(lambda: len(pictures.frames()) == 2 * (1 + AHEAD) + BEHIND)
    assert sorted(instances_of(pictures)) == [*range(1, 2 + AHEAD), *range(11 - BEHIND, 12 + AHEAD)]
    await page.keyboard.press("ArrowDown")
    await wait_until(lambda: instances_of(pictures)[-1] == 18)  # one more, what is here is not asked again
    assert len(set(instances_of(pictures))) == len(pictures.frames())


async def test_what_is_scrolled_past_is_called_off(page: Page, pictures: CannedPictures) -> None:
    pictures.gate.clear()
    await view(page, CT_STUDY, AXIAL)
    await wait_until(lambda: len(pictures.frames()) == AT_A_TIME)
    await page.keyboard.press("End")
    await wait_until(lambda: len([it for it in pictures.left if "/frames/" in it]) == AT_A_TIME)
    assert instances_of(pictures)[AT_A_TIME] == 120  # what is looked at comes first
    pictures.gate.set()
    await expect(page.locator("#stage")).not_to_have_attribute("data-busy", "yes")


async def test_closing_calls_off_what_is_under_way(page: Page, pictures: CannedPictures) -> None:
    pictures.gate.clear()
    await view(page, CT_STUDY, AXIAL)
    await wait_until(lambda: len(pictures.frames()) == AT_A_TIME)
    await page.keyboard.press("Escape")
    await expect(page.locator("#viewer")).to_be_hidden()
    await wait_until(lambda: len([it for it in pictures.left if "/frames/" in it]) == AT_A_TIME)


async def test_a_drag_sets_the_window_and_r_resets_it(page: Page, pictures: CannedPictures) -> None:
    await view(page, CT_STUDY, AXIAL)
    center, width = page.get_by_label("Center"), page.get_by_label("Width")
    await expect(center).to_have_value("40")
    await expect(width).to_have_value("400")
    before = await wait_for_other(page, BLANK)
    await page.mouse.move(500, 300)
    await page.mouse.down()
    await page.mouse.move(500, 428, steps=8)
    await page.mouse.move(628, 428, steps=8)
    await page.mouse.up()
    await expect(center).to_have_value("140")  # 128 pixels down are a quarter of the width
    await expect(width).to_have_value("566")  # 128 pixels to the right are half a doubling
    await wait_until(lambda: pictures.frames()[-1].query.get("window") == "140,566,linear")
    darker = await wait_for_other(page, before)
    assert darker.mean() < before.mean()
    await page.keyboard.press("r")
    await expect(center).to_have_value("40")
    await wait_until(lambda: "window" not in pictures.frames()[-1].query)


async def test_the_window_can_be_typed(page: Page, pictures: CannedPictures) -> None:
    await view(page, CT_STUDY, AXIAL)
    await expect(page.get_by_label("Center")).to_be_enabled()
    await page.get_by_label("Center").fill("-600")
    await page.get_by_label("Width").fill("1500")
    await page.get_by_label("Width").press("Enter")
    await wait_until(lambda: pictures.frames()[-1].query.get("window") == "-600,1500,linear")
    await page.get_by_role("button", name="Reset").click()
    await expect(page.get_by_label("Center")).to_have_value("40")


async def test_while_the_hand_moves_one_picture_is_asked_for_at_a_time(page: Page, pictures: CannedPictures) -> None:
    await view(page, CT_STUDY, AXIAL)
    await expect(page.get_by_label("Center")).to_have_value("40")
    await wait_until(lambda: len(pictures.frames()) == 1 + AHEAD)
    await expect(page.locator("#stage")).not_to_have_attribute("data-busy", "yes")
    pictures.gate.clear()
    await page.mouse.move(500, 300)
    await page.mouse.down()
    await page.mouse.move(600, 300, steps=20)
    await wait_until(lambda: len(pictures.frames()) > 1 + AHEAD)
    assert len(pictures.frames()) == 2 + AHEAD
    pictures.gate.set()
    await wait_until(lambda: pictures.frames()[-1].query["window"].startswith("40,524"))  # the last one is shown
    await page.mouse.up()


async def test_a_loop_plays_round_and_round_and_fetches_each_frame_once(page: Page, pictures: CannedPictures) -> None:
    await view(page, US_STUDY, LOOP)
    await position(page).to_have_text(f"Frame 1 of {FRAMES}")
    await expect(page.get_by_label("Rate")).to_have_value("25")  # frame time 40 ms
    await page.keyboard.press(" ")
    await expect(page.get_by_role("button", name="Pause")).to_be_visible()
    await wait_until(lambda: len(pictures.frames()) == FRAMES)
    seen = await page.evaluate(
        """() => new Promise((resolve) => {
          const seen = [];
          new MutationObserver(() => {
            seen.push(document.getElementById('stage-position').textContent);
            if (seen.length === 30) resolve(seen);
          }).observe(document.getElementById('stage-position'), { childList: true });
        })"""
    )
    numbers = [int(words.split()[1]) for words in seen]
    assert all(after == before % FRAMES + 1 for before, after in zip(numbers, numbers[1:], strict=False))
    await page.get_by_role("button", name="Pause").click()
    await expect(page.get_by_role("button", name="Play")).to_be_visible()
    assert len(pictures.frames()) == FRAMES


async def test_frames_are_counted_where_the_archive_does_not_tell(page: Page) -> None:
    await open_study(page, "Sample, Number 4")
    await page.get_by_role("button", name="View").click()
    await position(page).to_have_text(f"Image 1 of 2, frame 1 of {FRAMES}")
    await page.keyboard.press("End")
    await position(page).to_have_text(f"Image 2 of 2, frame {FRAMES} of {FRAMES}")


async def test_a_frame_that_cannot_be_had_is_told_and_tried_again(page: Page, pictures: CannedPictures) -> None:
    pictures.failing.add("1.2.3.1.2.2/frames/1/rendered")
    await view(page, CT_STUDY, AXIAL)
    await position(page).to_have_text("Image 1 of 120")
    await page.keyboard.press("ArrowDown")
    failure = page.locator("#stage-notice").get_by_role("alert")
    await expect(failure).to_contain_text("no such frame")
    await page.keyboard.press("ArrowDown")
    await expect(failure).to_be_hidden()
    await page.keyboard.press("ArrowUp")
    await expect(failure).to_be_visible()
    pictures.failing.clear()
    await failure.get_by_role("button", name="Try again").click()
    await expect(failure).to_be_hidden()
    await expect(page.locator("#stage")).not_to_have_attribute("data-busy", "yes")


async def test_the_keyboard_finds_in_and_out(page: Page) -> None:
    await open_study(page, CT_STUDY)
    button = page.get_by_role("group", name="Actions for Series 2").get_by_role("button", name="View")
    await button.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#stage")).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Play")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(button).to_be_focused()


# --- documents ---


async def test_a_report_is_shown_and_can_do_nothing(page: Page, pictures: CannedPictures) -> None:
    await view(page, CT_STUDY, REPORT)
    report = page.frame_locator("#document-page iframe")
    await expect(report.get_by_role("heading", name="Dose report")).to_be_visible()
    await expect(report.locator("body")).to_have_css("max-width", "768px")  # its own style is let through
    assert pictures.asked[-1].accept == "text/html"
    assert await page.evaluate("window.stolen") is None
    await expect(page.locator("#document-position")).to_have_text("Document 1 of 3")
    await page.locator("#document-next").click()
    await wait_until(lambda: pictures.asked[-1].path.endswith("1.2.3.1.1.2/rendered"))
    await expect(page.locator("#document-previous")).to_be_enabled()


async def test_a_pdf_is_opened_in_the_page(page: Page, pictures: CannedPictures) -> None:
    await view(page, US_STUDY, LETTER)
    await wait_until(lambda: pictures.asked[-1].accept == "application/pdf")
    await expect(page.get_by_role("link", name="Open in a tab of its own")).to_be_visible()
    async with asyncio.timeout(WAIT_MS / 1000):
        while not await shows_colour(page, LETTERHEAD):  # the browser's own viewer tells nothing when it is ready
            await asyncio.sleep(0.1)
    await keep_screenshot(page, "pdf")


async def test_what_is_neither_is_said(page: Page) -> None:
    await view(page, US_STUDY, RHYTHM)
    await expect(page.locator("#viewer-notice")).to_have_text("Nothing in here can be shown as a picture or a text.")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name=RHYTHM).click()
    await expect(page.locator(".instance")).to_have_count(1)
    await expect(page.locator(".instance").get_by_role("button", name="View")).to_have_count(0)


# --- looks ---


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_viewer_fits_every_screen(browser: Browser, url: str, scheme: str, width: int) -> None:
    context = await browser.new_context(
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": width, "height": 840},
        locale="en-GB",
    )
    page = await context.new_page()
    await page.goto(url)
    await view(page, CT_STUDY, AXIAL)
    await position(page).to_have_text("Image 1 of 120")
    await expect(page.get_by_label("Center")).to_have_value("40")
    await expect(page.locator("#stage")).not_to_have_attribute("data-busy", "yes")
    stage = await page.locator("#stage").bounding_box()
    assert stage is not None
    assert stage["height"] > 400
    for control in await page.locator("#viewer button:visible, #viewer input:visible").all():
        box = await control.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= 840
    await keep_screenshot(page, f"stack-{scheme}-{width}")
    await page.keyboard.press("Escape")
    await page.get_by_role("group", name="Actions for Series").first.get_by_role("button", name="View").click()
    await expect(page.frame_locator("#document-page iframe").get_by_role("heading")).to_be_visible()
    await keep_screenshot(page, f"report-{scheme}-{width}")
    await context.close()


async def keep_screenshot(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    await page.screenshot(path=SCREENSHOTS / f"console-{name}.png")


async def shows_colour(page: Page, colour: tuple[int, int, int]) -> bool:
    """Whether a good part of the window has this colour."""
    shown = np.asarray(Image.open(io.BytesIO(await page.screenshot())).convert("RGB"), dtype=int)
    return bool((np.abs(shown - colour).max(axis=-1) <= 2).mean() > 0.03)
