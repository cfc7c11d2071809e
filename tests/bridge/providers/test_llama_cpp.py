"""llama.cpp, scripted and real: one model or many, loading, unloading, counting, thinking, and what it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from llm_bridge.chat import Prompting, Reasoning, Sampling, Text, Timings, Usage
from llm_bridge.client import Client
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import (
    ContextExceeded,
    KeyRefused,
    LoadFailed,
    NotSupported,
    ServerBusy,
    TimedOut,
    UnknownModel,
)
from llm_bridge.providers import State
from tests.bridge.providers.scripted import (
    CHAT,
    Router,
    asked,
    chat,
    client_of,
    llama_router,
    llama_single,
    recorded,
    refused,
    served,
    told,
)
from tests.bridge.servers import json_answer, scripted
from tests.llama.servers import LlamaServer

LOAD, UNLOAD = "POST /models/load", "POST /models/unload"


@pytest.fixture(params=["scripted", "real"])
async def router(request: pytest.FixtureRequest) -> AsyncGenerator[Client]:
    """A router of tiny-a, tiny-b and tiny-think that holds one at a time; all are unloaded."""
    if request.param == "scripted":
        async with scripted() as script:
            Router()(script)
            async with client_of(script) as client:
                await client.unload_all()
                yield client
        return
    server: LlamaServer = request.getfixturevalue("llama_router")
    async with Client.open(Endpoint("box", server.url)) as client:
        await client.unload_all()
        yield client


async def _states(client: Client) -> dict[str, State | None]:
    return {model.id: model.state for model in await client.models()}


async def test_a_router_loads_and_unloads_and_says_how_its_models_are(router: Client) -> None:
    assert (await router.dialect()).loads
    assert (await router.dialect()).unloads
    assert State.LOADED not in (await _states(router)).values()
    assert await router.load("tiny-think") > 0
    loaded = await router.find("tiny-think")
    assert (loaded.state, loaded.context, loaded.max_context) == (State.LOADED, 2048, 4096)
    assert loaded.size is not None
    assert loaded.size > 100_000
    assert (loaded.parameters is not None, loaded.quantization) == (True, "all F32")
    assert (loaded.vision, loaded.reasoning, loaded.chats) == (False, True, True)
    assert (await router.find("tiny-a")).context is None
    await router.unload("tiny-think")
    assert State.LOADED not in (await _states(router)).values()


async def test_what_is_loaded_or_unloaded_already_is_no_failure(router: Client) -> None:
    await router.load("tiny-a")
    await router.load("tiny-a")
    assert (await _states(router))["tiny-a"] is State.LOADED
    await router.unload("tiny-a")
    await router.unload("tiny-a")
    assert (await _states(router))["tiny-a"] is State.UNLOADED


async def test_a_model_that_does_not_exist_is_named(router: Client) -> None:
    for work in (router.load, router.unload):
        with pytest.raises(UnknownModel, match="'nope'"):
            await work("nope")


async def test_a_load_that_is_given_up_is_undone(router: Client) -> None:
    async with Client.open(router.endpoint) as client:
        loading = asyncio.create_task(client.load("tiny-b"))
        while (await _states(client))["tiny-b"] not in (State.LOADING, State.LOADED):
            assert not loading.done()
        loading.cancel()
        await asyncio.wait([loading])
    if loading.cancelled():
        # The process is killed, which the server counts as a load that failed.
        assert (await _states(router))["tiny-b"] in (State.UNLOADED, State.FAILED)
    await router.load("tiny-b")
    assert (await _states(router))["tiny-b"] is State.LOADED


async def test_thinking_comes_apart_from_the_answer_and_progress_before_both(router: Client) -> None:
    reply, events = await asked(router, chat("tiny-think", sampling=Sampling(max_tokens=5, seed=1)))
    assert isinstance(events[0], Prompting)
    assert Prompting(reply.usage.prompt, reply.usage.prompt) in events
    assert any(isinstance(event, Reasoning) for event in events)
    assert not any(isinstance(event, Text) for event in events)
    assert (bool(reply.reasoning), reply.text, reply.finish) == (True, "", "length")
    assert (reply.usage.completion, reply.model) == (5, "tiny-think")
    assert None not in (reply.usage.prompt, reply.timings.prompt, reply.timings.tokens_per_second)


async def test_tokens_of_what_is_not_loaded_are_not_counted_since_that_would_load_it() -> None:
    async with served(llama_router) as (script, client):
        script.on(f"{CHAT}/input_tokens", refused("llama-cpp", "not_loaded", 400))
        assert await client.count(chat("tiny-a")) is None
        script.on(f"{CHAT}/input_tokens", json_answer({"input_tokens": 22, "object": "response.input_tokens"}))
        assert await client.count(chat("tiny-think")) == 22
        assert all(received.path.endswith("?autoload=false") for received in script.received[-2:])


async def test_a_model_that_cannot_be_loaded_fails_with_what_the_server_knows() -> None:
    server = Router()
    server.broken.add("tiny-b")
    async with served(server) as (script, client):
        with pytest.raises(LoadFailed, match=r"could not load tiny-b: its process ended with exit code 1"):
            await client.load("tiny-b")
        assert (await client.find("tiny-b")).state is State.FAILED
        server.broken.clear()
        await client.load("tiny-b")
        assert (await client.find("tiny-b")).state is State.LOADED
        script.on(
            LOAD, json_answer({"error": {"code": 500, "message": "failed to spawn", "type": "server_error"}}, 500)
        )
        with pytest.raises(LoadFailed, match="failed to spawn"):
            await client.load("tiny-c")


async def test_one_that_is_unloaded_by_another_while_it_loads_is_no_success() -> None:
    server = Router()
    async with served(server) as (script, client):
        script.on(LOAD, json_answer({"success": True}))
        with pytest.raises(LoadFailed, match="it was unloaded again"):
            await client.load("tiny-c")


async def test_a_load_that_takes_too_long_is_timed_out() -> None:
    async with scripted() as script:
        Router(slowness=10**6)(script)
        async with client_of(script, load=0.2) as client:
            with pytest.raises(TimedOut) as caught:
                await client.load("tiny-a")
    assert caught.value.details["stage"] == "load"


async def test_a_download_is_told_apart_and_unloading_does_not_give_it_up() -> None:
    server = Router()
    server.status("tiny-c")["value"] = "downloading"
    server.status("tiny-b")["value"] = "downloaded"
    server.status("tiny-a")["value"] = "sleeping"
    async with served(server) as (script, client):
        states = await _states(client)
        assert states["tiny-c"] is State.DOWNLOADING
        assert (states["tiny-b"], states["tiny-a"]) == (State.UNLOADED, State.SLEEPING)
        await client.unload("tiny-c")
        assert script.bodies(UNLOAD) == []


async def test_listing_asks_nothing_that_would_load_a_model() -> None:
    async with served(llama_router) as (script, client):
        await client.models()
        asked_of = [received.path for received in script.received if received.path.startswith("/props?")]
        assert asked_of == ["/props?model=tiny-think&autoload=false"]


async def test_a_model_that_goes_away_while_it_is_listed_is_still_listed() -> None:
    async with served(llama_router) as (script, client):
        await client.dialect()
        broken_off = {"code": 500, "message": "proxy error: Failed to read connection", "type": "server_error"}
        for answer in (refused("llama-cpp", "not_loaded", 400), json_answer({"error": broken_off}, 500)):
            script.on("GET /props", answer)
            found = await client.find("tiny-think")
            assert (found.tools, found.reasoning) == (None, None)


async def test_what_only_embeds_or_ranks_does_not_chat() -> None:
    server = Router()
    server.status("tiny-a")["args"].append("--embeddings")
    async with served(server) as (_, client):
        assert [model.id for model in await client.models() if not model.chats] == ["tiny-a"]


async def test_a_server_of_one_model_keeps_it() -> None:
    async with served(llama_single) as (script, client):
        dialect = await client.dialect()
        assert (dialect.loads, dialect.unloads) == (False, False)
        (model,) = await client.models()
        assert (model.id, model.state, model.context, model.max_context) == ("tiny-think", State.LOADED, 2048, 4096)
        for work in (client.load, client.unload):
            with pytest.raises(NotSupported):
                await work("tiny-think")
        assert await client.unload_all() == []
        script.on("GET /props", json_answer(recorded("llama-cpp", "single_props") | {"is_sleeping": True}))
        assert (await client.find("tiny-think")).state is State.SLEEPING


async def test_a_model_has_the_names_that_it_was_given_as_well() -> None:
    async with served(llama_single) as (script, client):
        script.on("GET /v1/models", json_answer({"data": [{"id": "tiny-think", "aliases": ["tiny", "thinker"]}]}))
        (model,) = await client.models()
    assert model.aliases == ("tiny", "thinker")


async def test_a_model_that_sees_says_so() -> None:
    async with served(llama_single) as (script, client):
        seeing = {"vision": True, "video": False, "audio": False}
        script.on("GET /props", json_answer(recorded("llama-cpp", "single_props") | {"modalities": seeing}))
        assert (await client.find("tiny-think")).vision is True


async def test_the_request_asks_for_progress_and_says_whether_to_think() -> None:
    async with served(llama_single) as (script, client):
        for think in (None, True, False):
            await client.ask(chat("tiny-think", think=think, sampling=Sampling(repeat_penalty=1.1, min_p=0.1)))
        first, second, third = script.bodies(CHAT)
    assert first["return_progress"] is True
    assert (first["repeat_penalty"], first["min_p"]) == (1.1, 0.1)
    assert "chat_template_kwargs" not in first
    assert second["chat_template_kwargs"] == {"enable_thinking": True}
    assert third["chat_template_kwargs"] == {"enable_thinking": False}


async def test_tool_calls_usage_and_timings_are_read() -> None:
    async with served(llama_single) as (script, client):
        script.on(CHAT, told("llama-cpp", "tool_call"))
        reply, _ = await asked(client, chat("tiny-a"))
    (call,) = reply.tool_calls
    assert (call.name, call.arguments, call.id) == ("weather", '{"city":"Kyoto"}', "Yz0hbRVGlrpr")
    assert (reply.finish, reply.usage) == ("tool_calls", Usage(60, 12, 0))
    assert reply.timings == Timings(prompt=0.03, generation=0.24, tokens_per_second=50.0)


async def test_refusals_mean_what_they_say() -> None:
    async with served(llama_single) as (script, client):
        script.on(CHAT, refused("llama-cpp", "too_long", 400))
        with pytest.raises(ContextExceeded) as caught:
            await client.ask(chat("tiny-think"))
        assert caught.value.details == {"needed": 45027, "window": 2048}
        script.on(CHAT, refused("llama-cpp", "unknown_model", 400))
        with pytest.raises(UnknownModel):
            await client.ask(chat("nope"))
        script.on(CHAT, refused("llama-cpp", "no_pictures", 500))
        with pytest.raises(NotSupported):
            await client.ask(chat("tiny-think"))


async def test_one_that_still_starts_is_busy_and_one_with_a_key_wants_it() -> None:
    async with scripted() as script:
        for page in ("/running", "/openapi.json", "/props", "/v1/models"):
            script.on(f"GET {page}", refused("llama-cpp", "loading", 503))
        async with client_of(script) as client:
            with pytest.raises(ServerBusy) as caught:
                await client.models()
            assert caught.value.details["loading"] is True
            for page in ("/running", "/openapi.json", "/props", "/v1/models"):
                script.on(f"GET {page}", refused("llama-cpp", "wrong_key", 401))
            with pytest.raises(KeyRefused):
                await client.models()
