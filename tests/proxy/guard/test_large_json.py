"""Bodies of JSON: as large as their route may need, of so many values, and read while others are served."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import httpx
import pytest

from tests.workbenches import served

JSON = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
CALL: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {}}


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[httpx.AsyncClient]:
    async with served(tmp_path_factory.mktemp("large"), "http://127.0.0.1:9", comfyui_routes=True, rate=0) as client:
        yield client


@pytest.mark.parametrize(
    "path", ["/api/v1/jobs", "/v1/chat/completions", "/sdapi/v1/img2img", "/comfyui/prompt", "/mcp"]
)
async def test_millions_of_values_are_refused_and_hold_nobody_up(client: httpx.AsyncClient, path: str) -> None:
    body, answers, longest = b'{"a":[' + b"[]," * 1_200_000 + b"[]]}", list[int](), 0.0

    async def post() -> None:
        answers.append((await client.post(path, content=body, headers=JSON)).status_code)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(post)
        while len(answers) < 3:
            began = time.monotonic()
            assert (await client.get("/healthz")).status_code == 200
            longest = max(longest, time.monotonic() - began)
    assert answers == [413] * 3
    assert longest < 1.0


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/compare", "/v1/images/generations", "/sdapi/v1/options"])
async def test_where_no_picture_comes_inside_bodies_are_small(client: httpx.AsyncClient, path: str) -> None:
    body = json.dumps({"prompt": "x" * (4 * 2**20)}).encode()
    answer = await client.post(path, content=body, headers=JSON)
    assert answer.status_code == 413
    assert "4194304 bytes" in answer.text


@pytest.mark.parametrize("path", ["/sdapi/v1/png-info", "/v1/chat/completions", "/mcp"])
async def test_where_pictures_come_inside_they_may_be_large(client: httpx.AsyncClient, path: str) -> None:
    body = json.dumps({**CALL, "image": "x" * (5 * 2**20)}).encode()
    assert (await client.post(path, content=body, headers=JSON)).status_code != 413
