"""The official Python client of OpenAI on a workbench: what it sends is taken, and what it reads is there."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from tests.bridge.servers import Script, chunk, json_answer, sse, stream
from tests.proxy.openai.chatting import openai_client, over_text, said
from tests.texts import CHAT, NOWHERE
from tests.workbenches import served

TOOL: Any = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
async def wired(tmp_path: Path) -> AsyncGenerator[tuple[AsyncOpenAI, Script, httpx.AsyncClient]]:
    async with over_text(tmp_path) as (http, script), openai_client(http) as client:
        yield client, script, http


async def test_an_answer_has_what_the_client_reads(wired: tuple[AsyncOpenAI, Script, httpx.AsyncClient]) -> None:
    client, script, _ = wired
    messages: Any = [{"role": "developer", "content": "Be short."}, *said("the sea")]
    answer = await client.chat.completions.create(
        model="llm/alpha", messages=messages, temperature=0.5, max_completion_tokens=50, seed=7, stop=["END"], user="me"
    )
    assert answer.choices[0].message.content == "alpha on the sea"
    assert (answer.choices[0].finish_reason, answer.object, answer.model) == ("stop", "chat.completion", "llm/alpha")
    assert answer.usage is not None and (answer.usage.prompt_tokens, answer.usage.total_tokens) == (7, 9)
    (sent,) = script.bodies(CHAT)
    assert (sent["temperature"], sent["max_tokens"], sent["seed"], sent["stop"]) == (0.5, 50, 7, ["END"])
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]


async def test_a_stream_adds_up_to_the_same(wired: tuple[AsyncOpenAI, Script, httpx.AsyncClient]) -> None:
    client, _, _ = wired
    messages: Any = said("the sea")
    stream = await client.chat.completions.create(
        model="alpha", messages=messages, stream=True, stream_options={"include_usage": True}
    )
    pieces = [piece async for piece in stream]
    assert "".join(p.choices[0].delta.content or "" for p in pieces if p.choices) == "alpha on the sea"
    assert pieces[0].choices[0].delta.role == "assistant"
    assert pieces[-1].usage is not None and pieces[-1].usage.total_tokens == 9


async def test_the_clients_own_helper_understands_a_stream_with_tools(
    wired: tuple[AsyncOpenAI, Script, httpx.AsyncClient],
) -> None:
    client, script, _ = wired
    calls = [{"index": n, "id": f"c{n}", "function": {"name": "look", "arguments": "{}"}} for n in range(2)]
    script.on(CHAT, stream(sse(chunk(None, "tool_calls", tool_calls=calls))))
    messages: Any = said("look")
    async with client.chat.completions.stream(model="alpha", messages=messages, tools=[TOOL]) as events:
        async for _ in events:
            pass
        answer = await events.get_final_completion()
    made = answer.choices[0].message.tool_calls
    assert made is not None and [(call.id, call.function.name) for call in made] == [("c0", "look"), ("c1", "look")]


async def test_a_conversation_with_tools_goes_on(wired: tuple[AsyncOpenAI, Script, httpx.AsyncClient]) -> None:
    client, script, _ = wired
    call = {"id": "c0", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    messages: Any = [
        *said("look"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c0", "content": "the sea"},
    ]
    choice: Any = {"type": "function", "function": {"name": "look"}}
    await client.chat.completions.create(model="alpha", messages=messages, tools=[TOOL], tool_choice=choice)
    (sent,) = script.bodies(CHAT)
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "tool"]
    assert sent["tool_choice"] == choice


async def test_an_answer_is_parsed_into_a_class(wired: tuple[AsyncOpenAI, Script, httpx.AsyncClient]) -> None:
    class Place(BaseModel):
        city: str

    client, script, _ = wired
    script.on(CHAT, stream(sse(chunk('{"city": "Oslo"}', "stop"))))
    messages: Any = said("where?")
    answer = await client.chat.completions.parse(model="alpha", messages=messages, response_format=Place)
    assert answer.choices[0].message.parsed == Place(city="Oslo")
    assert script.bodies(CHAT)[0]["response_format"]["type"] == "json_schema"


async def test_a_picture_is_seen(wired: tuple[AsyncOpenAI, Script, httpx.AsyncClient], picture: bytes) -> None:
    client, script, http = wired
    script.on(CHAT, stream(sse(chunk("A gradient.", "stop"))))
    link = (await http.post("/api/v1/assets", content=picture, headers={"content-type": "image/png"})).json()["url"]
    for url in (f"data:image/png;base64,{base64.b64encode(picture).decode()}", f"http://anywhere.invalid{link}?x=1"):
        parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]
        messages: Any = [{"role": "user", "content": parts}]
        answer = await client.chat.completions.create(model="alpha", messages=messages)
        assert answer.choices[0].message.content == "A gradient."
        shown = script.bodies(CHAT)[-1]["messages"][0]["content"][1]["image_url"]["url"]
        assert base64.b64decode(shown.removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")


async def test_failures_are_those_that_the_client_has_classes_for(
    wired: tuple[AsyncOpenAI, Script, httpx.AsyncClient],
) -> None:
    client, script, _ = wired
    messages: Any = said("hi")
    with pytest.raises(openai.NotFoundError) as missing:
        await client.chat.completions.create(model="gamma", messages=messages)
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError) as missing:
        await client.chat.completions.create(model="workflow/txt2imgg", messages=messages, stream=True)
    assert missing.value.code == "model_not_found" and "workflow/txt2img" in missing.value.message
    with pytest.raises(openai.BadRequestError) as wrong:
        await client.chat.completions.create(model="alpha", messages=messages, temperature=99)
    assert wrong.value.param == "temperature"
    assert script.bodies(CHAT) == []
    script.on(CHAT, json_answer({"error": {"message": "broken"}}, 500))
    with pytest.raises(openai.InternalServerError):
        await client.chat.completions.create(model="alpha", messages=messages)


async def test_a_failure_in_a_stream_is_raised_while_it_is_read(
    wired: tuple[AsyncOpenAI, Script, httpx.AsyncClient],
) -> None:
    client, script, _ = wired
    broken = {"error": {"message": "out of memory", "type": "server_error"}}
    script.on(CHAT, stream(sse(chunk("Once"), broken, done=False)))
    messages: Any = said("hi")
    seen = ""
    with pytest.raises(openai.APIError):
        async for piece in await client.chat.completions.create(model="alpha", messages=messages, stream=True):
            seen += piece.choices[0].delta.content or ""
    assert seen == "Once"


async def test_a_full_queue_says_when_to_come_again(tmp_path: Path) -> None:
    async with over_text(tmp_path, max_queue=1, max_queue_per_owner=1) as (http, _):
        # Nothing is answered while its server is paused, so that what is asked waits.
        await http.post("/api/v1/backends/llm/pause")
        async with http.stream(
            "POST", "/v1/chat/completions", json={"model": "alpha", "messages": said("1"), "stream": True}
        ):
            refused = await http.post("/v1/chat/completions", json={"model": "alpha", "messages": said("2")})
    assert refused.status_code == 429, refused.text
    assert int(refused.headers["retry-after"]) > 0
    assert refused.json()["error"]["type"] == "rate_limit_error"


async def test_the_models_are_listed_and_found(wired: tuple[AsyncOpenAI, Script, httpx.AsyncClient]) -> None:
    client, _, _ = wired
    listed = [model.id async for model in client.models.list()]
    assert {"workflow/txt2img", "llm/alpha", "auto"} <= set(listed)
    assert (await client.models.retrieve("llm/alpha")).owned_by == "llm"
    with pytest.raises(openai.NotFoundError) as missing:
        await client.models.retrieve("llm/gamma")
    assert missing.value.code == "model_not_found"


async def test_without_a_server_a_chat_says_what_to_set_up(tmp_path: Path) -> None:
    async with served(tmp_path, NOWHERE) as http:
        refused = await http.post("/v1/chat/completions", json={"model": "gpt-4o", "messages": said("hi")})
    assert refused.status_code == 503
    assert "WORKBENCH_LLM_URL" in json.dumps(refused.json())
