"""Chat completions of a real llama-server through the workbench: whole, streamed, structured, and broken off."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import httpx

from tests.llama.servers import LlamaServer
from tests.proxy.openai.chatting import PATH, body, chunks, content, openai_client, said, stream_of
from tests.texts import NOWHERE
from tests.workbenches import served


async def test_the_official_client_chats_with_a_real_server(tmp_path: Path, llama_single: LlamaServer) -> None:
    messages: Any = said("hello")
    async with served(tmp_path, NOWHERE, llm_url=llama_single.url) as http, openai_client(http) as client:
        answer = await client.chat.completions.create(
            model="tiny-a", messages=messages, max_tokens=8, temperature=0, seed=1
        )
        asked = body("hello", "tiny-a", max_tokens=8, temperature=0, seed=1, stream_options={"include_usage": True})
        told = await stream_of(http, asked)
        listed = {model.id: model async for model in client.models.list()}
    assert answer.model == "llm/tiny-a" and answer.choices[0].finish_reason == "length"
    assert answer.usage is not None and answer.usage.completion_tokens == 8
    assert content(told) == answer.choices[0].message.content
    assert chunks(told)[-1]["usage"]["completion_tokens"] == 8
    assert chunks(told)[-1]["workbench"]["server"] == "llm"
    assert "llm/tiny-a" in listed


async def test_a_schema_holds_even_a_random_model(tmp_path: Path, llama_single: LlamaServer) -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"]}
    format = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    async with served(tmp_path, NOWHERE, llm_url=llama_single.url) as http:
        told = await stream_of(http, body("yes?", "tiny-a", response_format=format, max_tokens=200))
    assert isinstance(json.loads(content(told))["yes"], bool)


async def test_who_hangs_up_frees_the_slot_of_a_real_server(tmp_path: Path, llama_single: LlamaServer) -> None:
    endless = body("tell me everything", "tiny-a", max_tokens=1_000_000, stream=True)
    async with served(tmp_path, NOWHERE, llm_url=llama_single.url) as http:
        for _ in range(3):
            async with http.stream("POST", PATH, json=endless) as answer:
                async for data in answer.aiter_bytes():
                    if content(data):
                        break
        async with httpx.AsyncClient(base_url=llama_single.url, trust_env=False) as direct:
            with anyio.fail_after(20):
                while any(slot["is_processing"] for slot in (await direct.get("/slots")).json()):
                    await anyio.sleep(0.05)
