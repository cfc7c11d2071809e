"""A report opened from the disk in a real browser, with nothing of the network in reach."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from llm_bridge.compare.reports import page
from llm_bridge.compare.results import Results

Opener = Callable[..., Awaitable[Page]]
Scheme = Literal["light", "dark"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """One event loop for all tests here, and so one browser."""
    return "asyncio"


@pytest.fixture(scope="session")
async def browser() -> AsyncGenerator[Browser]:
    if not os.environ.get("WORKBENCH_TEST_CHROMIUM"):
        pytest.skip("needs Chromium: set WORKBENCH_TEST_CHROMIUM, as .ci/run does")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=os.environ["WORKBENCH_TEST_CHROMIUM"], args=["--no-sandbox"]
        )
        yield browser
        await browser.close()


@pytest.fixture
async def opened(browser: Browser, tmp_path: Path) -> AsyncGenerator[Opener]:
    """Opens the page of results; it may ask for nothing but itself and fail in nothing."""
    seen: list[str] = []
    pages: list[Page] = []

    async def open_page(results: Results, width: int = 1280, scheme: Scheme = "light") -> Page:
        file = tmp_path / "report.html"
        file.write_bytes(page(results).encode())
        tab = await browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        pages.append(tab)
        tab.on("request", lambda asked: seen.append(asked.url) if asked.url != file.as_uri() else None)
        tab.on("pageerror", lambda error: seen.append(str(error)))
        tab.on("console", lambda said: seen.append(said.text) if said.type in ("error", "warning") else None)
        tab.on("dialog", lambda dialog: seen.append(dialog.message))
        await tab.goto(file.as_uri())
        await expect(tab.locator("#found")).not_to_be_empty()
        return tab

    yield open_page
    for tab in pages:
        await tab.close()
    assert seen == []
