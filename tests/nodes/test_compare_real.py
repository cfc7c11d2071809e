"""LLM Compare in front of a real llama-server that holds one of three models at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from comfy_nodes.nodes.compare import LLMCompare
from comfy_nodes.nodes.generate import LLMGenerate
from comfy_nodes.nodes.lists import ModelList, ParameterGrid, PromptList
from llm_bridge.client import Client
from llm_bridge.endpoints import Endpoint
from tests.bridge.boxes import until
from tests.llama.servers import ROUTED, LlamaServer
from tests.nodes.calling import Page, Stopped
from tests.nodes.conftest import SetUp

CELLS = "comfyui-workbench.cells"
PROMPTS = "the sea\nthe sky\na lighthouse\na cat\na storm"


@pytest.fixture
async def server(llama_router: LlamaServer, set_up: SetUp) -> AsyncGenerator[LlamaServer]:
    """With nothing loaded, and called llm."""
    async with Client.open(Endpoint("box", llama_router.url, "llama-cpp")) as client:
        await client.unload_all()
    set_up(llama_router.url)
    yield llama_router


def loads(server: LlamaServer) -> int:
    """How many models the router has started so far."""
    return server.log.read_text(errors="replace").count("spawning server instance with name=")


def asked(server: LlamaServer) -> int:
    """How many questions its models have begun to answer so far."""
    return server.log.read_text(errors="replace").count("launch_slot_:")


def most_at_once(log: str) -> int:
    """How many answers were being written at once, at most."""
    running = most = 0
    for line in log.splitlines():
        running += ("launch_slot_:" in line) - ("stop processing" in line)
        most = max(most, running)
    return most


async def compare(models: str = "*", prompts: str = PROMPTS, grid: str = "max_tokens=6", **options: Any) -> Any:
    listed, _ = await ModelList().name(models=models)
    questions, _ = await PromptList().ask(prompts=prompts)
    parameters, _ = await ParameterGrid().combine(grid=grid)
    return await LLMCompare().compare(models=listed, prompts=questions, parameters=parameters, unique_id="7", **options)


async def busy_slots(server: LlamaServer, model: str) -> int:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False, headers={"Connection": "close"}) as client:
        told = (await client.get("/slots", params={"model": model, "autoload": "false"})).json()
        return sum(slot["is_processing"] for slot in told)


async def test_thirty_cells_over_three_models_are_three_loads_and_the_second_run_asks_nothing(
    server: LlamaServer,
) -> None:
    before = loads(server), asked(server)
    told = await asyncio.to_thread(asyncio.run, compare(repeats=2))
    compared, _, texts = told["result"]
    await until(lambda: (loads(server) - before[0], asked(server) - before[1]) == (3, 30))
    assert len(texts) == len(compared.results.cells) == 30
    assert all(result.reply.usage.completion == 6 for result in compared.results.cells)
    again = await asyncio.to_thread(asyncio.run, compare(repeats=2))
    assert again["result"][2] == texts and again["result"][0].run == compared.run
    assert (loads(server) - before[0], asked(server) - before[1]) == (3, 30)


async def test_a_model_that_is_not_there_fails_only_its_cells(server: LlamaServer) -> None:
    told = await compare("llm/tiny-a\nllm/huge\nllm/tiny-think")
    states = [cell["state"] for cell in told["ui"]["comparison"][0]["cells"]]
    assert states == ["done", "failed", "done"] * 5
    assert "huge" in told["ui"]["comparison"][0]["cells"][1]["error"]


async def test_reasoning_stands_beside_the_text(server: LlamaServer) -> None:
    told = await compare("tiny-think", "the sea", "max_tokens=12")
    (cell,) = told["ui"]["comparison"][0]["cells"]
    assert cell["reasoning"] and cell["ttft"] > 0 and cell["tokens"] == 12


async def test_an_interrupt_in_the_middle_of_tokens_frees_the_slot_at_once(server: LlamaServer, page: Page) -> None:
    task = asyncio.create_task(compare("tiny-a", "the sea\nthe sky", "extra.max_tokens=-1\nextra.ignore_eos=true"))
    await until(lambda: any(cell["text"] for told in page.told(CELLS) for cell in told["cells"]), 20)
    assert await busy_slots(server, "tiny-a") == 1
    page.interrupt()
    with pytest.raises(Stopped):
        await task
    async with asyncio.timeout(1):
        while await busy_slots(server, "tiny-a"):
            await asyncio.sleep(0.02)


async def test_models_are_gone_when_that_is_wanted(server: LlamaServer) -> None:
    await compare("*", "the sea", unload="at the end")
    await until(lambda: not server.instances())
    await compare("tiny-a\ntiny-b", "the sky", unload="after each model")
    await until(lambda: not server.instances())
    await compare("tiny-a", "a cat", unload="leave loaded")
    assert len(server.instances()) == 1


async def test_twenty_items_of_a_list_never_ask_two_things_at_once(server: LlamaServer) -> None:
    async def generate(number: int) -> str:
        told = await LLMGenerate().generate(
            model=ROUTED[number % 2], prompt=f"item {number}", system="", seed=number, temperature=0.5, max_tokens=20
        )
        return told["result"][0]

    began, before = len(server.log.read_bytes()), loads(server)
    assert all(await asyncio.gather(*map(generate, range(20))))
    log = server.log.read_bytes()[began:].decode(errors="replace")
    assert log.count("launch_slot_:") == 20 and most_at_once(log) == 1
    assert loads(server) - before == 2


async def test_two_graphs_at_once_take_no_turns_with_the_models(server: LlamaServer) -> None:
    before = loads(server)
    one, two = await asyncio.gather(
        asyncio.to_thread(asyncio.run, compare(prompts="a\nb\nc")),
        asyncio.to_thread(asyncio.run, compare(prompts="d\ne\nf")),
    )
    assert len(one["result"][2]) == len(two["result"][2]) == 9
    assert one["result"][0].run != two["result"][0].run
    assert loads(server) - before <= 6  # three when they begin together, three each when one comes late
