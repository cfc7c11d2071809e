"""The tool `compare_text_models`, through the official client."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import pytest

from tests.bridge.servers import Script
from tests.server.chats import TRANSPORTS, in_memory, text_of
from tests.texts import CHAT, NOWHERE, answered, hanging, text_server

JOB = re.compile(r"job ([0-9a-f]{32})")
PROMPTS = ["the sea", "the moon"]


@pytest.fixture
async def server() -> AsyncGenerator[Script]:
    async with text_server() as script:
        yield script


@pytest.mark.parametrize("transport", list(TRANSPORTS))
async def test_answers_come_side_by_side_with_a_table(tmp_path: Path, server: Script, transport: str) -> None:
    async with TRANSPORTS[transport](tmp_path, NOWHERE, llm_url=server.url) as chat:
        assert "compare_text_models" in {tool.name for tool in (await chat.list_tools()).tools}
        result = await chat.call_tool("compare_text_models", {"prompts": PROMPTS, "parameters": "temperature=0"})
    told = text_of(result)
    assert not result.is_error and JOB.search(told)
    for prompt in PROMPTS:
        for model in ("alpha", "beta"):
            assert f"**llm/{model}**" in told and f"{model} on {prompt}" in told
    assert told.index("## 1. the sea") < told.index("## 2. the moon")
    assert {body["temperature"] for body in server.bodies(CHAT)} == {0}


async def test_it_is_listed_only_where_there_is_an_llm_server(tmp_path: Path) -> None:
    async with in_memory(tmp_path, NOWHERE) as chat:
        assert "compare_text_models" not in {tool.name for tool in (await chat.list_tools()).tools}
        refused = await chat.call_tool("compare_text_models", {"prompts": PROMPTS})
        assert refused.is_error and "WORKBENCH_LLM_URL" in text_of(refused)


async def test_who_cannot_wait_gets_an_id_and_fetches_it_later(tmp_path: Path, server: Script) -> None:
    go_on = asyncio.Event()
    server.on(CHAT, hanging(go_on), answered)
    async with in_memory(tmp_path, NOWHERE, llm_url=server.url, wait=1.0) as chat:
        told = text_of(await chat.call_tool("compare_text_models", {"models": ["alpha"], "prompts": PROMPTS}))
        assert "get_result" in told and "0 of 2 answers" in told
        go_on.set()
        with anyio.fail_after(20):
            while "get_result" in (
                told := text_of(await chat.call_tool("get_result", {"job_id": JOB.findall(told)[0]}))
            ):
                pass
        # Which of the two hung is chance.
        assert "alpha on the" in told and "Once more." in told


async def test_cancel_job_stops_a_comparison(tmp_path: Path, server: Script) -> None:
    server.on(CHAT, hanging(asyncio.Event()))
    async with in_memory(tmp_path, NOWHERE, llm_url=server.url, wait=0.5) as chat:
        told = text_of(await chat.call_tool("compare_text_models", {"models": ["alpha"], "prompts": PROMPTS}))
        stopped = text_of(await chat.call_tool("cancel_job", {"job_id": JOB.findall(told)[0]}))
        assert "cancelled" in stopped
        with anyio.fail_after(10):
            await server.aborted.wait()


async def test_a_call_that_is_given_up_stops_its_comparison(tmp_path: Path, server: Script) -> None:
    server.on(CHAT, hanging(asyncio.Event()))
    async with in_memory(tmp_path, NOWHERE, llm_url=server.url) as chat:
        with anyio.move_on_after(2):
            await chat.call_tool("compare_text_models", {"models": ["alpha"], "prompts": PROMPTS})
        with anyio.fail_after(10):
            await server.aborted.wait()


async def test_a_judge_can_be_named_and_bad_arguments_are_refused_in_words(tmp_path: Path, server: Script) -> None:
    async with in_memory(tmp_path, NOWHERE, llm_url=server.url) as chat:
        for bad in (
            {},
            {"prompts": "the sea"},
            {"prompts": PROMPTS, "models": ["gamma"]},
            {"prompts": PROMPTS, "judge": "x"},
        ):
            refused = await chat.call_tool("compare_text_models", bad)
            assert refused.is_error and text_of(refused).startswith("Error: "), bad
        assert server.bodies(CHAT) == []
        judged = text_of(await chat.call_tool("compare_text_models", {"prompts": PROMPTS, "judge": "beta"}))
        assert "judged its own answers" in judged and "did not judge" in judged
