"""Jan, as it is and as it was: what is on its disk, what is loaded, loading and unloading, and its plain words."""

from __future__ import annotations

import pytest

from llm_bridge.errors import KeyRefused, LoadFailed, NotSupported, UnknownModel
from llm_bridge.providers import State
from tests.bridge.providers.scripted import (
    CHAT,
    asked,
    chat,
    client_of,
    jan,
    jan_older,
    recorded,
    refused,
    served,
)
from tests.bridge.servers import Answer, json_answer, scripted

LOADED, ON_DISK = "janhq/Jan-code-4b-gguf", "Qwen3.5-27B.Q8_0.gguf"
LOAD, UNLOAD = "POST /v1/models/load", "POST /v1/models/unload"


async def test_it_lists_what_is_on_its_disk_and_what_it_reaches_elsewhere() -> None:
    async with served(jan) as (_, client):
        local, large, embedding, remote = await client.models()
    assert (local.id, local.state, local.size, local.chats) == (LOADED, State.LOADED, 2497280480, True)
    assert (large.id, large.state, large.chats) == (ON_DISK, State.UNLOADED, True)
    assert (embedding.state, embedding.chats) == (State.UNLOADED, False)
    assert (remote.id, remote.state) == ("gpt-5-mini", None)


async def test_it_loads_with_the_context_that_is_asked_for() -> None:
    async with served(jan) as (script, client):
        script.on(LOAD, json_answer(recorded("jan", "loaded")))
        await client.load(ON_DISK, context=8192)
        await client.load(ON_DISK)
        first, second = script.bodies(LOAD)
    assert first == {"model": ON_DISK, "ctx_size": 8192, "timeout": 600}
    assert "ctx_size" not in second


async def test_a_load_fails_with_its_words() -> None:
    async with served(jan) as (script, client):
        script.on(LOAD, refused("jan", "load_failed", 500))
        with pytest.raises(LoadFailed, match="exited before it was ready"):
            await client.load(ON_DISK)
        script.on(LOAD, refused("jan", "not_found", 404))
        with pytest.raises(UnknownModel, match="not found on disk"):
            await client.load("nope")


async def test_it_unloads_and_what_is_not_loaded_is_no_failure() -> None:
    async with served(jan) as (script, client):
        script.on(UNLOAD, json_answer(recorded("jan", "unloaded")), refused("jan", "not_loaded", 404))
        assert await client.unload_all() == [LOADED]
        await client.unload(LOADED)
        assert script.bodies(UNLOAD) == [{"model": LOADED}] * 2


async def test_an_older_one_lists_what_is_loaded_and_loads_nothing() -> None:
    async with served(jan_older) as (_, client):
        assert [model.state for model in await client.models()] == [State.LOADED, State.LOADED]
        for work in (client.load, client.unload):
            with pytest.raises(NotSupported):
                await work(LOADED)


async def test_chats_are_those_of_llama_cpp() -> None:
    async with served(jan) as (script, client):
        reply, _ = await asked(client, chat(LOADED, think=True))
        (body,) = script.bodies(CHAT)
    assert reply.reasoning == "]flyingk standingx"
    assert body["chat_template_kwargs"] == {"enable_thinking": True}


async def test_a_model_that_does_not_run_is_unknown() -> None:
    async with served(jan) as (script, client):
        script.on(CHAT, Answer((b"No running session found for model 'nope'",), 404))
        with pytest.raises(UnknownModel, match="No running session"):
            await client.ask(chat("nope"))


async def test_it_is_recognised_without_its_key_and_then_wants_it() -> None:
    async with scripted("GET /openapi.json", json_answer(recorded("jan", "openapi"))) as script:
        for page in ("/v1/models", "/v1/models/available", "/running"):
            script.on(f"GET {page}", Answer((b"Invalid or missing authorization token",), 401))
        async with client_of(script) as client:
            assert (await client.dialect()).kind == "jan"
            with pytest.raises(KeyRefused):
                await client.models()
