"""text-generation-webui."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_bridge.chat import ChatRequest, Reasoning, Sampling, Text, Tool, Usage
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import KeyRefused, LoadFailed, ServerError, UnknownModel
from llm_bridge.messages import Image, Message, ToolCall
from llm_bridge.providers import Model, State
from llm_bridge.providers.openai import ChunkDecoder
from llm_bridge.providers.textgen import TextGen
from llm_bridge.transport import Transport
from tests.bridge.providers.scripted import CHAT, asked, chat, refused, served, told
from tests.bridge.providers.scripted_textgen import TextGenServer
from tests.bridge.providers.slices import events_of, halves
from tests.bridge.servers import End, stream

LOAD, UNLOAD = "POST /v1/internal/model/load", "POST /v1/internal/model/unload"
PROMPT, COUNT = "POST /v1/internal/chat-prompt", "POST /v1/internal/token-count"
QWEN, GEMMA = "Qwen3-8B-Q4_K_M.gguf", "gemma-3-27b.gguf"
REASONING = (Path(__file__).parent.parent / "recorded/textgen/reasoning.sse").read_bytes()


async def test_models_are_listed_with_the_one_that_is_loaded() -> None:
    server = TextGenServer()
    async with served(server) as (_, client):
        assert await client.models() == [Model(QWEN, State.LOADED), Model(GEMMA, State.UNLOADED)]
        server.name = "None"
        assert {model.state for model in await client.models()} == {State.UNLOADED}


async def test_without_the_admin_key_only_the_loaded_model_is_known() -> None:
    server = TextGenServer(admin=False)
    async with served(server) as (script, client):
        assert await client.models() == [Model(QWEN, State.LOADED)]
        script.on(LOAD, refused("textgen", "unauthorized", 401))
        with pytest.raises(KeyRefused):
            await client.load(GEMMA)


async def test_a_model_is_loaded_once_and_unloaded() -> None:
    async with served(TextGenServer()) as (script, client):
        await client.load(QWEN)
        assert not script.bodies(LOAD)
        await client.load(GEMMA, ttl=60)
        await client.load(GEMMA, context=8192)
        assert (await client.find(GEMMA)).state is State.LOADED
        await client.unload(QWEN)
        await client.unload(GEMMA)
        assert (await client.find(GEMMA)).state is State.UNLOADED
    assert script.bodies(LOAD) == [{"model_name": GEMMA}, {"model_name": GEMMA, "args": {"ctx_size": 8192}}]
    assert script.bodies(UNLOAD) == [{}]


async def test_what_cannot_be_loaded_says_so_though_the_server_says_ok() -> None:
    server = TextGenServer()
    server.broken.add(GEMMA)
    async with served(server) as (script, client):
        with pytest.raises(LoadFailed, match="could not load"):
            await client.load(GEMMA)
        # The server goes on to name it as loaded.
        assert [model.state for model in await client.models()] == [State.UNLOADED, State.FAILED]
        with pytest.raises(UnknownModel):
            await client.load("nope")
        assert script.bodies(LOAD) == [{"model_name": GEMMA}]
        server.broken.clear()
        await client.load(GEMMA)
        assert [model.state for model in await client.models()] == [State.UNLOADED, State.LOADED]
        script.on(LOAD, refused("textgen", "load_failed", 500))
        with pytest.raises(LoadFailed, match="Failed to load"):
            await client.load(QWEN)
        server.name = "gone-again.gguf"
        assert [model.id for model in await client.models()] == [QWEN, GEMMA]


async def test_a_model_that_only_seems_loaded_is_loaded_again() -> None:
    server = TextGenServer()
    server.broken.add(QWEN)
    async with served(server) as (script, client):
        with pytest.raises(LoadFailed):
            await client.load(QWEN)
        assert script.bodies(LOAD) == [{"model_name": QWEN}]


async def test_a_chat_streams_thoughts_and_text_and_tells_its_tokens() -> None:
    async with served(TextGenServer()) as (_, client):
        reply, events = await asked(client, chat(QWEN))
    assert events[:3] == [Reasoning("A grüß."), Text("Hallo "), Text("世界")]
    assert (reply.text, reply.reasoning, reply.finish, reply.model) == ("Hallo 世界", "A grüß.", "stop", QWEN)
    assert reply.usage == Usage(prompt=11, completion=8)


async def test_a_tool_call_comes_whole_and_a_prompt_that_was_not_counted_is_unknown() -> None:
    async with served(TextGenServer()) as (script, client):
        script.on(CHAT, told("textgen", "tool_call"))
        reply, _ = await asked(client, chat(QWEN, tools=(Tool("get_weather"),)))
    assert reply.tool_calls == (ToolCall("call_x7Yz", "get_weather", '{"city": "Bern"}'),)
    assert reply.finish == "tool_calls"
    assert reply.usage == Usage(prompt=None, completion=14)


async def test_everything_that_is_asked_stands_in_the_request() -> None:
    sampling = Sampling(temperature=0.5, top_k=20, min_p=0.05, repeat_penalty=1.1, seed=7, max_tokens=64, stop=("END",))
    messages = (Message.user("What is it?", [Image(b"png")]),)
    wanted = ChatRequest(QWEN, messages, sampling, tools=(Tool("look"),), tool_choice="look", think=False, ttl=60)
    async with Transport.open(Endpoint("box", "http://127.0.0.1:1")) as transport:
        call = TextGen(transport).call(wanted)
        assert "enable_thinking" not in TextGen(transport).call(chat(QWEN)).body
    assert call.path == "/v1/chat/completions"
    body = dict(call.body)
    assert body.pop("messages")[0]["content"][0]["image_url"]["url"] == "data:image/png;base64,cG5n"
    assert body.pop("tools")[0]["function"]["name"] == "look"
    assert body == {
        "model": QWEN,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
        "top_k": 20,
        "min_p": 0.05,
        "repetition_penalty": 1.1,
        "seed": 7,
        "max_tokens": 64,
        "stop": ["END"],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "enable_thinking": False,
    }


async def test_the_prompt_is_counted_by_the_template_and_tokenizer_of_the_loaded_model() -> None:
    async with served(TextGenServer()) as (script, client):
        assert await client.count(chat(QWEN)) == 9
        assert await client.count(chat(GEMMA)) is None
        assert await client.count(ChatRequest(QWEN, (Message.user("?", [Image(b"png")]),))) is None
    (prompted,) = script.bodies(PROMPT)
    assert prompted["messages"] == [{"role": "user", "content": "hi"}]
    assert prompted["stream"] is False
    assert script.bodies(COUNT) == [{"text": "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"}]


async def test_failures_mean_what_they_say() -> None:
    async with served(TextGenServer()) as (script, client):
        script.on(CHAT, refused("textgen", "unauthorized", 401))
        with pytest.raises(KeyRefused):
            await client.ask(chat(QWEN))
        script.on(CHAT, stream(REASONING.replace(QWEN.encode(), b"None")))
        with pytest.raises(UnknownModel, match="no model loaded"):
            await client.ask(chat(QWEN))
        script.on(CHAT, stream(REASONING[: REASONING.index(b"\n\n") + 2], End.CLOSE))
        with pytest.raises(ServerError):
            await client.ask(chat(QWEN))


async def test_leaving_a_chat_closes_its_connection() -> None:
    async with served(TextGenServer()) as (script, client):
        events = REASONING.split(b"\n\n")
        script.on(CHAT, stream(b"\n\n".join(events[:2]) + b"\n\n", End.HANG))
        async with client.stream(chat(QWEN)) as answer:
            assert await anext(answer) == Reasoning("A grüß.")
        await script.aborted.wait()


async def test_a_stream_cut_anywhere_tells_the_same() -> None:
    whole = await events_of(ChunkDecoder("box"), "text/event-stream", [REASONING])
    for cut in halves(REASONING):
        assert await events_of(ChunkDecoder("box"), "text/event-stream", cut) == whole
