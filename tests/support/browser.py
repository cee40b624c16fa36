"""Debian's Chromium for tests of pages, without what a browser does on its own on the network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, Page, Request, async_playwright

from tests.support.peers import find_program

__all__ = ["note_faults", "open_browser"]

_ARGUMENTS = [
    "--no-sandbox",  # tests run as root in containers
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
_WITHOUT_GRAPHICS = ["--disable-gpu"]
_SOFTWARE_GRAPHICS = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
"""WebGL without a graphics card."""


@asynccontextmanager
async def open_browser(*, has_webgl: bool = False) -> AsyncIterator[Browser]:
    """Run a headless Chromium for the length of the block.

    Parameters
    ----------
    has_webgl : bool
        Whether pages may draw with WebGL, in software; slower.

    Raises
    ------
    PeerError
        Chromium is not installed.
    """
    program = find_program("chromium")
    async with async_playwright() as playwright:
        arguments = _ARGUMENTS + (_SOFTWARE_GRAPHICS if has_webgl else _WITHOUT_GRAPHICS)
        browser = await playwright.chromium.launch(executable_path=program, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


def note_faults(page: Page, origin: str) -> list[str]:
    """Watch a page; what must not be gathers in the list that is returned.

    These are script errors, requests to another place than `origin`, and what the Content Security Policy stopped.
    """
    faults: list[str] = []
    ours = (origin, "blob:", "data:", "chrome")  # the last: the browser's own PDF viewer

    def note_foreign(request: Request) -> None:
        if not request.url.startswith(ours):
            faults.append(f"request to {request.url}")

    page.on("pageerror", lambda error: faults.append(f"script error: {error}"))
    page.on("request", note_foreign)
    page.on("console", lambda line: faults.append(line.text) if "Content Security Policy" in line.text else None)
    return faults
