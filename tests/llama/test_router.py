"""What the real llama-server does, asked without our client: the facts that its dialect in the bridge relies on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.llama.servers import LlamaServer, running_router

CHAT = "/v1/chat/completions"
OBJECT = {"type": "object", "properties": {"at": {"enum": ["cat", "dog"]}}, "required": ["at"]}
END = 4  # the token that ends an answer
TOOL = {"type": "function", "function": {"name": "look", "description": "Look.", "parameters": OBJECT}}


def chat(model: str, words: str = "hi", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": words}], "max_tokens": 4, "seed": 1, **more}


def endless(model: str) -> dict[str, Any]:
    return chat(model, max_tokens=-1, ignore_eos=True, stream=True)


def client_of(server: LlamaServer) -> httpx.AsyncClient:
    # It closes connections without a word (below); saying so first keeps one from being used again.
    return httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=30, headers={"Connection": "close"})


@pytest.fixture
async def router(llama_router: LlamaServer) -> AsyncGenerator[httpx.AsyncClient]:
    async with client_of(llama_router) as client:
        yield client


@pytest.fixture
async def single(llama_single: LlamaServer) -> AsyncGenerator[httpx.AsyncClient]:
    async with client_of(llama_single) as client:
        yield client


async def status_of(client: httpx.AsyncClient, model: str) -> dict[str, Any]:
    models = (await client.get("/models")).json()["data"]
    return next(each["status"] for each in models if each["id"] == model)


async def becomes(client: httpx.AsyncClient, model: str, value: str) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while (status := await status_of(client, model))["value"] != value:
            await asyncio.sleep(0.01)
    return status


async def unloaded(client: httpx.AsyncClient, model: str) -> None:
    await client.post("/models/unload", json={"model": model})
    await becomes(client, model, "unloaded")


def error_of(response: httpx.Response) -> tuple[int, str, str]:
    error = response.json()["error"]
    return response.status_code, error["type"], error["message"]


async def streamed(client: httpx.AsyncClient, **body: Any) -> list[Any]:
    """The chunks of a stream that ends as it should."""
    response = await client.post(CHAT, json={"stream": True, "stream_options": {"include_usage": True}, **body})
    *lines, done, nothing = response.text.split("\n\n")
    assert (done, nothing, response.headers["content-type"]) == ("data: [DONE]", "", "text/event-stream")
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def deltas(chunks: list[Any], name: str) -> list[Any]:
    return [c["choices"][0]["delta"][name] for c in chunks if c["choices"] and c["choices"][0]["delta"].get(name)]


async def test_loading_and_unloading_are_begun_at_once_and_done_later(router: httpx.AsyncClient) -> None:
    await unloaded(router, "tiny-b")
    assert (await router.post("/models/load", json={"model": "tiny-b"})).json() == {"success": True}
    await becomes(router, "tiny-b", "loaded")
    again = await router.post("/models/load", json={"model": "tiny-b"})
    assert error_of(again) == (400, "invalid_request_error", "model is already running")
    await unloaded(router, "tiny-b")
    again = await router.post("/models/unload", json={"model": "tiny-b"})
    assert error_of(again) == (400, "invalid_request_error", "model is not running")


async def test_the_window_is_known_of_the_loaded_model_and_a_chat_with_another_evicts_it(
    router: httpx.AsyncClient,
) -> None:
    for wanted in ("tiny-a", "tiny-b"):
        assert (await router.post(CHAT, json=chat(wanted))).status_code == 200
        models = (await router.get("/v1/models")).json()["data"]
        assert [each["id"] for each in models] == ["tiny-a", "tiny-b", "tiny-think"]
        assert [each["id"] for each in models if each["status"]["value"] == "loaded"] == [wanted]
        windows = {each["id"]: each["meta"]["n_ctx"] for each in models if "meta" in each}
        assert windows == {wanted: 2048}


async def test_unknown_models_are_refused_in_three_ways(router: httpx.AsyncClient) -> None:
    chatted = await router.post(CHAT, json=chat("nope"))
    assert error_of(chatted) == (400, "invalid_request_error", "model 'nope' not found")
    loaded = await router.post("/models/load", json={"model": "nope"})
    assert error_of(loaded) == (404, "not_found_error", "File Not Found")
    left = await router.post("/models/unload", json={"model": "nope"})
    assert error_of(left) == (400, "invalid_request_error", "model is not found")


async def test_a_stream_ends_with_a_reason_then_usage_and_timings_in_a_chunk_without_choices(
    router: httpx.AsyncClient,
) -> None:
    first, *texts, reason, last = await streamed(router, **chat("tiny-a"))
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": None}
    assert len(texts) == 4 and all(set(each["choices"][0]["delta"]) == {"content"} for each in texts)
    assert (reason["choices"][0]["delta"], reason["choices"][0]["finish_reason"]) == ({}, "length")
    assert (last["choices"], last["usage"]["completion_tokens"], last["timings"]["predicted_n"]) == ([], 4, 4)
    assert last["timings"]["prompt_n"] + last["timings"]["cache_n"] == last["usage"]["prompt_tokens"]


async def test_unasked_for_usage_is_left_out_and_timings_come_with_the_reason(router: httpx.AsyncClient) -> None:
    *_, last = await streamed(router, **chat("tiny-a", stream_options={}))
    assert (last["choices"][0]["finish_reason"], last["timings"]["predicted_n"], "usage" in last) == (
        "length",
        4,
        False,
    )


async def test_reasoning_comes_first_and_apart_unless_it_is_switched_off(router: httpx.AsyncClient) -> None:
    chunks = await streamed(router, **chat("tiny-think", max_tokens=200, logit_bias=[["</think>", 4]]))
    names = [next(iter(chunk["choices"][0]["delta"])) for chunk in chunks[1:-2]]
    assert names == sorted(names, key=["reasoning_content", "content"].index) and len(set(names)) == 2
    quick = await streamed(router, **chat("tiny-think", chat_template_kwargs={"enable_thinking": False}))
    assert deltas(quick, "content") and not deltas(quick, "reasoning_content")


async def test_a_tool_call_comes_in_pieces_of_its_arguments(router: httpx.AsyncClient) -> None:
    bias = [["<tool_call>", 100], [END, 150]]  # it calls, and calls once
    body = chat("tiny-a", max_tokens=200, tools=[TOOL], tool_choice="required", logit_bias=bias)
    chunks = await streamed(router, **body)
    pieces = [call for calls in deltas(chunks, "tool_calls") for call in calls]
    assert (pieces[0]["type"], pieces[0]["function"]["name"], {piece["index"] for piece in pieces}) == (
        "function",
        "look",
        {0},
    )
    assert pieces[0]["id"] and all(set(piece) == {"index", "function"} for piece in pieces[1:])
    assert json.loads("".join(piece["function"]["arguments"] for piece in pieces))["at"] in ("cat", "dog")
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"


async def test_a_json_schema_is_kept(router: httpx.AsyncClient) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "look", "schema": OBJECT}}
    answer = (await router.post(CHAT, json=chat("tiny-b", max_tokens=400, response_format=form))).json()
    assert json.loads(answer["choices"][0]["message"]["content"])["at"] in ("cat", "dog")


async def test_tokens_are_counted_as_the_chat_will_use_them(router: httpx.AsyncClient) -> None:
    counted = (await router.post(f"{CHAT}/input_tokens", json=chat("tiny-a"))).json()
    used = (await router.post(CHAT, json=chat("tiny-a"))).json()["usage"]["prompt_tokens"]
    assert counted == {"object": "response.input_tokens", "input_tokens": used}


@pytest.mark.parametrize("stream", [False, True])
async def test_too_long_a_prompt_is_refused_with_both_numbers(single: httpx.AsyncClient, stream: bool) -> None:
    refused = await single.post(CHAT, json=chat("tiny-a", "word " * 500, stream=stream))
    status, kind, _ = error_of(refused)
    assert (status, kind) == (400, "exceed_context_size_error")
    error = refused.json()["error"]
    # Slots share what the server was given: two of 2048 tokens together have 1024 each.
    assert error["n_prompt_tokens"] > 1024 and error["n_ctx"] == 1024


async def test_slots_are_asked_for_by_model_and_closing_the_connection_frees_one(router: httpx.AsyncClient) -> None:
    async def busy() -> list[bool]:
        slots = (await router.get("/slots", params={"model": "tiny-a"})).json()
        return [slot["is_processing"] for slot in slots]

    async with router.stream("POST", CHAT, json=endless("tiny-a")) as stream:
        pieces = stream.aiter_raw()  # kept: without it the connection would be closed
        await anext(pieces)
        assert sum(await busy()) == 1
    async with asyncio.timeout(5):
        while any(await busy()):
            await asyncio.sleep(0.01)
    assert error_of(await router.get("/slots"))[0] == 400


@pytest.mark.parametrize("mode", ["router", "single"])
async def test_the_connection_is_closed_after_a_stream_without_a_word(
    request: pytest.FixtureRequest, mode: str
) -> None:
    server: LlamaServer = request.getfixturevalue(f"llama_{mode}")
    body = json.dumps(chat("tiny-a", stream=True)).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        f"POST {CHAT} HTTP/1.1\r\nHost: test\r\nConnection: keep-alive\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    async with asyncio.timeout(20):
        answer = await reader.read()  # to the end of the connection
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert b"keep-alive: timeout" in head and b"connection: close" not in head
    writer.close()
    await writer.wait_closed()


async def test_a_busy_model_is_not_evicted_the_other_waits_without_an_answer(router: httpx.AsyncClient) -> None:
    async with router.stream("POST", CHAT, json=endless("tiny-a")) as stream:
        pieces = stream.aiter_raw()  # kept: without it the connection would be closed
        await anext(pieces)
        other = asyncio.create_task(router.post(CHAT, json=chat("tiny-b")))
        done, _ = await asyncio.wait([other], timeout=0.5)
        assert not done and (await status_of(router, "tiny-b"))["value"] == "unloaded"
    assert (await other).status_code == 200


async def test_loads_are_told_as_events(router: httpx.AsyncClient) -> None:
    await unloaded(router, "tiny-b")
    seen: list[Any] = []
    async with asyncio.timeout(20), router.stream("GET", "/models/sse") as events:
        assert events.headers["content-type"] == "text/event-stream"
        await router.post("/models/load", json={"model": "tiny-b"})
        async for line in events.aiter_lines():
            event = json.loads(line.removeprefix("data: ") or "{}")
            if event.get("model") == "tiny-b":
                seen.append(event)
                if event["data"]["status"] == "loaded":
                    break
    assert {event["event"] for event in seen} <= {"model_status", "status_change"}
    assert [event["data"]["status"] for event in seen] == ["loading"] * (len(seen) - 1) + ["loaded"]
    assert seen[-2]["data"]["progress"] == {"stages": ["text_model"], "current": "text_model", "value": 1.0}
    assert seen[-1]["data"]["info"]["meta"]["n_ctx"] == 2048


async def test_a_chat_waits_for_its_model_without_an_answer(llama_folder: Path) -> None:
    with running_router(llama_folder, held="tiny-a") as server:
        async with client_of(server) as client:
            waiting = asyncio.create_task(client.post(CHAT, json=chat("tiny-a", stream=True)))
            await becomes(client, "tiny-a", "loading")
            early = await client.post(CHAT, params={"autoload": "false"}, json=chat("tiny-a"))
            assert early.status_code == 500 and early.headers["content-type"].startswith("application/json")
            assert early.text == "proxy error: Could not establish connection"  # which is no JSON
            assert not waiting.done()
            server.release()
            assert (await waiting).status_code == 200


async def test_a_chat_fails_when_the_load_it_waits_for_is_given_up(llama_folder: Path) -> None:
    with running_router(llama_folder, held="tiny-a") as server:
        async with client_of(server) as client:
            waiting = asyncio.create_task(client.post(CHAT, json=chat("tiny-a", stream=True)))
            await becomes(client, "tiny-a", "loading")
            await client.post("/models/unload", json={"model": "tiny-a"})
            assert error_of(await waiting) == (500, "server_error", "model name=tiny-a failed to load")
            assert (await becomes(client, "tiny-a", "unloaded"))["failed"] is True
            assert (await client.post(CHAT, json=chat("tiny-b"))).status_code == 200


async def test_a_model_that_dies_ends_its_stream_as_if_it_were_complete(llama_folder: Path) -> None:
    with running_router(llama_folder) as server:
        async with client_of(server) as client, client.stream("POST", CHAT, json=endless("tiny-a")) as stream:
            pieces = stream.aiter_raw()
            text = await anext(pieces)
            (instance,) = server.instances()
            os.kill(instance, signal.SIGKILL)
            text += b"".join([piece async for piece in pieces])
    assert b"[DONE]" not in text and text.endswith(b"proxy error: Failed to read connection")


async def test_a_killed_server_breaks_its_streams_and_comes_back_at_its_address(llama_folder: Path) -> None:
    with running_router(llama_folder) as server:
        address = server.url
        async with client_of(server) as client:
            with pytest.raises(httpx.TransportError):
                async with client.stream("POST", CHAT, json=endless("tiny-a")) as stream:
                    async for _ in stream.aiter_raw():
                        server.kill()
            server.start()
            assert server.url == address
            assert (await status_of(client, "tiny-a"))["value"] == "unloaded"
