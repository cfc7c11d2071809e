"""The streams of the page: a tab that nobody sees holds none, and is up to date as soon as it is seen again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import anyio
from playwright.async_api import Page, expect

from comfy_mcp.jobs import JobRequest
from comfy_mcp.workbench.comparison_values import comparison_values
from tests.page.conftest import At
from tests.page.test_queue import asked, at_work
from tests.texts import CHAT, NOWHERE, answered, hanging, text_server

# Chromium without a screen shows every tab at once: what it would say of a tab behind another is said in its place.
_SEEN = """(seen) => {
  Object.defineProperty(document, "hidden", { value: !seen, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


async def leave(page: Page) -> None:
    await page.evaluate(_SEEN, False)


async def come_back(page: Page) -> None:
    await page.evaluate(_SEEN, True)


async def test_eight_tabs_load_and_the_first_catches_up(tmp_path: Path, embedded_url: str, person: At) -> None:
    async with at_work(tmp_path, embedded_url) as (workbench, url), person(url) as somebody:
        first = page = somebody.page
        for _ in range(8):
            await page.goto(f"{url}/queue", timeout=10_000)
            await expect(page.locator("[data-text]").first).to_be_attached()
            await leave(page)
            page = await first.context.new_page()
        await workbench.wait(await asked(workbench, "a fox"), 20)
        await come_back(first)
        await expect(first.locator("[data-list=ended]")).to_contain_text("a fox")


async def test_a_run_that_ended_unseen_shows_its_picture(tmp_path: Path, slow_url: str, person: At) -> None:
    async with at_work(tmp_path, slow_url) as (workbench, url), person(url) as somebody:
        values = {"prompt": "a lake", "steps": 60, "width": 128, "height": 128}
        job = await workbench.submit(JobRequest("txt2img", values))
        page = somebody.page
        await somebody.go(f"/tools/txt2img?job={job.id}")
        await expect(page.locator("#said")).to_contain_text("of 60")
        await leave(page)
        await workbench.wait(job.id, 20)
        await expect(page.locator("#said")).to_be_visible()
        await come_back(page)
        await page.locator("#result .ended").wait_for()


async def test_a_grid_that_filled_unseen_draws_only_what_is_new(tmp_path: Path, person: At) -> None:
    go_on = asyncio.Event()
    async with (
        text_server() as script,
        at_work(tmp_path, NOWHERE, llm_url=script.url) as (workbench, url),
        person(url) as somebody,
    ):
        script.on(CHAT, answered, hanging(go_on))
        values = {"models": ["alpha"], "prompts": ["the sea", "the moon"]}
        plan = await workbench.comparisons.start_from(comparison_values(values))
        page = somebody.page
        await somebody.go(f"/compare/{plan.id}")
        cells = page.locator(".cell")
        await expect(cells.filter(has_text="alpha on")).to_be_visible()
        await expect(cells.filter(has_text="Once")).to_be_visible()
        await page.evaluate("document.querySelector('.cell.answered').kept = true")
        await leave(page)
        go_on.set()
        with anyio.fail_after(20):
            async for current in workbench.comparisons.follow(plan.id, "local"):
                plan = current
        assert plan.state.ended
        await expect(page.locator(".cell.answered")).to_have_count(1)
        await come_back(page)
        await expect(page.locator(".cell.answered")).to_have_count(2)
        await expect(page.get_by_role("status")).to_have_text("Done")
        assert (
            await page.evaluate("[...document.querySelectorAll('.cell.answered')].filter((cell) => cell.kept).length")
            == 1
        )


async def test_the_doctor_tells_each_finding_once(tmp_path: Path, embedded_url: str, person: At) -> None:
    async with at_work(tmp_path, embedded_url) as (_, url), person(url) as somebody:
        page, findings = somebody.page, somebody.page.locator(".findings > li")
        await somebody.go("/settings/doctor?whole=yes")
        many = await findings.count()
        # Somebody leaves with the first finding.
        await page.add_init_script(
            f"""addEventListener("htmx:sseMessage", ({{ target }}) => {{
              if (document.querySelectorAll(".findings > li").length === 1) ({_SEEN})(false);
            }}, {{ once: true }});"""
        )
        await somebody.go("/settings/doctor")
        await expect(findings).to_have_count(1)
        await come_back(page)
        await expect(page.get_by_text("It works")).to_be_visible()
        await expect(findings).to_have_count(many)
