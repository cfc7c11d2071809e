"""Judge in front of a real llama-server, whose tiny models judge at random, but in the form that is asked of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

import pytest

from comfy_nodes.nodes.judging import Judge
from comfy_nodes.values import Compared
from llm_bridge.client import Client
from llm_bridge.compare import Results
from llm_bridge.compare.judge import CRITERIA
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import BadAnswer
from tests.bridge.boxes import until
from tests.llama.servers import LlamaServer
from tests.nodes.calling import Page, Stopped
from tests.nodes.conftest import SetUp
from tests.nodes.test_compare_real import asked, busy_slots, compare

PAIRS = 3


@pytest.fixture
async def server(llama_router: LlamaServer, set_up: SetUp) -> AsyncGenerator[LlamaServer]:
    """With nothing loaded, and called llm."""
    async with Client.open(Endpoint("box", llama_router.url, "llama-cpp")) as client:
        await client.unload_all()
    set_up(llama_router.url)
    yield llama_router


async def done() -> Compared:
    """Two models have answered three prompts."""
    return (await compare("tiny-a\ntiny-think", "the sea\nthe sky\na storm"))["result"][0]


async def judge(results: Compared, **changed: Any) -> Compared:
    given: dict[str, Any] = {"judge": "tiny-b", "criteria": CRITERIA, "seed": 0, "most_pairs": 200}
    given |= {"max_tokens": 100, "show_images": True, "unload": "leave loaded", "unique_id": "7"}
    return (await Judge().judge(results=results, **given | changed))["result"][0]


async def lucky(results: Compared) -> Results:
    """With the first seed by which the judge finds a winner before its tokens end."""
    for seed in range(10):
        with suppress(BadAnswer):
            return (await judge(results, seed=seed, max_tokens=200)).results
    pytest.fail("never a winner")


async def test_every_pair_is_judged_or_says_why(server: LlamaServer) -> None:
    judged = await lucky(await done())
    refused = [note for note in judged.notes if "did not judge" in note]
    assert judged.preferences and len(judged.preferences) + len(refused) == PAIRS
    assert all(preference.by == "judge:llm/tiny-b" for preference in judged.preferences)


async def test_the_judge_is_gone_when_that_is_wanted(server: LlamaServer) -> None:
    results = await done()
    with suppress(BadAnswer):
        await judge(results)
    assert len(server.instances()) == 1
    with suppress(BadAnswer):
        await judge(results, seed=1, unload="at the end")
    await until(lambda: not server.instances())


async def test_an_interrupt_in_the_middle_of_a_verdict_frees_the_slot_at_once(server: LlamaServer, page: Page) -> None:
    results = await done()
    before = asked(server)
    task = asyncio.create_task(judge(results, judge="tiny-a", seed=3, max_tokens=0))
    await until(lambda: asked(server) > before, 20)
    page.interrupt()
    with pytest.raises(Stopped):
        await task
    async with asyncio.timeout(1):
        while await busy_slots(server, "tiny-a"):
            await asyncio.sleep(0.02)
    assert asked(server) - before < 2 * PAIRS
