"""The tools as a person uses them: find one, set it, watch it, go on from what came, and keep the settings."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
from playwright.async_api import FilePayload, Page, Route, expect

from tests.page.conftest import At
from tests.workbenches import served

BARED = """() => {
  const at = document.activeElement, { top, bottom } = at.getBoundingClientRect();
  const [above, below] = [".bar", ".runs"].map((each) => document.querySelector(each).getBoundingClientRect());
  return !at.closest(".fields") || (top >= above.bottom - 1 && bottom <= below.top + 1);
}"""
"""Whether what has the focus is free of the bars."""


async def fill_small(page: Page, prompt: str) -> None:
    """A prompt, and a size that is made quickly."""
    await page.locator("#field-prompt").fill(prompt)
    for name in ("width", "height"):
        await page.locator(f"#field-{name}").fill("128")


async def ended(page: Page) -> None:
    await page.locator("#result .ended").wait_for()


async def test_somebody_finds_a_tool_runs_it_and_goes_on_from_the_picture(
    tmp_path: Path, slow_url: str, person: At
) -> None:
    async with served(tmp_path, slow_url) as http, person(http.base_url) as somebody:
        somebody.expected = ["422"]
        page = somebody.page
        await somebody.go("/tools")
        await somebody.check()
        await page.get_by_label("Search the tools").fill("nothing but a prompt")
        await expect(page.locator("#tools [data-text]:visible")).to_have_count(1)
        await page.get_by_role("link", name="Text to image").click()
        await page.get_by_role("button", name="Run").click()
        # What is refused is told at its field, which has the focus.
        await expect(page.locator("#field-prompt-error")).to_contain_text("prompt")
        await expect(page.locator("#field-prompt")).to_be_focused()
        await fill_small(page, "a lake in the morning")
        await page.locator("#field-steps").fill("30")
        await page.get_by_role("button", name="Run").click()
        await page.locator("#preview[src^='data:image/']").wait_for()
        await expect(page.locator("#said")).to_contain_text("of 30")
        # Found again after the page was loaded anew, and without the seed, which was drawn.
        await page.reload()
        await expect(page.locator("#field-prompt")).to_have_value("a lake in the morning")
        await page.locator("#cancel").wait_for()
        await ended(page)
        await expect(page.locator("#spoken")).to_have_text("Done.")
        await somebody.check()
        seed = await page.locator("#result").get_attribute("data-seed")
        await expect(page.locator("#field-seed")).to_have_value(str(seed))
        await page.get_by_role("link", name="Same seed again").click()
        await expect(page.get_by_role("button", name="Keep this seed")).to_have_attribute("aria-pressed", "true")
        await page.locator("#field-steps").fill("2")
        await page.get_by_role("button", name="Run").press("Enter")
        await page.wait_for_url("**/tools/txt2img?job=*")
        assert "preset" not in page.url
        await expect(page.locator("#run")).to_be_focused()
        await ended(page)
        assert await page.locator("#result").get_attribute("data-seed") == seed
        await expect(page.locator("#strip li")).to_have_count(2)
        await page.get_by_role("link", name="Run 2").click()
        await page.wait_for_url("**/tools/txt2img?run=*")
        await page.get_by_text("Use as input").click()
        await page.get_by_role("link", name="Image to image").click()
        await page.wait_for_url("**/tools/img2img?image=*")
        await expect(page.locator("[data-field=image] img")).to_be_visible()
        await page.locator("#field-prompt").fill("the same in the evening")
        await page.locator("#field-steps").fill("2")
        await page.get_by_role("button", name="Run").click()
        await ended(page)


async def test_settings_are_kept_named_fixed_and_copied(
    tmp_path: Path, embedded_url: str, person: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_SETTINGS", str(tmp_path / "settings.toml"))
    async with served(tmp_path, embedded_url) as http, person(http.base_url) as somebody:
        somebody.expected = ["422"]
        page = somebody.page
        await somebody.go("/tools/txt2img")
        await fill_small(page, "a fox")
        await page.locator("#field-steps").fill("3")
        await page.get_by_role("button", name="Save…").click()
        await somebody.check()
        # Refused inside the dialog, where it can be seen.
        await page.get_by_label("Name", exact=True).fill("no/name")
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.locator("#asking .refusal")).to_contain_text("short name")
        await page.get_by_label("Name", exact=True).fill("Small")
        await page.get_by_label("Before it").fill("pencil drawing of")
        await page.get_by_label("Use it always").check()
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.locator("#asking")).to_be_hidden()
        await expect(page.locator("#save")).to_be_focused()
        await expect(page.locator("#saved")).to_have_text("Saved: Small")
        await expect(page.locator("#spoken")).to_have_text("Saved: Small")
        await expect(page.locator("#presets")).to_contain_text("pencil drawing of")
        # Anew it is there by itself; without one, the prompt stays and the rest is as the tool is set.
        await somebody.go("/tools/txt2img")
        await expect(page.locator("#field-steps")).to_have_value("3")
        await page.locator("#field-prompt").fill("a bear")
        await page.get_by_label("Preset").select_option(label="None")
        await expect(page.locator("#load")).to_be_hidden()
        await expect(page.locator("#field-steps")).to_have_value("25")
        await expect(page.locator("#field-prompt")).to_have_value("a bear")
        await page.locator("#field-steps").fill("4")
        await page.get_by_role("button", name="Fix for all").click()
        await somebody.check()
        await page.get_by_label("Steps", exact=True).last.check()
        await page.locator("#asking").get_by_role("button", name="Save", exact=True).click()
        await expect(page.locator("[data-field=steps]")).to_contain_text("Fixed by an administrator")
        await expect(page.locator("#lock")).to_be_focused()
        held = anyio.Event()

        async def late(route: Route) -> None:
            await held.wait()
            await route.continue_()

        await page.route("**/copy", late)
        await page.get_by_role("button", name="Copy as").click()
        await expect(page.locator("#copy")).to_have_attribute("aria-busy", "true")
        held.set()
        await expect(page.locator("#copy")).not_to_have_attribute("aria-busy", "true")
        await somebody.check()
        await page.get_by_role("button", name="Copy: MCP call").click()
        await page.get_by_text("Copied").wait_for()
        call = json.loads(await page.evaluate("navigator.clipboard.readText()"))
        assert call["params"] == {"name": "txt2img", "arguments": {"prompt": "a bear"}}
        await page.get_by_role("button", name="Close").click()
        await page.get_by_role("button", name="All presets").click()
        await page.get_by_role("button", name="Delete Small").click()
        await page.get_by_text("No presets are left.").wait_for()
        await page.get_by_role("button", name="Close").click()
        await expect(page.get_by_role("button", name="All presets")).to_have_count(0)


async def test_on_a_phone_in_the_dark_in_chinese(tmp_path: Path, slow_url: str, person: At, picture: bytes) -> None:
    async with (
        served(tmp_path, slow_url) as http,
        person(http.base_url, phone=True, dark=True, chinese=True) as somebody,
    ):
        page = somebody.page
        await somebody.go("/tools")
        await somebody.check()
        await page.get_by_role("link", name="图生图").click()
        mine: FilePayload = {"name": "mine.png", "mimeType": "image/png", "buffer": picture}
        await page.locator("[data-field=image] input[type=file]").set_input_files(mine)
        await expect(page.locator("[data-field=image] img")).to_be_visible()
        # Tabbing leaves nothing behind the bars.
        await page.locator("#field-image-file").focus()
        for _ in range(20):
            await page.keyboard.press("Tab")
            assert await page.evaluate(BARED), await page.evaluate("document.activeElement.outerHTML")
        await page.locator("#field-prompt").fill("湖边的清晨")
        await page.locator("#field-steps").fill("100")
        await page.get_by_role("button", name="运行").click()
        await expect(page.locator("#said")).to_contain_text("步")
        await expect(page.locator("#result")).to_be_in_viewport()
        await somebody.check()
        await page.get_by_role("button", name="取消").click()
        await page.locator("#result").get_by_text("您已停止此任务。").wait_for()
        await somebody.check()
