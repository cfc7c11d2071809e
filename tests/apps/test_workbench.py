"""The page in a chat beside the real workbench: what a person does with it comes to pass."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from playwright.async_api import Browser, FrameLocator, expect

from tests.apps.conftest import Chat, opened
from tests.workbenches import served

SMALL = {"prompt": "hills at dawn", "width": 256, "height": 192, "steps": 3}


@pytest.fixture
async def api(tmp_path: Path, slow_url: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with served(tmp_path, slow_url) as client:
        yield client


@pytest.fixture
async def chat(browser: Browser, host_script: str, api: httpx.AsyncClient) -> AsyncGenerator[Chat]:
    async with opened(browser, host_script, str(api.base_url)) as chat:
        yield chat


async def jobs(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    """The newest first."""
    return (await api.get("/api/v1/jobs")).json()["jobs"]


async def pictures(view: FrameLocator, count: int) -> None:
    await expect(view.locator("#pictures img")).to_have_count(count, timeout=20_000)
    for number in range(count):
        width = await view.locator("#pictures img").nth(number).evaluate("(image) => image.naturalWidth")
        assert width == 256


@pytest.mark.requirement("R20")
async def test_the_form_has_the_choices_of_now_and_paints(chat: Chat, api: httpx.AsyncClient) -> None:
    view = await chat.open("open_form", {"template": "txt2img", "values": SMALL})
    await expect(view.get_by_role("heading", level=1)).to_have_text("Text to image")
    await expect(view.locator("#field-style option")).not_to_have_count(1)
    await view.get_by_text("Advanced").click()
    described = (await api.get("/api/v1/templates/txt2img")).json()
    samplers = next(each["choices"] for each in described["parameters"] if each["name"] == "sampler")
    await expect(view.locator("#field-sampler-list option")).to_have_count(len(samplers))
    await view.locator("#field-sampler").fill("euler")
    await view.locator("#field-style").select_option("anime")
    await view.get_by_role("button", name="Generate").click()
    await pictures(view, 1)
    (job,) = await jobs(api)
    assert (job["values"]["sampler"], job["values"]["steps"], job["values"]["width"]) == ("euler", 3, 256)
    assert job["id"] in (await chat.seen("context"))[0]
    await expect(view.locator("#pictures .caption").first).to_contain_text(f"seed {job['values']['seed']}")
    await chat.page.screenshot(path="/tmp/apps-workbench.png", full_page=True)


async def test_a_slow_job_moves_and_can_be_stopped(chat: Chat, api: httpx.AsyncClient) -> None:
    view = await chat.open("open_form", {"template": "txt2img", "values": {**SMALL, "steps": 100}})
    await view.get_by_role("button", name="Generate").click()
    await expect(view.locator("#progress-text")).to_contain_text("of 100", timeout=15_000)
    early = await done(view)
    with anyio.fail_after(10):
        while await done(view) <= early:
            await anyio.sleep(0.1)
    await view.get_by_role("button", name="Stop").click()
    await expect(view.locator("#note")).to_have_text("Cancelled.", timeout=15_000)
    assert [job["state"] for job in await jobs(api)] == ["cancelled"]


async def done(view: FrameLocator) -> float:
    return float(await view.locator("#progress").get_attribute("value") or 0)


async def test_a_refused_value_is_shown_where_it_was_given(chat: Chat, api: httpx.AsyncClient) -> None:
    view = await chat.open("open_form", {"template": "txt2img", "values": SMALL})
    await view.locator("#field-steps").fill("999")
    await view.get_by_role("button", name="Generate").click()
    await expect(view.locator("#field-steps-error")).to_contain_text("steps")
    assert await jobs(api) == []


async def test_a_picture_of_the_model_is_shown_and_worked_on(chat: Chat, api: httpx.AsyncClient) -> None:
    view = await chat.open("txt2img", {**SMALL, "batch": 2, "seed": 7})
    await pictures(view, 2)
    await view.get_by_role("button", name="Compare").nth(0).click()
    await view.get_by_role("button", name="Compare").nth(1).click()
    await expect(view.locator("#compare")).to_be_visible()
    await view.get_by_role("button", name="Use as input").first.click()
    await expect(view.get_by_role("heading", level=1)).to_have_text("Image to image")
    await view.locator("#field-prompt").fill("the same hills in winter")
    await view.locator("#field-steps").fill("2")
    await view.get_by_role("button", name="Generate").click()
    await expect(view.locator("#pictures img")).to_have_count(3, timeout=20_000)
    newest = (await jobs(api))[0]
    assert (newest["template"], newest["values"]["prompt"]) == ("img2img", "the same hills in winter")


async def test_a_sweep_is_shown_as_its_sheet(chat: Chat, api: httpx.AsyncClient) -> None:
    values = {name: value for name, value in SMALL.items() if name != "steps"}
    view = await chat.open("sweep", {"values": values, "over": {"steps": [1, 2]}})
    await expect(view.locator("#pictures img").first).to_be_visible(timeout=20_000)
    await chat.page.screenshot(path="/tmp/apps-sweep.png", full_page=True)
    assert len(await jobs(api)) == 2
