"""Those who leave the queue early, or read slowly: their places, slots, sockets and loads are free at once."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from llm_bridge.chat import Done, Text
from llm_bridge.errors import ServerUnavailable
from llm_bridge.queue import Queue
from tests.bridge.boxes import Box, boxes, said, until


@pytest.mark.parametrize("when", ["waiting", "loading", "prompt", "tokens"])
@pytest.mark.parametrize("how", ["leave", "cancel", "scope"])
async def test_a_cancelled_request_frees_its_place_at_once(when: str, how: str) -> None:
    async with boxes(box := Box("box", ("a", "b"))), Queue.open([box.endpoint]) as queue:
        (box.load_gate if when == "loading" else box.gate).clear()
        blocking = [asyncio.create_task(queue.ask(said("a", "wait")))] if when == "waiting" else []
        await until(lambda: len(blocking) == box.running["a"])
        reached = asyncio.Event()
        left = asyncio.create_task(_leave(queue, "late" if when == "tokens" else "wait", how, reached))
        await until(lambda: _is_at(when, box, queue))
        reached.set()
        async with asyncio.timeout(5):
            await left
        assert when != "waiting" or queue.snapshot().waiting == 0
        box.gate.set()
        box.load_gate.set()
        async with asyncio.timeout(5):
            assert (await queue.ask(said("b"))).text == "Hi"
        await asyncio.gather(*blocking)
        await until(lambda: not +box.running)
        view = queue.snapshot().servers[0]
        assert not view.running and not view.waiting and not view.loading


def _is_at(when: str, box: Box, queue: Queue) -> bool:
    match when:
        case "waiting":
            return queue.snapshot().waiting == 1
        case "loading":
            return any(each.path == "/models/load" for each in box.received)
        case _:
            return bool(box.running["a"])


async def _leave(queue: Queue, words: str, how: str, reached: asyncio.Event) -> None:
    """Ask, and leave once that was ``reached``, in one of the ways there are."""
    if how == "leave":
        async with queue.stream(said("a", words)):
            await reached.wait()
    elif how == "cancel":
        task = asyncio.create_task(queue.ask(said("a", words)))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(queue.ask, said("a", words))
            await reached.wait()
            tasks.cancel_scope.cancel()


async def test_a_load_goes_on_for_those_who_still_want_it() -> None:
    async with boxes(box := Box("box", ("a",))), Queue.open([box.endpoint]) as queue:
        box.load_gate.clear()
        first = asyncio.create_task(queue.ask(said("a")))
        await until(lambda: any(each.path == "/models/load" for each in box.received))
        second = asyncio.create_task(queue.ask(said("a")))
        await until(lambda: queue.snapshot().waiting == 1)
        first.cancel()
        await asyncio.wait([first])
        box.load_gate.set()
        assert (await second).text == "Hi"
    assert box.loads == ["a"]
    assert not any(each.path == "/models/unload" for each in box.received)


async def test_a_reader_who_sleeps_holds_up_nobody() -> None:
    async with boxes(box := Box("box", ("a",))), Queue.open([box.endpoint]) as queue, queue.stream(said("a")) as stream:
        async with asyncio.timeout(5):
            await queue.ask(said("a"))
        assert [type(event) async for event in stream][-2:] == [Text, Done]
    assert len(box.seen_running) == 2


async def test_a_closed_queue_ends_its_requests() -> None:
    async with boxes(box := Box("box", ("a",))):
        box.gate.clear()
        async with Queue.open([box.endpoint]) as queue:
            task = asyncio.create_task(queue.ask(said("a", "wait")))
            await until(lambda: box.running["a"])
        with pytest.raises(ServerUnavailable, match="queue was closed"):
            await task
        await until(lambda: not +box.running)
