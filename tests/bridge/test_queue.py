"""The queue in front of one server and of several: what starts when, what is loaded, and who holds up whom."""

from __future__ import annotations

import asyncio

import pytest

from llm_bridge.chat import Done, Event, Loading, Restarted, Text, Waiting
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import BadInput, LoadFailed, ServerBusy, UnknownModel
from llm_bridge.queue import Queue
from llm_bridge.scheduling import Policy
from tests.bridge.boxes import Box, boxes, said, until
from tests.bridge.providers.scripted_ollama import OllamaServer
from tests.bridge.servers import scripted

SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}


async def test_interleaved_models_are_loaded_once_each() -> None:
    async with boxes(box := Box("box", ("a", "b", "c"))), Queue.open([box.endpoint]) as queue:
        replies = await asyncio.gather(*(queue.ask(said("abc"[number % 3])) for number in range(60)))
    assert sorted(box.loads) == ["a", "b", "c"]
    assert sum(reply.metrics.load is not None for reply in replies) == 3
    assert {reply.text for reply in replies} == {"Hi"}
    assert all(sum(running.values()) == 1 for running in box.seen_running)


async def test_events_come_in_their_order_and_the_reply_says_how_long_each_took() -> None:
    async with boxes(box := Box("box", ("a", "b"))), Queue.open([box.endpoint]) as queue:
        box.gate.clear()
        first = asyncio.create_task(queue.ask(said("a", "late")))
        await until(lambda: box.running["a"])
        async with queue.stream(said("b")) as stream:
            events: list[Event] = [await anext(stream)]
            box.gate.set()
            events += [event async for event in stream]
        await first
    kinds = [type(event) for event in events]
    assert kinds == [Waiting, Loading, Text, Done]
    assert events[0] == Waiting(0)
    assert stream.reply.text == "Hi" and stream.reply.server == "box"
    metrics = stream.reply.metrics
    assert metrics.queued and metrics.load and metrics.ttft and metrics.seconds


async def test_a_known_model_costs_no_more_than_its_own_request() -> None:
    async with boxes(box := Box("box", ("a",))), Queue.open([box.endpoint]) as queue:
        await queue.ask(said("a"))
        box.received.clear()
        async with queue.stream(said("a")) as stream:
            assert [type(event) async for event in stream] == [Text, Done]
        await queue.ask(said("a"), server="box")
    assert [each.path for each in box.received] == ["/v1/chat/completions"] * 2


async def test_who_waits_hears_how_many_are_ahead() -> None:
    async with boxes(box := Box("box", ("a",))), Queue.open([box.endpoint]) as queue:
        box.gate.clear()
        tasks = [asyncio.create_task(queue.ask(said("a", "late"))) for _ in range(3)]
        await until(lambda: box.running["a"] and queue.snapshot().waiting == 2)
        async with queue.stream(said("a")) as stream:
            assert await anext(stream) == Waiting(2)
            # One who comes later changes nothing for this one, who hears nothing of it.
            tasks.append(asyncio.create_task(queue.ask(said("a"))))
            await asyncio.sleep(0.15)
            box.gate.set()
            ahead = [event.ahead async for event in stream if isinstance(event, Waiting)]
        await asyncio.gather(*tasks)
    assert ahead == sorted(set(ahead) - {2}, reverse=True)


async def test_as_many_run_at_once_as_the_server_has_slots() -> None:
    async with boxes(box := Box("box", ("a",), slots=3)), Queue.open([box.endpoint]) as queue:
        box.gate.clear()
        tasks = [asyncio.create_task(queue.ask(said("a", "wait"))) for _ in range(8)]
        await until(lambda: box.running["a"] == 3)
        await asyncio.sleep(0.02)
        assert box.running["a"] == 3 and queue.snapshot().waiting == 5
        box.gate.set()
        await asyncio.gather(*tasks)
    assert max(running["a"] for running in box.seen_running) == 3


async def test_owners_take_turns_and_the_important_go_first() -> None:
    async with boxes(box := Box("box", ("a",))), Queue.open([box.endpoint]) as queue:
        box.gate.clear()
        tasks = [asyncio.create_task(queue.ask(said("a", "wait"), owner="many"))]
        await until(lambda: box.running["a"])
        for words, owner, priority in [("m1", "many", 0), ("m2", "many", 0), ("o1", "one", 0), ("first", "many", 1)]:
            tasks.append(asyncio.create_task(queue.ask(said("a", words), owner=owner, priority=priority)))
        await until(lambda: queue.snapshot().waiting == 4)
        box.gate.set()
        await asyncio.gather(*tasks)
    order = [body["messages"][0]["content"] for body in box.bodies("POST /v1/chat/completions")]
    assert order == ["wait", "first", "o1", "m1", "m2"]


async def test_a_stream_of_one_model_does_not_starve_another() -> None:
    policy = Policy(patience=0.05)
    async with boxes(box := Box("box", ("a", "b"))), Queue.open([box.endpoint], policy=policy) as queue:
        stop = asyncio.Event()

        async def flood() -> None:
            while not stop.is_set():
                await queue.ask(said("a"), owner="flood")

        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(flood())
            await until(lambda: len(box.seen_running) > 3)
            async with asyncio.timeout(5):
                await queue.ask(said("b"), owner="flood")
            stop.set()
    assert box.loads == ["a", "b"] or box.loads == ["a", "b", "a"]


async def test_servers_of_one_card_take_turns_and_let_go_of_it() -> None:
    left, right = Box("left", ("a",), card="gpu"), Box("right", ("b",), card="gpu")
    async with boxes(left, right), Queue.open([left.endpoint, right.endpoint]) as queue:
        left.gate.clear()
        first = asyncio.create_task(queue.ask(said("a", "wait")))
        await until(lambda: left.running["a"])
        second = asyncio.create_task(queue.ask(said("b")))
        await until(lambda: queue.snapshot().waiting == 1)
        assert not right.seen_running and left.loaded == ["a"]
        left.gate.set()
        await asyncio.gather(first, second)
    assert left.loaded == [] and right.loaded == ["b"]


async def test_servers_of_their_own_cards_run_at_the_same_time() -> None:
    left, right = Box("left", ("a",)), Box("right", ("b",))
    async with boxes(left, right), Queue.open([left.endpoint, right.endpoint]) as queue:
        left.gate.clear()
        first = asyncio.create_task(queue.ask(said("a", "wait")))
        await until(lambda: left.running["a"])
        assert (await queue.ask(said("b"))).server == "right"
        left.gate.set()
        assert (await first).server == "left"


async def test_a_server_that_keeps_two_models_runs_both_without_a_change() -> None:
    async with boxes(box := Box("box", ("a", "b", "c"), max_loaded=2, slots=2)), Queue.open([box.endpoint]) as queue:
        for model in "abab":
            await queue.ask(said(model))
        box.gate.clear()
        both = [asyncio.create_task(queue.ask(said(model, "wait"))) for model in "ab"]
        await until(lambda: box.running["a"] and box.running["b"])
        box.gate.set()
        await asyncio.gather(*both)
        assert box.loads == ["a", "b"]
        await queue.ask(said("b"))
        await queue.ask(said("c"))
    assert box.loaded == ["b", "c"]


async def test_nothing_runs_while_a_model_makes_room_for_another() -> None:
    async with boxes(box := Box("box", ("a", "b", "c"), max_loaded=2, slots=2)), Queue.open([box.endpoint]) as queue:
        for model in "ab":
            await queue.ask(said(model))
        box.load_gate.clear()
        both = [asyncio.create_task(queue.ask(said("c")))]
        await until(lambda: len(box.bodies("POST /models/load")) == 3)
        both.append(asyncio.create_task(queue.ask(said("b"))))
        await until(lambda: queue.snapshot().waiting)
        await asyncio.sleep(0.02)
        assert not +box.running
        box.load_gate.set()
        await asyncio.gather(*both)
    assert box.loads == ["a", "b", "c"]


async def test_a_model_that_is_being_unloaded_is_waited_for() -> None:
    async with boxes(box := Box("box", ("a",))), Queue.open([box.endpoint], keep=0) as queue:
        box.unload_gate.clear()
        await queue.ask(said("a"))
        await until(lambda: box.bodies("POST /models/unload"))
        again = asyncio.create_task(queue.ask(said("a")))
        await until(lambda: queue.snapshot().waiting)
        await asyncio.sleep(0.02)
        assert box.loads == ["a"] and len(box.seen_running) == 1
        box.unload_gate.set()
        await again
    assert box.loads == ["a", "a"]


async def test_a_server_without_a_limit_is_never_told_to_unload() -> None:
    async with boxes(box := Box("box", ("a", "b"), max_loaded=None, slots=2)), Queue.open([box.endpoint]) as queue:
        box.gate.clear()
        both = [asyncio.create_task(queue.ask(said(model, "wait"))) for model in "ab"]
        await until(lambda: box.running["a"] and box.running["b"])
        box.gate.set()
        await asyncio.gather(*both)
    assert sorted(box.loaded) == ["a", "b"]


@pytest.mark.parametrize(("keep", "left"), [(None, ["a"]), (0, []), (0.05, [])])
async def test_models_stay_loaded_as_long_as_is_asked(keep: float | None, left: list[str]) -> None:
    async with boxes(box := Box("box", ("a",))), Queue.open([box.endpoint], keep=keep) as queue:
        await asyncio.gather(*(queue.ask(said("a")) for _ in range(3)))
        assert box.loads == ["a"]
        if keep != 0:
            assert box.loaded == ["a"]
        if keep is not None:
            await until(lambda: not box.loaded)
        await queue.ask(said("a"))
    assert box.loaded == left


async def test_a_model_that_is_used_again_does_not_rest() -> None:
    async with boxes(box := Box("box", ("a",))), Queue.open([box.endpoint], keep=0.2) as queue:
        for _ in range(4):
            await queue.ask(said("a"))
            await asyncio.sleep(0.1)
        assert box.loads == ["a"]


async def test_what_does_not_fit_the_schema_is_asked_again_from_the_same_place() -> None:
    async with boxes(box := Box("box", ("a", "b"))), Queue.open([box.endpoint]) as queue:
        events: list[Event] = []
        first = asyncio.create_task(queue.ask(said("a", "schema please", schema=SCHEMA), events.append))
        await until(lambda: box.seen_running)
        await queue.ask(said("b"))
        reply = await first
    assert reply.data == {"ok": True}
    answers = [type(event) for event in events if not isinstance(event, Waiting | Loading)]
    assert answers == [Text, Done, Restarted, Text, Done]
    assert [body["model"] for body in box.bodies("POST /v1/chat/completions")] == ["a", "a", "b"]


async def test_a_full_queue_says_when_to_ask_again() -> None:
    async with boxes(box := Box("box", ("a",))), Queue.open([box.endpoint], most=2) as queue:
        box.gate.clear()
        tasks = [asyncio.create_task(queue.ask(said("a", "wait")))]
        await until(lambda: box.running["a"])
        tasks += [asyncio.create_task(queue.ask(said("a"))) for _ in range(2)]
        await until(lambda: queue.snapshot().waiting == 2)
        with pytest.raises(ServerBusy) as refused:
            await queue.ask(said("a"))
        assert refused.value.details["retry_after"] > 0
        box.gate.set()
        await asyncio.gather(*tasks)
        await queue.ask(said("a"))


async def test_a_model_that_cannot_be_loaded_is_tried_once_for_all_who_wait() -> None:
    async with boxes(box := Box("box", ("a", "b"))), Queue.open([box.endpoint]) as queue:
        box.refuses_to_load = True
        box.load_gate.clear()
        tasks = [asyncio.create_task(queue.ask(said("a"))) for _ in range(5)]
        failures = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(failure) for failure in failures] == [LoadFailed] * 5
        box.refuses_to_load = False
        box.load_gate.set()
        assert (await queue.ask(said("b"))).text == "Hi"
    assert len(box.bodies("POST /models/load")) == 2


async def test_an_unknown_model_is_refused_with_the_names_near_it() -> None:
    async with boxes(box := Box("box", ("qwen3-8b", "gemma-2"))), Queue.open([box.endpoint]) as queue:
        with pytest.raises(UnknownModel, match="Near it: qwen3-8b"):
            await queue.ask(said("qwen3-4b"))
        with pytest.raises(BadInput, match="There are: box"):
            await queue.ask(said("qwen3-8b"), server="bix")


async def test_the_snapshot_shows_what_is_loaded_runs_and_waits() -> None:
    async with boxes(box := Box("box", ("a", "b"))), Queue.open([box.endpoint]) as queue:
        box.gate.clear()
        tasks = [asyncio.create_task(queue.ask(said(model, "wait"))) for model in ("a", "a", "b")]
        await until(lambda: box.running["a"] and queue.snapshot().waiting == 2)
        view = queue.snapshot().servers[0]
        assert (view.name, view.loaded, view.failure) == ("box", ("a",), None)
        assert view.running == {"a": 1} and view.waiting == {"a": 1, "b": 1}
        box.gate.set()
        await asyncio.gather(*tasks)


async def test_who_comes_in_the_middle_of_a_load_waited_for_the_rest_of_it() -> None:
    async with boxes(box := Box("box", ("a",), max_loaded=None, slots=2)), Queue.open([box.endpoint]) as queue:
        box.load_gate.clear()
        first = asyncio.create_task(queue.ask(said("a")))
        await until(lambda: box.received and box.received[-1].path == "/models/load")
        await asyncio.sleep(0.2)
        second = asyncio.create_task(queue.ask(said("a")))
        await until(lambda: sum(queue.snapshot().servers[0].running.values()) == 2)
        box.load_gate.set()
        early, late = (await first).metrics, (await second).metrics
    assert early.load and late.load and late.load < early.load - 0.1
    assert early.queued is not None and early.queued >= 0 and late.queued is not None and late.queued >= 0


async def test_a_model_that_runs_elsewhere_is_no_change_of_model() -> None:
    ollama = OllamaServer()
    ollama.tags.append(
        {"name": "big:cloud", "digest": "c", "remote_host": "https://x.example", "capabilities": ["completion"]}
    )
    async with scripted() as script:
        ollama(script)
        async with Queue.open([Endpoint("box", script.url, slots=2)]) as queue:
            for model in ("llama3.2", "big:cloud", "llama3.2"):
                await queue.ask(said(model))
        loads = [body["model"] for body in script.bodies("POST /api/chat") if not body["messages"]]
    assert (loads, list(ollama.loaded)) == (["llama3.2:latest"], ["llama3.2:latest"])
