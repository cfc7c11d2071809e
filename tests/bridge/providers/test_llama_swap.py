"""llama-swap: what is configured and what runs, loading and unloading, and its words while a model loads."""

from __future__ import annotations

import json

import pytest

from llm_bridge.chat import Event, Loading, Reasoning, Text
from llm_bridge.errors import KeyRefused, LoadFailed, TimedOut, UnknownModel
from llm_bridge.providers import State
from llm_bridge.providers.llama_swap import SwapDecoder
from tests.bridge.providers.scripted import CHAT, asked, chat, client_of, llama_swap, recorded, refused, served, told
from tests.bridge.servers import Answer, End, Received, Script, json_answer, scripted, sse, stream

UPSTREAM = "GET /upstream/coder/health"


async def test_it_lists_what_is_configured_with_what_runs() -> None:
    async with served(llama_swap) as (_, client):
        coder, far, ranker, seer = await client.models()
    assert (coder.id, coder.state, coder.max_context, coder.tools) == ("coder", State.UNLOADED, 32768, True)
    assert (far.id, far.state) == ("far/big", None)
    assert (ranker.chats, coder.chats) == (False, True)
    assert (seer.state, seer.vision, seer.expires) == (State.LOADED, True, 300.0)
    assert coder.expires is None
    assert (coder.aliases, far.aliases) == (("code",), ())


async def test_aliases_in_its_list_are_no_models_of_their_own() -> None:
    async with served(llama_swap) as (script, client):
        own = {"id": "coder", "meta": {"llamaswap": {"type": "model", "aliases": ["code"]}}}
        alias = {"id": "code", "meta": {"llamaswap": {"type": "alias", "modelID": "coder"}}}
        script.on("GET /v1/models", json_answer({"data": [own, alias]}))
        assert [model.id for model in await client.models()] == ["coder"]


@pytest.mark.parametrize(
    ("told_state", "state"),
    [("starting", State.LOADING), ("ready", State.LOADED), ("stopping", State.LOADED), ("shutdown", State.UNLOADED)],
)
async def test_the_states_of_its_processes(told_state: str, state: State) -> None:
    async with served(llama_swap) as (script, client):
        script.on("GET /running", json_answer({"running": [{"model": "coder", "state": told_state, "ttl": 0}]}))
        found = await client.find("coder")
    assert (found.state, found.expires) == (state, None)


async def test_it_loads_by_asking_for_a_page_of_the_server_behind() -> None:
    async with served(llama_swap) as (script, client):
        script.on(UPSTREAM, json_answer({"status": "ok"}))
        await client.load("coder")
        assert script.received[-1].path == "/upstream/coder/health"


async def test_a_server_without_that_page_is_loaded_all_the_same() -> None:
    async with served(llama_swap) as (script, client):
        running = {"running": [{"model": "coder", "state": "ready"}]}

        def started(received: Received) -> Answer:
            script.on("GET /running", json_answer(running))
            return json_answer({"detail": "Not Found"}, 404)

        script.on(UPSTREAM, started)
        await client.load("coder")


async def test_a_load_fails_with_its_words() -> None:
    async with served(llama_swap) as (script, client):
        script.on(UPSTREAM, refused("llama-swap", "start_failed", 500), Answer((b"bad gateway",), 502))
        with pytest.raises(LoadFailed, match="exited prematurely"):
            await client.load("coder")
        with pytest.raises(LoadFailed, match="bad gateway"):
            await client.load("coder")
        script.on(UPSTREAM, refused("llama-swap", "model_not_found", 404))
        with pytest.raises(UnknownModel, match="model not found"):
            await client.load("coder")


async def test_a_load_that_takes_too_long_is_timed_out() -> None:
    async with scripted(UPSTREAM, Answer(early=(End.HANG,))) as script:
        llama_swap(script)
        async with client_of(script, load=0.1) as client:
            with pytest.raises(TimedOut):
                await client.load("coder")


async def test_it_unloads_one_by_its_name() -> None:
    async with served(llama_swap) as (script, client):
        script.on("POST /api/models/unload/seer", Answer((b"OK",), 200))
        script.on("POST /api/models/unload/far%2Fbig", refused("llama-swap", "model_not_found", 404))
        assert await client.unload_all() == ["seer"]
        with pytest.raises(UnknownModel):
            await client.unload("far/big")


async def test_what_it_says_while_it_loads_is_no_thought_of_the_model() -> None:
    async with served(llama_swap) as (script, client):
        script.on(CHAT, told("llama-swap", "loading_then_text"))
        reply, events = await asked(client, chat("coder"))
    assert [event for event in events if isinstance(event, Loading)] == [Loading("coder")]
    assert events[0] == Loading("coder")
    assert (reply.reasoning, reply.text, reply.finish) == ("Let me see.", "Hi there", "stop")


async def test_a_load_that_fails_in_the_middle_of_an_answer_is_a_failed_load() -> None:
    """It has said 200 by then, and its refusal comes as bare JSON."""
    said = "━━━━━", "\n", "llama-swap loading model: coder", "\n", "Done! (0.40s)", "\n", "━━━━━", "\n", " ", "\n"
    notices = sse(*({"choices": [{"delta": {"reasoning_content": each}}]} for each in said), done=False)
    async with served(llama_swap) as (script, client):
        script.on(CHAT, stream(notices, json.dumps(recorded("llama-swap", "start_failed")).encode()))
        with pytest.raises(LoadFailed, match="could not load coder"):
            await client.ask(chat("coder"))


async def test_a_model_that_thinks_of_lines_is_believed() -> None:
    async with served(llama_swap) as (script, client):
        script.on(CHAT, told("llama-swap", "text"))
        reply, events = await asked(client, chat("seer"))
    assert (reply.reasoning, reply.text) == ("━ is a line.", "Hi")
    assert not any(isinstance(event, Loading) for event in events)


def test_only_what_begins_with_its_line_is_its_own() -> None:
    """Some small server behind it may leave out the names as well."""
    decoder = SwapDecoder("box", "m")
    bare = '{"choices": [{"delta": {"reasoning_content": "%s"}}]}'
    assert decoder.feed("", bare % "Hm, ") == [Reasoning("Hm, ")]
    assert decoder.feed("", bare % "━━━") == [Reasoning("━━━")]
    events: list[Event] = [*decoder.feed("", '{"choices": [{"delta": {"content": "Hi"}}]}'), *decoder.flush()]
    assert events == [Text("Hi")]


async def test_refusals_mean_what_they_say() -> None:
    async with served(llama_swap) as (script, client):
        script.on(CHAT, refused("llama-swap", "unknown_model", 404))
        with pytest.raises(UnknownModel):
            await client.ask(chat("nope"))

    def locked(script: Script) -> None:
        for page in ("/running", "/v1/models"):
            script.on(f"GET {page}", json_answer(recorded("llama-swap", "wrong_key"), 401))

    async with served(locked) as (_, client):
        with pytest.raises(KeyRefused):
            await client.models()
