"""The controls of a form, as a person uses them, on a page that has nothing but the form."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.async_api import FilePayload, Page, Route, expect

from comfy_mcp.ui import read_static
from comfy_mcp.ui.forms import Form, form_of, values_of
from tests.images.samples import encoded, noise
from tests.page.conftest import At
from tests.ui.forms import STYLES, rendered, shipped

URL = "http://forms.test"
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; form-action 'self'"
HOST = """
fields.upload = async (file, type) => {
  if (file.name === "refused.png") throw new Error("It is too large.");
  return { id: `${type}-${file.name}`, url: "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>" };
};
"""
SAMPLERS = ["dpmpp_2m", "euler", "euler_ancestral", *(f"sampler_{at}" for at in range(20))]
CHECKPOINTS = [f"checkpoint-{at}.safetensors" for at in range(300)]
TXT2IMG = shipped("txt2img", sampler=SAMPLERS, scheduler=["karras", "simple"], checkpoint=CHECKPOINTS)
INPAINT = shipped("inpaint", checkpoint=CHECKPOINTS)

Opened = Callable[..., AbstractAsyncContextManager[Page]]


@pytest.fixture
def opened(person: At) -> Opened:
    """``async with opened(form) as page``: the form at a person's; posting it leads to its values as the address."""

    @asynccontextmanager
    async def shown(form: Form, **options: Any) -> AsyncGenerator[Page]:
        language = "zh" if options.get("chinese") else "en"
        styles = "".join(f"<link rel=stylesheet href=/{name}>" for name in ("design.css", "fields.css"))
        scripts = "".join(
            f"<script src=/{name} defer></script>" for name in ("fields.js", "picker.js", "shapes.js", "host.js")
        )
        text = (
            f"<!doctype html><html lang={language}><meta name=viewport content='width=device-width'><title>Form</title>"
            f"{styles}{scripts}<body><main><h1>Form</h1><form>{rendered(form, language)}<button>Go</button></form>"
        )

        async def answer(route: Route) -> None:
            name = urlsplit(route.request.url).path[1:]
            if not name:
                headers = {"Content-Security-Policy": POLICY, "Content-Type": "text/html; charset=utf-8"}
                await route.fulfill(body=text, headers=headers)
            elif name == "host.js":
                await route.fulfill(body=HOST, content_type="text/javascript")
            elif name.endswith((".js", ".css")):
                await route.fulfill(body=read_static(name), content_type=f"text/{name.rpartition('.')[2]}")
            else:
                await route.fulfill(status=204)

        async with person(URL, **options) as somebody:
            await somebody.page.route(f"{URL}/**", answer)
            await somebody.go("/")
            yield somebody.page
            if options.get("java_script_enabled", True):
                await somebody.page.goto(URL)
                for fold in await somebody.page.locator("details").all():
                    await fold.locator("summary").click()
                await somebody.check()

    return shown


async def sent(page: Page, told: dict[str, Any]) -> dict[str, Any]:
    """What posting the form means now."""
    await page.get_by_role("button", name="Go").click()
    await page.wait_for_url(f"{URL}/?*")
    fields = dict(parse_qsl(urlsplit(page.url).query, keep_blank_values=True))
    return {**values_of(told, fields), **({"style": fields["style"]} if fields.get("style") else {})}


async def test_only_what_a_person_sets_is_posted(opened: Opened) -> None:
    async with opened(form_of(TXT2IMG, styles=STYLES, values={"steps": 30}, loaded=[CHECKPOINTS[7]])) as page:
        await page.get_by_role("textbox", name="Prompt", exact=True).fill("hills")
        await page.get_by_role("radio", name="Ink drawing").check()
        square, wide = (page.get_by_role("button", name=shape, exact=True) for shape in ("1:1", "3:2"))
        await expect(square).to_have_attribute("aria-pressed", "true")
        await wide.click()
        await expect(wide).to_have_attribute("aria-pressed", "true")
        await expect(square).to_have_attribute("aria-pressed", "false")
        await page.get_by_role("button", name="Swap width and height").click()
        await expect(page.get_by_role("spinbutton", name="Width")).to_have_value("840")
        await page.get_by_role("slider", name="CFG, slider").press("ArrowRight")
        await page.get_by_role("button", name="Reset Steps").click()
        await expect(page.get_by_role("spinbutton", name="Steps")).to_be_focused()
        await expect(page.get_by_role("spinbutton", name="Steps")).to_have_value("25")
        models = page.get_by_role("combobox", name="Checkpoint")
        await models.click()
        listed = page.get_by_role("listbox", name="Checkpoint").get_by_role("option")
        await expect(listed.first).to_have_text(f"{CHECKPOINTS[7]} loaded")
        await models.press_sequentially("-29")
        await expect(listed).to_have_count(11)
        await models.press("ArrowDown")
        await models.press("Enter")
        await expect(models).to_have_value(CHECKPOINTS[290])
        await models.fill("nothing like it")
        await expect(page.get_by_text("Nothing of that name.")).to_be_visible()
        await models.press("Tab")
        await expect(models).to_have_value(CHECKPOINTS[290])
        await page.get_by_text("Advanced").click()
        await page.get_by_role("combobox", name="Sampler").fill("EULER")
        await page.keyboard.press("Tab")
        assert await sent(page, TXT2IMG) == {
            "prompt": "hills", "width": 840, "height": 1256, "cfg": 6.1, "checkpoint": CHECKPOINTS[290],
            "sampler": "euler", "style": "ink_drawing", "seed": -1,
        }  # fmt: skip


async def test_a_seed_is_kept_and_a_picture_comes_in_three_ways(opened: Opened) -> None:
    async with opened(form_of(INPAINT, styles=STYLES)) as page:
        file: FilePayload = {"name": "hill.png", "mimeType": "image/png", "buffer": encoded(noise(8, 8), "PNG")}
        picture, mask = page.locator("[data-field=image]"), page.locator("[data-field=mask]")
        await picture.locator("[type=file]").set_input_files([file])
        await expect(picture.locator("[name]")).to_have_value("image-hill.png")
        await expect(picture.get_by_role("img")).to_be_visible()
        carried = """([kind, place]) => {
          const data = new DataTransfer();
          data.items.add(new File(["x"], `${kind}.png`, { type: "image/png" }));
          const told = { bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data };
          const zone = document.querySelector(place);
          return !zone.dispatchEvent(kind === "drop" ? new DragEvent(kind, told) : new ClipboardEvent(kind, told));
        }"""
        # Beside the fields it goes to the first that has none.
        assert await page.evaluate(carried, ["drop", "h1"])
        await expect(mask.locator("[name]")).to_have_value("mask-drop.png")
        assert await page.evaluate(carried, ["paste", "[data-field=mask] .drop"])
        await expect(mask.locator("[name]")).to_have_value("mask-paste.png")
        await picture.locator("[type=file]").set_input_files([{**file, "name": "refused.png"}])
        await expect(picture.get_by_text("It is too large.")).to_be_visible()
        await picture.locator("[type=file]").set_input_files([{**file, "mimeType": "text/plain"}])
        await expect(picture.get_by_text("This is no picture.")).to_be_visible()
        await page.get_by_role("button", name="Draw a new seed").click()
        drawn = await page.get_by_role("spinbutton", name="Seed").input_value()
        await expect(page.get_by_role("button", name="Keep this seed")).to_have_attribute("aria-pressed", "true")
        rest = await page.evaluate("fields.showErrors({ sampler: 'It is gone.', other: 'What?' })")
        assert rest == {"other": "What?"}
        await expect(page.get_by_text("It is gone.")).to_be_visible()
        await expect(page.locator("#field-sampler")).to_be_focused()
        assert await sent(page, INPAINT) == {
            "image": "image-hill.png", "mask": "mask-paste.png", "seed": int(drawn),
        }  # fmt: skip


async def test_a_model_that_is_not_listed_is_typed(opened: Opened) -> None:
    async with opened(form_of(TXT2IMG, styles=STYLES, locked={"seed": 7}, most=20)) as page:
        await expect(page.get_by_text("280 more are not listed")).to_be_visible()
        models = page.get_by_role("combobox", name="Checkpoint")
        await models.fill(CHECKPOINTS[290])
        await expect(page.get_by_text("Not listed: it counts as you type it.")).to_be_visible()
        await models.press("Enter")
        await expect(page.get_by_role("listbox")).to_have_count(0)
        # Part of a name that is listed is no name.
        await models.fill("checkpoint-1")
        await models.press("Tab")
        await expect(models).to_have_value(CHECKPOINTS[290])
        # A seed that is fixed is not to be suggested.
        await page.evaluate("fields.suggest(fields.named(document, 'seed'), '5')")
        await expect(page.get_by_label("Seed")).to_have_value("7")
        assert await sent(page, TXT2IMG) == {"checkpoint": CHECKPOINTS[290]}


async def test_styles_are_equally_high_with_and_without_a_picture(opened: Opened) -> None:
    styles = [{**style, "thumbnail": "/small" if at % 3 == 1 else None} for at, style in enumerate(STYLES)]
    async with opened(form_of(TXT2IMG, styles=styles)) as page:
        heights = "(cards) => cards.map((card) => card.getBoundingClientRect().height)"
        found = await page.locator(".cards label").evaluate_all(heights)
        assert max(found) - min(found) < 1 and max(found) < 72


async def test_on_a_phone_in_the_dark_in_chinese(opened: Opened) -> None:
    form = form_of(INPAINT, styles=STYLES, locked={"cfg": 4.0})
    async with opened(form, phone=True, dark=True, chinese=True) as page:
        await expect(page.get_by_label("引导强度 (CFG)")).not_to_be_editable()
        await expect(page.get_by_text("由管理员固定。")).to_be_visible()
        await page.get_by_role("radio", name="水彩").check()
        await expect(page.get_by_role("radio", name="无")).not_to_be_checked()


async def test_without_the_script_the_form_says_the_same(opened: Opened) -> None:
    async with opened(form_of(TXT2IMG, styles=STYLES, values={"seed": 7}), java_script_enabled=False) as page:
        await page.get_by_role("textbox", name="Prompt", exact=True).fill("hills")
        await page.get_by_text("Advanced").click()
        await page.get_by_role("combobox", name="Sampler").select_option("euler")
        assert await sent(page, TXT2IMG) == {"prompt": "hills", "sampler": "euler", "seed": 7}
