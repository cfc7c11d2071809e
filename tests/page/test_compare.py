"""Language models side by side, as a person compares them: chosen, watched, read, voted on and taken away."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import AsyncExitStack
from pathlib import Path

from playwright.async_api import Page, expect

from tests.bridge.servers import Answer, Received, json_answer
from tests.llama.servers import LlamaServer
from tests.page.conftest import At, Person
from tests.texts import CHAT, NOWHERE, answered, hanging, says, text_server
from tests.workbenches import served

SEA = "Describe the sea."


ASKED = {"role": "user", "content": "Hello."}


async def begin(page: Page, models: list[str], *prompts: str) -> None:
    """Fill the form, but do not send it."""
    for model in models:
        await page.get_by_role("checkbox", name=re.compile(rf"^{re.escape(model)}\b")).check()
    for number, prompt in enumerate(prompts):
        if number:
            await page.get_by_role("button", name="Another prompt").click()
        await page.locator("#rows textarea[name^=text]").nth(number).fill(prompt)


async def test_a_person_compares_two_models_and_votes(tmp_path: Path, person: At) -> None:
    wait = asyncio.Event()

    def beta_waits(received: Received) -> Answer:
        if received.json["model"] == "alpha":
            return says("A grey sea under a low sky.")
        return hanging(wait)

    async with (
        text_server() as script,
        served(tmp_path, NOWHERE, llm_url=script.url) as http,
        person(http.base_url) as somebody,
    ):
        script.on(CHAT, beta_waits)
        page = somebody.page
        await somebody.go("/compare")
        await page.get_by_role("link", name="Begin the first comparison").click()
        await page.get_by_role("searchbox", name="Find a model").fill("alp")
        await expect(page.get_by_role("checkbox", name="beta", exact=True)).to_be_hidden()
        await page.get_by_role("searchbox", name="Find a model").fill("")
        await begin(page, ["alpha", "beta"], SEA, "And the moon?")
        await expect(page.get_by_text("4 answers")).to_be_visible()
        await somebody.check()
        await page.get_by_role("button", name="Start").click()

        # The answers of the first stand there while the second still writes.
        await expect(page.locator("#cell-0")).to_contain_text("A grey sea")
        await expect(page.locator("#cell-1")).to_contain_text("Once")
        await expect(page.locator("#cell-1")).to_contain_text("Writing")
        await somebody.check()
        wait.set()
        await expect(page.locator("#cell-3")).to_contain_text("Once more.")
        await expect(page.get_by_role("status")).to_have_text("Done")
        await page.get_by_role("link", name="Side by side").first.click()
        await _reads(somebody)
        await page.get_by_role("link", name="Back to the comparison").click()
        await page.get_by_role("link", name="Vote blind").click()
        await _votes(somebody)
        await expect(page.get_by_role("row", name="llm/alpha").first).to_contain_text("2 of 2")
        await _takes_it_away(page)


async def _reads(somebody: Person) -> None:
    page = somebody.page
    await expect(page.get_by_role("article", name="llm/beta")).to_contain_text("Once more.")
    await page.get_by_role("checkbox", name="Mark what differs from the first").check()
    await expect(page.locator("ins").first).to_contain_text("Once more")
    await somebody.check()
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_text("2 / 2")).to_be_visible()
    await expect(page.locator("ins").first).to_be_visible()
    await page.keyboard.press("ArrowLeft")
    await expect(page.get_by_text("1 / 2")).to_be_visible()


async def _votes(somebody: Person) -> None:
    """Whoever wrote of the grey sea is the best, by the keyboard alone."""
    page = somebody.page
    await page.keyboard.type("Ann")
    await page.keyboard.press("Enter")
    for voted in (1, 2):
        grey = page.locator("article", has_text="grey")
        await expect(grey).to_be_visible()
        assert "llm/" not in await page.locator("main").inner_text()
        await somebody.check()
        await page.keyboard.press("1" if await grey.locator("h2").inner_text() == "A" else "2")
        await expect(page.get_by_text("which is llm/alpha")).to_be_visible()
        await expect(page.get_by_text(f"{voted} of 2 voted")).to_be_visible()
        await page.keyboard.press("Enter")
    await page.get_by_role("link", name="See the ranking").click()


async def _takes_it_away(page: Page) -> None:
    async with page.expect_download() as download:
        await page.get_by_role("link", name="JSON").click()
    told = json.loads((await (await download.value).path()).read_text())
    assert told["complete"] and told["ranking"][0]["model"] == "llm/alpha"
    await page.get_by_role("button", name="Delete").first.click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("Begin the first comparison")).to_be_visible()


async def test_what_is_wrong_is_told_beside_its_field_on_a_phone_in_chinese(tmp_path: Path, person: At) -> None:
    async with (
        text_server() as script,
        served(tmp_path, NOWHERE, llm_url=script.url) as http,
        person(http.base_url, phone=True, dark=True, chinese=True) as somebody,
    ):
        somebody.expected = ["422"]
        page = somebody.page
        await somebody.go("/compare/new")
        await page.get_by_role("button", name="开始").click()
        await expect(page.locator("#models .wrong")).to_contain_text("No model is chosen.")
        await page.get_by_role("checkbox", name="alpha", exact=True).check()
        await expect(page.locator("#models .wrong")).to_have_count(0)
        await page.get_by_text("批量填写").click()
        await page.locator("input[type=file]").set_input_files(
            {"name": "p.json", "mimeType": "application/json", "buffer": b'["one", {"name": "b", "text": "two"}]'}
        )
        await expect(page.get_by_text("2 个回答")).to_be_visible()
        await page.get_by_label("温度").fill("warm")
        await page.get_by_role("button", name="开始").click()
        await expect(page.get_by_label("温度")).to_have_attribute("aria-invalid", "true")
        await expect(page.get_by_label("温度")).to_be_focused()
        await somebody.check()
        await page.get_by_label("温度").fill("0， 1")
        await page.get_by_role("button", name="开始").click()
        await expect(page.get_by_role("status")).to_have_text("已完成")
        await expect(page.locator("#cell-3")).to_contain_text("alpha on two")
        await somebody.check()
        await page.get_by_role("link", name="并排查看").last.click()
        await page.get_by_role("checkbox", name="标出与第一个的不同").check()
        await expect(page.get_by_text("删除线")).to_be_hidden()
        await somebody.check()
        await somebody.go("/compare")
        await somebody.check()


async def test_a_server_that_went_away_is_told_and_the_rest_can_be_cancelled(tmp_path: Path, person: At) -> None:
    async with AsyncExitStack() as stack, AsyncExitStack() as gone:
        script = await gone.enter_async_context(text_server())
        http = await stack.enter_async_context(served(tmp_path, NOWHERE, llm_url=script.url))
        somebody = await stack.enter_async_context(person(http.base_url))
        script.on(CHAT, answered, hanging(asyncio.Event()))
        page = somebody.page
        await somebody.go("/compare/new")
        await begin(page, ["alpha"], SEA, "And the moon?")
        await page.get_by_role("button", name="Start").click()
        await expect(page.locator("#cell-0, #cell-1").filter(has_text="alpha on")).to_be_visible()
        await expect(page.locator("#cell-0, #cell-1").filter(has_text="Once")).to_be_visible()
        await gone.aclose()
        await expect(page.get_by_text("The server llm does not answer now.")).to_be_visible(timeout=20_000)
        await somebody.check()
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.locator("#progress")).to_contain_text("Cancelled")
        await expect(page.locator("#progress")).to_contain_text("1 of 2 answers")
        await expect(page.locator(".cell", has_text="Not asked")).to_be_visible()


async def test_a_server_that_answers_late_is_filled_in_and_what_was_typed_stays(tmp_path: Path, person: At) -> None:
    async with (
        text_server() as script,
        served(tmp_path, NOWHERE, llm_url=script.url) as http,
        person(http.base_url) as somebody,
    ):
        script.on("GET /v1/models", json_answer({}, status=503))
        page = somebody.page
        await somebody.go("/compare/new")
        await expect(page.locator("#models")).to_contain_text("does not answer now")
        await begin(page, [], SEA, "And the moon?")
        await page.get_by_role("button", name="中文").click()
        await expect(page.locator("#rows textarea[name=text-2]")).to_have_value("And the moon?")
        script.on("GET /v1/models", json_answer({"data": [{"id": "alpha"}]}))
        await page.get_by_role("checkbox", name="alpha", exact=True).check()
        await expect(page.locator("[name=judge] option", has_text="alpha")).to_have_count(1)
        await somebody.check()


async def test_without_a_server_people_are_told_what_to_do(tmp_path: Path, person: At) -> None:
    async with served(tmp_path, NOWHERE) as http, person(http.base_url, phone=True) as somebody:
        await somebody.go("/compare/new")
        await somebody.check()
        await somebody.page.get_by_role("link", name="Find one in the settings").click()
        await somebody.page.wait_for_url("**/settings")


async def test_real_models_think_folded_and_are_measured(tmp_path: Path, llama_router: LlamaServer, person: At) -> None:
    async with served(tmp_path, NOWHERE, llm_url=llama_router.url) as http, person(http.base_url) as somebody:
        page = somebody.page
        # One that is loaded says so in its name.
        await http.post("/v1/chat/completions", json={"model": "llm/tiny-a", "max_tokens": 1, "messages": [ASKED]})
        await somebody.go("/compare/new")
        await begin(page, ["tiny-a", "tiny-think"], "Say something.")
        await page.get_by_label("Most tokens").fill("24")
        await page.get_by_role("button", name="Start").click()
        await expect(page.get_by_role("status")).to_have_text("Done", timeout=60_000)
        thought = page.locator("#cell-1").get_by_text("Thoughts")
        await thought.click()
        await expect(page.locator("#cell-1 .thoughts p")).not_to_be_empty()
        await expect(page.locator("#cell-0")).to_contain_text("tok/s")
        await expect(page.locator("#cell-0")).to_contain_text("First token")
        await somebody.check()
