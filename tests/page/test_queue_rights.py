"""What the queue shows and does for who may not do everything, and in the words of who looks."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx

from comfy_mcp.callers import Right
from comfy_mcp.jobs import JobRequest
from comfy_mcp.store import Mode
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.tokens import Token
from tests.page.test_queue import TOKEN, asked, at_work
from tests.proxy.comfyui.clients import graph_of

MAKE, SEND = frozenset({Right.MAKE}), frozenset({Right.MAKE, Right.GRAPHS})


@asynccontextmanager
async def signed_in(workbench: Workbench, url: str, name: str, rights: frozenset[Right]) -> AsyncGenerator[Any]:
    """A client of htmx with a new token for the jobs of ann."""
    token = await workbench.tokens.add(Token(name, "ann", rights))
    headers = {"Authorization": f"Bearer {token}", "HX-Request": "true"}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30) as http:
        yield http


async def told_until(http: httpx.AsyncClient, name: str) -> dict[str, Any]:
    """All that the stream tells until it has told of ``name``; later news over earlier."""
    told: dict[str, Any] = {}
    with anyio.fail_after(10):
        async with http.stream("GET", "/queue/events") as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data:"):
                    told |= json.loads(line.removeprefix("data:"))
                if name in told:
                    break
    return told


async def test_why_others_wait_is_not_told(tmp_path: Path, embedded_url: str) -> None:
    async with at_work(tmp_path, embedded_url, token=TOKEN) as (workbench, url):
        await workbench.set_mode("comfyui", Mode.PAUSED)
        await asked(workbench, "a secret")
        async with signed_in(workbench, url, "ann", MAKE) as http:
            assert "why" not in await told_until(http, "all")
            mine = await asked(workbench, "a heron", owner="ann")
            told = await told_until(http, "why")
            ((key, _, lane, _),) = told["lists"]["waiting"]["put"]
            assert key == mine and told["why"] == {lane: "Paused: comfyui"}


async def test_a_graph_is_tried_again_only_with_the_right_to_send_one(tmp_path: Path, embedded_url: str) -> None:
    async with at_work(tmp_path, embedded_url, token=TOKEN, comfyui_routes=True) as (workbench, url):
        await workbench.set_mode("comfyui", Mode.PAUSED)
        job = await workbench.graphs.submit(graph_of(), "ann")
        await workbench.cancel(job.id)
        async with signed_in(workbench, url, "tablet", MAKE) as http:
            assert "Try again" not in (await http.get("/queue")).text
            answer = await http.post("/queue/again", data={"job": job.id})
            assert answer.status_code == 403 and "right `graphs`" in answer.text
            assert not await workbench.active("ann")
        async with signed_in(workbench, url, "front-end", SEND) as http:
            assert "Try again" in (await http.get("/queue")).text
            assert (await http.post("/queue/again", data={"job": job.id})).status_code == 204
            assert [each.template for each in await workbench.active("ann")] == ["graph"]


async def test_what_ended_is_named_in_the_readers_language_and_leads_to_its_picture(
    tmp_path: Path, embedded_url: str
) -> None:
    async with at_work(tmp_path, embedded_url) as (workbench, url):
        values = {"prompt": "a lake", "steps": 1, "width": 64, "height": 64}
        job = await workbench.submit(JobRequest("txt2img", values))
        done = await workbench.wait(job.id, 30)
        async with httpx.AsyncClient(base_url=url, trust_env=False, headers={"Accept-Language": "zh"}) as http:
            shown = (await http.get("/queue")).text
            assert "文生图" in shown and "Text to image" not in shown
            assert f'href="/gallery?job={job.id}"' in shown
            led = await http.get(f"/gallery?job={job.id}")
            assert led.headers["location"] == f"/gallery/{done.assets[0].id}"
