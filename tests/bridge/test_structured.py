"""Answers that must be JSON of a schema: read, mended, asked for once more, or refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from llm_bridge.chat import ChatRequest, Reply
from llm_bridge.errors import BadInput, SchemaMismatch
from llm_bridge.messages import Message
from llm_bridge.structured import answered, parsed, problems
from tests.bridge.chatting import ASK, CHAT, answering
from tests.bridge.servers import Answer, chunk, json_answer, sse, stream

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
def test_schemas_of_any_edition_are_taken(kind: str) -> None:
    assert problems({**SCHEMA, "$schema": kind}, {"n": 1}) == []
    assert problems({**SCHEMA, "$schema": kind}, {}) == ["$: 'n' is a required property"]


def test_what_does_not_fit_is_told_in_words() -> None:
    assert problems(SCHEMA, {"n": 1}) == []
    (problem,) = problems(SCHEMA, {"n": "x" * 1000})
    assert problem.startswith("$.n: ")
    assert len(problem) < 300


@pytest.mark.parametrize("text", ["[" * 100_000, "no", "42 apples"])
def test_what_holds_no_json_is_no_answer(text: str) -> None:
    with pytest.raises(SchemaMismatch):
        parsed(text)


def test_json_of_any_kind_is_read() -> None:
    assert parsed("42") == (42, False)
    assert parsed("null") == (None, False)
    assert parsed('"text"') == ("text", False)


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
