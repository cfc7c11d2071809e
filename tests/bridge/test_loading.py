"""Making a server hold what is asked for: when it is asked, what goes first, and what is believed of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from llm_bridge.chat import Event, Loading
from llm_bridge.client import Client
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import LoadFailed, UnknownModel
from llm_bridge.loading import Loader
from llm_bridge.providers import State
from tests.bridge.boxes import Box, boxes
from tests.bridge.providers.scripted_ollama import OllamaServer
from tests.bridge.servers import json_answer, scripted


@asynccontextmanager
async def loader_of(box: Box) -> AsyncGenerator[Loader]:
    async with boxes(box), Client.open(box.endpoint) as client:
        yield Loader(client)


def states(loader: Loader) -> dict[str, State | None]:
    return {model.id: model.state for model in loader.models}


async def test_a_model_is_loaded_once_and_then_nothing_is_asked() -> None:
    box, events = Box("box", ("a", "b")), list[Event]()
    async with loader_of(box) as loader:
        assert await loader.prepare("a", events.append)
        asked = len(box.received)
        assert await loader.prepare("a", events.append) is None
        assert loader.ready("a") and not loader.ready("b")
    assert events == [Loading("a")] and len(box.received) == asked and box.loads == ["a"]


async def test_what_others_loaded_is_not_loaded_again() -> None:
    async with loader_of(box := Box("box", ("a",))) as loader:
        box.loaded.append("a")
        assert await loader.prepare("a", lambda _: None) is None
    assert box.loads == []


@pytest.mark.parametrize(("most", "left"), [(1, ["c"]), (2, ["a", "c"]), (None, ["a", "b", "c"])])
async def test_those_used_longest_ago_make_room(most: int | None, left: list[str]) -> None:
    async with loader_of(box := Box("box", ("a", "b", "c"), max_loaded=most)) as loader:
        for model in "abac":
            await loader.prepare(model, lambda _: None)
        assert sorted(box.loaded) == left and sorted(loader.held) == left
        assert {name for name, state in states(loader).items() if state is State.LOADED} == set(left)


async def test_after_it_was_forgotten_the_server_is_asked_again() -> None:
    async with loader_of(box := Box("box", ("a",))) as loader:
        await loader.prepare("a", lambda _: None)
        box.loaded.clear()
        loader.forget()
        assert loader.held == []
        await loader.prepare("a", lambda _: None)
    assert box.loads == ["a", "a"]


async def test_a_load_that_fails_leaves_nothing_believed() -> None:
    async with loader_of(box := Box("box", ("a", "b"))) as loader:
        await loader.prepare("a", lambda _: None)
        box.refuses_to_load = True
        with pytest.raises(LoadFailed):
            await loader.prepare("b", lambda _: None)
        assert loader.held == []
        with pytest.raises(UnknownModel):
            await loader.prepare("c", lambda _: None)


async def test_unloading_one_and_all_is_known_at_once() -> None:
    async with loader_of(box := Box("box", ("a", "b"), max_loaded=2)) as loader:
        for model in "ab":
            await loader.prepare(model, lambda _: None)
        await loader.unload("a")
        assert loader.held == ["b"] and states(loader) == {"a": State.UNLOADED, "b": State.LOADED}
        await loader.unload_all()
        assert loader.held == [] and set(states(loader).values()) == {State.UNLOADED}
    assert box.loaded == []


async def test_a_server_that_cannot_be_told_is_not_asked() -> None:
    async with scripted("GET /v1/models", json_answer({"data": [{"id": "m"}]})) as server:
        options: dict[str, Any] = {"kind": "openai"}
        async with Client.open(Endpoint("box", server.url, **options)) as client:
            loader = Loader(client)
            assert await loader.prepare("m", lambda _: None) is None
            assert loader.ready("m") and server.received == []


async def ollama_after(prepared: str, *loaded: str, more: Sequence[dict[str, Any]] = ()) -> list[str]:
    """What an Ollama that holds one chat model keeps after ``prepared`` was made ready."""
    ollama = OllamaServer()
    ollama.tags += more
    ollama.loaded = {name: {"name": name} for name in loaded}
    async with scripted() as script:
        ollama(script)
        async with Client.open(Endpoint("box", script.url)) as client:
            loader = Loader(client)
            await loader.prepare(prepared, lambda _: None)
            assert loader.ready(prepared) and loader.ready(loader.listed(prepared))
    return sorted(ollama.loaded)


@pytest.mark.parametrize(
    "name", ["llama3.2", "llama3.2:latest", "library/llama3.2", "registry.ollama.ai/library/llama3.2"]
)
async def test_a_model_by_any_of_its_names_gets_the_room_it_needs(name: str) -> None:
    assert await ollama_after(name, "deepseek-r1:latest") == ["llama3.2:latest"]
    assert await ollama_after(name, "llama3.2:latest") == ["llama3.2:latest"]


async def test_what_runs_elsewhere_takes_no_room() -> None:
    cloud = {
        "name": "gpt-oss:120b-cloud",
        "digest": "c",
        "remote_host": "https://x.example",
        "capabilities": ["completion"],
    }
    assert await ollama_after("gpt-oss:120b-cloud", "llama3.2:latest", more=[cloud]) == ["llama3.2:latest"]


async def test_models_that_embed_neither_go_nor_count() -> None:
    embeds = {"name": "embeds:latest", "digest": "e", "capabilities": ["embedding"]}
    for held in (["embeds:latest"], ["llama3.2:latest", "embeds:latest"]):
        kept = await ollama_after("deepseek-r1:latest", *held, more=[embeds])
        assert kept == ["deepseek-r1:latest", "embeds:latest"]
