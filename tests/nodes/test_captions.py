"""Caption Images: each picture of a batch is asked about alone, and what comes out is a caption and nothing else."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import Any

import numpy
import pytest
from PIL import Image

from comfy_nodes.nodes.captions import CaptionImages
from comfy_nodes.presets import preset, preset_names
from llm_bridge.errors import BadAnswer, BadInput, NotSupported
from tests.bridge.boxes import Box, boxes, until
from tests.bridge.servers import Received, chunk, json_answer, sse, stream
from tests.llama.servers import LlamaServer
from tests.nodes.calling import Page, Stopped
from tests.nodes.conftest import SetUp
from tests.texts import CHAT, hanging, says, text_server


def greys(count: int) -> Any:
    """A batch of pictures, each of its own grey: 0, 1, 2 …"""
    return numpy.stack([numpy.full((4, 4, 3), grey / 255, "float32") for grey in range(count)])


def seen(received: Received) -> int:
    """The grey of the one picture that was sent."""
    (image,) = [part for part in received.json["messages"][-1]["content"] if part["type"] == "image_url"]
    data = base64.b64decode(image["image_url"]["url"].partition(",")[2])
    return Image.open(io.BytesIO(data)).convert("L").getpixel((0, 0))  # pyright: ignore[reportReturnType]


async def captioned(images: Any, **told: Any) -> dict[str, Any]:
    inputs: dict[str, Any] = {"model": "alpha", "style": "Caption", "seed": 1, "temperature": 0.2, "max_tokens": 64}
    return await CaptionImages().caption(images=images, unique_id="7", **inputs | told)


async def test_every_picture_is_asked_about_alone_and_the_captions_keep_the_order(set_up: SetUp, page: Page) -> None:
    async with text_server() as script:
        script.on(CHAT, lambda received: says(f"Here is the caption: Grey\nno. {seen(received)}."))
        set_up(script.url)
        outputs = await captioned(greys(3))
        texts = [body["messages"][0]["content"][-1]["text"] for body in script.bodies(CHAT)]
    captions, all_ = outputs["result"]
    assert captions == ["Grey\nno. 0.", "Grey\nno. 1.", "Grey\nno. 2."]
    assert all_ == "Grey no. 0.\nGrey no. 1.\nGrey no. 2." == page.texts[-1]
    assert outputs["ui"] == {"text": [all_]}
    assert texts == [preset("captions", "Caption").text] * 3
    assert page.progress == [(1, 3), (2, 3), (3, 3)] and page.texts[0].startswith("Picture 1 of 3\n\n")


async def test_a_question_of_ones_own_is_asked_instead(set_up: SetUp) -> None:
    async with text_server() as script:
        set_up(script.url)
        await captioned(greys(1), prompt="  How many cats? ", style="Tags")
        (body,) = script.bodies(CHAT)
    assert body["messages"][0]["content"][-1]["text"] == "How many cats?"


async def test_a_trigger_word_stands_before_every_caption(set_up: SetUp) -> None:
    async with text_server() as script:
        script.on(CHAT, says("a man on a horse"))
        set_up(script.url)
        outputs = await captioned(greys(2), prefix="ohwx, ", suffix="film grain", style="Training caption")
    assert outputs["result"][0] == ["ohwx, a man on a horse film grain"] * 2


async def test_the_node_shows_which_picture_is_looked_at(set_up: SetUp, page: Page) -> None:
    gate = asyncio.Event()
    async with text_server() as script:
        script.on(CHAT, says("One."), hanging(gate))
        set_up(script.url)
        call = asyncio.create_task(captioned(greys(2)))
        await until(lambda: (1, 2) in page.progress and page.texts[-1] == "Picture 2 of 2\n\nOnce")
        gate.set()
        assert (await call)["result"][0] == ["One.", "Once more."]


async def test_a_model_that_cannot_see_is_told_with_what_to_do(set_up: SetUp) -> None:
    words = "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"
    async with text_server() as script:
        script.on(CHAT, json_answer({"error": {"message": words}}, 500))
        set_up(script.url)
        with pytest.raises(NotSupported, match=r"not supported.*Choose a model with vision"):
            await captioned(greys(1))


async def test_a_real_model_without_eyes_is_not_chosen(set_up: SetUp, llama_router: LlamaServer) -> None:
    set_up(llama_router.url)
    for model in ("tiny-a", "auto:vision"):
        with pytest.raises(NotSupported):
            await captioned(greys(1), model=model)


async def test_nothing_said_about_a_picture_is_an_error_and_no_caption(set_up: SetUp) -> None:
    async with text_server() as script:
        script.on(CHAT, says("A cat."), stream(sse(chunk("", "stop"))))
        set_up(script.url)
        with pytest.raises(BadAnswer, match=r"said nothing about a picture\. Choose another model"):
            await captioned(greys(2))


async def test_what_is_no_picture_is_told_before_anybody_is_asked(set_up: SetUp) -> None:
    with pytest.raises(BadInput, match="no batch of pictures"):
        await captioned(numpy.zeros((0, 4, 4, 3)))


async def test_the_model_is_let_go_of_after_the_last_picture_only(set_up: SetUp) -> None:
    box = Box("box", ("alpha",))
    async with boxes(box):
        box.on(CHAT, stream(sse(chunk("A cat.", "stop"))))
        set_up(box.url)
        await captioned(greys(5), unload_after=True)
        asked = [each.path for each in box.received if each.method == "POST"]
    assert asked.count("/models/load") == 1 and asked[-1] == "/models/unload" and box.loaded == []


async def test_an_interrupted_batch_asks_about_no_more_pictures(set_up: SetUp, page: Page) -> None:
    async with text_server() as script:
        script.on(CHAT, hanging(asyncio.Event()))
        set_up(script.url)
        call = asyncio.create_task(captioned(greys(4)))
        await until(lambda: page.texts and page.texts[-1].endswith("Once"))
        page.interrupt()
        with pytest.raises(Stopped):
            await call
        await asyncio.wait_for(script.aborted.wait(), 1)
        assert len(script.bodies(CHAT)) == 1


@pytest.mark.parametrize("name", preset_names("captions"))
def test_each_style_is_a_question_that_asks_for_the_text_alone(name: str) -> None:
    assert "alone." in preset("captions", name).text


def test_styles_are_offered() -> None:
    assert {"Caption", "Tags", "Alt text", "Training caption"} <= set(
        CaptionImages.INPUT_TYPES()["required"]["style"][0]
    )
