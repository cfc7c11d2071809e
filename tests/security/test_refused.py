"""What is refused has fetched nothing and left nothing behind: all that needs no picture is looked at before."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from comfy_mcp.fetching import Fetcher
from tests.security.bodies import BASE64, PNG
from tests.security.canary import Canary, listening_canary, ok
from tests.security.target import Target, target
from tests.test_fetching import loopback

URL = "http://address/a.png"
HUGE = 10**9
IMG2IMG: dict[str, Any] = {"prompt": "a", "init_images": [URL], "steps": 1}
UPSCALE: dict[str, Any] = {"image": URL}
EDIT: dict[str, Any] = {"prompt": "a", "image": {"image_url": URL}, "steps": 1}
SEVERAL = [{"image_url": URL}, {"image_url": URL}]


def chat(model: str, text: str = "What is it?", **more: Any) -> dict[str, Any]:
    parts = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": URL}}]
    return {"model": model, "messages": [{"role": "user", "content": parts}], **more}


DOORS: dict[str, dict[str, Any]] = {
    "/sdapi/v1/img2img": IMG2IMG,
    "/sdapi/v1/extra-single-image": UPSCALE,
    "/v1/images/edits": EDIT,
    "/v1/chat/completions": chat("llm/alpha"),
}
REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "A1111: steps": ("/sdapi/v1/img2img", IMG2IMG | {"steps": HUGE}),
    "A1111: a checkpoint": ("/sdapi/v1/img2img", IMG2IMG | {"override_settings": {"sd_model_checkpoint": "none such"}}),
    "A1111: how strongly": ("/sdapi/v1/img2img", IMG2IMG | {"denoising_strength": 7}),
    "A1111: steps where there is a mask": ("/sdapi/v1/img2img", IMG2IMG | {"mask": URL, "steps": HUGE}),
    "A1111: a mask that is none": ("/sdapi/v1/img2img", IMG2IMG | {"mask": "!"}),
    "A1111: how large": ("/sdapi/v1/extra-single-image", UPSCALE | {"upscaling_resize": -1}),
    "A1111: how wide": ("/sdapi/v1/extra-single-image", UPSCALE | {"resize_mode": 1, "upscaling_resize_w": "x"}),
    "A1111: a second that is none": ("/sdapi/v1/extra-batch-images", {"imageList": [URL, "!"]}),
    "edits: steps": ("/v1/images/edits", EDIT | {"steps": HUGE}),
    "edits: a sampler": ("/v1/images/edits", EDIT | {"sampler": "none such"}),
    "edits: a checkpoint": ("/v1/images/edits", EDIT | {"checkpoint": "none such"}),
    "edits: a seed": ("/v1/images/edits", EDIT | {"seed": -7, "n": 2}),
    "edits: a workflow": ("/v1/images/edits", EDIT | {"model": "workflow/none"}),
    "edits: steps in a stream": ("/v1/images/edits", EDIT | {"steps": HUGE, "stream": True}),
    "edits: a second that is none": ("/v1/images/edits", EDIT | {"images": SEVERAL, "mask": "!"}),
    "chat: a model": ("/v1/chat/completions", chat("llm/none")),
    "chat: a workflow": ("/v1/chat/completions", chat("workflow/none")),
    "chat: a temperature": ("/v1/chat/completions", chat("llm/alpha", temperature=99)),
    "chat: a tool": ("/v1/chat/completions", chat("llm/alpha", tool_choice={"type": "function", "function": {}})),
    "chat: an answer's shape": ("/v1/chat/completions", chat("llm/alpha", response_format={"type": "none"})),
    "chat: a message": (
        "/v1/chat/completions",
        chat("llm/alpha") | {"messages": [*chat("llm/alpha")["messages"], {"role": "nobody", "content": "a"}]},
    ),
}
TOLD: dict[str, str] = {
    "steps": f"a cat --steps {HUGE}",
    "an option": "a cat --none-such 1",
    "a sampler": "a cat --sampler none-such",
    "a preset": "a cat --preset none-such",
    "a style": "a cat --style none-such",
}


@pytest.fixture
async def canary(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Canary]:
    """A server of the public internet, as far as the workbench can tell."""
    async with listening_canary() as running:
        monkeypatch.setattr("comfy_mcp.fetching._PORTS", frozenset({running.port}))
        monkeypatch.setattr("comfy_mcp.workbench.workbench.Fetcher", partial(Fetcher, allowed=loopback))
        yield running


@pytest.fixture
async def running(tmp_path: Path, embedded_url: str) -> AsyncGenerator[Target]:
    async with target(tmp_path, embedded_url, fetch_urls=True) as open_target:
        yield open_target


async def ask(running: Target, canary: Canary, path: str, body: dict[str, Any]) -> httpx.Response:
    return await running.client.post(path, json=json.loads(json.dumps(body).replace(URL, f"{canary.url}/a.png")))


async def test_what_is_taken_is_fetched(running: Target, canary: Canary) -> None:
    for number, (path, body) in enumerate(DOORS.items(), start=1):
        canary.answers = [ok(PNG)]
        answer = await ask(running, canary, path, body)
        assert (answer.status_code, canary.connections) == (200, number), answer.text


async def test_what_is_refused_has_fetched_and_kept_nothing(running: Target, canary: Canary) -> None:
    canary.answers = [ok(PNG)] * 100
    before, harm = running.made, dict[str, Any]()
    for name, (path, body) in REFUSED.items():
        answer = await ask(running, canary, path, body)
        assert 400 <= answer.status_code < 500, (name, answer.text)
        if canary.connections or running.made != before:
            harm[name] = (canary.connections, running.made)
            canary.connections, before = 0, running.made
    assert harm == {}


@pytest.mark.parametrize("sent", [URL, f"data:image/png;base64,{BASE64}"], ids=["address", "data"])
async def test_a_message_that_is_refused_has_fetched_and_kept_nothing(
    running: Target, canary: Canary, sent: str
) -> None:
    canary.answers = [ok(PNG)] * 100
    before = running.made
    for name, text in TOLD.items():
        body = json.loads(json.dumps(chat("workflow/img2img", text)).replace(URL, sent))
        answer = await ask(running, canary, "/v1/chat/completions", body)
        assert "`--help` lists what" in answer.json()["choices"][0]["message"]["content"], name
        assert (canary.connections, running.made) == (0, before), name


async def test_a_second_picture_that_is_none_takes_the_first_along(running: Target, canary: Canary) -> None:
    canary.answers = [ok(PNG), ok(b"none")] * 2
    before = running.made
    for path, body in (
        ("/sdapi/v1/extra-batch-images", {"imageList": [URL, URL]}),
        ("/sdapi/v1/img2img", IMG2IMG | {"mask": URL}),
    ):
        assert 400 <= (await ask(running, canary, path, body)).status_code < 500
    assert (canary.connections, running.made) == (4, before)
