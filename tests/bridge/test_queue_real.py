"""The queue in front of a real llama-server that holds one model at a time: loads, cancels, kill and restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest

from llm_bridge.chat import ChatRequest, Loading, Prompting, Sampling, Text
from llm_bridge.client import Client
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import ServerLost
from llm_bridge.queue import Queue
from tests.bridge.boxes import said, until
from tests.llama.servers import ROUTED, LlamaServer, running_router

FEW = Sampling(max_tokens=4, seed=1)
ENDLESS: dict[str, Any] = {"extra": {"max_tokens": -1, "ignore_eos": True}}


def few(model: str) -> ChatRequest:
    return said(model, sampling=FEW)


def loads(server: LlamaServer) -> int:
    """How many models the router has started since the tests began."""
    return server.log.read_text(errors="replace").count("spawning server instance with name=")


def endpoint(server: LlamaServer, **options: Any) -> Endpoint:
    return Endpoint("box", server.url, "llama-cpp", **options)


@pytest.fixture
async def queue(llama_router: LlamaServer) -> AsyncGenerator[Queue]:
    """In front of a router that has nothing loaded."""
    async with Client.open(endpoint(llama_router)) as client:
        await client.unload_all()
    async with Queue.open([endpoint(llama_router)]) as queue:
        yield queue


async def busy_slots(server: LlamaServer, model: str) -> int:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False, headers={"Connection": "close"}) as client:
        told = (await client.get("/slots", params={"model": model, "autoload": "false"})).json()
        return sum(slot["is_processing"] for slot in told)


async def test_sixty_cells_over_three_models_are_three_loads(queue: Queue, llama_router: LlamaServer) -> None:
    before = loads(llama_router)
    replies = await asyncio.gather(*(queue.ask(few(ROUTED[number % 3])) for number in range(60)))
    assert loads(llama_router) - before == 3
    assert all(reply.usage.completion == 4 for reply in replies)
    assert sum(reply.metrics.load is not None for reply in replies) == 3


async def test_leaving_in_the_middle_frees_the_slot_for_the_next(queue: Queue, llama_router: LlamaServer) -> None:
    async with queue.stream(said("tiny-a", **ENDLESS)) as stream:
        async for event in stream:
            if isinstance(event, Text):
                break
        assert await busy_slots(llama_router, "tiny-a") == 1
    async with asyncio.timeout(5):
        while await busy_slots(llama_router, "tiny-a"):
            await asyncio.sleep(0.02)
        assert (await queue.ask(few("tiny-a"))).text


async def test_leaving_in_the_load_undoes_it_before_the_next_begins(llama_folder: Path) -> None:
    with running_router(llama_folder, held="tiny-a") as server:
        async with Queue.open([endpoint(server)]) as queue:
            async with queue.stream(said("tiny-a")) as stream:
                assert isinstance(await anext(stream), Loading)
                await until(server.instances)
            async with asyncio.timeout(20):
                assert (await queue.ask(few("tiny-b"))).text
            assert len(server.instances()) == 1


async def test_an_answer_is_whole_and_its_events_in_order(queue: Queue) -> None:
    async with queue.stream(few("tiny-b")) as stream:
        kinds = [type(event) async for event in stream]
    assert kinds[0] is Loading and Prompting in kinds and Text in kinds
    metrics = stream.reply.metrics
    assert metrics.load and metrics.ttft and metrics.queued is not None


async def test_a_kill_in_the_middle_loses_nothing_that_had_no_token(llama_folder: Path) -> None:
    with running_router(llama_folder) as server:
        async with Queue.open([endpoint(server)]) as queue:
            lost = asyncio.create_task(_until_text(queue))
            await until(lambda: queue.snapshot().servers[0].running, 20)
            cells = [asyncio.create_task(queue.ask(few(ROUTED[number % 3]))) for number in range(12)]
            await asyncio.sleep(0.3)
            await asyncio.to_thread(server.kill)
            with pytest.raises(ServerLost):
                await lost
            await asyncio.to_thread(server.start)
            async with asyncio.timeout(30):
                replies = await asyncio.gather(*cells)
    assert all(reply.usage.completion == 4 for reply in replies)


async def _until_text(queue: Queue) -> None:
    async with queue.stream(said("tiny-a", **ENDLESS)) as stream:
        async for _ in stream:
            pass


async def test_a_model_is_unloaded_when_nobody_needs_it(llama_router: LlamaServer) -> None:
    async with Queue.open([endpoint(llama_router)], keep=0) as queue:
        await asyncio.gather(*(queue.ask(few("tiny-a")) for _ in range(3)))
        await until(lambda: not llama_router.instances())
