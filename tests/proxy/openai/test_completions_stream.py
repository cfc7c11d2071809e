"""`/v1/chat/completions` as a stream: byte for byte, unbuffered, alive while it waits, and ended with its client."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import anyio
import pytest

from tests.bridge.servers import End, chunk, json_answer, sse, stream
from tests.proxy.openai.chatting import PATH, body, chunks, comments, content, over_text, plain, stream_of
from tests.texts import CHAT, hanging

HEAD = (
    b'data: {"id":"chatcmpl-0","object":"chat.completion.chunk","created":0,"model":"llm/alpha",'
    b'"system_fingerprint":null,"choices":[{"index":0,"delta":'
)
NOT_YET = b',"logprobs":null,"finish_reason":null}]'


async def test_a_stream_is_openais_byte_for_byte(tmp_path: Path) -> None:
    async with over_text(tmp_path) as (http, script):
        script.on(CHAT, stream(sse(chunk("Ei \u2028"), chunk("ns"), chunk(finish="stop"))))
        told = await stream_of(http, body())
    assert plain(told).startswith(HEAD + b'{"role":"assistant","content":""}' + NOT_YET + b"}\n\n")
    assert content(told) == "Ei \u2028ns"
    assert plain(told).endswith(HEAD + b'{},"logprobs":null,"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
    assert b"usage" not in told and len({each["id"] for each in chunks(told)}) == 1


async def test_the_usage_comes_last_when_it_is_asked_for(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3}}
    async with over_text(tmp_path) as (http, script):
        script.on(CHAT, stream(sse(chunk("Hi", "length"), {"choices": [], "usage": usage})))
        told = await stream_of(http, body(stream_options={"include_usage": True}))
    *before, last = chunks(told)
    assert [each["usage"] for each in before] == [None] * len(before)
    assert (last["choices"], before[-1]["choices"][0]["finish_reason"]) == ([], "length")
    assert last["usage"] == {
        "prompt_tokens": 7,
        "completion_tokens": 2,
        "total_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 3},
    }
    assert (last["workbench"]["server"], last["workbench"]["model"]) == ("llm", "alpha")


async def test_thoughts_and_tool_calls_come_in_their_fields(tmp_path: Path) -> None:
    call = {"index": 0, "id": "call_7", "type": "function", "function": {"name": "look", "arguments": '{"at"'}}
    more = {"index": 0, "function": {"arguments": ': "sea"}'}}
    async with over_text(tmp_path) as (http, script):
        pieces = [
            chunk(reasoning_content="Hm."),
            chunk(tool_calls=[call]),
            chunk(None, "tool_calls", tool_calls=[more]),
        ]
        script.on(CHAT, stream(sse(*pieces)))
        tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
        told = await stream_of(http, body(tools=tools, tool_choice="auto"))
        (sent,) = script.bodies(CHAT)
    assert content(told, "reasoning_content") == "Hm."
    calls = [call for each in chunks(told) for call in each["choices"][0]["delta"].get("tool_calls", [])]
    assert (calls[0]["id"], calls[0]["type"], calls[0]["function"]["name"]) == ("call_7", "function", "look")
    assert all("id" not in call and "name" not in call["function"] for call in calls[1:])
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"at": "sea"}
    assert chunks(told)[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert sent["tools"][0]["function"]["name"] == "look"


async def test_each_token_goes_out_before_the_next_one_comes(tmp_path: Path) -> None:
    go = asyncio.Event()
    async with over_text(tmp_path) as (http, script):
        script.on(CHAT, hanging(go))
        async with http.stream("POST", PATH, json=body(stream=True)) as answer:
            assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-cache", "no")
            assert (answer.headers["x-workbench-server"], answer.headers["x-workbench-model"]) == ("llm", "alpha")
            seen = b""
            with anyio.fail_after(10):
                async for data in answer.aiter_bytes():
                    seen += data
                    if content(seen) == "Once":
                        go.set()
    assert content(seen) == "Once more."


async def test_who_waits_gets_comments_from_the_start_and_says_who_is_before(tmp_path: Path) -> None:
    go = asyncio.Event()
    async with over_text(tmp_path) as (http, script):
        script.on(CHAT, hanging(go))
        told, seen = list[bytes](), b""

        async def ask(number: int) -> None:
            told.append(await stream_of(http, body(f"{number}")))

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask, 1)
                await script.asked.wait()
                async with http.stream("POST", PATH, json=body("2", stream=True)) as answer:
                    async for data in answer.aiter_bytes():
                        seen += data
                        if comments(seen):
                            go.set()
    assert comments(seen)[0].startswith("waiting")
    assert content(seen) == content(told[0]) == "Once more."


async def test_a_silent_server_is_covered_by_comments(tmp_path: Path) -> None:
    go = asyncio.Event()
    async with over_text(tmp_path) as (http, script):
        script.on(CHAT, stream(go, sse(chunk("At last.", "stop"))))
        with anyio.fail_after(30):
            async with http.stream("POST", PATH, json=body(stream=True)) as answer:
                seen = b""
                async for data in answer.aiter_bytes():
                    seen += data
                    if "still waiting" in comments(seen):
                        go.set()
    assert comments(seen)[0] == "waiting" and content(seen) == "At last."


async def test_who_hangs_up_ends_the_answer_at_its_server(tmp_path: Path) -> None:
    async with over_text(tmp_path) as (http, script):
        script.on(CHAT, stream(sse(chunk("Once"), done=False), End.HANG))
        async with http.stream("POST", PATH, json=body(stream=True)) as answer:
            async for _ in answer.aiter_bytes():
                break
        with anyio.fail_after(10):
            await script.aborted.wait()
        script.aborted.clear()
        with anyio.move_on_after(1):
            await http.post(PATH, json=body())
        with anyio.fail_after(10):
            await script.aborted.wait()


async def test_a_failure_is_a_status_before_the_first_token_and_an_event_after_it(tmp_path: Path) -> None:
    refusal = {"error": {"message": "the request exceeds the available context size", "code": 400}}
    async with over_text(tmp_path) as (http, script):
        script.on(CHAT, json_answer(refusal, 400))
        refused = await http.post(PATH, json=body(stream=True))
        script.on(CHAT, stream(sse(chunk("Once"), done=False), End.RESET))
        told = await stream_of(http, body())
    assert refused.status_code in (400, 413) and refused.headers["content-type"] == "application/json"
    assert "context" in refused.json()["error"]["message"]
    assert content(told[: told.index(b'data: {"error"')]) == "Once"
    error = json.loads(told.split(b"\n\n")[-2].removeprefix(b"data: "))["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["type"] == "server_error"
    assert b"[DONE]" not in told


@pytest.mark.parametrize("wrapped", [False, True])
async def test_an_answer_that_must_fit_a_schema_is_sent_when_it_does(tmp_path: Path, wrapped: bool) -> None:
    good = '```json\n{"city": "Oslo"}\n```' if wrapped else '{"city": "Oslo"}'
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    format = {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": schema}}
    async with over_text(tmp_path) as (http, script):
        wrong = stream(sse(chunk('{"town": "Oslo"}', "stop")))
        script.on(CHAT, wrong, stream(sse(chunk(good[:9]), chunk(good[9:], "stop"))))
        told = await stream_of(http, body(response_format=format))
        assert len(script.bodies(CHAT)) == 2
    assert json.loads(content(told)) == {"city": "Oslo"}
