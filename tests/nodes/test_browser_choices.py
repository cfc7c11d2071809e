"""What people choose in ComfyUI's page: the best of blind answers, and models by their names."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator

import pytest
from playwright.async_api import Browser, Route, expect

from tests.bridge.servers import Script
from tests.frontend import comfy_page, running_browser
from tests.nodes.pages import answers, comparing, look, running_pack
from tests.texts import CHAT, NOWHERE, text_server

BOTH = ("llm/alpha", "llm/beta")
PROMPTS = ("the sea", "dunes", "a harbour")
ANSWERS = {
    (model, prompt): f"{prompt} {number}" for number, model in enumerate(("alpha", "beta")) for prompt in PROMPTS
}
NAMES = "document.querySelector('.wb-votes').textContent.match(/alpha|beta/g)"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def browser() -> AsyncGenerator[Browser]:
    async with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
async def server() -> AsyncGenerator[Script]:
    async with text_server(("alpha", "alphabet", "beta")) as script:
        yield script


@pytest.fixture(scope="module")
def url(server: Script, tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The second server of the nodes is not there."""
    with running_pack(tmp_path_factory.mktemp("custom_nodes"), server.url, NOWHERE) as url:
        yield url


async def test_people_vote_without_knowing_whom_for(browser: Browser, url: str, server: Script) -> None:
    server.on(CHAT, answers(ANSWERS))
    async with comfy_page(browser, url) as comfy:
        await comfy.load(comparing(BOTH, PROMPTS, Vote={"voter": "ann"}))
        await look(comfy, 4)
        await comfy.outputs(await comfy.run())
        status = comfy.page.locator(".wb-votes .wb-status")
        await expect(status).to_have_text("Ballot 1 of 3")
        await expect(comfy.page.get_by_role("heading", name="Answer B")).to_be_visible()
        assert await comfy.page.evaluate(NAMES) is None

        await comfy.page.get_by_role("region", name="Ballot").focus()
        await comfy.page.keyboard.press("b")
        await expect(comfy.page.get_by_role("heading", name="Answer B is llm/")).to_be_visible()
        await comfy.page.keyboard.press("Enter")
        await expect(status).to_have_text("Ballot 2 of 3")
        assert await comfy.page.evaluate(NAMES) is None

        await comfy.page.keyboard.press("s")
        await expect(status).to_have_text("Ballot 3 of 3")
        await comfy.page.keyboard.press("t")
        await expect(status).to_have_text("Ballot 3 of 3: A tie")
        await comfy.page.keyboard.press("n")
        await expect(status).to_have_text("2 of 3 voted, 1 skipped")
        await comfy.page.get_by_role("button", name="Vote on the skipped ones").press("Enter")
        await expect(status).to_have_text("Ballot 2 of 3")
        await comfy.page.get_by_role("button", name="A is best").click()
        await comfy.page.get_by_role("button", name="Show the ranking").click()
        await expect(status).to_have_text("All 3 voted")
        await expect(comfy.page.get_by_role("table", name="Ranking").get_by_role("rowheader")).to_have_count(2)


async def test_many_ballots_come_a_few_at_a_time(browser: Browser, url: str, server: Script) -> None:
    prompts = [f"prompt {number}" for number in range(7)]
    server.on(CHAT, answers({(model, prompt): model for model in ("alpha", "beta") for prompt in prompts}))
    async with comfy_page(browser, url) as comfy:
        await comfy.load(comparing(BOTH, prompts, Vote={"voter": "cleo"}))
        await look(comfy, 4)
        await comfy.outputs(await comfy.run())
        status = comfy.page.locator(".wb-votes .wb-status")
        for number in range(1, 7):
            await expect(status).to_have_text(f"Ballot {number} of 7")
            await comfy.page.get_by_role("button", name="Skip").click()
        await comfy.page.get_by_role("button", name="Tie").click()
        await comfy.page.get_by_role("button", name="Next").click()
        await expect(status).to_have_text("1 of 7 voted, 6 skipped")
        await comfy.page.get_by_role("button", name="Vote on the skipped ones").click()
        for number in range(1, 7):
            await expect(status).to_have_text(f"Ballot {number} of 7")
            await comfy.page.get_by_role("button", name="Tie").click()
            await expect(status).to_have_text(f"Ballot {number} of 7: A tie")
            await comfy.page.get_by_role("button", name="Show the ranking" if number == 6 else "Next").click()
        await expect(status).to_have_text("All 7 voted")
        await expect(comfy.page.get_by_role("table", name="Ranking")).to_be_visible()


async def test_what_goes_wrong_with_a_vote_is_told_and_can_be_tried_again(
    browser: Browser, url: str, server: Script
) -> None:
    server.on(CHAT, answers(ANSWERS))

    async def refused(route: Route) -> None:
        error = {"error": {"message": "The disk is full.", "hint": "Make room."}}
        if route.request.method == "POST":
            await route.fulfill(status=400, json=error)
        else:
            await route.continue_()

    async with comfy_page(browser, url) as comfy:
        await comfy.load(comparing(BOTH, PROMPTS, Vote={"voter": "bob"}))
        await look(comfy, 4)
        await comfy.outputs(await comfy.run())
        best = comfy.page.get_by_role("button", name="A is best")
        await comfy.page.route("**/comfyui-workbench/ballots", refused)
        await best.click()
        await expect(comfy.page.locator(".wb-votes").get_by_role("alert")).to_have_text("The disk is full. Make room.")
        assert await comfy.page.evaluate(NAMES) is None
        assert [error for error in comfy.errors if "400" not in error] == []
        comfy.errors.clear()
        await comfy.page.unroute("**/comfyui-workbench/ballots")
        await best.click()
        await expect(comfy.page.locator(".wb-votes").get_by_role("alert")).to_have_count(0)
        await expect(comfy.page.get_by_role("heading", name="Answer A is llm/")).to_be_visible()


async def test_a_model_is_chosen_with_the_keyboard(browser: Browser, url: str) -> None:
    async with comfy_page(browser, url) as comfy:
        await comfy.load({"5": {"class_type": "WorkbenchLLMGenerate", "inputs": {"model": "auto", "prompt": "hello"}}})
        await look(comfy, 5)
        opens = comfy.page.get_by_role("button", name="Choose a model…")
        await opens.press("Enter")
        window = comfy.page.get_by_role("dialog", name="Choose a model")
        await expect(window.get_by_role("option")).to_have_count(4)
        await expect(window.get_by_role("option", selected=True)).to_contain_text("auto")
        await expect(window.get_by_role("group", name="llm-2")).to_contain_text("does not answer")
        await comfy.page.keyboard.type("alpha")
        await expect(window.get_by_role("option")).to_have_count(2)
        await comfy.page.keyboard.press("ArrowDown")
        await comfy.page.keyboard.press("Enter")
        await expect(window).to_have_count(0)
        await expect(opens).to_be_focused()
        assert (await comfy.widgets(5))["model"] == "llm/alphabet"
        await opens.press("Enter")
        await comfy.page.keyboard.press("Escape")
        await expect(window).to_have_count(0)
        assert (await comfy.widgets(5))["model"] == "llm/alphabet"


async def test_several_models_are_chosen_for_a_list(browser: Browser, url: str) -> None:
    async with comfy_page(browser, url) as comfy:
        await comfy.load({"5": {"class_type": "WorkbenchModelList", "inputs": {"models": "*"}}})
        await look(comfy, 5)
        await comfy.page.get_by_role("button", name="Choose models…").click()
        window = comfy.page.get_by_role("dialog", name="Choose models")
        await window.get_by_role("option", name="beta").click()
        await window.get_by_role("option", name="alpha").first.click()
        await expect(window.get_by_role("option", selected=True)).to_have_count(2)
        await expect(window.locator(".wb-status")).to_have_text("4 choices, 2 chosen")
        await window.get_by_role("button", name="Use these").click()
        assert (await comfy.widgets(5))["models"] == "llm/beta\nllm/alpha"


async def test_a_saved_workflow_has_the_values_of_the_node_alone(browser: Browser, url: str) -> None:
    asked = {"model": "llm/beta", "prompt": "hello", "system": "be brief", "seed": 7, "max_tokens": 5}
    async with comfy_page(browser, url) as comfy:
        await comfy.load({"5": {"class_type": "WorkbenchLLMGenerate", "inputs": asked}})
        before = await comfy.widgets(5)
        saved = await comfy.page.evaluate("JSON.parse(JSON.stringify(app.graph.serialize()))")
        assert saved["nodes"][0]["widgets_values"][:4] == ["llm/beta", "hello", "be brief", 7]
        await comfy.load_workflow(saved)
        assert await comfy.widgets(5) == before


async def test_the_servers_that_are_there_can_be_chosen(browser: Browser, url: str) -> None:
    async with comfy_page(browser, url) as comfy:
        async with comfy.page.expect_response("**/comfyui-workbench/models"):
            await comfy.load({"5": {"class_type": "WorkbenchLLMProvider", "inputs": {"server": "any"}}})
        names = "app.graph.getNodeById(5).widgets[0].options.values"
        assert await comfy.page.evaluate(names) == ["any", "llm", "llm-2"]


async def test_what_differs_between_two_texts_is_marked(browser: Browser, url: str) -> None:
    texts = {"left": "the old boat", "right": "the small boat at sea"}
    async with comfy_page(browser, url) as comfy:
        await comfy.load({"5": {"class_type": "WorkbenchTextDiff", "inputs": texts}})
        await look(comfy, 5)
        await comfy.outputs(await comfy.run())
        shown = comfy.page.get_by_role("region", name="Differences")
        await expect(shown.locator("del")).to_have_text(["old"])
        await expect(shown.locator("ins")).to_have_text(["small", "at sea"])
