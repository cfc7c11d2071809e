"""Answers that must be JSON of a schema: read, mended, asked for once more, or refused."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from llm_bridge.chat import (
    ChatRequest,
    Done,
    Event,
    Metrics,
    Reply,
    Restarted,
    Text,
    Tool,
    Transcript,
    Usage,
)
from llm_bridge.errors import BadInput, SchemaMismatch
from llm_bridge.messages import Message
from llm_bridge.structured import answered, parsed
from tests.bridge.chatting import ASK, CHAT, answering
from tests.bridge.servers import Answer, chunk, json_answer, sse, stream
from tests.children import children

pytest.importorskip("jsonschema")

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}
REQUEST = replace(ASK, schema=SCHEMA)


def saying(text: str, finish: str = "stop") -> Answer:
    return stream(sse(chunk(text), chunk(finish=finish)))


@pytest.mark.parametrize(
    "text",
    [
        '{"n": 1}',
        ' {\n"n"\n:1 }\n',
        '```json\n{"n": 1}\n```',
        '```\n{"n": 1}\n```\n',
        '<think>{"n": 9}</think>{"n": 1}',
    ],
)
async def test_an_answer_that_fits_is_data(text: str) -> None:
    async with answering(saying(text)) as (server, client):
        reply = await client.ask(REQUEST)
        assert (reply.data, reply.notes) == ({"n": 1}, ())
        assert len(server.received) == 1
    wanted = server.bodies(CHAT)[0]["response_format"]
    assert wanted == {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": dict(SCHEMA)}}


@pytest.mark.parametrize("text", ['{"n": 1', "{n: 1,}", 'Here it is: {"n": 1} Good luck!', '```json\n{"n": 1'])
async def test_an_answer_that_is_nearly_json_is_mended_and_says_so(text: str) -> None:
    pytest.importorskip("json_repair")
    async with answering(saying(text)) as (server, client):
        reply = await client.ask(REQUEST)
        assert reply.data == {"n": 1}
        assert "mended" in reply.notes[0]
        assert reply.text == text
        assert len(server.received) == 1


async def test_an_answer_that_does_not_fit_is_asked_for_once_more_with_what_is_wrong() -> None:
    async with answering(saying('{"n": "one"}'), saying('{"n": 1}')) as (server, client):
        reply = await client.ask(REQUEST)
        assert reply.data == {"n": 1}
        assert "second" in reply.notes[0]
        messages = server.bodies(CHAT)[1]["messages"]
    assert [each["role"] for each in messages] == ["user", "assistant", "user"]
    assert "one" in messages[1]["content"]
    assert "$.n" in json.dumps(messages[2])


@pytest.mark.parametrize("text", ['{"n": "one"}', "I would rather not.", "", "[]"])
async def test_a_second_answer_that_does_not_fit_either_is_the_end(text: str) -> None:
    async with answering(saying(text)) as (server, client):
        with pytest.raises(SchemaMismatch) as failure:
            await client.ask(REQUEST)
        assert len(server.received) == 2
    assert failure.value.hint
    assert failure.value.details["text"] == text


async def test_an_answer_that_was_cut_off_is_not_asked_for_again() -> None:
    async with answering(saying('{"other": "and so', "length")) as (server, client):
        with pytest.raises(SchemaMismatch, match="cut off") as failure:
            await client.ask(REQUEST)
        assert len(server.received) == 1
    assert "max_tokens" in failure.value.hint


@pytest.mark.parametrize("schema", [{"type": "nothing"}, {"type": 5}, {"properties": []}, {"$schema": 7}])
async def test_a_schema_that_is_none_is_refused_before_anything_is_asked(schema: Mapping[str, Any]) -> None:
    async with answering(json_answer({})) as (server, client):
        with pytest.raises(BadInput, match="schema"):
            await client.ask(replace(ASK, schema=schema))
        assert server.received == []


async def test_a_schema_that_points_elsewhere_is_refused_and_nothing_is_fetched() -> None:
    async with answering(json_answer({})) as (server, client):
        for target in (f"{server.url}/schema", "#/$defs/missing", "other.json"):
            with pytest.raises(BadInput, match="nothing at"):
                await client.ask(replace(ASK, schema={"anyOf": [{"$ref": target}]}))
        assert server.received == []


async def test_a_schema_may_point_into_itself() -> None:
    schema = {"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}}}}
    async with answering(saying('{"next": {"next": {}}}')) as (_, client):
        assert (await client.ask(replace(ASK, schema=schema))).data == {"next": {"next": {}}}


async def test_without_a_schema_nothing_is_checked() -> None:
    async def ask(request: ChatRequest) -> Reply:
        return Reply("no JSON")

    assert await answered(ASK, ask) == Reply("no JSON")


@pytest.mark.parametrize("kind", ["http://json-schema.org/draft-07/schema#", "https://example.org/own", ""])
async def test_schemas_of_any_edition_are_taken(kind: str) -> None:
    async def ask(request: ChatRequest) -> Reply:
        return Reply('{"n": 1}')

    assert (await answered(replace(ASK, schema={**SCHEMA, "$schema": kind}), ask)).data == {"n": 1}


async def test_who_sees_the_events_is_told_to_begin_anew_before_the_second_answer() -> None:
    events: list[Event] = []
    told = Transcript()
    async with answering(saying("no JSON"), saying('{"n": 1}')) as (_, client):
        await client.ask(REQUEST, events.append)
    assert [type(event) for event in events] == [Text, Done, Restarted, Text, Done]
    for event in events:
        told.add(event)
    assert told.text == '{"n": 1}'
    (restarted,) = (event for event in events if isinstance(event, Restarted))
    assert "not JSON" in restarted.reason


async def test_a_second_answer_has_the_tokens_and_seconds_of_both() -> None:
    first = Reply("no", usage=Usage(10, 3, reasoning=1), metrics=Metrics(ttft=1, seconds=4))
    second = Reply('{"n": 1}', usage=Usage(20, 5, cached=8), metrics=Metrics(ttft=2, seconds=3))
    replies = iter([first, second])

    async def ask(request: ChatRequest) -> Reply:
        return next(replies)

    reply = await answered(REQUEST, ask)
    assert reply.usage == Usage(30, 8)
    assert reply.metrics == Metrics(ttft=2, seconds=7)


async def test_a_call_of_a_tool_is_no_answer_yet_and_is_not_checked() -> None:
    calls = [{"index": 0, "id": "c1", "function": {"name": "f", "arguments": "{}"}}]
    async with answering(stream(sse(chunk(finish="tool_calls", tool_calls=calls)))) as (server, client):
        reply = await client.ask(replace(REQUEST, tools=(Tool("f"),)))
        assert len(server.received) == 1
    assert [call.name for call in reply.tool_calls] == ["f"]
    assert reply.data is None


async def test_a_schema_that_takes_for_ever_holds_nobody_up_and_can_be_cancelled() -> None:
    schema, before = {"properties": {"a": {"pattern": "^(a+)+$"}}}, children()
    async with answering(saying(json.dumps({"a": "a" * 40 + "!"}))) as (server, client):
        asking = asyncio.create_task(client.ask(replace(ASK, schema=schema)))
        await server.asked.wait()
        async with asyncio.timeout(10):
            while not (started := children() - before):
                # The loop turns while the pattern is matched.
                await asyncio.sleep(0.01)
        assert len(started) == 1
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert children() <= before


@pytest.mark.parametrize("text", ["[" * 100_000, "no", "42 apples"])
async def test_what_holds_no_json_is_no_answer(text: str) -> None:
    with pytest.raises(SchemaMismatch):
        await parsed(text)


async def test_json_of_any_kind_is_read() -> None:
    assert await parsed("42") == (42, False)
    assert await parsed("null") == (None, False)
    assert await parsed('"text"') == ("text", False)


@pytest.mark.parametrize(
    "text",
    [
        "```json\n" + "\n" * 20_000,
        "```" + " " * 20_000 + "{",
        "{" + "\\u12]{-" * 2_000,
        "{" + "```json\n[" * 2_000,
    ],
    ids=["newlines", "spaces", "slips", "fences"],
)
async def test_nonsense_of_a_model_holds_nobody_up(text: str) -> None:
    before = children()
    reading = asyncio.create_task(parsed(text))
    async with asyncio.timeout(20):
        while not reading.done():
            begun = time.monotonic()
            await asyncio.sleep(0.01)
            assert time.monotonic() - begun < 0.5
    with suppress(SchemaMismatch):
        await reading
    assert children() <= before


_WITHOUT = """
import asyncio, sys
sys.modules.update({name: None for name in sys.argv[2:]})
from llm_bridge.chat import ChatRequest, Reply
from llm_bridge.errors import NotInstalled
from llm_bridge.messages import Message
from llm_bridge.structured import answered

async def ask(request):
    print("asked")
    return Reply(sys.argv[1])

try:
    print(asyncio.run(answered(ChatRequest("m", (Message.user("Hi"),), schema={"type": "object"}), ask)).data)
except NotInstalled as failure:
    print(failure)
"""


def _without(text: str, *packages: str) -> str:
    run = [sys.executable, "-c", _WITHOUT, text, *packages]
    return subprocess.run(run, capture_output=True, text=True, check=True, timeout=60).stdout


def test_without_jsonschema_it_is_said_what_to_install_before_anything_is_asked() -> None:
    said = _without("{}", "jsonschema")
    assert "pip install jsonschema" in said
    assert "asked" not in said


def test_without_json_repair_what_needs_no_mending_works() -> None:
    assert _without('{"n": 1}', "json_repair") == "asked\n{'n': 1}\n"


def test_messages_of_a_request_are_left_as_they_are() -> None:
    assert REQUEST.messages == (Message.user("Hi"),)
