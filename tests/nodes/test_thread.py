"""The bridge's own thread: it outlives every graph, reads while a graph computes, and stops when the graph is to."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from comfy_nodes.host import Interrupted, Running
from comfy_nodes.servers import close_servers, the_servers
from comfy_nodes.thread import handed_over, on_bridge
from llm_bridge.errors import BridgeError
from tests.bridge.boxes import Box, boxes, until
from tests.bridge.servers import End, Script, Step, chunk, sse, stream
from tests.llama.servers import LlamaServer, running_router
from tests.nodes.calling import Page, Stopped
from tests.nodes.conftest import SetUp
from tests.nodes.generating import beside, generated
from tests.texts import CHAT, text_server

CALLED = sse(chunk("Once"), done=False)
BEFORE: dict[str, tuple[Step, ...]] = {"prompt reading": (End.HANG,), "tokens": (CALLED, End.HANG)}


async def test_what_the_work_raises_is_raised_as_it_is() -> None:
    async def work() -> None:
        raise BridgeError("It is so.", hint="Do this.")

    with pytest.raises(BridgeError, match=r"^It is so\. Do this\.$"):
        await on_bridge(Running(None), work)


async def test_requests_of_the_nodes_fill_no_log_and_those_of_others_do(
    set_up: SetUp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="httpx")
    async with text_server() as script:
        set_up(script.url)
        await generated(model="alpha")
        assert [record for record in caplog.records if record.name == "httpx"] == []
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.get(f"{script.url}/v1/models")
        assert [record.name for record in caplog.records] == ["httpx"]


@pytest.mark.parametrize("during", BEFORE)
async def test_an_interrupted_graph_ends_at_once_and_so_does_the_server(set_up: SetUp, page: Page, during: str) -> None:
    async with text_server() as script:
        script.on(CHAT, stream(*BEFORE[during]))
        set_up(script.url)
        call = asyncio.create_task(generated(model="alpha"))
        await until(lambda: script.bodies(CHAT) and (during != "tokens" or "Once" in page.texts))
        began = time.monotonic()
        page.interrupt()
        with pytest.raises(Stopped):
            await call
        assert time.monotonic() - began < 0.3
        async with asyncio.timeout(1):
            await script.aborted.wait()


async def test_what_is_waited_for_is_shown_however_soon_it_came_after_something_else(set_up: SetUp, page: Page) -> None:
    gate = asyncio.Event()
    async with text_server() as script:
        script.on(
            CHAT, stream(sse(chunk("One"), done=False), 0.02, sse(chunk(" two"), done=False), gate, sse(chunk(".")))
        )
        set_up(script.url)
        call = asyncio.create_task(generated(model="alpha"))
        await until(lambda: page.texts and page.texts[-1] == "One two", 1)
        gate.set()
        await call


async def test_an_interrupted_graph_leaves_the_line(set_up: SetUp, page: Page) -> None:
    gate = asyncio.Event()
    async with text_server() as script:
        script.on(CHAT, stream(gate, sse(chunk("Hi", "stop"))))
        set_up(script.url)
        calls = [asyncio.create_task(generated(model="alpha")) for _ in range(3)]
        await until(lambda: script.bodies(CHAT) and any(text.startswith("Waiting") for text in page.texts))
        page.interrupt()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(each) for each in ended] == [Stopped] * 3 and len(script.bodies(CHAT)) == 1
        page.interrupted = False
        gate.set()
        assert (await generated(model="alpha"))[0] == "Hi"


async def test_a_cancelled_graph_cancels_the_work(set_up: SetUp) -> None:
    async with text_server() as script:
        script.on(CHAT, stream(CALLED, End.HANG))
        set_up(script.url)
        call = asyncio.create_task(generated(model="alpha"))
        await until(lambda: script.bodies(CHAT))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        async with asyncio.timeout(1):
            await script.aborted.wait()


async def test_without_comfyui_too_a_stopped_call_says_that_it_was_stopped() -> None:
    class Stopping(Running):
        @property
        def interrupted(self) -> bool:
            return True

    with pytest.raises(Interrupted):
        await on_bridge(Stopping(None), asyncio.Event().wait)


async def test_twenty_items_of_a_list_are_twenty_calls_one_after_another(set_up: SetUp) -> None:
    box = Box("llm", ("alpha",))
    async with boxes(box):
        set_up(box.url)
        texts = await asyncio.gather(*(generated(f"item {number}", model="alpha") for number in range(20)))
    assert [text[0] for text in texts] == ["Hi"] * 20
    assert [running.total() for running in box.seen_running] == [1] * 20
    assert box.loads == ["alpha"]


def _with_servers(work: Coroutine[Any, Any, Any]) -> Any:
    """As one graph of ComfyUI, in an event loop of its own; afterwards the next test begins anew."""
    try:
        return asyncio.run(work)
    finally:
        asyncio.run(handed_over(close_servers()))


def test_the_next_graph_has_the_same_thread_and_the_same_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    async def first() -> Any:
        await generated("one", model="alpha")
        return await handed_over(the_servers()), await handed_over(_thread())

    async def second() -> Any:
        assert (await generated("two", model="beta"))[0] == "beta on two"
        return await handed_over(the_servers()), await handed_over(_thread())

    with beside(text_server()) as script:
        monkeypatch.setenv("WORKBENCH_LLM_URL", script.url)
        before = asyncio.run(first())
        assert _with_servers(second()) == before
    assert before[1].daemon and before[1] is not threading.current_thread()


async def _thread() -> threading.Thread:
    return threading.current_thread()


@asynccontextmanager
async def _steady(count: int, seconds: float) -> AsyncGenerator[Script]:
    """A server that sends a token every so many seconds, as a model does."""
    steps = [step for number in range(count) for step in (seconds, sse(chunk(f"{number} "), done=False))]
    async with text_server() as script:
        script.on(CHAT, stream(*steps, sse(chunk(finish="stop"))))
        yield script


def test_a_node_that_blocks_the_graphs_loop_costs_the_others_no_chunk(
    monkeypatch: pytest.MonkeyPatch, page: Page
) -> None:
    async def graph() -> tuple[Any, ...]:
        call = asyncio.create_task(generated(model="alpha", max_tokens=50))
        await until(lambda: page.texts and "0" in page.texts[-1])
        shown = len(page.texts)
        time.sleep(1.0)  # noqa: ASYNC251 - a sampler does just this
        assert len(page.texts) - shown >= 5 and page.texts[-1].count(" ") == 50
        return await call

    with beside(_steady(50, 0.01)) as script:
        monkeypatch.setenv("WORKBENCH_LLM_URL", script.url)
        text = _with_servers(graph())[0]
    assert text == "".join(f"{number} " for number in range(50))


async def _busy_slots(server: LlamaServer, model: str) -> int:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False, headers={"Connection": "close"}) as client:
        told = (await client.get("/slots", params={"model": model, "autoload": "false"})).json()
        return sum(slot["is_processing"] for slot in told)


async def test_interrupted_in_the_middle_of_tokens_a_real_server_has_its_slot_free(
    set_up: SetUp, page: Page, llama_router: LlamaServer
) -> None:
    set_up(llama_router.url)
    call = asyncio.create_task(generated(model="tiny-a", max_tokens=1_000_000))
    await until(lambda: page.texts and not page.texts[-1].endswith("…"), 20)
    began = time.monotonic()
    page.interrupt()
    with pytest.raises(Stopped):
        await call
    assert time.monotonic() - began < 0.3
    async with asyncio.timeout(1):
        while await _busy_slots(llama_router, "tiny-a"):
            await asyncio.sleep(0.02)


async def test_interrupted_in_the_load_a_real_server_loads_no_more(
    set_up: SetUp, page: Page, llama_folder: Path
) -> None:
    with running_router(llama_folder, held="tiny-a") as server:
        set_up(server.url)
        call = asyncio.create_task(generated(model="tiny-a"))
        await until(lambda: any(text.startswith("Loading") for text in page.texts) and server.instances(), 20)
        began = time.monotonic()
        page.interrupt()
        with pytest.raises(Stopped):
            await call
        assert time.monotonic() - began < 0.3
        page.interrupted = False
        async with asyncio.timeout(20):
            assert (await generated(model="tiny-b", max_tokens=4))[4] == 4
