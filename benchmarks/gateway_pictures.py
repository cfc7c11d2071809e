"""One picture of a workflow that needs no model, in three ways that take turns: by a job of `/api/v1` that is followed
to its end, by A1111's txt2img, and by OpenAI's images. A new colour each time, so that nothing is cached.
"""

from __future__ import annotations

import base64
import json
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from benchmarks.figures import Figure
from benchmarks.gateway_texts import serving
from benchmarks.overhead import GRAPH, engine

__all__ = ["pictures"]

WARM_UP = 5
TEMPLATE = "plain_colour"
MANIFEST = """
title = "Plain colour"
description = "One plain picture."
[parameters.seed]
type = "seed"
bind = "EmptyImage#1.color"
default = 0
max = 16777215
"""


async def by_jobs(http: httpx.AsyncClient, seed: int) -> bytes:
    asked = await http.post("/api/v1/jobs", json={"template": TEMPLATE, "values": {"seed": seed}})
    job = asked.raise_for_status().json()["id"]
    told: dict[str, Any] = {}
    async with http.stream("GET", f"/api/v1/jobs/{job}/events") as events:
        async for line in events.aiter_lines():
            if line.startswith("data: ") and (told := json.loads(line[6:]))["state"] not in ("queued", "running"):
                break
    return (await http.get(told["assets"][0]["url"])).raise_for_status().content


async def by_a1111(http: httpx.AsyncClient, seed: int) -> bytes:
    body = {"prompt": "", "negative_prompt": "", "seed": seed, "steps": 22, "cfg_scale": 4.5}
    answer = await http.post("/sdapi/v1/txt2img", json=body)
    return base64.b64decode(answer.raise_for_status().json()["images"][0])


async def by_openai(http: httpx.AsyncClient, seed: int) -> bytes:
    body = {"model": "gpt-image-1", "prompt": "a colour", "n": 1, "seed": seed}
    answer = await http.post("/v1/images/generations", json=body)
    return base64.b64decode(answer.raise_for_status().json()["data"][0]["b64_json"])


async def pictures(times: int) -> list[Figure]:
    """Milliseconds of a whole picture, and what the front doors of others add."""
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / TEMPLATE
        template.mkdir()
        (template / "workflow.json").write_text(json.dumps(GRAPH))
        (template / "manifest.toml").write_text(MANIFEST)
        settings = f'templates = ["{folder}"]\n[a1111]\ntxt2img = "{TEMPLATE}"\n[images]\ntxt2img = "{TEMPLATE}"\n'
        async with engine() as comfyui:
            with serving(settings, comfyui) as url:
                async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http:
                    return await _timed(http, times)


async def _timed(http: httpx.AsyncClient, times: int) -> list[Figure]:
    ways: dict[str, Callable[[httpx.AsyncClient, int], Awaitable[bytes]]] = {
        "/api/v1": by_jobs,
        "/api/v1 again": by_jobs,
        "A1111's txt2img": by_a1111,
        "OpenAI's images": by_openai,
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    draw = random.Random(1)
    for number in range(times + WARM_UP):
        for name in draw.sample([*ways], len(ways)):
            began = time.perf_counter()
            picture = await ways[name](http, draw.randrange(2**24))
            assert picture.startswith(b"\x89PNG")
            if number >= WARM_UP:
                taken[name].append(1000 * (time.perf_counter() - began))
    p50 = {name: statistics.median(each) for name, each in taken.items()}
    own = p50["/api/v1"]
    return [
        Figure("a picture: job, events and file of /api/v1, p50", own),
        Figure("a picture: /api/v1 against itself, p50", p50["/api/v1 again"] - own),
        Figure("a picture: added by A1111's txt2img, p50", p50["A1111's txt2img"] - own, most=10),
        Figure("a picture: added by OpenAI's images, p50", p50["OpenAI's images"] - own, most=10),
    ]
