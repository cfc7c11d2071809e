"""`/v1/models`: workflows, language models and `auto`, with what is known of each, also when nobody answers."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx

from tests.bridge.servers import json_answer, stream
from tests.proxy.openai.chatting import over_text
from tests.texts import NOWHERE
from tests.workbenches import served


async def listed(http: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    answer = await http.get("/v1/models")
    assert answer.status_code == 200 and answer.json()["object"] == "list"
    return {each["id"]: each for each in answer.json()["data"]}


async def test_what_is_known_of_a_model_stands_beside_openais_fields(tmp_path: Path) -> None:
    entry = {"id": "alpha", "meta": {"n_ctx": 4096}, "max_model_len": 4096}
    async with over_text(tmp_path) as (http, script):
        script.on("GET /v1/models", json_answer({"data": [entry, {"id": "beta"}]}))
        found = await listed(http)
    assert found["workflow/img2img"] == {
        "id": "workflow/img2img",
        "object": "model",
        "created": 0,
        "owned_by": "comfyui-workbench",
        "workbench": {
            "kind": "workflow",
            "context": None,
            "vision": True,
            "tools": False,
            "reasoning": None,
            "state": None,
            "server": None,
        },
    }
    assert found["llm/alpha"]["owned_by"] == "llm"
    assert (found["llm/alpha"]["workbench"]["kind"], found["llm/alpha"]["workbench"]["server"]) == ("text", "llm")
    assert found["llm/alpha"]["workbench"]["context"] == 4096
    assert found["llm/beta"]["workbench"]["context"] is None
    assert found["auto"]["workbench"]["kind"] == "auto" and "auto:vision" not in found


async def test_a_name_may_hold_slashes(tmp_path: Path) -> None:
    async with over_text(tmp_path, models=("qwen/qwen3:8b",)) as (http, _):
        assert (await http.get("/v1/models/llm/qwen/qwen3:8b")).json()["id"] == "llm/qwen/qwen3:8b"
        missing = await http.get("/v1/models/llm/qwen")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")
    assert "llm/qwen/qwen3:8b" in missing.json()["error"]["message"]


async def test_workflows_are_listed_when_nobody_else_answers(tmp_path: Path) -> None:
    async with served(tmp_path, NOWHERE, llm_url=NOWHERE) as http:
        found = await listed(http)
    assert {"workflow/txt2img", "workflow/upscale", "auto"} <= set(found)
    assert all(each["workbench"]["kind"] != "text" for each in found.values())


async def test_a_server_that_stalls_does_not_hold_up_the_list(tmp_path: Path) -> None:
    never = asyncio.Event()
    async with over_text(tmp_path) as (http, script):
        script.on("GET /v1/models", stream(never))
        began = time.monotonic()
        found = await listed(http)
        took = time.monotonic() - began
        never.set()
    assert "workflow/txt2img" in found and took < 10
