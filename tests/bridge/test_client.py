"""A client of one server: its answers however they come, what is left behind, and many at once."""

from __future__ import annotations

import asyncio
import gc
import logging
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_bridge.chat import (
    ChatRequest,
    Done,
    Event,
    Reasoning,
    Reply,
    Restarted,
    Sampling,
    Text,
    ToolCallPiece,
    Transcript,
    Usage,
)
from llm_bridge.client import Client, Retry
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import BadAnswer, BadInput, ServerLost, UnknownModel
from llm_bridge.messages import Image, Message
from tests.bridge.chatting import ASK, CHAT, answering, events_of
from tests.bridge.servers import Answer, End, Step, chunk, json_answer, scripted, sse, stream

USAGE = {"prompt_tokens": 3, "completion_tokens": 4}
CALL = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
WHOLE = (
    b"\xef\xbb\xbf: ready\r\n\r\n"
    + sse(
        chunk(role="assistant", content=None), chunk("<thi"), chunk("nk>\nHm ü"), chunk("🙂.</think>\n\n"), done=False
    )
    + sse(chunk("Hi "), chunk("漢\u2028!"), chunk(tool_calls=[CALL]), chunk(finish="stop"), done=False)
    + b'data: {"choices": [],\ndata: "usage": {"prompt_tokens": 3, "completion_tokens": 4}}\n\n'
    + b": still here\n\ndata:[DONE]\n\njunk { after the end"
)
EVENTS = [
    Reasoning("Hm ü🙂."),
    Text("Hi 漢\u2028!"),
    ToolCallPiece(0, "{}", "c", "f"),
    Done("stop", Usage(3, 4), model="m"),
]


def joined(events: list[Event]) -> list[Event]:
    """Neighbouring pieces of text and thinking as one."""
    found: list[Event] = []
    for event in events:
        last = found[-1] if found else None
        if isinstance(event, Text) and isinstance(last, Text):
            found[-1] = Text(last.text + event.text)
        elif isinstance(event, Reasoning) and isinstance(last, Reasoning):
            found[-1] = Reasoning(last.text + event.text)
        else:
            found.append(event)
    return found


async def test_a_stream_is_its_events_and_the_reply_they_add_up_to() -> None:
    async with answering(stream(WHOLE)) as (server, client), client.stream(ASK) as events:
        assert joined([event async for event in events]) == EVENTS
        reply = events.reply
    assert (reply.text, reply.reasoning, reply.finish) == ("Hi 漢\u2028!", "Hm ü🙂.", "stop")
    assert (reply.server, reply.model, reply.usage) == ("box", "m", Usage(3, 4))
    assert reply.metrics.ttft is not None
    assert reply.metrics.seconds is not None
    assert 0 < reply.metrics.ttft <= reply.metrics.seconds
    assert server.bodies(CHAT)[0]["stream"] is True


async def test_the_same_comes_out_when_the_stream_is_cut_at_any_byte() -> None:
    cuts = [stream(WHOLE[:place], WHOLE[place:]) for place in range(1, len(WHOLE))]
    async with answering(*cuts) as (_, client):
        for place in range(1, len(WHOLE)):
            assert joined(await events_of(client)) == EVENTS, place


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(1, len(WHOLE) - 1), max_size=40), st.booleans())
async def test_the_same_comes_out_of_any_pieces(places: list[int], chunked: bool) -> None:
    edges = [0, *sorted(set(places)), len(WHOLE)]
    pieces = [WHOLE[start:end] for start, end in pairwise(edges)]
    async with answering(stream(*pieces, chunked=chunked)) as (_, client):
        assert joined(await events_of(client)) == EVENTS


async def test_a_stream_that_stops_at_any_byte_is_never_taken_for_a_whole_answer() -> None:
    whole = sse(chunk("Hi "), chunk("there"), chunk(finish="length"))
    ends = whole.index(b'"length"') + len(b'"length"}]}')
    cuts = [stream(whole[:place], chunked=chunked) for place in range(1, ends) for chunked in (True, False)]
    async with answering(*cuts, retry=Retry(attempts=1)) as (_, client):
        for cut in cuts:
            with pytest.raises(ServerLost):
                assert await client.ask(ASK) is None, cut


@pytest.mark.parametrize("end", [End.RESET, End.CLOSE])
@pytest.mark.parametrize("tokens", [1, 3, 9])
async def test_a_server_that_goes_away_in_the_middle_leaves_what_came(end: End, tokens: int) -> None:
    said = [f"{place} " for place in range(tokens)]
    steps: list[Step] = [sse(chunk(each), done=False) for each in said]
    # A reset throws away what is still on its way.
    async with answering(stream(*steps, 0.05, end)) as (server, client), client.stream(ASK) as events:
        seen: list[Event] = []
        with pytest.raises(ServerLost):
            async for event in events:
                seen.append(event)
        assert joined(seen) == [Text("".join(said))]
        assert events.reply.text == "".join(said)
        assert events.reply.finish == "unknown"
    assert len(server.received) == 1


async def test_an_error_in_the_stream_leaves_what_came_before_it() -> None:
    body = sse(chunk("Hi"), {"error": {"message": "broken"}}, done=False)
    async with answering(stream(body)) as (_, client), client.stream(ASK) as events:
        with pytest.raises(Exception, match="broken"):
            await anext(events)
            await anext(events)
        assert events.reply.text == "Hi"


@pytest.mark.parametrize(
    "answer",
    [
        stream(b"data: {nonsense\n\n"),
        stream(b"<!doctype html><h1>Welcome</h1>", kind="text/html"),
        stream(b"fine", kind="text/plain"),
        json_answer([1, 2]),
    ],
)
async def test_what_is_no_answer_is_a_bad_answer(answer: Answer) -> None:
    async with answering(answer) as (server, client):
        with pytest.raises(BadAnswer) as failure:
            await client.ask(ASK)
        assert failure.value.hint
    assert len(server.received) == 1


async def test_a_server_that_does_not_stream_gives_a_whole_answer() -> None:
    told = {"model": "m", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}], "usage": USAGE}
    async with answering(json_answer(told)) as (_, client):
        reply = await client.ask(ASK)
    assert (reply.text, reply.usage, reply.metrics.tokens_per_second) == ("Hi", Usage(3, 4), None)


async def test_servers_that_close_after_an_answer_without_saying_so_lose_no_request() -> None:
    answer = stream(sse(chunk("Hi"), chunk(finish="stop")), closes=True)
    async with answering(answer, retry=Retry(attempts=1)) as (server, client):
        for _ in range(100):
            assert (await client.ask(ASK)).text == "Hi"
    assert len(server.received) == 100


async def test_everything_that_was_asked_is_sent() -> None:
    picture = Image(b"\x89PNG", "image/png")
    request = ChatRequest(
        "m",
        (Message.user("What is it?", [picture]),),
        Sampling(seed=7, stop=("END",), max_tokens=5),
        extra={"mirostat": 2},
    )
    async with answering(stream(sse(chunk("A cat"), chunk(finish="stop")))) as (server, client):
        await client.ask(request)
        body = server.bodies(CHAT)[0]
    assert (body["seed"], body["stop"], body["max_tokens"], body["mirostat"]) == (7, ["END"], 5, 2)
    urls = [part["image_url"]["url"] for part in body["messages"][0]["content"] if part["type"] == "image_url"]
    assert urls == ["data:image/png;base64,iVBORw=="]


@pytest.mark.parametrize("extra", [{"x": float("nan")}, {"x": b"bytes"}, {"x": "\ud800"}])
async def test_what_json_cannot_hold_is_refused_before_it_is_sent(extra: dict[str, object]) -> None:
    async with answering(json_answer({})) as (server, client):
        with pytest.raises(BadInput):
            await client.ask(ChatRequest("m", (Message.user("Hi"),), extra=extra))
    assert server.received == []


async def test_every_event_is_shown_to_who_asks_for_the_whole_reply() -> None:
    seen: list[Event] = []
    async with answering(stream(WHOLE)) as (_, client):
        reply = await client.ask(ASK, seen.append)
    transcript = Transcript()
    for event in seen:
        transcript.add(event)
    assert transcript.reply == Reply(
        *(getattr(reply, name) for name in ("text", "reasoning", "tool_calls", "finish", "usage", "timings")), model="m"
    )


async def test_a_model_that_is_not_there_is_named_beside_those_that_are() -> None:
    async with answering() as (server, client):
        server.on("GET /v1/models", json_answer({"data": [{"id": "a"}, {"id": "b"}]}))
        assert (await client.find("a")).id == "a"
        with pytest.raises(UnknownModel, match=r"'c'.* a, b"):
            await client.find("c")


async def test_hundreds_of_streams_run_at_once_and_leave_nothing() -> None:
    ready = asyncio.Event()
    body = [sse(chunk(f"{place} "), done=False) for place in range(20)]
    begun = sse(chunk("begun "), done=False)
    async with answering(stream(begun, ready, *body, sse(chunk(finish="stop")))) as (server, client):
        asks = [asyncio.create_task(client.ask(ASK)) for _ in range(300)]
        async with asyncio.timeout(20):
            while server.connections < 300:
                await asyncio.sleep(0.01)
            ready.set()
            replies = await asyncio.gather(*asks)
        assert {reply.text for reply in replies} == {"begun " + "".join(f"{place} " for place in range(20))}
        async with asyncio.timeout(2):
            while server.connections:
                await asyncio.sleep(0.01)


async def test_memory_stays_flat_over_many_answers() -> None:
    async with answering(stream(sse(*[chunk("word ")] * 20, chunk(finish="stop")))) as (server, client):

        async def some() -> None:
            await asyncio.gather(*(client.ask(ASK) for _ in range(20)))
            server.received.clear()
            gc.collect()

        await some()
        tracemalloc.start()
        try:
            await some()
            before, _ = tracemalloc.get_traced_memory()
            for _ in range(4):
                await some()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert after - before < 100_000


def test_two_clients_on_two_event_loops_work_one_after_the_other() -> None:
    async def chat() -> str:
        async with answering(stream(WHOLE)) as (_, client):
            return (await client.ask(ASK)).text

    assert asyncio.run(chat()) == asyncio.run(chat()) == "Hi 漢\u2028!"


async def test_the_key_goes_to_its_server_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key = "sk-very-secret"
    monkeypatch.setenv("BOX_KEY", key)
    caplog.set_level(logging.DEBUG)
    said = f"Incorrect key {key}."
    async with scripted("GET /v1/models", json_answer({"error": said}, 401)) as other, scripted() as server:
        endpoint = Endpoint("box", server.url, kind="openai", key_env="BOX_KEY")
        moved = Answer((), 302, {"Location": f"{other.url}/v1/models"})
        server.on("GET /v1/models", moved, json_answer({"error": {"message": said}}, 401))
        server.on(CHAT, stream(sse({"error": {"message": said, "code": 401}})))
        async with Client.open(endpoint) as client:
            told = [repr(client), repr(endpoint), repr(await client.dialect())]
            for ask in (client.models, client.models, lambda: client.ask(ASK)):
                with pytest.raises(Exception, match="box") as failure:
                    await ask()
                told += [str(failure.value), repr(failure.value), repr(failure.value.__cause__)]
        assert other.received == []
    assert {each.headers["authorization"] for each in server.received} == {f"Bearer {key}"}
    assert key not in " ".join(told)
    assert key not in caplog.text


async def test_no_proxy_of_the_environment_is_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        async with answering(stream(WHOLE)) as (_, client):
            assert (await client.ask(ASK)).text
        assert proxy.opened == 0


async def test_what_was_thought_after_all_is_told_again_and_the_reply_has_it_so() -> None:
    thinking = sse(chunk("Let me think."), chunk("</think>\n\nFour"), chunk(finish="stop"))
    async with answering(stream(thinking)) as (_, client), client.stream(ASK) as events:
        said, restarted, *rest = [event async for event in events]
        reply = events.reply
    assert (said, type(restarted)) == (Text("Let me think."), Restarted)
    assert rest == [Reasoning("Let me think."), Text("Four"), Done("stop", model="m")]
    assert (reply.text, reply.reasoning) == ("Four", "Let me think.")
