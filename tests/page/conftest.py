"""The page in a real browser, as a person uses it.

A test gets `person`: somebody at a running workbench, whose browser must fail in nothing and ask nobody else.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe  # pyright: ignore[reportMissingTypeStubs]
from playwright.async_api import Browser, ConsoleMessage, Page, Request, ViewportSize, async_playwright

__all__ = ["DESKTOP", "PHONE", "At", "Person"]

DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
_SERIOUS = ("serious", "critical")


@dataclass
class Person:
    """Somebody with the page of the workbench at ``url`` open. ``expected`` are texts of errors that the test means,
    such as the status of a refusal."""

    page: Page
    url: str
    errors: list[str] = field(default_factory=list[str])
    elsewhere: list[str] = field(default_factory=list[str])
    expected: list[str] = field(default_factory=list[str])

    async def go(self, path: str) -> None:
        await self.page.goto(self.url + path)

    async def check(self) -> None:
        """No serious finding of axe-core on the page as it is now, and nothing that sticks out of a small screen."""
        told: Any = await Axe().run(self.page)  # pyright: ignore[reportUnknownMemberType]
        found = [
            f"{each['id']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
            for each in told.response["violations"]
            if each["impact"] in _SERIOUS
            for node in each["nodes"]
        ]
        assert found == [], "\n".join(found)
        wide = await self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"the page is {wide} pixels wider than the screen"

    def heard(self, said: ConsoleMessage) -> None:
        if said.type in ("error", "warning") and not any(text in said.text for text in self.expected):
            self.errors.append(f"{said.text} {said.location['url']}")

    def asked(self, request: Request) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.elsewhere.append(request.url)


At = Callable[..., AbstractAsyncContextManager[Person]]


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
def person(browser: Browser) -> At:
    """``async with person(url, phone=…, dark=…, chinese=…) as somebody:``"""

    @asynccontextmanager
    async def at(
        url: Any, *, phone: bool = False, dark: bool = False, chinese: bool = False, **more: Any
    ) -> AsyncGenerator[Person]:
        context = await browser.new_context(
            viewport=PHONE if phone else DESKTOP,
            has_touch=phone,
            color_scheme="dark" if dark else "light",
            locale="zh-CN" if chinese else "en-GB",
            permissions=["clipboard-read", "clipboard-write"],
            accept_downloads=True,
            **more,
        )
        page = await context.new_page()
        page.set_default_timeout(20_000)
        somebody = Person(page, str(url).rstrip("/"))
        page.on("pageerror", lambda error: somebody.errors.append(str(error)))
        page.on("console", somebody.heard)
        page.on("request", somebody.asked)
        try:
            yield somebody
        finally:
            await context.close()
        assert somebody.errors == [], somebody.errors
        assert somebody.elsewhere == [], somebody.elsewhere

    return at
