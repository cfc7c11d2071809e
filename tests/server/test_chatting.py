"""A language model asked through `run_template`, through the official client: found, described, and what it is not."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from tests.bridge.servers import Script
from tests.server.chats import in_memory, text_of
from tests.texts import CHAT, NOWHERE, text_server


@pytest.fixture
async def server() -> AsyncGenerator[Script]:
    async with text_server() as script:
        yield script


@pytest.fixture
async def chat(tmp_path: Path, server: Script) -> AsyncGenerator[Client]:
    async with in_memory(tmp_path, NOWHERE, llm_url=server.url) as client:
        yield client


async def told(chat: Client, tool: str, **arguments: Any) -> str:
    result = await chat.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    return text_of(result)


async def test_a_chat_is_listed_described_and_run(chat: Client) -> None:
    assert "\nchat: Ask a language model" in await told(chat, "list_templates")
    lines = (await told(chat, "describe_template", template="chat")).splitlines()
    assert lines[1].startswith("- prompt (text): ")
    assert any(line.startswith("- model (model; default auto; one of auto, llm/alpha, llm/beta)") for line in lines)
    assert any(line.startswith("- temperature (float; min 0; max 5)") for line in lines)
    assert not any("style" in line or "preset" in line for line in lines)
    assert "alpha on the sea" in await told(
        chat, "run_template", template="chat", values={"model": "alpha", "prompt": "the sea", "stop": "END"}
    )


async def test_without_an_llm_server_there_is_no_chat(tmp_path: Path, embedded_url: str) -> None:
    async with in_memory(tmp_path, embedded_url) as chat:
        assert "\nchat: " not in await told(chat, "list_templates")
        refused = await chat.call_tool("describe_template", {"template": "chat"})
        assert refused.is_error


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("sweep", {"template": "chat", "over": {"temperature": [0, 1]}}, "cannot be swept"),
        ("save_preset", {"template": "chat", "name": "mine", "values": {"temperature": 1}}, "has no presets"),
        ("open_form", {"template": "chat"}, "no form for a chat"),
        ("run_template", {"template": "chat", "values": {"prompt": "x", "style": "anime"}}, "takes no style"),
        ("run_template", {"template": "chat", "values": {"prompt": "x", "preset": "mine"}}, "takes no preset"),
        ("run_template", {"template": "chat", "values": {"promt": "x"}}, "Nearest: prompt"),
    ],
)
async def test_what_a_chat_is_not_is_said_in_words(
    chat: Client, server: Script, tool: str, arguments: dict[str, Any], words: str
) -> None:
    refused = await chat.call_tool(tool, arguments)
    assert refused.is_error and words in text_of(refused), text_of(refused)
    assert server.bodies(CHAT) == []


async def test_a_comparison_pushes_nothing_out_of_the_list_of_jobs(chat: Client) -> None:
    await told(chat, "run_template", template="chat", values={"model": "alpha", "prompt": "the sea"})
    await told(chat, "compare_text_models", prompts=["the moon"], parameters="seed=1,2,3")
    assert len((await told(chat, "list_jobs")).splitlines()) == 1
