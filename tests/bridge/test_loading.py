"""Making a server hold what is asked for: when it is asked, what goes first, and what is believed of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
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
