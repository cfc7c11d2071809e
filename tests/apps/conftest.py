"""A chat with MCP Apps in a real browser: the official host side, and the page of the workbench inside it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, FrameLocator, Page, Request, async_playwright

from tests.workbenches import served

HERE = Path(__file__).parent
NEEDED = ("WORKBENCH_TEST_NODE", "WORKBENCH_TEST_APPS_MODULES", "WORKBENCH_TEST_CHROMIUM")
HOST_PAGE = (
    "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    "<style>body { margin: 0 }</style><body><script src=/host.js></script>"
)
COLLAGE = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}},
    "2": {
        "class_type": "ImageCompositeMasked",
        "inputs": {"destination": ["1", 0], "source": ["1", 0], "x": 0, "y": 0, "resize_source": False},
    },
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "collage"}},
}
MANIFEST = """
title = "Collage"
description = "One picture on another, to have a switch in a form."
[parameters.resize]
type = "bool"
bind = "ImageCompositeMasked#2.resize_source"
label = "Resize"
help = "Make it as large as the other."
default = false
"""
BUNDLE = """
const [modules, source, target] = process.argv.slice(1);
require(modules + "/esbuild").buildSync({
  entryPoints: [source], outfile: target, bundle: true, format: "iife", nodePaths: [modules], logLevel: "error",
});
"""


@dataclass
class Chat:
    """One chat with the page open in it, beside the server at ``url``."""

    page: Page
    url: str
    requested: list[str] = field(default_factory=list[str])
    errors: list[str] = field(default_factory=list[str])

    @property
    def view(self) -> FrameLocator:
        return self.page.frame_locator("iframe")

    async def open(self, tool: str, arguments: dict[str, Any], **options: Any) -> FrameLocator:
        """Calls a tool as the model would, and shows the page beside its answer."""
        await self.page.goto(f"{self.url}/chat")
        told = {"tool": tool, "arguments": arguments, **options}
        await self.page.evaluate("(options) => window.chat.open(options)", told)
        return self.view

    async def seen(self, what: str) -> list[Any]:
        found: list[Any] = await self.page.evaluate("(what) => window.chat.seen[what]", what)
        return found


@pytest.fixture(scope="session")
def host_script(tmp_path_factory: pytest.TempPathFactory) -> str:
    missing = [name for name in NEEDED if not os.environ.get(name)]
    if missing:
        pytest.skip(
            f"needs Chromium, Node 22 and the official MCP Apps host: set {', '.join(missing)}, as .ci/run does"
        )
    target = tmp_path_factory.mktemp("apps") / "host.js"
    modules = os.environ["WORKBENCH_TEST_APPS_MODULES"]
    command = [os.environ["WORKBENCH_TEST_NODE"], "-e", BUNDLE, modules, str(HERE / "host.js"), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return target.read_text()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """One event loop for all tests here, and so one browser."""
    return "asyncio"


@pytest.fixture(scope="session")
async def browser(host_script: str) -> AsyncGenerator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=os.environ["WORKBENCH_TEST_CHROMIUM"], args=["--no-sandbox"]
        )
        yield browser
        await browser.close()


@asynccontextmanager
async def opened(browser: Browser, host_script: str, url: str) -> AsyncGenerator[Chat]:
    """A chat that talks to the server at ``url``; nothing of the page may reach the network or fail in it."""
    page = await browser.new_page(viewport={"width": 1000, "height": 900})
    chat = Chat(page, url)
    # The chat's own page comes from here, at the address of the server: so no rule of another origin is met.
    await page.route("**/chat", lambda route: route.fulfill(body=HOST_PAGE, content_type="text/html"))
    await page.route("**/host.js", lambda route: route.fulfill(body=host_script, content_type="text/javascript"))

    def note(request: Request) -> None:
        if request.frame != page.main_frame:
            chat.requested.append(request.url)

    page.on("request", note)
    page.on("pageerror", lambda error: chat.errors.append(str(error)))
    page.on("console", lambda said: chat.errors.append(said.text) if said.type == "error" else None)
    yield chat
    await page.close()
    assert [url for url in chat.requested if not url.startswith(("data:", "about:"))] == []
    assert chat.errors == []


@pytest.fixture
async def api(request: pytest.FixtureRequest, tmp_path: Path, slow_url: str) -> AsyncGenerator[httpx.AsyncClient]:
    """The workbench behind the page, with settings of the test's own; its engine takes a tenth of a second a step."""
    options: dict[str, Any] = getattr(request, "param", {})
    folder = tmp_path / "templates" / "collage"
    folder.mkdir(parents=True)
    (folder / "workflow.json").write_text(json.dumps(COLLAGE))
    (folder / "manifest.toml").write_text(MANIFEST)
    async with served(tmp_path, slow_url, **options) as client:
        yield client


@pytest.fixture
async def chat(browser: Browser, host_script: str, api: httpx.AsyncClient) -> AsyncGenerator[Chat]:
    async with opened(browser, host_script, str(api.base_url).rstrip("/")) as chat:
        yield chat
