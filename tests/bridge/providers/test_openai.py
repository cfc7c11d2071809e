"""Any server of the OpenAI protocol: with a list or without one, with a key or without one, below any path."""

from __future__ import annotations

import pytest

from llm_bridge.chat import ChatRequest, Sampling, Tool, Usage
from llm_bridge.client import Client
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import KeyRefused, NotSupported
from llm_bridge.messages import Image, Message
from llm_bridge.scan import scan
from tests.bridge.providers.scripted import CHAT, asked, chat, client_of, openai, recorded, refused, served, told
from tests.bridge.servers import Script, json_answer, scripted


async def test_a_list_says_what_it_says_and_no_more() -> None:
    async with served(openai) as (script, client):
        mini, embedding = await client.models()
        assert (mini.id, mini.state, mini.window, mini.vision, mini.tools) == ("gpt-5-mini", None, None, None, None)
        assert (embedding.id, embedding.chats, mini.chats) == ("text-embedding-3-small", False, True)
        script.on("GET /v1/models", json_answer(recorded("openai", "models_with_windows")))
        (large,) = await client.models()
    assert (large.id, large.max_context) == ("meta-llama/llama-3.3-70b-instruct", 131072)


async def test_an_answer_is_read_whole() -> None:
    async with served(openai) as (_, client):
        reply, _ = await asked(client, chat("gpt-5-mini"))
    assert (reply.text, reply.finish, reply.model) == ("Hello you", "stop", "gpt-5-mini-2026")
    assert reply.usage == Usage(prompt=9, completion=3, cached=0, reasoning=1)


async def test_everything_that_was_asked_for_is_sent_and_nothing_else() -> None:
    messages = (Message.system("Be brief."), Message.user("What is it?", [Image(b"png")]))
    tool = Tool("weather", "What the weather is")
    async with served(openai) as (script, client):
        await asked(client, chat("gpt-5-mini"))
        sampling = Sampling(temperature=0.0, seed=7, max_tokens=50, stop=("END",))
        extra = {"service_tier": "flex", "stream_options": {"include_usage": False}}
        await asked(client, ChatRequest("m", messages, sampling, (tool,), "weather", think=True, ttl=60, extra=extra))
        bare, full = script.bodies(CHAT)
    assert set(bare) == {"model", "messages", "stream", "stream_options"}
    assert bare["stream_options"] == {"include_usage": True}
    assert (full["temperature"], full["seed"], full["max_tokens"], full["stop"]) == (0.0, 7, 50, ["END"])
    assert full["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert full["tools"][0]["function"]["description"] == "What the weather is"
    assert (full["service_tier"], full["stream_options"]) == ("flex", {"include_usage": False})
    assert full["messages"][0] == {"role": "system", "content": "Be brief."}
    kinds = [part["type"] for part in full["messages"][1]["content"]]
    assert kinds == ["image_url", "text"]


async def test_a_server_without_a_list_is_asked_all_the_same() -> None:
    async with scripted(CHAT, told("openai", "text")) as script, client_of(script, kind="openai") as client:
        assert await client.models() == []
        reply, _ = await asked(client, chat("whatever"))
    assert reply.text == "Hello you"


async def test_it_neither_loads_nor_unloads_nor_counts() -> None:
    async with served(openai) as (_, client):
        for work in (client.load, client.unload):
            with pytest.raises(NotSupported):
                await work("gpt-5-mini")
        assert await client.unload_all() == []
        assert await client.count(chat("gpt-5-mini")) is None


async def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOX_KEY", "sk-yes")
    async with scripted(CHAT, told("openai", "text")) as script:
        async with Client.open(Endpoint("box", script.url, kind="openai", key_env="BOX_KEY")) as client:
            await asked(client, chat("m"))
        assert script.received[-1].headers["authorization"] == "Bearer sk-yes"
        script.on(CHAT, refused("openai", "wrong_key", 401))
        async with client_of(script, kind="openai") as client:
            with pytest.raises(KeyRefused):
                await client.ask(chat("m"))
        assert "authorization" not in script.received[-1].headers


@pytest.mark.parametrize(("path", "expected"), [("/v1", "/v1"), ("/v1/", "/v1"), ("/api/v3", "/api/v3"), ("", "/v1")])
async def test_it_may_be_below_any_path(path: str, expected: str) -> None:
    def below(script: Script) -> None:
        script.on(f"GET {expected}/models", json_answer(recorded("openai", "models")))
        script.on(f"POST {expected}/chat/completions", told("openai", "text"))

    async with scripted() as script:
        below(script)
        async with Client.open(Endpoint("box", script.url + path)) as client:
            assert (await client.dialect()).kind == "openai"
            assert len(await client.models()) == 2
            reply, _ = await asked(client, chat("gpt-5-mini"))
    assert reply.text == "Hello you"


NAMES = [
    "a/b:7b-q4 ü",
    "esc\x1b]0;PWNED\x07",
    "two\r\nlines",
    "c1\x9b2J",
    "turned\u202e",
    "x" * 256,
    "x" * 257,
]


async def test_a_name_that_is_none_is_not_in_the_list() -> None:
    async with served(openai) as (script, client):
        script.on("GET /v1/models", json_answer({"data": [{"id": name} for name in NAMES]}))
        assert [model.id for model in await client.models()] == ["a/b:7b-q4 ü", "x" * 256]
        port = int(script.url.rpartition(":")[2])
        (found,) = await scan([port])
    assert [model.id for model in found.models] == ["a/b:7b-q4 ü", "x" * 256]
