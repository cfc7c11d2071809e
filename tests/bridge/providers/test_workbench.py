"""A workbench in front of other servers: its text models, its comments while a chat waits, and the prompt that asks."""

from __future__ import annotations

import asyncio

import pytest

from llm_bridge.chat import Event, Loading, Prompting, Reply, Text, Timings, Waiting
from llm_bridge.client import Client, Retry
from llm_bridge.compare import Cell, Prompt, Variant
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import RequestRefused, ServerBusy, TimedOut
from llm_bridge.providers import State
from llm_bridge.providers.workbench import ATTEMPT
from llm_bridge.queue import Queue
from llm_bridge.router import Router
from llm_bridge.transport import Timeouts
from tests.bridge.providers.scripted import CHAT, asked, chat, client_of, served, workbench
from tests.bridge.servers import Answer, Received, Step, chunk, json_answer, scripted, sse, stream

GOOD = sse(chunk("Hi"), chunk(finish="stop"))


def refusal(message: str, kind: str, code: str) -> dict[str, object]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


async def test_its_models_are_those_of_its_servers_with_all_that_they_can() -> None:
    async with served(workbench) as (_, client):
        qwen, gemma, big = await client.models()
    assert (qwen.id, qwen.state, qwen.context, qwen.aliases) == (
        "lm-studio/qwen3-8b",
        State.LOADED,
        8192,
        ("qwen3-8b",),
    )
    assert (qwen.vision, qwen.tools, qwen.reasoning) == (False, True, True)
    assert (gemma.state, gemma.context, gemma.vision, gemma.tools) == (State.UNLOADED, None, True, None)
    assert (big.id, big.state, big.aliases) == ("vllm/org/big", None, ("org/big",))


async def test_nobody_tells_it_to_load_or_unload() -> None:
    async with served(workbench) as (script, client):
        async with Queue.open([client.endpoint]) as queue:
            await queue.ask(chat("lm-studio/qwen3-8b"))
            assert await queue.unload() == []
        assert await client.unload_all() == []
    assert {each.path for each in script.received if each.method == "POST"} == {"/v1/chat/completions"}


@pytest.mark.parametrize("name", ["lm-studio/qwen3-8b", "qwen3-8b", "box/lm-studio/qwen3-8b", "box/qwen3-8b", "auto"])
async def test_a_model_is_named_with_its_server_or_without(name: str) -> None:
    async with served(workbench) as (script, client), Queue.open([client.endpoint]) as queue:
        assert (await Router(queue).ask(chat(name))).text == "Hello you"
        assert script.bodies(CHAT)[0]["model"] == "lm-studio/qwen3-8b"


async def test_its_comments_tell_what_a_chat_waits_for() -> None:
    said = (
        b": waiting\n\n: waiting, 3 before it\n\n: still waiting\n\n: loading qwen 3\n\n"
        b": reading the prompt\n\n: whatever\n\n"
    )
    async with served(workbench) as (script, client):
        script.on(CHAT, stream(said, GOOD))
        reply, events = await asked(client, chat("lm-studio/qwen3-8b"))
    assert reply.text == "Hi"
    assert events[:5] == [Waiting(0), Waiting(3), Loading("qwen 3"), Prompting(), Text("Hi")]


async def waiting(*steps: Step) -> tuple[Reply, list[Event]]:
    """The answer of one whose first token is due after 0.3 seconds."""
    async with scripted() as script:
        workbench(script)
        script.on(CHAT, stream(*steps))
        async with client_of(script, first_token=0.3, idle=0.3) as client:
            return await asked(client, chat("lm-studio/qwen3-8b"))


async def test_a_chat_that_waits_in_its_queue_does_not_run_out_of_time() -> None:
    reply, events = await waiting(*[b": waiting, 1 before it\n\n", 0.2, b": still waiting\n\n", 0.2] * 2, GOOD)
    assert events.count(Waiting(1)) == 2 and reply.text == "Hi"


async def test_one_that_says_nothing_any_more_is_out_of_time() -> None:
    with pytest.raises(TimedOut, match="no token"):
        await waiting(b": waiting, 1 before it\n\n", 5.0, GOOD)


async def test_the_time_in_its_queue_and_of_the_load_is_no_time_to_the_first_token() -> None:
    took = {"queued": 0.15, "load": 0.05, "ttft": 0.01, "tokens_per_second": 40.0}
    last = sse({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}, "workbench": took})
    reply, _ = await waiting(
        b": waiting, 1 before it\n\n", 0.2, sse(chunk("Hi"), chunk(finish="stop"), done=False), last
    )
    assert reply.metrics.ttft is not None and reply.metrics.ttft < 0.1
    assert reply.timings == Timings(load=0.05, tokens_per_second=40.0, queued=0.15)
    assert (reply.usage.prompt, reply.usage.completion) == (3, 1)


async def test_the_prompt_that_asks_goes_in_a_header_and_nowhere_else() -> None:
    within = "5f0c1c6e-8f4b-4d0b-9a52-f2f4f3a0d9c1"
    async with served(workbench) as (script, client), Queue.open([client.endpoint]) as queue:
        await client.ask(chat("lm-studio/qwen3-8b"))
        await Router(queue, within=within).ask(chat("lm-studio/qwen3-8b"))
        await client.ask(chat("lm-studio/qwen3-8b", within="a\r\nX-Evil: 1"))
    sent = [each for each in script.received if each.method == "POST"]
    assert [each.headers.get(ATTEMPT.lower()) for each in sent] == [None, within, None]
    assert sent[0].json == sent[1].json


async def test_no_other_kind_of_server_is_told_which_prompt_asks() -> None:
    async with scripted(CHAT, stream(GOOD)) as script, client_of(script, kind="openai") as client:
        await client.ask(chat("m", within="5f0c1c6e"))
    assert "5f0c1c6e" not in str(script.received[0])


def test_the_prompt_that_asks_is_no_part_of_what_a_comparison_asks() -> None:
    assert Cell("m", Prompt("p", "Hi"), Variant()).request.within is None


async def test_what_it_refuses_is_said_in_its_words() -> None:
    async with served(workbench) as (script, client):
        script.on(CHAT, json_answer(refusal("Too many wait.", "rate_limit_error", "overloaded"), 429, Retry_After="7"))
        with pytest.raises(ServerBusy, match="Too many wait") as busy:
            await client.ask(chat("lm-studio/qwen3-8b"))
        assert busy.value.details["retry_after"] == 7.0
        script.on(CHAT, json_answer(refusal("tools: no list.", "invalid_request_error", "invalid_parameter"), 400))
        with pytest.raises(RequestRefused, match="no list"):
            await client.ask(chat("lm-studio/qwen3-8b"))


async def test_all_requests_are_handed_on_at_once_whatever_their_model() -> None:
    """Its queue knows the card; one that held them back could hold back what it waits for."""
    go, here = asyncio.Event(), asyncio.Event()

    def begun(received: Received) -> Answer:
        if len(script.bodies(CHAT)) == 6:
            here.set()
        return stream(go, GOOD)

    async with scripted() as script:
        workbench(script)
        script.on(CHAT, begun)
        async with Queue.open([Endpoint("box", script.url)]) as queue:
            names = ["lm-studio/qwen3-8b", "ollama/gemma3:4b", "vllm/org/big"] * 2
            asking = [asyncio.create_task(queue.ask(chat(name))) for name in names]
            async with asyncio.timeout(5):
                await here.wait()
            go.set()
            assert [reply.text for reply in await asyncio.gather(*asking)] == ["Hi"] * 6


async def test_a_full_queue_is_waited_for() -> None:
    async with scripted() as script:
        workbench(script)
        busy = json_answer(refusal("Too many wait.", "rate_limit_error", "overloaded"), 429, Retry_After="0")
        script.on(CHAT, busy, stream(GOOD))
        endpoint = Endpoint("box", script.url)
        async with Client.open(endpoint, retry=Retry(pause=0.01), timeouts=Timeouts()) as client:
            assert (await client.ask(chat("lm-studio/qwen3-8b"))).text == "Hi"
