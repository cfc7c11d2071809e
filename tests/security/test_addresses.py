"""Wherever a picture may be given as an address, none leads to this machine or its neighbours (SSRF)."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.security.addresses import ADDRESSES
from tests.security.bodies import BODIES
from tests.security.canary import Canary, listening_canary
from tests.security.target import Target, target

FEWEST = 60
GUARDED = ("Nothing can be fetched from there", "Only http and https addresses")


async def _tool(target: Target, name: str, arguments: dict[str, Any]) -> httpx.Response:
    body = {**BODIES["POST /mcp"], "params": {"name": name, "arguments": arguments}}
    headers = {"Accept": "application/json, text/event-stream", "Mcp-Session-Id": target.session}
    answer = await target.client.post("/mcp", json=body, headers=headers)
    answer.status_code = 400 if answer.json().get("result", {}).get("isError") else answer.status_code
    return answer


async def _upload_image(target: Target, url: str) -> httpx.Response:
    return await _tool(target, "upload_image", {"image": url})


async def _img2img(target: Target, url: str) -> httpx.Response:
    return await _tool(target, "img2img", {"prompt": "a", "image": url})


async def _job(target: Target, url: str) -> httpx.Response:
    values = {"prompt": "a", "image": url}
    return await target.client.post("/api/v1/jobs", json={"template": "img2img", "values": values})


async def _a1111(target: Target, url: str) -> httpx.Response:
    return await target.client.post("/sdapi/v1/img2img", json={"prompt": "a", "init_images": [url]})


async def _a1111_upscaling(target: Target, url: str) -> httpx.Response:
    return await target.client.post("/sdapi/v1/extra-single-image", json={"image": url})


async def _edit(target: Target, url: str) -> httpx.Response:
    return await target.client.post("/v1/images/edits", json={"prompt": "a", "image": {"image_url": url}})


async def _edit_form(target: Target, url: str) -> httpx.Response:
    return await target.client.post("/v1/images/edits", files={"prompt": (None, "a"), "image": (None, url)})


async def _chat(target: Target, url: str, model: str = "llm/alpha") -> httpx.Response:
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    body = {"model": model, "messages": [{"role": "user", "content": parts}]}
    return await target.client.post("/v1/chat/completions", json=body)


async def _agent(target: Target, url: str) -> httpx.Response:
    """What a message asks for in vain, it is told as the answer."""
    answer = await _chat(target, url, "workflow/img2img")
    answer.status_code = 400 if "`--help` lists what" in answer.text else answer.status_code
    return answer


DOORS: dict[str, Callable[[Target, str], Awaitable[httpx.Response]]] = {
    "the tool that uploads": _upload_image,
    "a tool that takes a picture": _img2img,
    "A1111's img2img": _a1111,
    "A1111's upscaling": _a1111_upscaling,
    "OpenAI's edits as JSON": _edit,
    "OpenAI's edits as a form": _edit_form,
    "a chat with a model": _chat,
    "a chat with a workflow": _agent,
}


@pytest.fixture
async def canary(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Canary]:
    async with listening_canary() as running:
        # As if it listened where web servers do: else its port alone would keep everybody away.
        monkeypatch.setattr("comfy_mcp.fetching._PORTS", frozenset({80, 443, running.port}))
        yield running


@pytest.fixture
async def running(tmp_path: Path, embedded_url: str) -> AsyncGenerator[Target]:
    async with target(tmp_path, embedded_url, fetch_urls=True) as open_target:
        yield open_target


@pytest.mark.parametrize("door", DOORS)
async def test_no_address_leads_here(running: Target, canary: Canary, door: str) -> None:
    guarded = 0
    for name, address in ADDRESSES.items():
        answer = await DOORS[door](running, address.replace("{port}", str(canary.port)))
        assert 400 <= answer.status_code < 500, (name, answer.text[:500])
        assert "secret" not in answer.text
        guarded += any(words in answer.text for words in GUARDED)
    # Not because the picture was taken for something else before anybody looked at the address.
    assert guarded >= FEWEST
    assert canary.connections == 0


@pytest.mark.parametrize("door", DOORS)
async def test_a_name_that_changes_is_asked_for_once(
    running: Target, canary: Canary, door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is public when it is judged and this machine a moment later (DNS rebinding)."""
    asked: list[str] = []

    async def changing(host: str, port: int, **more: Any) -> list[Any]:
        asked.append(host)
        address = "93.184.216.34" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, 1, 6, "", (address, port))]

    monkeypatch.setattr(anyio, "getaddrinfo", changing)
    monkeypatch.setattr("comfy_mcp.fetching._CONNECT_SECONDS", 0.1)
    answer = await DOORS[door](running, f"http://changing.example:{canary.port}/a.png")
    assert 400 <= answer.status_code < 500
    assert (asked, canary.connections) == (["changing.example"], 0)


async def test_the_api_takes_no_addresses(running: Target, canary: Canary) -> None:
    for name, address in ADDRESSES.items():
        answer = await _job(running, address.replace("{port}", str(canary.port)))
        assert 400 <= answer.status_code < 500, (name, answer.text)
    assert canary.connections == 0


@pytest.mark.parametrize("door", DOORS)
async def test_nothing_is_fetched_unless_the_settings_say_so(
    tmp_path: Path, embedded_url: str, canary: Canary, door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(host: str, port: int, **more: Any) -> list[Any]:
        raise AssertionError

    monkeypatch.setattr(anyio, "getaddrinfo", never)
    async with target(tmp_path, embedded_url) as closed:
        answer = await DOORS[door](closed, f"http://public.example:{canary.port}/a.png")
    assert 400 <= answer.status_code < 500 and "not fetched" in answer.text
