"""The form in a chat: what comes from the server, and what goes back."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from playwright.async_api import FilePayload, expect

from tests.apps.chatting import FORM, QUICK, VALUES, box, generate, jobs
from tests.apps.conftest import Chat
from tests.images.samples import encoded, noise


async def test_a_switch_is_switched(chat: Chat, api: httpx.AsyncClient) -> None:
    view = await chat.open("open_form", {"template": "collage"})
    await expect(view.get_by_role("switch", name="Resize")).not_to_be_checked()
    await view.get_by_role("switch", name="Resize").check()
    await generate(view, 1)
    assert [job["values"] for job in await jobs(api)] == [{"resize": True}]


@pytest.mark.parametrize("api", [{"locked": {"*": {"cfg": 3.5}, "txt2img": {"style": "anime"}}}], indirect=True)
async def test_what_the_administrator_fixed_is_shown_and_counts(chat: Chat, api: httpx.AsyncClient) -> None:
    view = await chat.open("open_form", {**QUICK, "values": {**QUICK["values"], "cfg": 9}})
    await expect(box(view, "cfg")).to_have_value("3.5")
    await expect(box(view, "cfg")).not_to_be_editable()
    await expect(box(view, "style")).to_have_value("Anime")
    await generate(view, 1)
    assert "cfg" not in (await chat.seen("calls"))[0]["arguments"]["values"]
    assert [(job["values"]["cfg"], job["style"]) for job in await jobs(api)] == [(3.5, "anime")]


@pytest.mark.parametrize("lost", [False, True])
async def test_a_chat_that_leaves_the_markup_out_is_asked_once_more(chat: Chat, lost: bool) -> None:
    named = {"id": "txt2img", "title": "Text to image", "description": ""}
    told: dict[str, Any] = {"content": [], "structuredContent": {"view": "form", "template": named, "values": VALUES}}
    view = await chat.open("open_form", FORM, result=told, withoutMeta=lost)
    await expect(view.get_by_role("heading", level=1)).to_have_text("Text to image")
    if lost:
        await expect(view.locator("#note")).to_contain_text("Say in the chat what to make")
    else:
        await expect(box(view, "prompt")).to_have_value("hills at dawn")


async def test_a_picture_chosen_in_the_chat_travels_in_the_call(chat: Chat, api: httpx.AsyncClient) -> None:
    view = await chat.open("open_form", {"template": "img2img", "values": {"prompt": "hills", "steps": 1}})
    drawn: FilePayload = {"name": "hill.png", "mimeType": "image/png", "buffer": encoded(noise(96, 64), "PNG")}
    await view.locator("[data-field=image] [type=file]").set_input_files([drawn])
    await expect(view.get_by_alt_text("The picture that is chosen")).to_be_visible()
    await generate(view, 1)
    (job,) = await jobs(api)
    assert job["template"] == "img2img"
    assert "hill.png" in (await chat.seen("context"))[0]
