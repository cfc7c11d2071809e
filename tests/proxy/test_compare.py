"""`/api/v1/compare` and chats as jobs over a real socket: from POST to report, and what bad input gets."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from PIL import Image

from tests.bridge.servers import Script
from tests.texts import CHAT, NOWHERE, text_server
from tests.workbenches import served

ASKED = {"models": ["*"], "prompts": ["the sea", {"text": "the moon", "name": "moon"}], "parameters": "seed=1"}

MANY = ",".join(map(str, range(200))).encode()


@pytest.fixture
async def server() -> AsyncGenerator[Script]:
    async with text_server() as script:
        yield script


@pytest.fixture
async def http(tmp_path: Path, server: Script) -> AsyncGenerator[httpx.AsyncClient]:
    async with served(tmp_path, NOWHERE, llm_url=server.url) as client:
        yield client


async def compared(http: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    """A comparison from its start to its end, followed by its events."""
    answer = await http.post("/api/v1/compare", json={**ASKED, **more})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/api/v1/compare/{answer.json()['id']}"
    kinds: list[str] = []
    told: dict[str, Any] = {}
    with anyio.fail_after(30):
        async with http.stream("GET", f"{answer.headers['location']}/events") as stream:
            async for line in stream.aiter_lines():
                kinds += [line[7:]] if line.startswith("event: ") else []
                told = json.loads(line[6:]) if line.startswith("data: ") else told
    assert kinds[-1] == "end" and set(kinds[:-1]) <= {"progress"}
    return told


async def test_a_comparison_from_post_to_every_report(http: httpx.AsyncClient) -> None:
    told = await compared(http)
    assert (told["state"], told["cells"], told["done"], told["failed"]) == ("done", 4, 4, 0)
    assert told["models"] == ["llm/alpha", "llm/beta"]
    place = f"/api/v1/compare/{told['id']}"
    assert (await http.get(place)).json() == told
    assert [each["id"] for each in (await http.get("/api/v1/compare")).json()["comparisons"]] == [told["id"]]
    results = (await http.get(f"{place}/results")).json()
    assert [cell["text"] for cell in results["cells"]][:2] == ["alpha on the sea", "beta on the sea"]
    assert results["counts"] == {"cells": 4, "answered": 4, "failed": 0, "missing": 0}
    reports = {kind: await http.get(f"{place}/report.{kind}") for kind in ("md", "csv", "json", "html", "png")}
    assert {report.status_code for report in reports.values()} == {200}
    assert "alpha on the sea" in reports["md"].text and reports["json"].json() == results
    assert len(list(csv.reader(io.StringIO(reports["csv"].text)))) == 5
    assert reports["html"].headers["content-disposition"].startswith("attachment")
    assert Image.open(io.BytesIO(reports["png"].content)).format == "PNG"


async def test_a_person_votes_blind_and_is_told_afterwards(http: httpx.AsyncClient) -> None:
    place = f"/api/v1/compare/{(await compared(http))['id']}"
    ballots = (await http.get(f"{place}/ballots", params={"voter": "Ada"})).json()["ballots"]
    assert [ballot["prompt"] for ballot in ballots] == ["1. the sea", "moon"]
    voted = await http.post(f"{place}/votes", json={"voter": "Ada", "ballot": ballots[0]["id"], "best": "B"})
    models = voted.json()["models"]
    best = next(choice["text"] for choice in ballots[0]["choices"] if choice["label"] == "B")
    assert f"llm/{best.split()[0]}" == models["B"]
    ranking = (await http.get(f"{place}/results")).json()["ranking"]
    assert max(ranking, key=lambda rank: rank["rating"])["model"] == models["B"]
    nothing: list[Any] = []
    for bad in ({}, nothing, {"voter": "", "ballot": "x", "best": "A"}, {"voter": "Ada", "ballot": "x", "best": "A"}):
        assert (await http.post(f"{place}/votes", json=bad)).status_code in (400, 422)
    assert (await http.get(f"{place}/ballots")).status_code == 422


async def test_a_comparison_can_be_stopped(http: httpx.AsyncClient, server: Script) -> None:
    await http.post("/api/v1/backends/llm/pause")
    started = (await http.post("/api/v1/compare", json=ASKED)).json()
    stopped = await http.delete(f"/api/v1/compare/{started['id']}")
    assert (stopped.status_code, stopped.json()["state"]) == (200, "cancelled")
    with anyio.fail_after(10):
        while (await http.get("/api/v1/queue")).json()["jobs"]:
            await anyio.sleep(0.05)
    assert server.bodies(CHAT) == []


async def test_the_models_of_every_server_are_listed(http: httpx.AsyncClient) -> None:
    told = (await http.get("/api/v1/llm/models")).json()
    assert [model["id"] for model in told["servers"]["llm"]] == ["alpha", "beta"]
    assert told["servers"]["llm"][0]["state"] is None


async def test_without_an_llm_server_it_says_what_to_set(api: httpx.AsyncClient) -> None:
    for answer in (await api.get("/api/v1/llm/models"), await api.post("/api/v1/compare", json=ASKED)):
        assert answer.status_code == 503
        assert "WORKBENCH_LLM_URL" in answer.json()["error"]["hint"]


@pytest.mark.parametrize("path", ["", "/events", "/results", "/report.md", "/ballots?voter=x"])
async def test_an_unknown_comparison_is_not_found(http: httpx.AsyncClient, path: str) -> None:
    for name in ("0" * 32, "%2e%2e%2f%2e%2e", "state.json"):
        answer = await http.get(f"/api/v1/compare/{name}{path}")
        assert answer.status_code == 404, name


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"null", b'"x"', b"{", b"{}", b"\xff", b'{"models": NaN}', b'{"models": ["a"], "models": ["b"]}'),
        *(b'{"models": "alpha", "prompts": ["x"]}', b'{"models": ["alpha"], "prompts": [7]}'),
        *(b'{"models": [""], "prompts": ["x"]}', b'{"models": ["alpha"], "prompts": [""]}'),
        *(b'{"models": ["alpha"], "prompts": ["x"], "repeats": 1e9}',),
        b'{"models": ["alpha"], "prompts": ["x"], "repeats": 100, "parameters": "seed=%s"}' % MANY,
        *(b'{"models": ["alpha"], "prompts": [{"text": "x", "images": ["nothing"]}]}',),
        *(b'{"models": ["alpha"], "prompts": ["\\ud800"]}', b'{"models": ["../x"], "prompts": ["x"]}'),
        *(b'{"models": ["alpha"], "prompts": ["x"], "checks": ["regex:(a+)+$("]}',),
    ],
)  # fmt: skip
async def test_bad_input_is_refused_and_reaches_no_server(http: httpx.AsyncClient, server: Script, body: bytes) -> None:
    answer = await http.post("/api/v1/compare", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 404, 422), answer.text
    assert answer.json()["error"]["hint"]
    assert (await http.get("/api/v1/compare")).json()["comparisons"] == []
    assert server.bodies(CHAT) == []


async def test_a_chat_is_a_job_over_rest(http: httpx.AsyncClient) -> None:
    asked = {"template": "chat", "values": {"model": "llm/beta", "prompt": "the sea", "max_tokens": 5}}
    created = await http.post("/api/v1/jobs", json=asked)
    assert created.status_code == 202, created.text
    with anyio.fail_after(20):
        while (job := (await http.get(created.headers["location"])).json())["state"] in ("queued", "running"):
            await anyio.sleep(0.05)
    assert (job["state"], job["model"], job["backend"]) == ("succeeded", "beta", "llm")
    assert {output["kind"]: output["value"] for output in job["outputs"]}["text"] == "beta on the sea"
    refused = await http.post("/api/v1/jobs", json={"template": "chat", "values": {"model": "gamma", "prompt": "x"}})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid_parameter")


async def test_the_page_of_the_api_has_no_loose_references(http: httpx.AsyncClient) -> None:
    told = (await http.get("/openapi.json")).text
    assert "/api/v1/compare" in told and "#/$defs/" not in told
