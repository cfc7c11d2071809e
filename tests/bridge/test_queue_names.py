"""Models by other names than their own, and servers that have no list of their models, in the queue."""

from __future__ import annotations

import pytest

from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import UnknownModel
from llm_bridge.queue import Queue
from tests.bridge.boxes import Box, boxes, said
from tests.bridge.chatting import CHAT, GOOD
from tests.bridge.providers.scripted_ollama import OllamaServer
from tests.bridge.servers import json_answer, scripted


async def test_names_that_the_server_takes_are_one_model_to_the_queue() -> None:
    async with scripted() as script:
        OllamaServer()(script)
        async with Queue.open([Endpoint("box", script.url)]) as queue:
            assert (await queue.find("registry.ollama.ai/library/llama3.2")).id == "llama3.2:latest"
            for name in ("llama3.2", "llama3.2:latest"):
                assert (await queue.ask(said(name))).server == "box"
                assert (await queue.ask(said(name), server="box")).server == "box"
                assert (await queue.find(name)).id == "llama3.2:latest"
            asked = [body for body in script.bodies("POST /api/chat") if body["messages"]]
            loads = [body for body in script.bodies("POST /api/chat") if not body["messages"]]
            with pytest.raises(UnknownModel, match=r"Near it: llama3\.2:latest"):
                await queue.find("llama3.1")
    assert asked[0]["model"] == "llama3.2" and [body["model"] for body in loads] == ["llama3.2:latest"]


async def test_the_name_that_is_a_models_own_counts_more_than_an_alias() -> None:
    async with scripted() as script, boxes(box := Box("box", ("llama3.2",))):
        OllamaServer()(script)
        async with Queue.open([Endpoint("ollama", script.url), box.endpoint]) as queue:
            await queue.models()
            assert (await queue.find("llama3.2")).id == "llama3.2"
            assert (await queue.find("llama3.2", server="ollama")).id == "llama3.2:latest"


async def test_a_server_without_a_list_is_asked_for_any_model() -> None:
    async with scripted(CHAT, GOOD) as script, Queue.open([Endpoint("box", script.url, kind="openai")]) as queue:
        for name in ("m", "n"):
            assert (await queue.ask(said(name))).text == "Hi"
        assert queue.snapshot().servers[0].unlisted
    assert [body["model"] for body in script.bodies(CHAT)] == ["m", "n"]
    assert [each.path for each in script.received].count("/v1/models") == 1


async def test_servers_that_list_a_model_come_before_one_that_may_have_it() -> None:
    async with scripted(CHAT, GOOD) as script, boxes(box := Box("box", ("a",))):
        script.on("GET /v1/models", json_answer({"data": []}))
        async with Queue.open([Endpoint("any", script.url, kind="openai"), box.endpoint]) as queue:
            for model, server in (("a", "box"), ("b", "any"), ("a", "box")):
                assert (await queue.ask(said(model))).server == server


async def test_a_server_that_loads_and_has_nothing_yet_has_a_list() -> None:
    async with boxes(box := Box("box", ())), Queue.open([box.endpoint]) as queue:
        with pytest.raises(UnknownModel):
            await queue.ask(said("a"))
    assert not box.bodies("POST /v1/chat/completions")
