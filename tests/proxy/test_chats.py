"""Chats over REST: found among the templates, described, refused in plain words, and short in lists."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.bridge.servers import Script
from tests.texts import CHAT, NOWHERE, says, text_server
from tests.workbenches import served

KEYLESS = [{"name": "office", "url": NOWHERE, "key_env": "WORKBENCH_TEST_NO_SUCH_KEY"}]


@pytest.fixture
async def server() -> AsyncGenerator[Script]:
    async with text_server() as script:
        yield script


@pytest.fixture
async def http(tmp_path: Path, server: Script) -> AsyncGenerator[httpx.AsyncClient]:
    async with served(tmp_path, NOWHERE, llm_url=server.url) as client:
        yield client


async def made(http: httpx.AsyncClient, **values: Any) -> dict[str, Any]:
    asked = {"template": "chat", "values": {"model": "alpha", "prompt": "the sea", **values}}
    created = await http.post("/api/v1/jobs", json=asked)
    assert created.status_code == 202, created.text
    return await ended(http, created.headers["location"])


async def ended(http: httpx.AsyncClient, place: str) -> dict[str, Any]:
    with anyio.fail_after(30):
        while (told := (await http.get(place)).json())["state"] in ("queued", "running"):
            await anyio.sleep(0.02)
    return told


async def test_a_chat_is_found_and_described_where_there_is_a_server(
    http: httpx.AsyncClient, api: httpx.AsyncClient
) -> None:
    assert "chat" in [each["id"] for each in (await http.get("/api/v1/templates")).json()["templates"]]
    told = (await http.get("/api/v1/templates/chat")).json()
    parameters = {each["name"]: each for each in told["parameters"]}
    assert parameters["model"]["choices"] == ["auto", "llm/alpha", "llm/beta"]
    assert parameters["prompt"]["required"]
    assert "chat" not in [each["id"] for each in (await api.get("/api/v1/templates")).json()["templates"]]
    assert (await api.get("/api/v1/templates/chat")).status_code == 404


@pytest.mark.parametrize(
    ("body", "parameter", "told"),
    [
        ({"style": "anime"}, "style", "A chat takes no style."),
        ({"values": {"prompt": "x", "image": "nothing"}}, "image", "image: there is no picture 'nothing'."),
        ({"values": {"promt": "x"}}, "promt", "A chat has no parameter 'promt'."),
        ({"values": {"prompt": " "}}, "prompt", "prompt is empty."),
        ({"values": {"prompt": "x", "schema": {"type": 5}}}, "schema", "The schema is no JSON Schema"),
    ],
)
async def test_what_a_chat_does_not_take_is_named(
    http: httpx.AsyncClient, body: dict[str, Any], parameter: str, told: str
) -> None:
    refused = await http.post("/api/v1/jobs", json={"template": "chat", "values": {"prompt": "x"}, **body})
    error = refused.json()["error"]
    assert (refused.status_code, error["details"].get("parameter")) == (422, parameter), error
    assert error["message"].startswith(told)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "template is missing."),
        ({"template": 5}, "template is not a text."),
        ({"template": "chat", "value": {}}, "The body has no 'value'."),
        ({"template": "chat", "priority": 11}, "priority is not at most 10."),
        ({"template": "chat", "tags": ["a", 5]}, "tags, entry 2 is not a text."),
    ],
)
async def test_a_body_is_refused_in_plain_words(http: httpx.AsyncClient, body: dict[str, Any], told: str) -> None:
    refused = await http.post("/api/v1/jobs", json=body)
    assert (refused.status_code, refused.json()["error"]["message"]) == (400, told)


async def test_lists_show_the_beginning_of_an_answer_and_one_job_all_of_it(
    http: httpx.AsyncClient, server: Script
) -> None:
    server.on(CHAT, says("long " * 400), says("short"))
    long, short = await made(http), await made(http)
    assert long["outputs"][0] == {"node": "", "kind": "text", "value": "long " * 400, "cut": False}
    listed = {job["id"]: job["outputs"][0] for job in (await http.get("/api/v1/jobs")).json()["jobs"]}
    assert listed[long["id"]] == {"node": "", "kind": "text", "value": "long " * 100, "cut": True}
    assert listed[short["id"]] == {"node": "", "kind": "text", "value": "short", "cut": False}


async def test_a_comparison_pushes_nothing_out_of_the_list_of_jobs(http: httpx.AsyncClient) -> None:
    chat = await made(http)
    asked = {"models": ["*"], "prompts": ["the moon"], "parameters": "seed=1,2,3"}
    started = await http.post("/api/v1/compare", json=asked)
    told = await ended_comparison(http, started.headers["location"])
    assert (told["state"], told["done"]) == ("done", 6)
    assert [job["id"] for job in (await http.get("/api/v1/jobs", params={"limit": 5})).json()["jobs"]] == [chat["id"]]


async def ended_comparison(http: httpx.AsyncClient, place: str) -> dict[str, Any]:
    with anyio.fail_after(30):
        while (told := (await http.get(place)).json())["state"] in ("running", "judging"):
            await anyio.sleep(0.02)
    return told


async def test_a_server_without_its_key_is_listed_with_its_problem(tmp_path: Path) -> None:
    async with served(tmp_path, NOWHERE, llm_servers=KEYLESS) as http:
        backends = {each["name"]: each for each in (await http.get("/api/v1/backends")).json()["backends"]}
        assert backends["office"]["circuit"] == "open"
        assert "WORKBENCH_TEST_NO_SUCH_KEY" in backends["office"]["problem"]
        asked = {"template": "chat", "values": {"prompt": "x"}}
        for refused in (await http.get("/api/v1/templates/chat"), await http.post("/api/v1/jobs", json=asked)):
            assert refused.status_code == 503
            assert "WORKBENCH_TEST_NO_SUCH_KEY" in refused.json()["error"]["hint"]
