"""vLLM: its list, its names for sampling, its two fields for thinking, counting, and what it refuses."""

from __future__ import annotations

import pytest

from llm_bridge.chat import Sampling, Tool, Usage
from llm_bridge.errors import ContextExceeded, KeyRefused, NotSupported, UnknownModel
from llm_bridge.providers import State
from tests.bridge.providers.scripted import CHAT, asked, chat, client_of, recorded, refused, served, told, vllm
from tests.bridge.servers import json_answer, scripted

MODEL = "Qwen/Qwen3-8B"


async def test_its_models_are_loaded_with_their_window() -> None:
    async with served(vllm) as (_, client):
        base, adapter = await client.models()
        assert (base.id, base.state, base.context, base.window) == (MODEL, State.LOADED, 40960, 40960)
        assert (adapter.id, adapter.context) == ("sql-lora", None)
        assert (base.vision, base.tools) == (None, None)
        for work in (client.load, client.unload):
            with pytest.raises(NotSupported):
                await work(MODEL)


@pytest.mark.parametrize("name", ["reasoning", "reasoning_older"])
async def test_thinking_is_read_from_either_field(name: str) -> None:
    async with served(vllm) as (script, client):
        script.on(CHAT, told("vllm", name))
        reply, _ = await asked(client, chat(MODEL))
    assert (reply.reasoning, reply.text, reply.finish) == ("Okay, so", "Hello!", "stop")
    assert reply.usage == Usage(13, 7, 4)
    assert reply.timings.tokens_per_second is None


async def test_the_request_has_its_names() -> None:
    async with served(vllm) as (script, client):
        sampling = Sampling(repeat_penalty=1.1, top_k=20, min_p=0.05, stop=("END",))
        await asked(client, chat(MODEL, sampling=sampling, think=False))
        (body,) = script.bodies(CHAT)
    assert (body["repetition_penalty"], body["top_k"], body["min_p"], body["stop"]) == (1.1, 20, 0.05, ["END"])
    assert "repeat_penalty" not in body
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert body["stream_options"] == {"include_usage": True}


async def test_the_server_counts_the_whole_prompt() -> None:
    async with served(vllm) as (script, client):
        assert await client.count(chat(MODEL, tools=(Tool("weather"),), think=True)) == 13
        (body,) = script.bodies("POST /tokenize")
        script.on("POST /tokenize", json_answer({"detail": "Not Found"}, 404))
        assert await client.count(chat(MODEL)) is None
    assert set(body) == {"model", "messages", "tools", "chat_template_kwargs"}
    assert body["messages"] == [{"role": "user", "content": "hi"}]


async def test_tool_calls_come_in_pieces() -> None:
    async with served(vllm) as (script, client):
        script.on(CHAT, told("vllm", "tool_call"))
        reply, _ = await asked(client, chat(MODEL))
    (call,) = reply.tool_calls
    assert (call.name, call.arguments, call.id) == ("weather", '{"city": "Kyoto"}', "chatcmpl-tool-9a")
    assert reply.finish == "tool_calls"


@pytest.mark.parametrize(("name", "needed"), [("too_long", 41011), ("too_long_newer", 50000)])
async def test_too_long_a_prompt_is_refused_with_both_numbers(name: str, needed: int) -> None:
    async with served(vllm) as (script, client):
        script.on(CHAT, refused("vllm", name, 400))
        with pytest.raises(ContextExceeded) as caught:
            await client.ask(chat(MODEL))
    assert caught.value.details == {"needed": needed, "window": 40960}


@pytest.mark.parametrize("name", ["unknown_model", "unknown_model_older"])
async def test_an_unknown_model_is_unknown(name: str) -> None:
    async with served(vllm) as (script, client):
        script.on(CHAT, refused("vllm", name, 404))
        with pytest.raises(UnknownModel, match="`nope` does not exist"):
            await client.ask(chat("nope"))


async def test_a_key_is_asked_for_below_v1_only() -> None:
    async with scripted("GET /version", json_answer(recorded("vllm", "version"))) as script:
        script.on("GET /v1/models", refused("vllm", "wrong_key", 401))
        async with client_of(script) as client:
            with pytest.raises(KeyRefused):
                await client.models()
