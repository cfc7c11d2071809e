"""Ollama's messages, and the lines of its answers however they are cut."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_bridge.chat import Done, Event, Reasoning, Text, Timings, ToolCallPiece, Usage
from llm_bridge.errors import BadAnswer, BridgeError, ContextExceeded, NotSupported, ServerBusy, ServerError, ServerLost
from llm_bridge.messages import Image, Message, ToolCall
from llm_bridge.providers.ollama_wire import LineDecoder, to_ollama
from tests.bridge.providers.scripted import asked, chat, refused, served
from tests.bridge.providers.scripted_ollama import CHAT, OllamaServer, line_stream, lines
from tests.bridge.providers.slices import events_of, halves
from tests.bridge.servers import End, json_answer

NDJSON = "application/x-ndjson"
GEMMA = "gemma4"


async def decoded(*packets: bytes) -> list[Event]:
    return await events_of(LineDecoder("box"), NDJSON, packets)


def server(answer: str = "thinking") -> OllamaServer:
    return OllamaServer("tags_with_capabilities", answer)


async def test_a_chat_streams_thoughts_and_text_and_tells_tokens_and_times() -> None:
    async with served(server()) as (_, client):
        reply, events = await asked(client, chat(GEMMA))
    said = "世\u0085界\u2028🙂"
    assert events[:4] == [Reasoning("A gr"), Reasoning("üß."), Text("Hallo "), Text(said)]
    assert (reply.text, reply.reasoning, reply.finish) == (f"Hallo {said}", "A grüß.", "stop")
    assert reply.usage == Usage(prompt=26, completion=282)
    rate = 282 / 4.535599
    timings = Timings(load=1.334875, prompt=0.342546, generation=4.535599, tokens_per_second=rate)
    assert reply.timings == timings
    assert reply.model == GEMMA


async def test_calls_of_tools_become_json_text_and_have_ids_that_hold() -> None:
    async with served(server("tool_call")) as (_, client):
        reply, events = await asked(client, chat(GEMMA))
        again, _ = await asked(client, chat(GEMMA))
    first, second = reply.tool_calls
    assert (first.name, json.loads(first.arguments)) == ("get_weather", {"city": "Zürich"})
    assert second == ToolCall("call_k3j4h5g6", "get_time", "{}")
    assert first.id.startswith("call_")
    assert again.tool_calls[0].id == first.id
    assert (reply.text, reply.finish) == ("Let me look. ", "tool_calls")
    assert [event.index for event in events if isinstance(event, ToolCallPiece)] == [0, 1]


async def test_calls_without_ids_in_two_answers_have_different_ones() -> None:
    line = json.loads(lines("tool_call").splitlines()[1])
    early, late = (
        LineDecoder("box").feed("", json.dumps(line | {"created_at": when}))[0]
        for when in ("2026-11-25T13:00:00Z", "2026-11-25T13:00:01Z")
    )
    assert isinstance(early, ToolCallPiece)
    assert isinstance(late, ToolCallPiece)
    assert early.id != late.id


async def test_thinking_between_tags_is_told_apart_and_what_is_unknown_stays_unknown() -> None:
    *events, done = await decoded(lines("tagged"))
    assert [event for event in events if event != Text("")] == [Reasoning("Hm."), Text("Yes")]
    assert done == Done("length", Usage(completion=7), Timings(), GEMMA)


async def test_failures_mean_what_they_say() -> None:
    async with served(server()) as (script, client):
        script.on(CHAT, line_stream(lines("broken")))
        with pytest.raises(ServerError, match="an error was encountered"):
            await client.ask(chat(GEMMA))
        failures: tuple[tuple[str, int, type[BridgeError]], ...] = (
            ("too_long", 400, ContextExceeded),
            ("busy", 503, ServerBusy),
            ("no_thinking", 400, NotSupported),
        )
        for body, status, error in failures:
            script.on(CHAT, refused("ollama", body, status))
            with pytest.raises(error) as caught:
                await client.ask(chat(GEMMA))
            if error is ContextExceeded:
                assert caught.value.details == {"needed": 6420, "window": 512}


async def test_an_answer_that_breaks_off_is_no_answer() -> None:
    body = lines("thinking")
    for cut in (0, body.index(b"\n") + 1, body.rindex(b'{"model"')):
        with pytest.raises(ServerLost):
            await decoded(body[:cut])
    with pytest.raises(BadAnswer):
        await decoded(b'{"model"\n')


async def test_leaving_a_chat_closes_its_connection() -> None:
    async with served(server()) as (script, client):
        script.on(CHAT, line_stream(lines("thinking").splitlines(keepends=True)[0], End.HANG))
        async with client.stream(chat(GEMMA)) as events:
            assert await anext(events) == Reasoning("A gr")
        await script.aborted.wait()


async def test_an_answer_that_is_no_stream_is_read_as_well() -> None:
    whole = {"model": GEMMA, "message": {"role": "assistant", "content": "Hi"}, "done": True, "done_reason": "stop"}
    async with served(server()) as (script, client):
        script.on(CHAT, json_answer(whole))
        reply = await client.ask(chat(GEMMA))
    assert (reply.text, reply.finish) == ("Hi", "stop")


@pytest.mark.parametrize("name", ["thinking", "tool_call", "tagged"])
async def test_lines_cut_anywhere_tell_the_same(name: str) -> None:
    body = lines(name)
    whole = await decoded(body)
    for cut in halves(body):
        assert await decoded(*cut) == whole
    assert await decoded(*(body[n : n + 1] for n in range(len(body)))) == whole


@given(st.lists(st.integers(0, len(lines("thinking"))), max_size=12))
async def test_lines_cut_at_any_places_tell_the_same(places: list[int]) -> None:
    body = lines("thinking")
    edges = [0, *sorted(places), len(body)]
    packets = [body[start:end] for start, end in pairwise(edges)]
    assert await decoded(*packets) == await decoded(body)


def test_messages_are_written_as_ollama_has_them() -> None:
    call = ToolCall("c1", "get_weather", '{"city": "Bern"}')
    messages = (
        Message.user("What is it?", [Image(b"png"), Image(b"two")]),
        Message.system("Be brief."),
        Message("assistant", (), reasoning="Look it up.", tool_calls=(call,)),
        Message("tool", ("12 °C",), answers="c1"),
        Message("assistant", ("Cool.",), reasoning="So it is."),
        Message.system("Be kind."),
    )
    function = {"name": "get_weather", "arguments": {"city": "Bern"}}
    assert to_ollama(messages) == [
        {"role": "system", "content": "Be brief.\n\nBe kind."},
        {"role": "user", "content": "What is it?", "images": ["cG5n", "dHdv"]},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "function": function}],
            "thinking": "Look it up.",
        },
        {"role": "tool", "content": "12 °C", "tool_call_id": "c1", "tool_name": "get_weather"},
        {"role": "assistant", "content": "Cool."},
    ]


def test_an_answer_belongs_to_the_last_call_of_its_id_and_arguments_that_are_no_json_are_kept() -> None:
    turns = [
        part
        for name, arguments in (("look", "{}"), ("listen", "loudly"))
        for part in (
            Message("assistant", (), tool_calls=(ToolCall("call_0", name, arguments),)),
            Message("tool", ("done",), answers="call_0"),
        )
    ]
    _, looked, listening, listened = to_ollama(turns)
    assert (looked["tool_name"], listened["tool_name"]) == ("look", "listen")
    assert listening["tool_calls"][0]["function"]["arguments"] == {"text": "loudly"}


def test_tool_calls_without_end_are_refused() -> None:
    decoder = LineDecoder("box")
    line = json.dumps({"message": {"tool_calls": [{"function": {"name": "f"}}] * 100}})
    assert len(decoder.feed("", line) + decoder.feed("", line)) == 200
    with pytest.raises(BadAnswer, match="more than 256 tool calls"):
        decoder.feed("", line)
