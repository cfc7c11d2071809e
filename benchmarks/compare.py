"""What LLM Compare saves in a graph: three models, five prompts, each asked twice, on a router that holds one model.

    python -m benchmarks.compare [--rounds 3]

The same 30 questions are asked in three ways, which take turns:

- by one graph with LLM Compare: exactly 3 loads;
- by 30 graphs with LLM Generate, prompt by prompt and model by model, one submitted after the other: a load each;
- by raw HTTP, model by model, without any graph: what the models alone need.

Runs on the embedded engine, and in a real ComfyUI too when COMFYUI_URL and WORKBENCH_TEST_LLM_PORT name one that
`python -m tests.comfyui_server` has started. llama-server and its models come from the folder that
WORKBENCH_TEST_LLAMA names; fill it with `python3 tests/llama/build.py DIR`. Models this small are loaded in a moment:
with real ones, which take seconds, the ratio is larger.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.figures import Figure
from comfy_mcp.comfyui import ComfyUI
from comfy_mcp.errors import ExecutionFailed
from comfy_mcp.node_pack import lay_out
from llm_bridge.client import Client
from llm_bridge.endpoints import Endpoint
from tests.bridge.test_queue_real import loads
from tests.engines import running_engine
from tests.llama.servers import LlamaServer, running_router
from tests.nodes.graphs.running import Submitter, compared, generate, unseen

MODELS = ("tiny-a", "tiny-b", "tiny-c")
PROMPTS = ("The sea?", "The sky?", "A lighthouse?", "A cat?", "A storm?")
REPEATS = 2
TOKENS = 40
CALLS = len(MODELS) * len(PROMPTS) * REPEATS


@dataclass(frozen=True, slots=True)
class Bench:
    """An engine, and the router that its nodes call llm."""

    submit: Submitter
    router: LlamaServer

    async def timed(self, way: Callable[[Bench, int], Awaitable[None]]) -> tuple[int, float]:
        """Loads and seconds of one way to ask, from a router that holds nothing."""
        async with Client.open(Endpoint("llm", self.router.url, "llama-cpp")) as client:
            await client.unload_all()
        before, began = loads(self.router), time.perf_counter()
        await way(self, unseen())
        return loads(self.router) - before, time.perf_counter() - began


async def in_one_graph(bench: Bench, seed: int) -> None:
    graph = compared(
        "\n".join(f"llm/{model}" for model in MODELS),
        "\n".join(PROMPTS),
        f"temperature=0.7\nmax_tokens={TOKENS}",
        seed=seed,
        repeats=REPEATS,
        use_earlier_answers=False,
    )
    done = await bench.submit(graph)
    states = [cell["state"] for cell in done.outputs["4"]["comparison"][0]["cells"]]
    assert states == ["done"] * CALLS, states


async def one_after_the_other(bench: Bench, seed: int) -> None:
    for prompt, repeat, model in itertools.product(PROMPTS, range(REPEATS), MODELS):
        asked = generate(f"llm/{model}", prompt, seed=seed + repeat, temperature=0.7, max_tokens=TOKENS)
        # A random model may think to the end, which fails its node: it was loaded and asked all the same.
        with suppress(ExecutionFailed):
            assert len((await bench.submit({"1": asked})).shown("1")) == 1


async def by_raw_http(bench: Bench, seed: int) -> None:
    headers = {"Connection": "close"}
    async with httpx.AsyncClient(base_url=bench.router.url, trust_env=False, timeout=60, headers=headers) as http:
        for model, prompt, repeat in itertools.product(MODELS, PROMPTS, range(REPEATS)):
            body = {"model": model, "messages": [{"role": "user", "content": prompt}], "seed": seed + repeat}
            answer = await http.post("/v1/chat/completions", json={**body, "temperature": 0.7, "max_tokens": TOKENS})
            answer.raise_for_status()


async def measure(name: str, url: str, router: LlamaServer, rounds: int) -> list[Figure]:
    ways = (by_raw_http, in_one_graph, one_after_the_other)
    async with ComfyUI(url) as comfy:
        bench = Bench(Submitter(comfy), router)
        # What is done once, such as finding out what the server is, is no part of it.
        await bench.timed(in_one_graph)
        found = [[await bench.timed(way) for way in ways] for _ in range(rounds)]
    raw, ours, naive = ([each[number] for each in found] for number in range(len(ways)))
    saved = statistics.median(slow / quick for (_, slow), (_, quick) in zip(naive, ours, strict=True))
    above = statistics.median(quick / floor for (_, quick), (_, floor) in zip(ours, raw, strict=True))
    return [
        Figure(f"{name}: loads of {CALLS} calls, LLM Compare", max(n for n, _ in ours), "", 3, 3, digits=0),
        Figure(f"{name}: loads of {CALLS} calls, one node after another", min(n for n, _ in naive), "", digits=0),
        Figure(f"{name}: seconds, LLM Compare", _seconds(ours), "s"),
        Figure(f"{name}: seconds, one node after another", _seconds(naive), "s"),
        Figure(f"{name}: seconds, raw HTTP, model by model", _seconds(raw), "s"),
        Figure(f"{name}: one node after another takes, of LLM Compare", saved, "×"),
        Figure(f"{name}: LLM Compare takes, of raw HTTP", above, "×"),
    ]


def _seconds(measured: Sequence[tuple[int, float]]) -> float:
    return statistics.median(seconds for _, seconds in measured)


@contextmanager
def embedded(router: LlamaServer) -> Generator[str]:
    """The address of an engine with the pack, whose nodes know this router alone."""
    os.environ["WORKBENCH_LLM_URL"] = router.url
    with tempfile.TemporaryDirectory() as folder:
        pack = Path(folder) / "comfyui-workbench"
        lay_out(pack)
        with running_engine("--pack", str(pack)) as engine:
            yield engine.url


async def main(rounds: int) -> None:
    folder = os.environ.get("WORKBENCH_TEST_LLAMA")
    if not folder:
        print("Left out: needs a real server. python3 tests/llama/build.py DIR, then WORKBENCH_TEST_LLAMA=DIR.")
        return
    url, port = os.environ.get("COMFYUI_URL"), int(os.environ.get("WORKBENCH_TEST_LLM_PORT", "0"))
    with running_router(Path(folder), "--parallel", "1", models=MODELS, port=port) as router:
        with embedded(router) as engine:
            show(await measure("engine", engine, router, rounds))
        if url and port:
            show(await measure("ComfyUI", url, router, rounds))


def show(figures: Sequence[Figure]) -> None:
    for figure in figures:
        print(figure, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What LLM Compare saves in a graph.")
    parser.add_argument("--rounds", type=int, default=3, help="how often each way is timed")
    asyncio.run(main(parser.parse_args().rounds))
