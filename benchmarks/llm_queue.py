"""What the queue is for: servers that work side by side, and models that are loaded once."""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx

from benchmarks.figures import Figure
from benchmarks.llm_server import scripted_server
from benchmarks.llm_speed import asking
from llm_bridge.chat import ChatRequest, Event, Reply, Sampling
from llm_bridge.compare import Comparison, Folder, Prompt, Variant, compare
from llm_bridge.endpoints import Endpoint
from llm_bridge.providers.interface import Call
from llm_bridge.providers.registry import dialect_named
from llm_bridge.queue import Queue
from llm_bridge.transport import Transport
from tests.llama.servers import LlamaServer, running_router

__all__ = ["compared", "loads"]

RATES = {"quick": 120.0, "steady": 80.0, "slow": 40.0}
MODELS = ("tiny-a", "tiny-b", "tiny-c")
ROUNDS = 3
SPAWNED = "spawning server instance with name="


async def compared() -> list[Figure]:
    """Three models on three servers, against the answers of the slowest fetched one after the other by raw HTTP."""
    prompts = tuple(Prompt(f"p{number}", f"Question {number}: why?") for number in range(4))
    comparison = Comparison(tuple(RATES), prompts, (Variant(sampling=Sampling(max_tokens=40)),))
    slowest: list[float] = []
    ours: list[float] = []
    with ExitStack() as stack:
        urls = {model: stack.enter_context(scripted_server(**{model: rate})) for model, rate in RATES.items()}
        endpoints = [Endpoint(model, url, kind="openai") for model, url in urls.items()]
        for _ in range(ROUNDS):
            requests = [cell.request for cell in comparison.cells if cell.model == "slow"]
            slowest.append(await _one_by_one(endpoints[-1], requests))
            ours.append(await _comparison(comparison, endpoints))
    ratio = statistics.median(mine / alone for mine, alone in zip(ours, slowest, strict=True))
    return [
        Figure("3 models on 3 servers: the slowest alone, raw HTTP", statistics.median(slowest), "s"),
        Figure("3 models on 3 servers: the comparison, of the slowest alone", ratio, "×", most=1.05, digits=3),
    ]


async def _comparison(comparison: Comparison, endpoints: Sequence[Endpoint]) -> float:
    """Seconds, from opening the queue to the results in their folder."""
    with tempfile.TemporaryDirectory() as place:
        began = time.perf_counter()
        async with Queue.open(endpoints) as queue:

            async def ask(key: str, request: ChatRequest, on_event: Callable[[Event], None]) -> Reply:
                return await queue.ask(request, on_event)

            results = await compare(comparison, ask, folder=Folder(Path(place) / "run"))
        taken = time.perf_counter() - began
    assert results.complete and all(cell.reply for cell in results.cells), results.cells
    return taken


async def _one_by_one(endpoint: Endpoint, requests: Sequence[ChatRequest]) -> float:
    """Seconds, raw and in this order: as a server with one slot does what comes first."""
    calls = await _calls(endpoint, requests)
    limits, headers = httpx.Limits(max_keepalive_connections=0), {"Connection": "close"}
    began = time.perf_counter()
    async with httpx.AsyncClient(
        base_url=endpoint.url, trust_env=False, timeout=60, limits=limits, headers=headers
    ) as http:
        for call in calls:
            (await http.post(call.path, json=dict(call.body))).raise_for_status()
    return time.perf_counter() - began


async def _calls(endpoint: Endpoint, requests: Sequence[ChatRequest]) -> list[Call]:
    """The bodies that the bridge sends."""
    async with Transport.open(endpoint) as transport:
        dialect = dialect_named(endpoint.kind or "")(transport)
        return [dialect.call(request) for request in requests]


async def loads(folder: Path) -> list[Figure]:
    """60 cells in random order, on a router that holds one model and has one slot; its log tells what it loaded."""
    order = [asking(model, 40, f"Question {number}?") for number in range(20) for model in MODELS]
    random.Random(1).shuffle(order)
    ours: list[tuple[int, float]] = []
    straight: list[tuple[int, float]] = []
    for _ in range(ROUNDS):
        straight.append(await _routed(folder, lambda endpoint: _one_by_one(endpoint, order)))
        ours.append(await _routed(folder, lambda endpoint: _queued(endpoint, order)))
    changes = 1 + sum(a.model != b.model for a, b in itertools.pairwise(order))
    seconds = statistics.median(taken for _, taken in straight)
    ratio = statistics.median(mine / raw for (_, mine), (_, raw) in zip(ours, straight, strict=True))
    return [
        Figure("60 cells, 3 models: runs of one model in the order they came", changes, "", digits=0),
        Figure("60 cells, 3 models: loads, first come, first served", max(n for n, _ in straight), "", digits=0),
        Figure("60 cells, 3 models: loads, through the queue", max(n for n, _ in ours), "", 3, 3, digits=0),
        Figure("60 cells, 3 models: seconds, first come, first served", seconds, "s"),
        Figure("60 cells, 3 models: time through the queue, of that", ratio, "×"),
    ]


async def _routed(folder: Path, work: Callable[[Endpoint], Awaitable[float]]) -> tuple[int, float]:
    with running_router(folder, "--parallel", "1", models=MODELS) as server:
        seconds = await work(Endpoint("router", server.url, kind="llama-cpp"))
        return _count_loads(server), seconds


def _count_loads(server: LlamaServer) -> int:
    return server.log.read_text(errors="replace").count(SPAWNED)


async def _queued(endpoint: Endpoint, order: Sequence[ChatRequest]) -> float:
    began = time.perf_counter()
    async with Queue.open([endpoint]) as queue:
        await asyncio.gather(*(queue.ask(request) for request in order))
    return time.perf_counter() - began
