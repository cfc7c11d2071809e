"""The page in a chat, beside the real workbench: a form that makes pictures, and a gallery of them."""

from __future__ import annotations

import anyio
import httpx
import pytest
from playwright.async_api import FrameLocator, expect

from comfy_mcp.apps import page
from tests.apps.chatting import FORM, QUICK, VALUES, box, generate, jobs
from tests.apps.conftest import Chat


async def done(view: FrameLocator) -> float:
    return float(await view.locator("#progress").get_attribute("value") or 0)


def test_the_page_is_one_small_document_that_needs_nothing() -> None:
    text = page()
    assert len(text.encode()) <= 56 * 1024
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "eval(" not in text
    assert "innerHTML" not in text


@pytest.mark.requirement("R20")
async def test_the_form_has_a_control_for_every_parameter(chat: Chat, api: httpx.AsyncClient) -> None:
    view = await chat.open("open_form", {**FORM, "values": {"prompt": "hills at dawn"}})
    await expect(view.get_by_role("heading", level=1)).to_have_text("Text to image")
    await expect(box(view, "prompt")).to_have_value("hills at dawn")
    await expect(view.get_by_role("textbox", name="Negative prompt")).to_have_value("")
    await expect(view.get_by_role("spinbutton", name="Steps")).to_have_value("25")
    await expect(view.get_by_role("slider", name="Steps, slider")).to_have_value("25")
    await expect(box(view, "cfg")).to_have_attribute("step", "0.1")
    await expect(box(view, "checkpoint")).to_have_value("procedural-sd15.safetensors")
    await expect(view.get_by_role("group", name="Size").get_by_role("spinbutton")).to_have_count(3)
    await expect(view.get_by_text("More are finer and slower. 1 to 150. Default: 25.")).to_be_visible()
    await expect(box(view, "sampler")).to_be_hidden()
    await view.get_by_text("Advanced").click()
    await expect(box(view, "sampler")).to_be_visible()
    await expect(box(view, "scheduler")).to_have_value("karras")
    described = (await api.get("/api/v1/templates/txt2img")).json()["parameters"]
    samplers = next(each["choices"] for each in described if each["name"] == "sampler")
    await box(view, "sampler").click()
    await expect(view.get_by_role("listbox", name="Sampler").get_by_role("option")).to_have_count(len(samplers))
    for parameter in described:
        await expect(box(view, parameter["name"])).to_have_count(1)


async def test_generate_calls_the_tool_with_what_was_chosen(chat: Chat, api: httpx.AsyncClient) -> None:
    view = await chat.open("open_form", FORM)
    await box(view, "steps").fill("2")
    await box(view, "cfg").fill("4.5")
    await view.get_by_role("radio", name="Ink drawing").check()
    await view.get_by_text("Advanced").click()
    await box(view, "sampler").fill("EULER")
    await view.get_by_role("slider", name="Batch, slider").press("ArrowRight")
    await generate(view, 2)
    call = (await chat.seen("calls"))[0]
    assert call["name"] == "run_template"
    assert call["arguments"]["template"] == "txt2img"
    assert call["arguments"]["values"] == {
        "prompt": "hills at dawn",
        "width": 256,
        "height": 192,
        "steps": 2,
        "cfg": 4.5,
        "style": "ink_drawing",
        "sampler": "euler",
        "batch": 2,
        "seed": -1,
    }
    (job,) = await jobs(api)
    assert (job["values"]["sampler"], job["values"]["cfg"], job["values"]["batch"]) == ("euler", 4.5, 2)
    await expect(view.locator("#pictures .caption").first).to_contain_text(f"seed {job['values']['seed']}, 256 × 192")
    await expect(view.locator("#pictures .caption").first).to_contain_text(f"job {job['id']}")
    told = await chat.seen("context")
    assert len(told) == 1
    assert job["id"] in told[0]
    assert "steps 2" in told[0]
    assert await view.locator("#pictures img").first.evaluate("(image) => image.naturalWidth") == 256


async def test_the_seed_is_drawn_anew_unless_it_is_kept(chat: Chat, api: httpx.AsyncClient) -> None:
    view = await chat.open("open_form", QUICK)
    await generate(view, 1)
    drawn = (await jobs(api))[0]["values"]["seed"]
    await expect(box(view, "seed")).to_have_value(str(drawn))
    await view.get_by_role("button", name="Keep this seed").click()
    await generate(view, 2)
    await view.get_by_role("button", name="Draw a new seed").click()
    await generate(view, 3)
    first, second, third = (job["values"]["seed"] for job in await jobs(api))
    assert first == second != third


async def test_progress_moves_while_a_job_runs(chat: Chat) -> None:
    view = await chat.open("open_form", FORM)
    await box(view, "steps").fill("60")
    await view.get_by_role("button", name="Generate").click()
    await expect(view.locator("#progress-text")).to_contain_text("of 60", timeout=10_000)
    early = await done(view)
    await expect(view.locator("#pictures img")).to_have_count(0)
    with anyio.fail_after(10):
        while await done(view) <= early:
            await anyio.sleep(0.1)
    await expect(view.locator("#spoken")).to_contain_text("%", timeout=10_000)
    await expect(view.locator("#pictures img")).to_have_count(1, timeout=20_000)
    await expect(view.locator("#run")).to_be_hidden()
    assert any(uri.startswith("job://") for uri in await chat.seen("reads"))


async def test_a_running_job_can_be_stopped(chat: Chat, api: httpx.AsyncClient) -> None:
    view = await chat.open("open_form", FORM)
    await box(view, "steps").fill("150")
    await view.get_by_role("button", name="Generate").click()
    await view.get_by_role("button", name="Stop").click(timeout=10_000)
    await expect(view.locator("#note")).to_have_text("Cancelled.", timeout=10_000)
    assert (await chat.seen("calls"))[1]["name"] == "cancel_job"
    assert [job["state"] for job in await jobs(api)] == ["cancelled"]


async def test_a_refused_value_is_shown_at_its_field(chat: Chat) -> None:
    view = await chat.open("open_form", FORM)
    await box(view, "steps").fill("999")
    await view.get_by_role("button", name="Generate").click()
    await expect(view.locator("#field-steps-error")).to_have_text("steps 999 is out of range. Give 1 to 150.")
    await expect(box(view, "steps")).to_be_focused()
    await expect(box(view, "steps")).to_have_attribute("aria-invalid", "true")
    await expect(view.locator("#failure")).to_be_hidden()
    await box(view, "steps").fill("1")
    await expect(view.locator("#field-steps-error")).to_be_hidden()
    await generate(view, 1)


@pytest.mark.parametrize("api", [{"inline_bytes": 10_000}], indirect=True)
async def test_pictures_without_a_block_are_fetched_or_named(chat: Chat) -> None:
    """An answer that has room for one of three."""
    values = {**QUICK["values"], "batch": 3}
    view = await chat.open("open_form", {**QUICK, "values": values})
    await generate(view, 3)
    assert sum(uri.endswith("/preview") for uri in await chat.seen("reads")) == 2
    view = await chat.open("open_form", {**QUICK, "values": values}, refuseResources=True)
    await view.get_by_role("button", name="Generate").click()
    await expect(view.locator("#pictures img")).to_have_count(1, timeout=15_000)
    await expect(view.get_by_text("Not shown here")).to_have_count(2)
    await expect(view.locator("#note")).to_contain_text("does not let the page fetch more")


async def test_the_compare_slider_moves_by_keyboard(chat: Chat) -> None:
    view = await chat.open("open_form", {**QUICK, "values": {**QUICK["values"], "batch": 3}})
    await generate(view, 3)
    choose = view.get_by_role("button", name="Compare")
    await choose.nth(0).click()
    await choose.nth(1).press("Enter")
    slider = view.get_by_role("slider", name="Compare: how much of the first picture is shown")
    await expect(slider).to_be_focused()
    before = await view.locator(".over").evaluate("(node) => getComputedStyle(node).clipPath")
    for _ in range(10):
        await slider.press("ArrowRight")
    await expect(slider).to_have_value("60")
    assert await view.locator(".over").evaluate("(node) => getComputedStyle(node).clipPath") != before
    await slider.press("Escape")
    await expect(view.locator("#stage")).to_be_hidden()
    await view.get_by_role("button", name="Enlarge picture").first.press("Enter")
    await expect(view.locator("#stage img")).to_be_visible()
    await view.locator("#stage").press("Escape")
    await expect(view.get_by_role("button", name="Enlarge picture").first).to_be_focused()


async def test_a_picture_can_be_made_again_or_worked_on(chat: Chat, api: httpx.AsyncClient) -> None:
    view = await chat.open("txt2img", {**VALUES, "steps": 3, "seed": 7})
    await expect(view.locator("#pictures img")).to_have_count(1)
    assert await chat.seen("calls") == []
    await view.get_by_role("button", name="Make again").click()
    await expect(box(view, "seed")).to_have_value("7")
    await expect(box(view, "steps")).to_have_value("3")
    await generate(view, 2)
    await view.get_by_role("button", name="Use as input").first.click()
    await expect(view.get_by_role("heading", level=1)).to_have_text("Image to image")
    await expect(box(view, "image")).to_have_value((await jobs(api))[-1]["assets"][0]["id"])
    await box(view, "prompt").fill("the same hills in winter")
    await box(view, "steps").fill("2")
    await generate(view, 3)
    newest = (await jobs(api))[-1]
    assert (newest["template"], newest["values"]["prompt"]) == ("img2img", "the same hills in winter")


async def test_a_sweep_is_shown(chat: Chat) -> None:
    view = await chat.open("sweep", {"values": VALUES, "over": {"steps": [1, 2]}})
    await expect(view.locator("#pictures img").first).to_be_visible(timeout=20_000)


async def test_the_page_of_a_picture_offers_its_values_folded(chat: Chat) -> None:
    view = await chat.open("run_template", {"template": "txt2img", "values": {**VALUES, "prompt": "dunes", "steps": 2}})
    await view.get_by_text("Change the values").click()
    await expect(box(view, "prompt")).to_have_value("dunes")
    await expect(box(view, "steps")).to_have_value("2")


async def test_a_stopped_or_refused_call_leaves_a_form_to_try_again(chat: Chat) -> None:
    view = await chat.open("txt2img", {"prompt": "dunes"}, cancel=True)
    await expect(view.locator("#note")).to_have_text("Cancelled.")
    await view.get_by_text("Change the values").click()
    await expect(box(view, "prompt")).to_have_value("dunes")
    view = await chat.open("txt2img", {"prompt": "dunes", "steps": 999})
    await expect(view.locator("#failure")).to_have_text("steps 999 is out of range. Give 1 to 150.")
    await view.get_by_text("Change the values").click()
    await expect(view.locator("#field-steps-error")).to_have_text("steps 999 is out of range. Give 1 to 150.")


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_the_theme_is_the_chats(chat: Chat, theme: str) -> None:
    variables = {"--color-text-primary": "rgb(1, 2, 3)"} if theme == "light" else {}
    view = await chat.open("open_form", QUICK, context={"theme": theme, "styles": {"variables": variables}})
    await generate(view, 1)
    back = await view.locator("body").evaluate("(node) => getComputedStyle(node).backgroundColor")
    text = await view.locator("body").evaluate("(node) => getComputedStyle(node).color")
    assert (back == "rgb(255, 255, 255)") == (theme == "light")
    assert (text == "rgb(1, 2, 3)") == (theme == "light")
    other = "light" if theme == "dark" else "dark"
    await chat.page.evaluate("(theme) => window.chat.bridge.sendHostContextChange({ theme })", other)
    await expect(view.locator("html")).to_have_attribute("data-theme", other)


async def test_without_a_theme_the_page_follows_the_system(chat: Chat) -> None:
    await chat.page.emulate_media(color_scheme="dark")
    view = await chat.open("open_form", FORM)
    await expect(view.locator("html")).to_have_attribute("data-theme", "dark")


@pytest.mark.parametrize("width", [320, 768])
async def test_nothing_is_wider_than_the_screen(chat: Chat, width: int) -> None:
    await chat.page.set_viewport_size({"width": width, "height": 700})
    view = await chat.open("open_form", {**QUICK, "values": {**QUICK["values"], "batch": 2}})
    await view.get_by_text("Advanced").click()
    await generate(view, 2)
    await view.get_by_role("button", name="Compare").nth(0).click()
    await view.get_by_role("button", name="Compare").nth(1).click()
    await expect(view.locator("#compare")).to_be_visible()
    assert await view.locator("html").evaluate("(node) => node.scrollWidth") <= width
    height = await view.locator("body").evaluate("(node) => Math.ceil(node.getBoundingClientRect().height)")
    assert (await chat.seen("sizes"))[-1] == height


async def test_the_page_speaks_chinese(chat: Chat) -> None:
    view = await chat.open("open_form", QUICK, context={"locale": "zh-CN"})
    await expect(view.get_by_role("button", name="生成", exact=True)).to_be_visible()
    await expect(view.get_by_role("spinbutton", name="步数")).to_have_value("1")
    await expect(view.locator("html")).to_have_attribute("lang", "zh-CN")
    await view.get_by_role("button", name="生成", exact=True).click()
    await expect(view.locator("#pictures .caption").first).to_contain_text("种子", timeout=10_000)


async def test_the_form_can_be_used_by_keyboard_alone(chat: Chat) -> None:
    view = await chat.open("open_form", QUICK)
    await box(view, "prompt").focus()
    order: list[str] = []
    for _ in range(4):
        await chat.page.keyboard.press("Tab")
        order.append(await view.locator(":focus").evaluate("(node) => node.id || node.ariaLabel || node.name"))
    assert order == ["field-negative", "style", "Reset Width", "Width, slider"]
    await box(view, "prompt").press("Control+Enter")
    await expect(view.locator("#pictures img")).to_have_count(1, timeout=10_000)
