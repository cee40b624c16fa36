"""Debian's Chromium for tests of pages, without what a browser does on its own on the network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

from tests.support.peers import find_program

__all__ = ["open_browser"]

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
