"""The texts of nodes in ComfyUI's page: how they end, what is known of them, and the room that they take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.bridge.servers import Script
from tests.frontend import Graph, comfy_page, running_browser
from tests.nodes.pages import comparing, failing, look, running_pack, slowly
from tests.texts import CHAT, answered, text_server

BOTH = ("llm/alpha", "llm/beta")
VIEWS = ("LLMCompare", "ResultsTable", "Judge", "Vote", "TextDiff")


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


@pytest.fixture(autouse=True)
def answering(server: Script) -> None:
    """Every test begins with a server that answers."""
    server.on(CHAT, answered)


@pytest.fixture(scope="module")
def url(server: Script, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    with running_pack(tmp_path_factory.mktemp("custom_nodes"), server.url) as url:
        yield url


def generating(prompt: Any, model: str = "llm/alpha") -> Graph:
    """LLM Generate as node 3."""
    return {"3": {"class_type": "WorkbenchLLMGenerate", "inputs": {"model": model, "prompt": prompt}}}


@pytest.mark.parametrize(
    ("told", "left"),
    [("Once upon", "Once upon\n■ Stopped"), ("Loading llm/alpha 40% …", "■ Stopped")],
    ids=["in the middle", "before it began"],
)
async def test_a_text_tells_that_it_was_stopped(
    browser: Browser, url: str, server: Script, told: str, left: str
) -> None:
    server.on(CHAT, lambda _: slowly("Once", asyncio.Event(), ""))
    async with comfy_page(browser, url) as comfy:
        await comfy.load(generating("tell"))
        await look(comfy, 3)
        prompt = await comfy.run()
        shown = comfy.page.get_by_role("region", name="Text")
        await expect(shown).to_have_text("Once")
        await comfy.page.evaluate(GROW, ["3", told])
        await expect(shown).to_have_text(told)
        await comfy.page.evaluate("app.api.interrupt()")
        assert (await comfy.ended(prompt))["kind"] == "execution_interrupted"
        await expect(shown).to_have_text(left.replace("\n", ""))
        assert (await shown.inner_text()).split() == left.split()


async def test_a_node_that_fails_does_not_keep_its_earlier_text(browser: Browser, url: str, server: Script) -> None:
    async with comfy_page(browser, url) as comfy:
        await comfy.load(generating("tell"))
        await look(comfy, 3)
        (earlier,) = (await comfy.outputs(await comfy.run()))["3"]["text"]
        await comfy.wait_for_text(3, earlier)
        server.on(CHAT, failing("the card is full"))
        await comfy.set_widget(3, "prompt", "tell more")
        assert (await comfy.ended(await comfy.run()))["kind"] == "execution_error"
        shown = comfy.page.get_by_role("region", name="Text")
        await expect(shown).to_have_text("✕ Failed")


async def test_a_text_is_stopped_by_the_failure_of_another_node(browser: Browser, url: str, server: Script) -> None:
    server.on(CHAT, lambda _: slowly("Once", asyncio.Event(), ""))
    graph = generating("tell") | {"4": generating("tell", "llm/beta")["3"]}
    async with comfy_page(browser, url) as comfy:
        await comfy.load(graph)
        prompt = await comfy.run()
        await comfy.wait_for_text(3, "Once")
        await comfy.page.evaluate(GROW, ["4", "Twice"])
        await comfy.page.evaluate(FAILED, prompt)
        await comfy.wait_for_text(3, "✕ Failed")
        await comfy.wait_for_text(4, "■ Stopped")
        await comfy.page.evaluate("app.api.interrupt()")


async def test_each_text_of_a_list_stands_apart_with_what_is_known_of_it(browser: Browser, url: str) -> None:
    lines = {"prompts": "the sea\ndunes", "written_as": "lines or blocks"}
    graph = generating(["9", 1]) | {"9": {"class_type": "WorkbenchPromptList", "inputs": lines}}
    async with comfy_page(browser, url) as comfy:
        await comfy.load(graph)
        told = (await comfy.outputs(await comfy.run()))["3"]
        await look(comfy, 3)
        items = comfy.page.locator(".wb-item")
        await expect(items).to_have_count(2)
        for number, (text, facts) in enumerate(zip(told["text"], told["facts"], strict=True), start=1):
            assert facts.startswith("llm/")
            item = items.nth(number - 1)
            assert (await item.inner_text()).split("\n")[0] == text.split("\n")[0]
            await expect(item.locator(".wb-facts")).to_have_text(f"{number} of 2 · {facts}")
        await comfy.load(generating("the sea"))
        told = (await comfy.outputs(await comfy.run()))["3"]
        await look(comfy, 3)
        await expect(comfy.page.locator(".wb-facts")).to_have_text(told["facts"])


async def test_nodes_have_their_height_before_their_first_result(browser: Browser, url: str, server: Script) -> None:
    async with comfy_page(browser, url) as comfy:
        await comfy.load(comparing(BOTH, [f"prompt {number}" for number in range(9)], ResultsTable={}, Vote={}))
        heights = "app.graph.nodes.map(({ size }) => size[1])"
        before = await comfy.page.evaluate(heights)
        for node in (3, 4, 5):
            await look(comfy, node)
        await comfy.outputs(await comfy.run())
        for node in (3, 4, 5):
            await look(comfy, node)
        await expect(comfy.page.locator(".wb-votes .wb-status")).to_have_text("Ballot 1 of 9")
        assert await comfy.page.evaluate(heights) == before
        panels = await comfy.page.evaluate(NEW, [f"Workbench{name}" for name in VIEWS])
        assert all(height >= 240 for height in panels), panels


async def test_a_saved_node_keeps_its_size(browser: Browser, url: str) -> None:
    async with comfy_page(browser, url) as comfy:
        await comfy.load(comparing(BOTH, ("the sea",), Vote={}))
        saved = await comfy.page.evaluate("JSON.parse(JSON.stringify(app.graph.serialize()))")
        sizes = {node["id"]: node["size"] for node in saved["nodes"] if node["id"] in (3, 4)}
        sizes[3][1] += 90
        sizes[4][1] -= 200
        await comfy.load_workflow(saved)
        for node, size in sizes.items():
            assert await comfy.page.evaluate("(id) => [...app.graph.getNodeById(id).size]", node) == size


async def test_a_note_is_no_higher_than_its_line(browser: Browser, url: str) -> None:
    export = {"csv": True, "md": False, "json": False, "html": False}
    async with comfy_page(browser, url) as comfy:
        await comfy.load(comparing(BOTH, ("the sea",), ResultsExport=export))
        before = await comfy.page.evaluate("app.graph.getNodeById(4).size[1]")
        await comfy.outputs(await comfy.run())
        await look(comfy, 4)
        await comfy.wait_for_text(4, "Saved in")
        note = comfy.page.locator(".wb-panel").last
        text = await note.locator(".wb-text").evaluate("(text) => text.offsetHeight")
        await comfy.page.wait_for_function(
            "([id, most]) => app.graph.getNodeById(id).size[1] <= most", arg=[4, before + text + 50]
        )
        await comfy.page.evaluate("app.graph.getNodeById(4).setSize([400, 900])")
        await look(comfy, 4)
        box = await note.bounding_box()
        assert box is not None and box["height"] <= 120


async def test_a_new_comparison_asks_nothing_when_it_runs_again(browser: Browser, url: str, server: Script) -> None:
    async with comfy_page(browser, url) as comfy:
        await comfy.page.evaluate(FRESH)
        await comfy.fit()
        told = await comfy.outputs(await comfy.run())
        assert len(told["3"]["comparison"][0]["cells"]) == 2
        asked = len(server.bodies(CHAT))
        assert asked
        await comfy.outputs(await comfy.run())
        assert len(server.bodies(CHAT)) == asked
        judge = (
            "LiteGraph.createNode('WorkbenchJudge').widgets.find(({ name }) => name === 'seed').linkedWidgets[0].value"
        )
        assert await comfy.page.evaluate(judge) == "fixed"


GROW = """([node, text]) => {
  app.api.dispatchEvent(new CustomEvent("comfyui-workbench.text", { detail: { node, text } }));
}"""
FAILED = """(prompt_id) => {
  const told = { exception_type: "Error", exception_message: "the card is full", traceback: [] };
  const detail = { prompt_id, node_id: "3", node_type: "WorkbenchLLMGenerate", executed: [], ...told };
  app.api.dispatchEvent(new CustomEvent("execution_error", { detail }));
}"""
NEW = """(names) => names.map((name) => {
  const widget = LiteGraph.createNode(name).widgets.find((each) => each.name === "workbench");
  return widget.options.getMinHeight();
})"""
FRESH = """() => {
  const made = (type, values = {}) => {
    const node = LiteGraph.createNode(type);
    app.graph.add(node);
    for (const [name, value] of Object.entries(values)) node.widgets.find((each) => each.name === name).value = value;
    return node;
  };
  const models = made("WorkbenchModelList", { models: "llm/alpha\\nllm/beta" });
  const prompts = made("WorkbenchPromptList", { prompts: "a fresh prompt" });
  const compare = made("WorkbenchLLMCompare");
  models.connect(0, compare, compare.findInputSlot("models"));
  prompts.connect(0, compare, compare.findInputSlot("prompts"));
}"""
