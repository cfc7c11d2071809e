"""The tables of comparisons in ComfyUI's page: they fill while tokens come, sort, show differences, and stay."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Generator

import pytest
from playwright.async_api import Browser, expect

from tests.bridge.servers import Script
from tests.frontend import ComfyPage, Theme, comfy_page, running_browser
from tests.nodes.pages import HOSTILE, answers, comparing, failing, look, row_names, running_pack, slowly
from tests.texts import CHAT, text_server

SEA, DUNES = "the sea", "dunes"
BOTH = ("llm/alpha", "llm/beta")
METRICS = ("TTFT", "Speed", "Length")
ANSWERS = {
    ("alpha", SEA): "the old boat crosses the grey sea",
    ("beta", SEA): "the small boat crosses the wide grey sea",
    ("alpha", DUNES): "sand",
    ("beta", DUNES): "sand and wind",
}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def browser() -> AsyncGenerator[Browser]:
    async with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
async def server() -> AsyncGenerator[Script]:
    async with text_server(("alpha", "beta", "epsilon")) as script:
        yield script


@pytest.fixture(scope="module")
def url(server: Script, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    with running_pack(tmp_path_factory.mktemp("custom_nodes"), server.url) as url:
        yield url


async def compared(comfy: ComfyPage, server: Script) -> None:
    """A comparison that is done, with its node in view."""
    server.on(CHAT, answers(ANSWERS))
    await comfy.load(comparing(BOTH, (SEA, DUNES)))
    await look(comfy, 3)
    await comfy.outputs(await comfy.run())
    await expect(comfy.page.locator(".wb-status")).to_have_text("4 of 4 done")


async def test_the_table_fills_while_tokens_come(browser: Browser, url: str, server: Script) -> None:
    until = asyncio.Event()
    told = {
        **ANSWERS,
        ("alpha", SEA): slowly("Once", until, " upon a time"),
        ("beta", SEA): failing("the card is full"),
    }
    server.on(CHAT, answers(told))
    async with comfy_page(browser, url) as comfy:
        await comfy.load(comparing(BOTH, (SEA, DUNES)))
        await look(comfy, 3)
        table = comfy.page.get_by_role("table", name="Answers of 2 models")
        await expect(comfy.page.get_by_text("Run the graph: each prompt becomes a row")).to_be_visible()
        prompt = await comfy.run()
        growing = table.locator("td[data-state=text]")
        await expect(growing).to_contain_text("Writing")
        await expect(growing).to_contain_text("Once")
        await expect(table.locator("td[data-state=waiting]").first).to_contain_text("Waiting")
        await expect(comfy.page.locator(".wb-status")).to_have_text("0 of 4 done")
        until.set()
        await comfy.outputs(prompt)
        await expect(comfy.page.locator(".wb-status")).to_have_text("4 of 4 done, 1 failed")
        await expect(table.get_by_text("Once upon a time")).to_be_visible()
        await expect(table.locator("td[data-state=failed]")).to_contain_text("the card is full")
        await expect(table.get_by_role("rowheader")).to_have_count(2)
        await expect(table.locator("td").nth(2)).to_contain_text("1 token")
        assert await comfy.page.evaluate("app.graph.getNodeById(3).size[1] > 500")


async def test_what_was_being_written_is_shown_as_stopped(browser: Browser, url: str, server: Script) -> None:
    server.on(CHAT, answers({("alpha", SEA): "sand", ("alpha", DUNES): slowly("Once", asyncio.Event(), "")}))
    async with comfy_page(browser, url) as comfy:
        await comfy.load(comparing(BOTH[:1], (SEA, DUNES)))
        await look(comfy, 3)
        prompt = await comfy.run()
        cells = comfy.page.locator(".wb-table td")
        await expect(cells.nth(1)).to_contain_text("Once")
        await comfy.page.evaluate("app.api.interrupt()")
        assert (await comfy.ended(prompt))["kind"] == "execution_interrupted"
        await expect(cells.nth(1)).to_contain_text("Stopped")
        await expect(cells.nth(1)).to_contain_text("Once")
        await expect(cells.nth(0)).to_contain_text("sand")


async def test_rows_are_sorted_with_the_keyboard(browser: Browser, url: str, server: Script) -> None:
    async with comfy_page(browser, url) as comfy:
        await compared(comfy, server)
        table = comfy.page.get_by_role("table", name="Answers of 2 models")
        asked = await row_names(table)
        length = table.get_by_role("button", name="Length of llm/alpha, 4 tokens on average")
        await table.get_by_role("button", name="Prompt").focus()
        for _ in METRICS:
            if not await length.evaluate("(button) => button === document.activeElement"):
                await comfy.page.keyboard.press("Tab")
        await expect(length).to_be_focused()
        await comfy.page.keyboard.press("Enter")
        column = table.get_by_role("columnheader", name="llm/alpha")
        await expect(column).to_have_attribute("aria-sort", "descending")
        assert await row_names(table) == asked
        await comfy.page.keyboard.press("Enter")
        await expect(column).to_have_attribute("aria-sort", "ascending")
        assert await row_names(table) == asked[::-1]
        await table.get_by_role("button", name="Prompt").press("Enter")
        await expect(column).to_have_attribute("aria-sort", "none")
        assert await row_names(table) == asked


async def test_two_models_are_compared_word_by_word_in_a_large_window(
    browser: Browser, url: str, server: Script
) -> None:
    async with comfy_page(browser, url) as comfy:
        await compared(comfy, server)
        await comfy.page.get_by_role("button", name="Enlarge").press("Enter")
        window = comfy.page.get_by_role("dialog", name="Comparison")
        await window.get_by_label("Show differences from").select_option("llm/alpha")
        other = window.locator("tbody tr").first.locator("td").nth(1)
        await expect(other.locator("del")).to_have_text(["old"])
        await window.get_by_label("Show differences in").select_option("llm/beta")
        await expect(other.locator("del")).to_have_text(["old"])
        await expect(other.locator("ins")).to_have_text(["small", "wide"])
        await expect(window.get_by_text("is only in llm/alpha")).to_be_visible()
        await comfy.page.keyboard.press("Escape")
        await expect(window).to_have_count(0)
        await expect(comfy.page.get_by_role("button", name="Enlarge")).to_be_focused()
        await expect(comfy.page.locator(".wb-panel ins").first).to_be_visible()


async def test_differences_are_in_all_others_or_in_one_of_them(browser: Browser, url: str, server: Script) -> None:
    server.on(CHAT, answers({**ANSWERS, ("epsilon", SEA): "the old boat"}))
    async with comfy_page(browser, url) as comfy:
        await comfy.load(comparing((*BOTH, "llm/epsilon"), (SEA,)))
        await look(comfy, 3)
        await comfy.outputs(await comfy.run())
        cells = comfy.page.locator(".wb-table td")
        first, second = (comfy.page.get_by_label(f"Show differences {word}") for word in ("from", "in"))
        await first.select_option("llm/alpha")
        await expect(cells.nth(1).locator("ins")).to_have_text(["small", "wide"])
        await expect(cells.nth(2).locator("del")).to_have_text(["crosses the grey sea"])
        await expect(cells.nth(0).locator("del, ins")).to_have_count(0)
        await second.select_option("llm/epsilon")
        await expect(cells.filter(visible=True)).to_have_count(2)
        await first.select_option("llm/epsilon")
        await expect(second).to_have_value("")
        await expect(cells.nth(0).locator("ins")).to_have_text(["crosses the grey sea"])
        await first.select_option("none")
        await expect(cells.filter(visible=True)).to_have_count(3)
        await expect(comfy.page.locator(".wb-table :is(del, ins)")).to_have_count(0)


async def test_what_a_model_writes_is_never_markup(browser: Browser, url: str, server: Script) -> None:
    until = asyncio.Event()
    told = {
        ("alpha", HOSTILE): HOSTILE,
        ("beta", HOSTILE): failing(HOSTILE),
        ("alpha", "tell"): slowly(HOSTILE, until, "."),
    }
    server.on(CHAT, answers(told))
    generate = {"class_type": "WorkbenchLLMGenerate", "inputs": {"model": "llm/alpha", "prompt": "tell"}}
    async with comfy_page(browser, url) as comfy:
        await comfy.load({"9": generate})
        await look(comfy, 9)
        prompt = await comfy.run()
        await comfy.wait_for_text(9, HOSTILE)
        until.set()
        await comfy.outputs(prompt)
        await comfy.wait_for_text(9, f"{HOSTILE}.")
        previews = "app.graph.getNodeById(9).widgets.filter(({ name }) => name === '$$node-text-preview').length"
        assert await comfy.page.evaluate(previews) == 0
        await comfy.load(comparing(BOTH, (HOSTILE,), Vote={}, ResultsTable={}))
        await comfy.outputs(await comfy.run())
        for node in (3, 4, 5):
            await look(comfy, node)
        assert (await comfy.text(3)).count(HOSTILE) == 3
        assert await comfy.page.locator(".wb :is(img, b)").count() == 0
        assert await comfy.page.evaluate("window.hurt") is None


async def test_a_table_stays_when_the_graph_is_made_anew(browser: Browser, url: str, server: Script) -> None:
    async with comfy_page(browser, url) as comfy:
        await compared(comfy, server)
        await comfy.page.evaluate("""async () => {
          const { activeWorkflow } = app.extensionManager.workflow;
          await app.loadGraphData(app.graph.serialize(), false, false, activeWorkflow);
        }""")
        await comfy.wait_for_text(3, "4 of 4 done")


async def test_keys_and_the_wheel_stay_in_the_table(browser: Browser, url: str, server: Script) -> None:
    prompts = [f"prompt {number}" for number in range(6)]
    server.on(CHAT, answers({("alpha", prompt): "line\n" * 8 for prompt in prompts}))
    async with comfy_page(browser, url) as comfy:
        await comfy.load(comparing(BOTH[:1], prompts))
        await look(comfy, 3)
        await comfy.outputs(await comfy.run())
        region = comfy.page.get_by_role("region", name="Answers")
        await region.click(position={"x": 200, "y": 60})
        assert await comfy.page.evaluate("Object.keys(app.canvas.selected_nodes)") == ["3"]
        for key in ("Delete", "Backspace", "r", "m"):
            await comfy.page.keyboard.press(key)
        await comfy.page.mouse.wheel(0, 40)
        await comfy.page.wait_for_function("document.querySelector('.wb-scroll').scrollTop === 40")
        assert await comfy.page.evaluate("[app.graph.nodes.length, app.canvas.ds.scale]") == [3, 1]


async def test_prompts_break_between_words_and_stay_in_sight_with_the_models(
    browser: Browser, url: str, server: Script
) -> None:
    prompts = ["temperature=0.7", "w" * 60, *(f"a prompt of more than a few words, {number}" for number in range(6))]
    server.on(CHAT, answers({(model, prompt): "line\n" * 8 for model in ("alpha", "beta") for prompt in prompts}))
    async with comfy_page(browser, url) as comfy:
        await comfy.load(comparing((*BOTH, "llm/gamma", "llm/delta"), prompts))
        await look(comfy, 3)
        await comfy.outputs(await comfy.run())
        region, table = comfy.page.get_by_role("region", name="Answers"), comfy.page.locator(".wb-table")
        lines = await table.locator("tbody th .wb-text:visible").evaluate_all(LINES)
        assert lines[0] == 1 and lines[1] > 1 and max(lines[2:]) <= 2
        await region.evaluate("(part) => (part.scrollTop = part.scrollHeight)")
        within = await region.bounding_box()
        for head in await table.locator("thead th").all():
            box = await head.bounding_box()
            assert within is not None and box is not None and abs(box["y"] - within["y"]) <= 1


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_texts_stand_out_from_their_ground(browser: Browser, url: str, server: Script, theme: Theme) -> None:
    async with comfy_page(browser, url, theme) as comfy:
        await compared(comfy, server)
        found = await comfy.page.evaluate(CONTRASTS)
        assert len(found) > 10
        assert {text: contrast for text, contrast in found if contrast < 4.5} == {}
        if folder := os.environ.get("WORKBENCH_TEST_SCREENSHOTS"):
            await comfy.page.screenshot(path=f"{folder}/table-{theme}.png")


async def test_the_window_fits_on_a_phone(browser: Browser, url: str, server: Script) -> None:
    async with comfy_page(browser, url) as comfy:
        await compared(comfy, server)
        await comfy.page.get_by_role("button", name="Enlarge").click()
        await comfy.page.set_viewport_size({"width": 375, "height": 700})
        box = await comfy.page.get_by_role("dialog").bounding_box()
        assert box is not None
        assert (box["x"], box["width"]) == (0, 375)
        parts = "[...document.querySelectorAll('dialog, dialog .wb-bar')].map((part) => part.scrollWidth <= 375)"
        assert all(await comfy.page.evaluate(parts))
        await expect(comfy.page.get_by_role("button", name="Close")).to_be_in_viewport()


LINES = """(texts) => texts.map((text) => {
  return Math.round(text.offsetHeight / parseFloat(getComputedStyle(text).lineHeight));
})"""
CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].map((part) => part / 255);
  };
  const over = ([r, g, b, a], ground) => [r, g, b].map((part, at) => part * a + ground[at] * (1 - a));
  const ground = (part) => {
    const own = rgba(getComputedStyle(part).backgroundColor);
    return own[3] === 1 ? own.slice(0, 3) : over(own, ground(part.parentElement));
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const own = (part) => [...part.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const shown = (part) => own(part) && part.checkVisibility();
  return [...document.querySelectorAll(".wb *")].filter(shown).map((part) => {
    const behind = ground(part), front = over(rgba(getComputedStyle(part).color), behind);
    const [low, high] = [light(behind), light(front)].sort((a, b) => a - b);
    return [part.textContent.slice(0, 40), (high + 0.05) / (low + 0.05)];
  });
}"""
