"""The real llama.cpp in both modes: swapping, counting, overflow, thinking or not, and being found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from llm_bridge.chat import ChatRequest, Sampling, Tool
from llm_bridge.client import Client
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import ContextExceeded, NotSupported, UnknownModel
from llm_bridge.messages import Image, Message
from llm_bridge.providers import State
from llm_bridge.scan import scan
from tests.bridge.providers.scripted import asked, chat
from tests.llama.servers import LlamaServer, running_router

FEW = Sampling(max_tokens=8, seed=1)


@pytest.fixture
async def router(llama_router: LlamaServer) -> AsyncGenerator[Client]:
    async with Client.open(Endpoint("box", llama_router.url)) as client:
        yield client


@pytest.fixture(params=["llama_router", "llama_single"])
async def either(request: pytest.FixtureRequest) -> AsyncGenerator[Client]:
    server: LlamaServer = request.getfixturevalue(request.param)
    async with Client.open(Endpoint("box", server.url)) as client:
        yield client


async def _any_model(client: Client) -> str:
    """One that is in memory."""
    first = (await client.models())[0]
    if (await client.dialect()).loads:
        await client.load(first.id)
    return first.id


async def test_a_chat_with_another_model_swaps(router: Client) -> None:
    await router.load("tiny-a")
    await asked(router, chat("tiny-b", sampling=FEW))
    states = {model.id: model.state for model in await router.models()}
    assert states["tiny-b"] is State.LOADED
    assert states["tiny-a"] is not State.LOADED


async def test_a_router_that_holds_one_makes_room_by_itself_when_told_to_load(router: Client) -> None:
    for name in ("tiny-a", "tiny-b", "tiny-think"):
        await router.load(name)
        held = [model.id for model in await router.models() if model.state is State.LOADED]
        assert held == [name]


async def test_a_load_that_is_given_up_leaves_no_process(llama_folder: Path) -> None:
    with running_router(llama_folder) as server:
        async with Client.open(Endpoint("box", server.url)) as client:
            loading = asyncio.create_task(client.load("tiny-b"))
            while not server.instances():
                await asyncio.sleep(0.001)
            loading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await loading
        assert server.instances() == []


async def test_a_load_that_is_given_up_before_it_begins_is_undone_all_the_same(router: Client) -> None:
    """The server first lets go of another, and does not show meanwhile what comes."""
    await router.load("tiny-a")
    async with Client.open(router.endpoint) as client:
        await client.dialect()
        loading = asyncio.create_task(client.load("tiny-b"))
        await asyncio.sleep(0.001)
        loading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loading
    assert (await router.find("tiny-a")).state is State.UNLOADED
    assert (await router.find("tiny-b")).state in (State.UNLOADED, State.FAILED)


async def test_a_count_is_what_the_usage_says_afterwards(either: Client) -> None:
    model = await _any_model(either)
    messages = (Message.system("Be brief."), Message.user("Who are you, and 谁?"), Message.assistant("A machine."))
    tool = Tool("weather", "What the weather is", {"type": "object", "properties": {"city": {"type": "string"}}})
    for wanted in (
        chat(model, sampling=FEW),
        ChatRequest(model, (*messages, Message.user("Where?")), FEW),
        ChatRequest(model, (*messages, Message.user("Where?")), FEW, tools=(tool,), think=False),
    ):
        counted = await either.count(wanted)
        reply, _ = await asked(either, wanted)
        assert counted == reply.usage.prompt
        assert counted is not None


async def test_nothing_is_loaded_by_counting(router: Client) -> None:
    await router.load("tiny-a")
    assert await router.count(chat("tiny-b")) is None
    assert (await router.find("tiny-b")).state in (State.UNLOADED, State.FAILED)
    assert (await router.find("tiny-a")).state is State.LOADED


async def test_too_long_a_prompt_is_refused_with_both_numbers(either: Client) -> None:
    model = await _any_model(either)
    wanted = ChatRequest(model, (Message.user("word " * 9000),), FEW)
    with pytest.raises(ContextExceeded) as caught:
        await either.ask(wanted)
    window = (await either.find(model)).context
    assert caught.value.details["window"] == window
    assert caught.value.details["needed"] == await either.count(wanted)


async def test_an_unknown_model_is_unknown(router: Client) -> None:
    with pytest.raises(UnknownModel, match="nope"):
        await router.ask(chat("nope"))


async def test_thinking_is_told_apart_and_can_be_left_out(router: Client) -> None:
    thoughtful, _ = await asked(router, chat("tiny-think", sampling=FEW))
    assert (bool(thoughtful.reasoning), thoughtful.text) == (True, "")
    quick, _ = await asked(router, chat("tiny-think", sampling=FEW, think=False))
    assert (quick.reasoning, bool(quick.text)) == ("", True)
    assert (await router.find("tiny-think")).reasoning is True
    plain, _ = await asked(router, chat("tiny-a", sampling=FEW))
    assert (plain.reasoning, bool(plain.text)) == ("", True)
    assert (await router.find("tiny-a")).reasoning is False


async def test_pictures_for_a_model_that_cannot_see_are_refused(either: Client) -> None:
    model = await _any_model(either)
    assert (await either.find(model)).vision is False
    with pytest.raises(NotSupported):
        await either.ask(ChatRequest(model, (Message.user("What is it?", [Image(b"\x89PNG\r\n\x1a\n")]),), FEW))


async def test_one_model_is_kept(llama_single: LlamaServer) -> None:
    async with Client.open(Endpoint("box", llama_single.url)) as client:
        (model,) = await client.models()
        assert model.state is State.LOADED
        assert None not in (model.context, model.max_context, model.size, model.tools, model.vision, model.reasoning)
        for work in (client.load, client.unload):
            with pytest.raises(NotSupported):
                await work(model.id)


async def test_both_are_found_by_their_ports(llama_router: LlamaServer, llama_single: LlamaServer) -> None:
    first, second = await scan([llama_router.port, llama_single.port])
    assert (first.url, first.kind, first.problem) == (llama_router.url, "llama-cpp", "")
    assert (second.url, second.kind, len(second.models)) == (llama_single.url, "llama-cpp", 1)
