"""ComfyUI's own page in a real browser, for tests of what packs put into it: open it, load a graph, run it, look.

A test module that uses it has an `anyio_backend` and a `browser` (from `running_browser`) of module scope, so that all
its tests share one browser; every page has a session of its own.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright

from comfy_mcp.embedded.frontend import find_frontend

__all__ = ["ComfyPage", "Graph", "Theme", "comfy_page", "needs_page", "running_browser"]

Theme = Literal["dark", "light"]
Graph = dict[str, dict[str, Any]]
WAIT = 30_000
"""Milliseconds that anything in the page may take: it is heavy, and two cores are few."""

CHOSEN = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Workflow.Persist": False,
    "Comfy.Notification.ShowVersionUpdates": False,
    # Their defaults; the page stumbles over its own order of settings while they are not chosen.
    "Comfy.Canvas.LeftMouseClickBehavior": "panning",
    "Comfy.Canvas.MouseWheelScroll": "zoom",
}
"""What somebody has chosen who uses the page since long: it opens empty, without a tour, and calls nobody else."""

ABSENT = ("user.css", "favicon.ico", "/api/userdata", "/api/workflow_templates/")
"""What a fresh ComfyUI does not have, though its page asks for it; and the pictures of templates that have none."""

READY = "() => window.app?.graph && document.querySelector('[data-testid=queue-button]')"
WATCH = """() => {
  const seen = (window.seen = { outputs: {}, ended: {} });
  const on = (kind, act) => app.api.addEventListener(kind, ({ detail }) => act(detail));
  on("executed", ({ prompt_id, node, output }) => ((seen.outputs[prompt_id] ??= {})[node] = output));
  for (const kind of ["execution_success", "execution_error", "execution_interrupted"])
    on(kind, (detail) => (seen.ended[detail.prompt_id] = { kind, detail }));
}"""
SHOWN = """(id) => app.graph.getNodeById(id).widgets?.map((widget) => {
  const own = widget.element;
  return own ? own.value || own.innerText || own.textContent : String(widget.value ?? "");
}).join("\\n") ?? "" """


@dataclass
class ComfyPage:
    """The page of the ComfyUI at ``url``; ``page`` is there for all that has no method here."""

    page: Page
    url: str
    errors: list[str] = field(default_factory=list[str])
    elsewhere: list[str] = field(default_factory=list[str])

    async def load(self, graph: Graph) -> None:
        """Opens a graph in API format, as a file of it dropped on the page does, with every node in view: the page
        fetches no picture for a node that nobody sees."""
        await self.page.evaluate("(graph) => app.loadApiJson(graph, 'test')", graph)
        await self.fit()

    async def load_workflow(self, workflow: dict[str, Any]) -> None:
        """Opens a workflow in the format that the page saves, with every node in view."""
        await self.page.evaluate("(workflow) => app.loadGraphData(workflow)", workflow)
        await self.fit()

    async def run(self) -> str:
        """Presses Run; the id of the prompt.

        Raises:
            AssertionError: the graph was refused.
        """
        async with self.page.expect_response(lambda told: told.url.endswith("/api/prompt")) as told:
            await self.page.get_by_test_id("queue-button").get_by_role("button").first.click()
        response = await told.value
        answer = await response.json()
        assert response.status == 200, answer
        assert answer["node_errors"] == {}, answer
        return str(answer["prompt_id"])

    async def ended(self, prompt: str, timeout: float = WAIT) -> dict[str, Any]:
        """How a prompt ended: `kind` is execution_success, execution_error or execution_interrupted, and `detail` the
        event. Waits for ``timeout`` milliseconds at most."""
        await self.page.wait_for_function("(id) => seen.ended[id]", arg=prompt, timeout=timeout)
        told: dict[str, Any] = await self.page.evaluate("(id) => seen.ended[id]", prompt)
        return told

    async def outputs(self, prompt: str, timeout: float = WAIT) -> dict[str, dict[str, Any]]:
        """What the nodes of a prompt gave to the page, by their ids, once it has succeeded."""
        told = await self.ended(prompt, timeout)
        assert told["kind"] == "execution_success", told
        found: dict[str, dict[str, Any]] = await self.page.evaluate("(id) => seen.outputs[id] ?? {}", prompt)
        return found

    async def widgets(self, node: str | int) -> dict[str, Any]:
        """The values of a node's widgets by their names."""
        ask = "(id) => Object.fromEntries(app.graph.getNodeById(id).widgets?.map((w) => [w.name, w.value]) ?? [])"
        found: dict[str, Any] = await self.page.evaluate(ask, node)
        return found

    async def set_widget(self, node: str | int, name: str, value: Any) -> None:
        """Gives a widget a value as if the person had."""
        act = """([id, name, value]) => {
          const node = app.graph.getNodeById(id), widget = node.widgets.find((each) => each.name === name);
          widget.value = value;
          widget.callback?.(value, app.canvas, node);
        }"""
        await self.page.evaluate(act, [node, name, value])

    async def text(self, node: str | int) -> str:
        """All that the widgets of a node show, one below the other."""
        return str(await self.page.evaluate(SHOWN, node))

    async def wait_for_text(self, node: str | int, text: str, timeout: float = WAIT) -> None:
        """Until some widget of a node shows ``text``."""
        await self.page.wait_for_function(
            f"([id, text]) => ({SHOWN})(id).includes(text)", arg=[node, text], timeout=timeout
        )

    async def choose_theme(self, theme: Theme) -> None:
        """Switches the colours, as the settings of the page do."""
        await self.page.evaluate("(theme) => app.extensionManager.setting.set('Comfy.ColorPalette', theme)", theme)
        dark = "(dark) => document.body.classList.contains('dark-theme') === dark"
        await self.page.wait_for_function(dark, arg=theme == "dark", timeout=WAIT)

    async def fit(self) -> None:
        """Moves the view so that every node can be seen."""
        await self.page.evaluate("""async () => {
          app.canvas.ds.fitToBounds(app.graph.nodes.map((node) => node.boundingRect).reduce(
            ([x, y, w, h], [l, t, v, u]) => {
              const left = Math.min(x, l), top = Math.min(y, t);
              return [left, top, Math.max(x + w, l + v) - left, Math.max(y + h, t + u) - top];
            }));
          app.canvas.setDirty(true, true);
          for (let frame = 0; frame < 2; frame += 1) await new Promise(requestAnimationFrame);
        }""")

    async def screenshot(self, file: Path) -> None:
        """A picture of the page with every node in view."""
        await self.fit()
        await self.page.screenshot(path=file)

    def heard(self, said: ConsoleMessage) -> None:
        """Keeps an error, unless it tells of a file that no fresh ComfyUI has, or of what `run` raises anyway."""
        at = said.location["url"]
        absent = "404" in said.text and any(name in at for name in ABSENT)
        refused = at.endswith("/api/prompt") or said.text.startswith("PromptExecutionError")
        if said.type == "error" and not absent and not refused:
            self.errors.append(f"{said.text} {at}")

    def asked(self, request: Request) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.elsewhere.append(request.url)


def needs_page() -> None:
    """Skips a test where there is no browser or no page of ComfyUI to open."""
    if not os.environ.get("WORKBENCH_TEST_CHROMIUM"):
        pytest.skip("needs Chromium: set WORKBENCH_TEST_CHROMIUM, as .ci/run does")
    if find_frontend() is None:
        pytest.skip("needs ComfyUI's page: install comfyui-frontend-package")


@asynccontextmanager
async def running_browser() -> AsyncGenerator[Browser]:
    """A browser without a window; a module needs one."""
    needs_page()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=os.environ["WORKBENCH_TEST_CHROMIUM"], args=["--no-sandbox"]
        )
        yield browser
        await browser.close()


@asynccontextmanager
async def comfy_page(browser: Browser, url: str, theme: Theme = "dark") -> AsyncGenerator[ComfyPage]:
    """The page of a running ComfyUI, open and empty; it must have failed in nothing and asked nobody else when it is
    closed, unless the test has emptied ``errors`` itself."""
    page = await browser.new_page(viewport={"width": 1280, "height": 900})
    comfy = ComfyPage(page, url)
    page.set_default_timeout(WAIT)
    page.on("pageerror", lambda error: comfy.errors.append(str(error)))
    page.on("console", comfy.heard)
    page.on("request", comfy.asked)
    try:
        await page.request.post(f"{url}/api/settings", data={**CHOSEN, "Comfy.ColorPalette": theme})
        await page.goto(url)
        await page.wait_for_function(READY)
        await page.evaluate(WATCH)
        yield comfy
    finally:
        await page.close()
    assert comfy.errors == [], comfy.errors
    assert comfy.elsewhere == [], comfy.elsewhere
