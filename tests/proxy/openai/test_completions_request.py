"""What a chat completion request may say: refused by the name of its field, and then nothing reaches a server."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from comfy_mcp.fetching import Fetcher
from tests.bridge.servers import Script, scripted
from tests.proxy.openai.chatting import PATH, body, over_text, said
from tests.security.canary import listening_canary, ok
from tests.test_fetching import loopback
from tests.texts import CHAT

ADDRESS = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/x.png"}}
TEXT = {"type": "text", "text": "hi"}

BAD: dict[str, tuple[dict[str, Any], int, str | None]] = {
    "no model": ({"messages": said("hi")}, 400, "model"),
    "a model of no letters": (body(model=""), 400, "model"),
    "a number as model": (body(model=5), 400, "model"),  # pyright: ignore[reportArgumentType]
    "no messages": ({"model": "alpha"}, 400, "messages"),
    "an empty conversation": ({"model": "alpha", "messages": []}, 400, "messages"),
    "messages that are a text": ({"model": "alpha", "messages": "hi"}, 400, "messages"),
    "a message that is a text": ({"model": "alpha", "messages": ["hi"]}, 400, "messages"),
    "an unknown role": ({"model": "alpha", "messages": [{"role": "king", "content": "hi"}]}, 400, "messages"),
    "a part of no kind": ({"model": "alpha", "messages": [{"role": "user", "content": [5]}]}, 400, "messages"),
    "a sound": (
        {"model": "alpha", "messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
        400,
        "messages",
    ),
    "a picture that is none": (
        {"model": "alpha", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": 5}]}]},
        400,
        "messages",
    ),
    "an address": ({"model": "alpha", "messages": [{"role": "user", "content": [TEXT, ADDRESS]}]}, 400, None),
    "two answers": (body(n=2), 400, "n"),
    "stream as a text": (body(stream="yes"), 400, "stream"),
    "usage as a text": (body(stream_options={"include_usage": "yes"}), 400, "stream_options"),
    "a hot temperature": (body(temperature="hot"), 400, "temperature"),
    "a temperature too high": (body(temperature=6), 400, "temperature"),
    "no tokens": (body(max_tokens=0), 400, "max_tokens"),
    "half a token": (body(max_completion_tokens=0.5), 400, "max_completion_tokens"),
    "a flag for a number": (body(seed=True), 400, "seed"),
    "a penalty too high": (body(presence_penalty=3), 400, "presence_penalty"),
    "stops that are numbers": (body(stop=[5]), 400, "stop"),
    "too many stops": (body(stop=[str(n) for n in range(17)]), 400, "stop"),
    "tools of no kind": (body(tools=[5]), 400, "tools"),
    "a tool without a name": (body(tools=[{"type": "function", "function": {}}]), 400, "tools"),
    "a tool that is no function": (body(tools=[{"type": "code_interpreter"}]), 400, "tools"),
    "a choice of no tool": (body(tool_choice={"type": "function", "function": {"name": "x"}}), 400, "tool_choice"),
    "a format of no kind": (body(response_format={"type": "xml"}), 400, "response_format"),
    "a schema that is a list": (
        body(response_format={"type": "json_schema", "json_schema": []}),
        400,
        "response_format",
    ),
    "an effort of no kind": (body(reasoning_effort="herculean"), 400, "reasoning_effort"),
    "nothing to say": (body(" "), 400, "messages"),
    "a word that auto does not know": (body(model="auto:handsome"), 400, "model"),
    "a model that nobody has": (body(model="llm/gamma"), 404, "model"),
    "a workflow that nobody has": (body(model="workflow/../x"), 404, "model"),
}


@pytest.fixture
async def wired(tmp_path: Path) -> AsyncGenerator[tuple[httpx.AsyncClient, Script]]:
    async with over_text(tmp_path) as (http, script):
        yield http, script


async def test_what_cannot_be_used_is_named_and_reaches_no_server(wired: tuple[httpx.AsyncClient, Script]) -> None:
    http, script = wired
    for name, (asked, status, param) in BAD.items():
        for stream in (None, True):
            sent = asked if stream is None or "stream" in asked else {**asked, "stream": True}
            refused = await http.post(PATH, json=sent)
            error = refused.json()["error"]
            assert (refused.status_code, error["param"]) == (status, param), (name, error)
            assert error["message"] and error["type"]
    assert script.bodies(CHAT) == []


async def test_a_schema_that_is_none_is_refused(wired: tuple[httpx.AsyncClient, Script]) -> None:
    http, script = wired
    format = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "no such type"}}}
    refused = await http.post(PATH, json=body(response_format=format))
    assert refused.status_code == 400, refused.text
    assert script.bodies(CHAT) == []


async def test_what_is_unknown_or_null_is_ignored(wired: tuple[httpx.AsyncClient, Script]) -> None:
    http, script = wired
    odd: dict[str, Any] = {
        "logprobs": True,
        "top_logprobs": 5,
        "parallel_tool_calls": False,
        "user": "me",
        "metadata": {"a": 1},
        "service_tier": "auto",
        "seed": -1,
        "top_k": -1,
        "max_tokens": -1,
        "stop": None,
        "temperature": None,
        "tools": None,
        "response_format": {"type": "text"},
    }
    answer = await http.post(PATH, json=body(**odd))
    assert answer.status_code == 200, answer.text
    (sent,) = script.bodies(CHAT)
    assert not {"seed", "top_k", "max_tokens", "stop", "temperature", "logprobs", "user", "metadata"} & set(sent)


async def test_an_attempt_that_does_not_run_counts_for_nothing(wired: tuple[httpx.AsyncClient, Script]) -> None:
    http, script = wired
    assert (await http.post(PATH, json=body(), headers={"X-Workbench-Attempt": "nonsense"})).status_code == 200
    assert (await http.post(PATH, json={**body(), "X-Workbench-Attempt": "nonsense"})).status_code == 200
    refused = await http.post(PATH, json={**body(), "X-Workbench-Attempt": 5})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "X-Workbench-Attempt")
    assert len(script.bodies(CHAT)) == 2


async def test_everything_that_is_known_reaches_the_server(wired: tuple[httpx.AsyncClient, Script]) -> None:
    http, script = wired
    known: dict[str, Any] = {
        "temperature": 0.3,
        "top_p": 0.9,
        "presence_penalty": 0.5,
        "frequency_penalty": -0.5,
        "seed": 7,
    }
    await http.post(PATH, json=body(**known, max_completion_tokens=9, max_tokens=5, stop="END"))
    (sent,) = script.bodies(CHAT)
    assert {name: sent[name] for name in known} == known
    assert (sent["max_tokens"], sent["stop"]) == (9, ["END"])


async def test_what_is_locked_or_set_for_good_counts_more(tmp_path: Path) -> None:
    locked: Any = {"chat": {"max_tokens": 5, "system": "Be kind."}}
    async with over_text(tmp_path, locked=locked) as (http, script):
        headers = {"X-Comfy-Temperature": "0.2", "X-Comfy-Top-P": "nonsense", "X-Comfy-Model": "4x.pth"}
        answer = await http.post(PATH, json=body(temperature=1, max_tokens=500), headers=headers)
        assert answer.status_code == 200, answer.text
        (sent,) = script.bodies(CHAT)
    assert (sent["max_tokens"], sent["temperature"]) == (5, 0.2)
    assert "top_p" not in sent
    assert sent["messages"][0] == {"role": "system", "content": "Be kind."}


async def test_an_address_is_fetched_only_from_the_public_internet(tmp_path: Path) -> None:
    async with scripted() as neighbour, over_text(tmp_path, fetch_urls=True) as (http, script):
        part = {"type": "image_url", "image_url": {"url": f"{neighbour.url}/x.png"}}
        refused = await http.post(
            PATH, json={"model": "alpha", "messages": [{"role": "user", "content": [TEXT, part]}]}
        )
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_image")
        assert "is not fetched" in refused.json()["error"]["message"]
        many = [{"type": "image_url", "image_url": {"url": "http://[::1]/x"}}] * 20
        await http.post(PATH, json={"model": "alpha", "messages": [{"role": "user", "content": many}]})
        assert neighbour.received == [] and script.bodies(CHAT) == []


async def test_a_picture_that_is_fetched_or_linked_reaches_the_model_and_is_not_stored(
    tmp_path: Path, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening_canary() as public, over_text(tmp_path, fetch_urls=True) as (http, script):
        monkeypatch.setattr("comfy_mcp.fetching._PORTS", frozenset({public.port}))
        monkeypatch.setattr("comfy_mcp.workbench.workbench.Fetcher", partial(Fetcher, allowed=loopback))
        public.answers = [ok(picture)] * 2
        own = (await http.post("/api/v1/assets", content=picture, headers={"content-type": "image/png"})).json()["id"]
        given = {
            "type": "image_url",
            "image_url": {"url": f"data:image/png;base64,{base64.b64encode(picture).decode()}"},
        }
        asked = [f"{public.url}/a.png", f"https://elsewhere/api/v1/assets/{own}?signature=x"]
        for url in asked:
            parts = [given, TEXT, {"type": "image_url", "image_url": {"url": url}}, TEXT]
            answer = await http.post(PATH, json={"model": "alpha", "messages": [{"role": "user", "content": parts}]})
            assert answer.status_code == 200, answer.text
        with closing(sqlite3.connect(tmp_path / "workbench.sqlite3")) as database:
            assert database.execute("SELECT count(*) FROM asset").fetchone() == (1,)
    assert public.connections == 1
    for sent in script.bodies(CHAT):
        kinds = [part["type"] for part in sent["messages"][0]["content"]]
        assert kinds == ["image_url", "text", "image_url", "text"]
        assert sent["messages"][0]["content"][2] == sent["messages"][0]["content"][0]


async def test_a_picture_that_cannot_be_fetched_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening_canary() as public, over_text(tmp_path, fetch_urls=True) as (http, script):
        monkeypatch.setattr("comfy_mcp.fetching._PORTS", frozenset({public.port}))
        monkeypatch.setattr("comfy_mcp.workbench.workbench.Fetcher", partial(Fetcher, allowed=loopback))
        part = {"type": "image_url", "image_url": {"url": f"{public.url}/a.png"}}
        refused = await http.post(PATH, json={"model": "alpha", "messages": [{"role": "user", "content": [part]}]})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_image")
        assert script.bodies(CHAT) == []


async def test_half_a_picture_is_refused_before_a_server_decodes_it(
    wired: tuple[httpx.AsyncClient, Script], picture: bytes
) -> None:
    http, script = wired
    url = f"data:image/png;base64,{base64.b64encode(picture[: len(picture) // 2]).decode()}"
    part = {"type": "image_url", "image_url": {"url": url}}
    refused = await http.post(PATH, json={"model": "alpha", "messages": [{"role": "user", "content": [part]}]})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_image")
    assert script.bodies(CHAT) == []


async def test_a_body_is_json_and_said_to_be(wired: tuple[httpx.AsyncClient, Script]) -> None:
    http, _ = wired
    cases = ((b"{", "application/json", 400), (b"[]", "application/json", 400), (b"{}", "text/plain", 415))
    for content, kind, status in cases:
        refused = await http.post(PATH, content=content, headers={"content-type": kind})
        assert refused.status_code == status and set(refused.json()["error"]) == {"message", "type", "param", "code"}
