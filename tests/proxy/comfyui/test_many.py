"""A long queue: jobs of other front doors push no prompt out of it, and to count it costs next to nothing."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from comfy_mcp.callers import OWN
from comfy_mcp.jobs import GRAPH, BoundWorkflow
from comfy_mcp.proxy import listening as listening_of
from comfy_mcp.store import NewJob, Record
from comfy_mcp.workbench import Workbench
from tests.proxy.comfyui.clients import graph_of, listening
from tests.workbenches import settings_for

UNREACHABLE = "http://127.0.0.1:9"


@dataclass(frozen=True, slots=True)
class Front:
    http: httpx.AsyncClient
    workbench: Workbench

    async def queue(self, template: str, number: int) -> None:
        new = NewJob(OWN, template, None, BoundWorkflow(graph_of(), {}, ()), needs=frozenset({"KSampler"}))
        await self.workbench.store.enqueue_all([new] * number, lambda jobs: Record(OWN, "test", template, {}))


@pytest.fixture
async def front(tmp_path: Path) -> AsyncGenerator[Front]:
    """A workbench whose ComfyUI is away, so that all of its queue waits."""
    settings = settings_for(tmp_path, UNREACHABLE, comfyui_routes=True, max_queue=3000, max_queue_per_owner=3000)
    async with (
        Workbench.open(settings) as workbench,
        listening_of(workbench) as address,
        httpx.AsyncClient(base_url=address, trust_env=False, timeout=30) as http,
    ):
        yield Front(http, workbench)


async def test_jobs_of_other_doors_push_no_prompt_out(front: Front) -> None:
    await front.queue("txt2img", 1000)
    await front.queue(GRAPH, 3)
    await front.queue("txt2img", 300)

    assert (await front.http.get("/comfyui/prompt")).json()["exec_info"]["queue_remaining"] == 3
    assert len((await front.http.get("/comfyui/queue")).json()["queue_pending"]) == 3
    async with listening(front.http, "one") as events:
        assert (await events.until("status"))["status"]["exec_info"]["queue_remaining"] == 3
    jobs = [job.id for job in await front.workbench.graphs.active(OWN, limit=9)]
    for job in jobs:
        await front.workbench.cancel(job)
    assert list((await front.http.get("/comfyui/history")).json()) == jobs


async def test_to_count_a_thousand_prompts_takes_no_time(front: Front) -> None:
    await front.queue(GRAPH, 1000)
    database = front.workbench.store
    times = list[float]()
    for _ in range(20):
        started = time.perf_counter()
        assert await database.count(OWN, GRAPH) == 1000
        times.append(time.perf_counter() - started)
    assert min(times) < 0.02
    assert (await front.http.get("/comfyui/prompt")).json()["exec_info"]["queue_remaining"] == 1000
