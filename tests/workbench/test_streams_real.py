"""Chats that wait at a real llama-server: models in batches, leaving in the middle, and a server that is killed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from comfy_mcp.errors import BackendError
from comfy_mcp.jobs import Job, JobRequest
from comfy_mcp.workbench import Workbench
from llm_bridge.chat import ChatRequest, Reply, Sampling, Text
from llm_bridge.client import Client
from llm_bridge.endpoints import Endpoint
from tests.llama.servers import ROUTED, LlamaServer, running_single
from tests.workbench.streaming import answer, asking
from tests.workbenches import settings_for

ENDLESS: dict[str, Any] = {"extra": {"max_tokens": -1, "ignore_eos": True}}
FEW = Sampling(max_tokens=4, seed=1)


def workbench_of(data: Path, server: LlamaServer, **more: Any) -> Any:
    servers = [{"name": "box", "url": server.url, "kind": "llama-cpp", **more}]
    return Workbench.open(settings_for(data, "http://127.0.0.1:9", llm_servers=servers))


@pytest.fixture
async def empty_router(llama_router: LlamaServer) -> AsyncGenerator[LlamaServer]:
    """One that has nothing loaded."""
    async with Client.open(Endpoint("box", llama_router.url, "llama-cpp")) as client:
        await client.unload_all()
    yield llama_router


def loads(server: LlamaServer) -> int:
    return server.log.read_text(errors="replace").count("spawning server instance with name=")


async def busy_slots(server: LlamaServer, **params: str) -> int:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False, headers={"Connection": "close"}) as client:
        return sum(slot["is_processing"] for slot in (await client.get("/slots", params=params)).json())


async def first_text(stream: Any) -> str:
    async for event in stream:
        if isinstance(event, Text):
            return event.text
    raise AssertionError("no text came")


async def test_chats_and_jobs_over_three_models_are_three_loads(tmp_path: Path, empty_router: LlamaServer) -> None:
    before, replies, jobs = loads(empty_router), list[Reply](), list[Job]()
    async with workbench_of(tmp_path, empty_router) as workbench:
        await workbench.chats.offered()

        async def ask(asked: ChatRequest) -> None:
            replies.append((await answer(workbench, asked))[1])

        async with anyio.create_task_group() as tasks:
            for number in range(24):
                tasks.start_soon(ask, asking(str(number), ROUTED[number % 3], sampling=FEW))
            for model in ROUTED * 2:
                values = {"model": model, "prompt": "story", "max_tokens": 4}
                jobs.append(await workbench.submit(JobRequest("chat", values)))
        with anyio.fail_after(30):
            ended = [await workbench.wait(job.id, 30) for job in jobs]
    assert [reply.usage.completion for reply in replies] == [4] * 24
    assert [job.state for job in ended] == ["succeeded"] * 6
    assert loads(empty_router) - before == 3
    assert sum(reply.metrics.load is not None for reply in replies) <= 3


async def test_leaving_in_the_middle_frees_the_slot_within_a_second(tmp_path: Path, llama_single: LlamaServer) -> None:
    async with workbench_of(tmp_path, llama_single) as workbench:
        async with workbench.streams.open(asking(model="tiny-a", **ENDLESS)) as stream:
            assert await first_text(stream)
            assert await busy_slots(llama_single) == 1
        with anyio.fail_after(1):
            while await busy_slots(llama_single):
                await anyio.sleep(0.02)
        assert (await answer(workbench, asking(model="tiny-a", sampling=FEW)))[1].usage.completion == 4


async def test_a_server_that_is_killed_breaks_one_answer_off_and_is_back_for_the_next(
    tmp_path: Path, llama_folder: Path
) -> None:
    with running_single(llama_folder) as server:
        async with workbench_of(tmp_path, server) as workbench:
            with anyio.fail_after(30), pytest.raises(BackendError, match="not whole"):
                async with workbench.streams.open(asking(model="tiny-a", **ENDLESS)) as stream:
                    assert await first_text(stream)
                    server.kill()
                    async for _ in stream:
                        pass
            async with (
                anyio.create_task_group() as tasks,
                workbench.streams.open(asking(model="tiny-a", sampling=FEW)) as stream,
            ):
                tasks.start_soon(anyio.to_thread.run_sync, server.start)
                assert await first_text(stream)
