"""Stopping a graph: in the tokens, in the load of a model and while the prompt is read; and the next graph after it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

from comfy_mcp.comfyui import ComfyUI
from comfy_mcp.errors import Interrupted
from comfy_mcp.jobs import Graph
from tests.bridge.boxes import until
from tests.bridge.servers import End, stream
from tests.llama.servers import LlamaServer
from tests.nodes.graphs.engines import Ground
from tests.nodes.graphs.running import Submitter, generate, ours
from tests.texts import CHAT

Stop = Callable[[ComfyUI, str], Coroutine[Any, Any, None]]


async def by_its_id(comfy: ComfyUI, prompt_id: str) -> None:
    await comfy.cancel(prompt_id)


async def whatever_runs(comfy: ComfyUI, prompt_id: str) -> None:
    """As the button of the page does."""
    async with httpx.AsyncClient(base_url=comfy.url, trust_env=False) as http:
        (await http.post("/interrupt")).raise_for_status()


@pytest.fixture(params=[by_its_id, whatever_runs])
def stop(request: pytest.FixtureRequest) -> Stop:
    return request.param


def endless_comparison() -> Graph:
    inputs = {"repeats": 1, "seed": 0, "max_tokens": 0, "checks": "", "unload": "leave loaded"}
    return {
        "1": ours("ModelList", models="llm/tiny-a"),
        "2": ours("PromptList", prompts="the sea\nthe sky", written_as="lines or blocks"),
        "3": ours("ParameterGrid", grid="extra.max_tokens=-1\nextra.ignore_eos=true"),
        "4": ours("LLMCompare", models=["1", 0], prompts=["2", 0], parameters=["3", 0],
                  use_earlier_answers=False, free_vram_first=False, **inputs),
    }  # fmt: skip


def long_answer() -> Graph:
    return {"1": generate("llm/tiny-a", "Go on and on.", max_tokens=1_000_000, temperature=2.0)}


async def answering(server: LlamaServer) -> bool:
    """Whether a slot of tiny-a is busy; while the model is still loading there are none."""
    async with httpx.AsyncClient(base_url=server.url, trust_env=False, headers={"Connection": "close"}) as client:
        told = await client.get("/slots", params={"model": "tiny-a", "autoload": "false"})
        return told.is_success and any(slot["is_processing"] for slot in told.json())


@pytest.mark.parametrize("graph", [long_answer, endless_comparison])
async def test_in_the_middle_of_tokens_the_slot_is_free_within_a_second(
    ground: Ground, submit: Submitter, stop: Stop, graph: Callable[[], Graph]
) -> None:
    prompt_id, running = submit.begin(graph())
    async with asyncio.timeout(20):
        while not await answering(ground.llm):
            await asyncio.sleep(0.02)
    stopping = asyncio.create_task(stop(submit.comfy, prompt_id))
    async with asyncio.timeout(1.0):
        while await answering(ground.llm):
            await asyncio.sleep(0.02)
    with pytest.raises(Interrupted):
        await running
    await stopping
    began = time.monotonic()
    assert (await submit({"1": generate("llm/tiny-a")})).shown("1")[0]
    assert time.monotonic() - began < 3


async def test_in_the_load_of_a_model_the_load_is_undone(ground: Ground, submit: Submitter, stop: Stop) -> None:
    prompt_id, running = submit.begin({"1": generate("held/tiny-a")})
    await until(ground.held.instances, 20)
    began = time.monotonic()
    await stop(submit.comfy, prompt_id)
    with pytest.raises(Interrupted):
        await running
    assert time.monotonic() - began < 3
    # A graph for another server does not wait for the one that is to let go.
    assert (await submit({"1": generate("llm/tiny-b")})).shown("1")[0]
    assert time.monotonic() - began < 6
    assert (await submit({"1": generate("held/tiny-b")})).shown("1")[0]
    assert len(ground.held.instances()) == 1


async def test_while_the_prompt_is_read_the_server_is_left_at_once(
    ground: Ground, submit: Submitter, stop: Stop
) -> None:
    ground.scripted.on(CHAT, stream(End.HANG))
    prompt_id, running = submit.begin({"1": generate("scripted/words-1b")})
    await until(lambda: ground.scripted.bodies(CHAT), 20)
    assert not ground.scripted.aborted.is_set()
    stopping = asyncio.create_task(stop(submit.comfy, prompt_id))
    async with asyncio.timeout(1):
        await ground.scripted.aborted.wait()
    with pytest.raises(Interrupted):
        await running
    await stopping
    assert (await submit({"1": generate("llm/tiny-a")})).shown("1")[0]


async def test_a_list_that_is_stopped_asks_nothing_more(ground: Ground, submit: Submitter, stop: Stop) -> None:
    ground.scripted.on(CHAT, stream(End.HANG))
    prompt_id, running = submit.begin(
        {
            "1": ours("PromptList", prompts="\n".join("abcdefgh"), written_as="lines or blocks"),
            "2": generate("scripted/words-1b", ["1", 1]),
        }
    )
    await until(lambda: ground.scripted.bodies(CHAT), 20)
    await stop(submit.comfy, prompt_id)
    with pytest.raises(Interrupted):
        await running
    assert len(ground.scripted.bodies(CHAT)) == 1
    assert (await submit({"1": generate("llm/tiny-a")})).shown("1")[0]
    assert len(ground.scripted.bodies(CHAT)) == 1
