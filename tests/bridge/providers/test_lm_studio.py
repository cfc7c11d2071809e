"""LM Studio, with and without its `/api/v1`."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_bridge.chat import ChatRequest, Done, Reasoning, Sampling, Text, Tool, Usage
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import ContextExceeded, KeyRefused, LoadFailed, NotSupported, ServerError, UnknownModel
from llm_bridge.messages import Image, Message, ToolCall
from llm_bridge.providers import Model, State
from llm_bridge.providers.lm_studio import LMStudio
from llm_bridge.providers.openai import ChunkDecoder
from llm_bridge.transport import Transport
from tests.bridge.providers.scripted import CHAT, asked, chat, client_of, recorded, refused, served, told
from tests.bridge.providers.scripted_lm_studio import LMStudioServer, lm_studio_older
from tests.bridge.providers.slices import events_of, halves
from tests.bridge.servers import End, json_answer, scripted, stream

GEMMA, LLAMA = "google/gemma-4-26b-a4b", "llama-3.1-8b"
LOAD, UNLOAD = "POST /api/v1/models/load", "POST /api/v1/models/unload"
REASONING = (Path(__file__).parent.parent / "recorded/lm-studio/reasoning.sse").read_bytes()


async def test_models_are_listed_with_what_lm_studio_tells_of_them() -> None:
    async with served(LMStudioServer()) as (_, client):
        gemma, llama, embedding = await client.models()
    assert gemma == Model(
        GEMMA,
        State.LOADED,
        size=17990911801,
        context=4096,
        max_context=262144,
        vision=True,
        tools=True,
        reasoning=True,
        parameters="26B-A4B",
        quantization="Q4_K_M",
        instances=(GEMMA,),
    )
    assert (llama.state, llama.context, llama.reasoning, llama.instances) == (State.UNLOADED, None, None, ())
    assert (embedding.chats, embedding.vision, embedding.parameters) == (False, None, None)


async def test_an_older_server_lists_by_its_older_api_and_cannot_be_told_to_load() -> None:
    async with served(lm_studio_older) as (script, client):
        dialect = await client.dialect()
        vision, llama, embedding = await client.models()
        with pytest.raises(NotSupported):
            await client.load("qwen2-vl-7b-instruct")
        with pytest.raises(NotSupported):
            await client.unload("meta-llama-3.1-8b-instruct")
    assert (dialect.kind, dialect.loads, dialect.unloads) == ("lm-studio", False, False)
    assert (vision.state, vision.vision, vision.tools, vision.context) == (State.UNLOADED, True, True, None)
    assert (llama.state, llama.vision, llama.tools, llama.context) == (State.LOADED, False, False, 8192)
    assert (embedding.chats, embedding.tools) == (False, None)
    assert not [each for each in script.received if each.method == "POST"]


async def test_a_model_is_loaded_with_its_context_and_unloaded_by_its_instance() -> None:
    server = LMStudioServer()
    async with served(server) as (script, client):
        assert await client.load(LLAMA, context=8192, ttl=60) > 0
        assert (await client.find(LLAMA)).context == 8192
        await client.unload(LLAMA)
        assert (await client.find(LLAMA)).state is State.UNLOADED
        await client.unload(LLAMA)
    assert script.bodies(LOAD) == [{"model": LLAMA, "context_length": 8192}]
    assert script.bodies(UNLOAD) == [{"instance_id": LLAMA}]


async def test_a_loaded_model_is_loaded_anew_only_for_a_larger_context() -> None:
    server = LMStudioServer()
    async with served(server) as (script, client):
        await client.load(GEMMA)
        await client.load(GEMMA, context=4096)
        assert not script.bodies(LOAD)
        await client.load(GEMMA, context=16384)
        assert script.bodies(UNLOAD) == [{"instance_id": GEMMA}]
        assert script.bodies(LOAD) == [{"model": GEMMA, "context_length": 16384}]
        assert server.instances(GEMMA) == [{"id": GEMMA, "config": {"context_length": 16384}}]


async def test_all_instances_of_a_model_are_unloaded_or_one_that_is_named() -> None:
    server = LMStudioServer()
    for name in ("", ":2", ":3"):
        server.instances(LLAMA).append({"id": f"{LLAMA}{name}", "config": {"context_length": 4096}})
    async with served(server) as (script, client):
        await client.unload(f"{LLAMA}:2")
        assert script.bodies(UNLOAD) == [{"instance_id": f"{LLAMA}:2"}]
        assert set(await client.unload_all()) == {GEMMA, LLAMA}
        gone = [body["instance_id"] for body in script.bodies(UNLOAD)[1:]]
        assert [name for name in gone if name != GEMMA] == [LLAMA, f"{LLAMA}:3"]


async def test_an_instance_that_went_by_itself_is_no_failure() -> None:
    async with served(LMStudioServer()) as (script, client):
        script.on(UNLOAD, refused("lm-studio", "unknown_model", 404))
        await client.unload(GEMMA)
        assert script.bodies(UNLOAD) == [{"instance_id": GEMMA}]


async def test_what_cannot_be_loaded_says_so() -> None:
    server = LMStudioServer()
    server.broken.add(LLAMA)
    async with served(server) as (script, client):
        with pytest.raises(LoadFailed, match="SIGABRT"):
            await client.load(LLAMA)
        with pytest.raises(UnknownModel):
            await client.load("nope")
        script.on(LOAD, json_answer(recorded("lm-studio", "unexpected")))
        with pytest.raises(LoadFailed, match="Unexpected endpoint"):
            await client.load(LLAMA)


async def test_a_chat_streams_thoughts_and_text_and_tells_its_tokens() -> None:
    async with served(LMStudioServer()) as (_, client):
        reply, events = await asked(client, chat(GEMMA))
    assert events[:4] == [Reasoning("A gr"), Reasoning("üß."), Text("Hallo "), Text("世界 🙂")]
    assert (reply.text, reply.reasoning, reply.finish, reply.model) == ("Hallo 世界 🙂", "A grüß.", "stop", GEMMA)
    assert reply.usage == Usage(prompt=14, completion=9, reasoning=4)


async def test_everything_that_is_asked_stands_in_the_request() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    wanted = ChatRequest(
        LLAMA,
        (Message.system("Be brief."), Message.user("What is it?", [Image(b"png")])),
        Sampling(temperature=0.5, top_k=20, repeat_penalty=1.1, seed=7, max_tokens=64, stop=("END",)),
        tools=(Tool("look", "Looks."),),
        tool_choice="required",
        think=False,
        ttl=0.4,
        extra={"draft_model": "tiny"},
        schema=schema,
    )
    async with scripted() as script, Transport.open(Endpoint("box", script.url)) as transport:
        call = LMStudio(transport).call(wanted)
    assert call.path == "/v1/chat/completions"
    body = dict(call.body)
    assert body.pop("messages") == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}},
                {"type": "text", "text": "What is it?"},
            ],
        },
    ]
    assert body.pop("response_format")["json_schema"]["schema"] == schema
    assert body.pop("tools")[0]["function"]["name"] == "look"
    assert body == {
        "model": LLAMA,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
        "top_k": 20,
        "repeat_penalty": 1.1,
        "seed": 7,
        "max_tokens": 64,
        "stop": ["END"],
        "tool_choice": "required",
        "ttl": 1,
        "reasoning_effort": "none",
        "draft_model": "tiny",
    }


async def test_a_tool_call_comes_in_pieces() -> None:
    async with served(LMStudioServer()) as (script, client):
        script.on(CHAT, told("lm-studio", "tool_call"))
        reply, _ = await asked(client, chat(GEMMA, tools=(Tool("get_weather"),)))
    assert reply.tool_calls == (ToolCall("814890118", "get_weather", '{"city":"Bern"}'),)
    assert reply.finish == "tool_calls"


async def test_failures_mean_what_they_say() -> None:
    async with served(LMStudioServer()) as (script, client):
        script.on(CHAT, told("lm-studio", "error"))
        with pytest.raises(ServerError, match="crashed"):
            await client.ask(chat(GEMMA))
        script.on(CHAT, refused("lm-studio", "too_long", 400))
        with pytest.raises(ContextExceeded):
            await client.ask(chat(GEMMA))
        script.on(CHAT, refused("lm-studio", "unknown_model", 404))
        with pytest.raises(UnknownModel):
            await client.ask(chat("nope"))


async def test_a_server_that_wants_a_token_says_so() -> None:
    refusal = json_answer({"error": {"message": "Invalid API token"}}, 401)
    async with scripted("GET /api/v1/models", refusal) as script, client_of(script, "lm-studio") as client:
        with pytest.raises(KeyRefused):
            await client.models()


async def test_leaving_a_chat_closes_its_connection() -> None:
    async with served(LMStudioServer()) as (script, client):
        script.on(CHAT, stream(REASONING[: REASONING.index(b"\n\n") + 2], End.HANG))
        async with client.stream(chat(GEMMA)) as events:
            assert await anext(events) == Reasoning("A gr")
        await script.aborted.wait()


async def test_a_stream_cut_anywhere_tells_the_same() -> None:
    whole = await events_of(ChunkDecoder("box"), "text/event-stream", [REASONING])
    assert isinstance(whole[-1], Done)
    for cut in halves(REASONING):
        assert await events_of(ChunkDecoder("box"), "text/event-stream", cut) == whole
    single = [REASONING[n : n + 1] for n in range(len(REASONING))]
    assert await events_of(ChunkDecoder("box"), "text/event-stream", single) == whole
