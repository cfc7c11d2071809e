"""Ollama's models: listing, loading, unloading, and what a chat is asked with."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from llm_bridge.chat import ChatRequest, Sampling, Tool
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import LoadFailed, NotSupported, ServerBusy, TimedOut, UnknownModel
from llm_bridge.messages import Message
from llm_bridge.providers import Model, State
from llm_bridge.providers.ollama import Ollama
from llm_bridge.transport import Transport
from tests.bridge.providers.scripted import chat, client_of, recorded, refused, served
from tests.bridge.providers.scripted_ollama import CHAT, OllamaServer
from tests.bridge.servers import Answer, Received, json_answer, scripted

LLAMA = "llama3.2:latest"


async def body_of(wanted: ChatRequest) -> dict[str, Any]:
    async with Transport.open(Endpoint("box", "http://127.0.0.1:1")) as transport:
        call = Ollama(transport).call(wanted)
    assert call.path == "/api/chat"
    return dict(call.body)


async def test_a_newer_server_lists_what_its_models_can_do() -> None:
    async with served(OllamaServer("tags_with_capabilities")) as (script, client):
        gemma, embedding, cloud = await client.models()
    assert gemma == Model(
        "gemma4:latest",
        State.UNLOADED,
        size=9608350718,
        max_context=131072,
        vision=True,
        tools=True,
        reasoning=True,
        parameters="8.0B",
        quantization="Q4_K_M",
        aliases=gemma.aliases,
    )
    assert (embedding.chats, embedding.tools) == (False, False)
    assert (cloud.state, cloud.reasoning) == (None, True)
    assert not script.bodies("POST /api/show")


async def test_an_older_server_is_asked_once_for_each_model_that_it_has() -> None:
    async with served(OllamaServer()) as (script, client):
        script.on("POST /api/show", _shown)
        deepseek, llama, embedding = await client.models()
        await client.models()
        asked_for = [body["model"] for body in script.bodies("POST /api/show")]
    # Only what failed is asked for again.
    assert sorted(asked_for) == ["deepseek-r1:latest", "deepseek-r1:latest", LLAMA, "nomic-embed-text:latest"]
    assert (llama.max_context, llama.tools, llama.vision, llama.chats) == (131072, True, False, True)
    assert embedding.chats is False
    # What cannot be found out stays unknown, and hides no model.
    assert (deepseek.tools, deepseek.max_context, deepseek.chats) == (None, None, True)


def _shown(received: Received) -> Answer:
    if received.json["model"].startswith("deepseek"):
        return refused("ollama", "crashed", 500)
    shown = recorded("ollama", "show")
    if "embed" in received.json["model"]:
        shown["capabilities"] = ["embedding"]
    return json_answer(shown)


async def test_few_models_are_asked_for_at_once_and_a_slow_answer_holds_up_no_list() -> None:
    server = OllamaServer()
    server.tags = [server.tags[1] | {"name": f"m{n}:latest", "digest": str(n)} for n in range(12)]
    async with served(server) as (script, client):
        await client.dialect()
        script.on("POST /api/show", Answer((asyncio.Event(),)))
        models = await client.models()
        assert len(models) == 12
        assert all(model.tools is None for model in models)
        assert script.most <= 5
        script.on("POST /api/show", json_answer(recorded("ollama", "show")))
        assert all(model.tools for model in await client.models())


async def test_a_loaded_model_tells_its_context_and_when_it_goes() -> None:
    server = OllamaServer()
    expires = datetime.now(UTC) + timedelta(minutes=5)
    server.loaded[LLAMA] = recorded("ollama", "ps")["models"][0] | {"expires_at": expires.isoformat()}
    async with served(server) as (_, client):
        llama = await client.find(LLAMA)
        assert (llama.state, llama.context, llama.size) == (State.LOADED, 4096, 2019393189)
        assert llama.expires == pytest.approx(300, abs=20)  # pyright: ignore[reportUnknownMemberType]
        server.loaded[LLAMA]["expires_at"] = "0001-01-01T00:00:00Z"
        assert (await client.find(LLAMA)).expires is None
        server.loaded[LLAMA]["expires_at"] = "2024-06-04T14:38:31.837531234-07:00"
        assert (await client.find(LLAMA)).expires == 0


async def test_a_model_is_loaded_and_unloaded_by_empty_chats() -> None:
    async with served(OllamaServer()) as (script, client):
        await client.load("llama3.2", context=16384, ttl=90.5)
        assert (await client.find(LLAMA)).context == 16384
        await client.unload("llama3.2")
        # It was looked at until it was gone.
        assert (await client.find(LLAMA)).state is State.UNLOADED
        await client.unload("nope")
    empty: dict[str, Any] = {"model": "llama3.2", "messages": [], "stream": False}
    assert script.bodies(CHAT)[:2] == [
        empty | {"options": {"num_ctx": 16384}, "keep_alive": 90.5},
        empty | {"keep_alive": 0},
    ]


async def test_a_context_of_its_own_stands_in_every_chat_until_the_model_goes() -> None:
    async with served(OllamaServer()) as (script, client):
        await client.load("llama3.2", context=16384)
        await client.ask(chat(LLAMA, sampling=Sampling(seed=7)))
        await client.ask(chat(LLAMA, extra={"options": {"num_ctx": 512}}))
        await client.unload(LLAMA)
        await client.ask(chat(LLAMA))
        await client.load(LLAMA)
    _, first, second, _, third, last = script.bodies(CHAT)
    assert first["options"] == {"num_ctx": 16384, "seed": 7}
    assert second["options"] == {"num_ctx": 512}
    assert "options" not in third
    assert "options" not in last


async def test_what_cannot_be_loaded_says_why() -> None:
    async with served(OllamaServer()) as (script, client):
        with pytest.raises(UnknownModel, match="'nope' not found"):
            await client.load("nope")
        for body, status, error in (
            ("no_memory", 500, LoadFailed),
            ("crashed", 500, LoadFailed),
            ("busy", 503, ServerBusy),
        ):
            script.on(CHAT, refused("ollama", body, status))
            with pytest.raises(error):
                await client.load("llama3.2")


async def test_a_model_that_does_not_go_in_time_is_told_of() -> None:
    server = OllamaServer()
    server.loaded[LLAMA] = recorded("ollama", "ps")["models"][0]
    async with scripted() as script:
        server(script)
        script.on("GET /api/ps", json_answer(recorded("ollama", "ps")))
        async with client_of(script, "ollama", load=0.1) as client:
            with pytest.raises(TimedOut, match="still keeps"):
                await client.unload(LLAMA)


async def test_a_load_that_is_given_up_is_undone() -> None:
    async with served(OllamaServer()) as (script, client):
        await client.dialect()
        script.on(CHAT, Answer((asyncio.Event(),)), json_answer(recorded("ollama", "unloaded")))
        script.asked.clear()
        loading = asyncio.create_task(client.load("llama3.2"))
        await script.asked.wait()
        loading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loading
        await script.aborted.wait()
    # Leaving the client waits for what it has to tidy up.
    assert script.bodies(CHAT)[1] == {"model": "llama3.2", "messages": [], "stream": False, "keep_alive": 0}


async def test_a_model_in_the_cloud_needs_no_loading_and_holds_no_memory() -> None:
    async with served(OllamaServer("tags_with_capabilities")) as (script, client):
        await client.load("gpt-oss:120b-cloud")
        await client.unload("gpt-oss:120b-cloud")
        await client.load("gemma4")
        assert await client.unload_all() == ["gemma4:latest"]
        assert {body["model"] for body in script.bodies(CHAT)} == {"gemma4", "gemma4:latest"}


async def test_a_context_that_could_not_be_had_is_not_asked_for_again() -> None:
    async with served(OllamaServer()) as (script, client):
        script.on(CHAT, refused("ollama", "no_memory", 500), OllamaServer().answer)
        with pytest.raises(LoadFailed):
            await client.load("llama3.2", context=131072)
        await client.ask(chat("llama3.2"))
        assert "options" not in script.bodies(CHAT)[1]


async def test_names_with_and_without_their_tag_are_the_same_model() -> None:
    async with Transport.open(Endpoint("box", "http://127.0.0.1:1")) as transport:
        listed = Ollama(transport).listed
    assert listed("llama3.2") == listed("registry.ollama.ai/library/llama3.2") == LLAMA
    assert listed("llama3.2:1b") == "llama3.2:1b"
    assert listed("hf.co/org/model") == "hf.co/org/model:latest"
    assert listed("box:5000/org/model") == "box:5000/org/model:latest"


async def test_everything_that_is_asked_stands_in_the_request() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    sampling = Sampling(0.5, 0.9, 20, 0.05, 1.1, 0.2, 0.3, 7, 64, ("END",))
    wanted = ChatRequest("llama3.2", (Message.user("hi"),), sampling, schema=schema, think=True, ttl=0)
    assert await body_of(wanted) == {
        "model": "llama3.2",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "truncate": False,
        "format": schema,
        "think": True,
        "keep_alive": 0,
        "options": {
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 20,
            "min_p": 0.05,
            "repeat_penalty": 1.1,
            "presence_penalty": 0.2,
            "frequency_penalty": 0.3,
            "seed": 7,
            "num_predict": 64,
            "stop": ["END"],
        },
    }


async def test_what_was_not_asked_for_is_left_to_the_server() -> None:
    assert await body_of(chat("llama3.2")) == {
        "model": "llama3.2",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "truncate": False,
    }
    assert (await body_of(chat("llama3.2", extra={"truncate": True})))["truncate"] is True


async def test_tools_are_offered_but_cannot_be_demanded() -> None:
    tool = Tool("look", "Looks.", {"type": "object", "properties": {"at": {"type": "string"}}})
    body = await body_of(chat("llama3.2", tools=(tool,), tool_choice="auto"))
    function = {"name": "look", "description": "Looks.", "parameters": dict(tool.parameters)}
    assert body["tools"] == [{"type": "function", "function": function}]
    assert "tools" not in await body_of(chat("llama3.2", tools=(tool,), tool_choice="none"))
    for choice in ("required", "look"):
        with pytest.raises(NotSupported):
            await body_of(chat("llama3.2", tools=(tool,), tool_choice=choice))
