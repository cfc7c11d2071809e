"""Nodes of ComfyUI's page that run once for each item of a list, or whose graph ends before they do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, expect

from tests.bridge.servers import Script
from tests.frontend import ComfyPage, Graph, comfy_page, running_browser
from tests.nodes.pages import answers, comparing, failing, look, running_pack, slowly
from tests.texts import CHAT, text_server

SEA, DUNES = "the sea", "dunes"
ANSWERS = {
    ("alpha", SEA): "the old boat",
    ("beta", SEA): "the small boat",
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
    async with text_server() as script:
        yield script


@pytest.fixture(scope="module")
def url(server: Script, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    with running_pack(tmp_path_factory.mktemp("custom_nodes"), server.url) as url:
        yield url


def comparing_each(*lists: str, **after: dict[str, Any]) -> Graph:
    """LLM Compare as node 3, once for each list of models; ``after`` are nodes from 4 on."""
    graph = comparing((), (SEA,), **after)
    written = {"prompts": "\n---\n".join(lists), "written_as": "lines or blocks"}
    graph["9"] = {"class_type": "WorkbenchPromptList", "inputs": written}
    graph["1"]["inputs"]["models"] = ["9", 1]
    return graph


def panel(comfy: ComfyPage, place: int = 0) -> Locator:
    """What a node shows, by its place among those that show something."""
    return comfy.page.locator(".wb-panel").nth(place)


async def heads(shown: Locator) -> list[str]:
    """The models of the table that is shown."""
    return await shown.locator(".wb-model").all_inner_texts()


async def test_each_comparison_of_a_list_has_a_table_of_its_own(browser: Browser, url: str, server: Script) -> None:
    until = asyncio.Event()
    server.on(CHAT, answers({**ANSWERS, ("beta", SEA): slowly("the small", until, " boat")}))
    lists = [["llm/alpha", "llm/beta"], ["llm/alpha"], ["llm/beta", "llm/alpha"]]
    async with comfy_page(browser, url) as comfy:
        await comfy.load(comparing_each(*map("\n".join, lists), ResultsTable={}))
        await look(comfy, 3)
        prompt = await comfy.run()
        await expect(panel(comfy).locator("td[data-state=text], td[data-state=waiting]").first).to_be_visible()
        until.set()
        told = (await comfy.outputs(prompt))["3"]["comparison"]
        assert [table["models"] for table in told] == lists
        for place, node in enumerate((3, 4)):
            await look(comfy, node)
            shown = panel(comfy, place)
            which = shown.get_by_label("Comparison of the list")
            await expect(which.locator("option")).to_have_text(["Comparison 1", "Comparison 2", "Comparison 3"])
            for number, models in enumerate(lists, start=1):
                await which.select_option(f"Comparison {number}")
                assert await heads(shown) == models
                await expect(shown.locator(".wb-status")).to_have_text(f"{len(models)} of {len(models)} done")
        await panel(comfy, 1).get_by_role("button", name="Enlarge").click()
        window = comfy.page.get_by_role("dialog", name="Comparison")
        await window.get_by_label("Comparison of the list").select_option("Comparison 2")
        assert await heads(window) == lists[1]
        await comfy.page.keyboard.press("Escape")
        assert await heads(panel(comfy, 1)) == lists[1]


async def test_what_changes_in_one_table_of_a_list_leaves_the_others(
    browser: Browser, url: str, server: Script
) -> None:
    async with comfy_page(browser, url) as comfy:
        await comfy.load(comparing(("llm/alpha",), (SEA,)))
        await look(comfy, 3)
        await comfy.page.evaluate(TELL, {"run": "a", "models": ["a"], "text": "one"})
        await comfy.page.evaluate(TELL, {"run": "b", "models": ["b"], "text": "two"})
        await expect(panel(comfy)).to_contain_text("two")
        await panel(comfy).get_by_label("Comparison of the list").select_option("Comparison 1")
        await comfy.page.evaluate(TELL, {"run": "b", "models": ["b"], "text": "two and more"})
        await comfy.page.evaluate(TELL, {"run": "a", "models": ["a"], "text": "one and more"})
        await expect(panel(comfy).locator("td")).to_contain_text("one and more")
        await panel(comfy).get_by_label("Comparison of the list").select_option("Comparison 2")
        await expect(panel(comfy).locator("td")).to_contain_text("two and more")


async def test_votes_and_differences_of_a_list_are_all_there(browser: Browser, url: str, server: Script) -> None:
    server.on(CHAT, answers(ANSWERS))
    both = "llm/alpha\nllm/beta"
    graph = comparing_each(both, "llm/beta\nllm/alpha", Vote={})
    lines = {"prompts": "old boat\nnew boat", "written_as": "lines or blocks"}
    graph["10"] = {"class_type": "WorkbenchPromptList", "inputs": lines}
    graph["11"] = {"class_type": "WorkbenchTextDiff", "inputs": {"left": "boat", "right": ["10", 1]}}
    async with comfy_page(browser, url) as comfy:
        await comfy.load(graph)
        told = await comfy.outputs(await comfy.run())
        assert len({vote["run"] for vote in told["4"]["vote"]}) == 2
        await look(comfy, 4)
        votes = panel(comfy, 1)
        await expect(votes.locator(".wb-status")).to_have_text("Ballot 1 of 1")
        await votes.get_by_role("button", name="Tie").click()
        await expect(votes.locator(".wb-status")).to_have_text("Ballot 1 of 1: A tie")
        await votes.get_by_label("Vote of the list").select_option("Vote 2")
        await expect(votes.locator(".wb-status")).to_have_text("Ballot 1 of 1")
        await look(comfy, 11)
        differences = panel(comfy, 2).get_by_role("region", name="Differences")
        await expect(differences.locator("ins")).to_have_text(["old"])
        await panel(comfy, 2).get_by_label("Text of the list").select_option("Text 2")
        await expect(differences.locator("ins")).to_have_text(["new"])


async def test_all_tables_of_a_graph_that_was_stopped_say_so(browser: Browser, url: str, server: Script) -> None:
    server.on(CHAT, answers({(model, SEA): slowly("Once", asyncio.Event(), "") for model in ("alpha", "beta")}))
    graph = comparing(("llm/alpha",), (SEA,))
    graph["4"] = {**graph["3"], "inputs": {**graph["3"]["inputs"], "seed": 7}}
    async with comfy_page(browser, url) as comfy:
        await comfy.load(graph)
        prompt = await comfy.run()
        await expect(comfy.page.locator(".wb-table td")).to_have_count(2)
        await expect(comfy.page.locator("td[data-state=text]")).to_have_count(1)
        await comfy.page.evaluate("app.api.interrupt()")
        assert (await comfy.ended(prompt))["kind"] == "execution_interrupted"
        await expect(comfy.page.locator("td[data-state=stopped]")).to_have_count(2)
        assert await comfy.page.locator("progress:visible").count() == 0
        late = {"run": "late", "models": ["late"], "text": "too late"}
        await comfy.page.evaluate(TELL, late)
        assert "too late" not in await comfy.text(3)
        server.on(CHAT, answers(ANSWERS))
        await comfy.outputs(await comfy.run())
        await expect(comfy.page.locator("td[data-state=done]")).to_have_count(2)


async def test_a_table_ends_with_the_failure_of_another_node(browser: Browser, url: str, server: Script) -> None:
    told = {("alpha", SEA): slowly("Once", asyncio.Event(), ""), ("beta", "fail"): failing("the card is full")}
    server.on(CHAT, answers(told))
    graph = comparing(("llm/alpha",), (SEA,))
    graph["4"] = {"class_type": "WorkbenchLLMGenerate", "inputs": {"model": "llm/beta", "prompt": "fail"}}
    async with comfy_page(browser, url) as comfy:
        await comfy.load(graph)
        assert (await comfy.ended(await comfy.run()))["kind"] == "execution_error"
        await look(comfy, 3)
        await expect(panel(comfy).locator("td")).to_contain_text("Stopped")


async def test_the_interruption_of_somebody_elses_graph_stops_nothing_here(
    browser: Browser, url: str, server: Script
) -> None:
    until = asyncio.Event()
    server.on(CHAT, answers({("alpha", SEA): slowly("Once", until, " more")}))
    async with comfy_page(browser, url) as comfy:
        await comfy.load(comparing(("llm/alpha",), (SEA,)))
        await look(comfy, 3)
        prompt = await comfy.run()
        await expect(panel(comfy).locator("td")).to_contain_text("Once")
        await comfy.page.evaluate(INTERRUPTED)
        await expect(panel(comfy).locator("td")).to_contain_text("Writing")
        until.set()
        await comfy.outputs(prompt)
        await expect(panel(comfy).locator("td")).to_contain_text("Once more")


async def test_a_prompt_is_read_while_its_json_grows(browser: Browser, url: str, server: Script) -> None:
    until = asyncio.Event()
    written = '{"prompt": "a \\"small\\" boat,\\nat s'
    server.on(CHAT, lambda _: slowly(written, until, 'ea", "negative": "people"}'))
    expander = {"class_type": "WorkbenchPromptExpander", "inputs": {"model": "llm/alpha", "idea": "boat"}}
    async with comfy_page(browser, url) as comfy:
        await comfy.load({"3": expander})
        await look(comfy, 3)
        prompt = await comfy.run()
        shown = panel(comfy).get_by_role("region", name="Text")
        await expect(shown).to_contain_text('a "small" boat,')
        assert (await shown.inner_text()).split("\n")[-2:] == ['a "small" boat,', "at s"]
        until.set()
        await comfy.outputs(prompt)


TELL = """({ run, models, text }) => {
  const cells = [{ row: 0, model: 0, state: "text", text, cached: false }];
  const detail = { node: "3", run, models, rows: [["a prompt", "", 0]], done: 0, total: 1, cells };
  app.api.dispatchEvent(new CustomEvent("comfyui-workbench.cells", { detail }));
}"""
INTERRUPTED = """() => {
  const detail = { prompt_id: "another", node_id: "3", node_type: "Sleep", executed: [] };
  app.api.dispatchEvent(new CustomEvent("execution_interrupted", { detail }));
}"""
