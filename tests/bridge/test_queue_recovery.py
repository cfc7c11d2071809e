"""Servers that die, restart, refuse or have too much to do, and what becomes of the requests in the queue."""

from __future__ import annotations

import asyncio

import pytest

from llm_bridge.chat import Done, Event, Loading, Prompting, Text, Waiting
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import (
    BadAnswer,
    BridgeError,
    KeyRefused,
    ServerBusy,
    ServerLost,
    ServerUnavailable,
    UnknownModel,
)
from llm_bridge.queue import Queue
from tests.bridge.boxes import Box, boxes, said, until
from tests.bridge.servers import busy_port, chunk, json_answer, scripted, sse, stream


async def test_requests_without_a_token_wait_for_the_server_to_come_back_and_load_again() -> None:
    async with boxes(box := Box("box", ("a", "b"))), Queue.open([box.endpoint]) as queue:
        box.gate.clear()
        tasks = [asyncio.create_task(queue.ask(said(model, "wait"))) for model in "aab"]
        await until(lambda: box.running["a"])
        await box.kill()
        await until(lambda: queue.snapshot().servers[0].failure)
        assert queue.snapshot().waiting == 3
        box.gate.set()
        await box.start()
        async with asyncio.timeout(10):
            replies = await asyncio.gather(*tasks)
    assert [reply.text for reply in replies] == ["Hi"] * 3
    assert box.loads == ["a", "a", "b"]


async def test_requests_keep_their_places_over_a_crash() -> None:
    async with boxes(box := Box("box", ("a",))), Queue.open([box.endpoint]) as queue:
        box.gate.clear()
        tasks = [asyncio.create_task(queue.ask(said("a", f"wait {number}"))) for number in range(4)]
        await until(lambda: box.running["a"] and queue.snapshot().waiting == 3)
        await box.kill()
        await until(lambda: queue.snapshot().waiting == 4)
        box.received.clear()
        box.gate.set()
        await box.start()
        await asyncio.gather(*tasks)
    order = [body["messages"][0]["content"] for body in box.bodies("POST /v1/chat/completions")]
    assert order == [f"wait {number}" for number in range(4)]


async def test_a_server_that_is_started_late_is_waited_for() -> None:
    async with boxes(box := Box("box", ("a",))):
        await box.kill()
        async with Queue.open([box.endpoint]) as queue:
            named = asyncio.create_task(queue.ask(said("a"), server="box"))
            any_server = asyncio.create_task(queue.ask(said("a")))
            nowhere = asyncio.create_task(queue.ask(said("x")))
            await until(lambda: queue.snapshot().waiting == 3)
            await box.start()
            async with asyncio.timeout(10):
                assert (await named).text == (await any_server).text == "Hi"
                with pytest.raises(UnknownModel):
                    await nowhere


async def test_another_server_with_the_model_takes_over() -> None:
    left, right = Box("left", ("a",)), Box("right", ("a", "b"))
    async with boxes(left, right), Queue.open([left.endpoint, right.endpoint]) as queue:
        await queue.models()
        left.gate.clear()
        right.gate.clear()
        tasks = [asyncio.create_task(queue.ask(said("a", "wait"))) for _ in range(3)]
        await until(lambda: left.running["a"] and right.running["a"])
        await left.kill()
        right.gate.set()
        async with asyncio.timeout(10):
            replies = await asyncio.gather(*tasks)
    assert [reply.server for reply in replies] == ["right"] * 3


async def test_a_request_with_tokens_is_not_sent_again() -> None:
    async with boxes(box := Box("box", ("a",))), Queue.open([box.endpoint]) as queue:
        with pytest.raises(ServerLost):
            await queue.ask(said("a", "lost"))
        assert (await queue.ask(said("a"))).text == "Hi"
    assert len(box.seen_running) == 2


async def test_a_request_under_which_servers_break_is_tried_three_times() -> None:
    async with boxes(box := Box("box", ("a",))), Queue.open([box.endpoint]) as queue:
        with pytest.raises(ServerLost):
            await queue.ask(said("a", "reset"))
        assert len(box.seen_running) == 3
        assert (await queue.ask(said("a"))).text == "Hi"


async def test_patience_ends_with_the_error_of_the_server() -> None:
    async with boxes(box := Box("box", ("a",))):
        await box.kill()
        async with Queue.open([box.endpoint], patience=0.3) as queue:
            asked = [queue.ask(said("a")), queue.ask(said("a")), queue.ask(said("b"), server="box")]
            async with asyncio.timeout(5):
                failures = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(failure) for failure in failures] == [ServerUnavailable] * 3
    assert failures[0] is not failures[1]


async def test_a_busy_server_is_given_the_time_it_asks_for() -> None:
    async with boxes(box := Box("box", ("a",))), Queue.open([box.endpoint], patience=0.4) as queue:
        with pytest.raises(ServerBusy):
            await queue.ask(said("a", "busy"))
        assert 3 <= len(box.bodies("POST /v1/chat/completions")) <= 10
        assert (await queue.ask(said("a"))).text == "Hi"


async def test_a_server_that_does_not_answer_keeps_nobody_from_the_others() -> None:
    async with boxes(box := Box("box", ("a",))):
        with busy_port() as silent:
            async with Queue.open([Endpoint("silent", silent), box.endpoint]) as queue, asyncio.timeout(2):
                assert (await queue.ask(said("a"))).server == "box"
                assert (await queue.ask(said("a"))).server == "box"


async def test_an_unknown_model_names_the_servers_that_could_not_be_asked() -> None:
    away = Box("away", ("x",))
    async with boxes(box := Box("box", ("a",)), away):
        await away.kill()
        async with Queue.open([box.endpoint, away.endpoint]) as queue:
            with pytest.raises(UnknownModel, match="Not asked, since they do not answer: away"):
                await queue.ask(said("x"))


async def test_a_model_that_is_new_on_the_server_is_found() -> None:
    async with boxes(box := Box("box", ("a",))), Queue.open([box.endpoint]) as queue:
        await queue.ask(said("a"))
        box.models = ("a", "b")
        await asyncio.sleep(2.1)
        assert (await queue.ask(said("b"))).text == "Hi"


async def test_a_restart_between_requests_is_noticed() -> None:
    async with boxes(box := Box("box", ("a",))), Queue.open([box.endpoint]) as queue:
        await queue.ask(said("a"))
        await box.kill()
        await box.start()
        async with asyncio.timeout(5):
            assert (await queue.ask(said("a"))).text == "Hi"
    assert box.loads == ["a", "a"]


async def test_events_stay_in_order_over_a_second_try() -> None:
    async with boxes(box := Box("box", ("a",))), Queue.open([box.endpoint]) as queue:
        box.gate.clear()
        events: list[Event] = []
        task = asyncio.create_task(queue.ask(said("a", "wait"), events.append))
        await until(lambda: box.running["a"])
        await box.kill()
        await until(lambda: queue.snapshot().waiting)
        box.gate.set()
        await box.start()
        await task
    order: list[type] = [Waiting, Loading, Prompting, Text, Done]
    stages = [order.index(type(event)) for event in events]
    assert stages == sorted(stages)


async def test_models_tells_of_all_servers_and_why_one_is_away() -> None:
    left, right = Box("left", ("a",)), Box("right", ("b",))
    async with boxes(left, right):
        await right.kill()
        async with Queue.open([left.endpoint, right.endpoint]) as queue:
            told = await queue.models()
            asked = len(left.received)
            await queue.models()
    assert not isinstance(told["left"], BridgeError) and [model.id for model in told["left"]] == ["a"]
    assert isinstance(told["right"], ServerUnavailable)
    assert len(left.received) == asked


@pytest.mark.parametrize("server", [None, "box"])
async def test_what_does_not_pass_by_itself_is_told_at_once(server: str | None) -> None:
    async with scripted() as script, Queue.open([Endpoint("box", script.url)]) as queue:
        script.on("GET /running", json_answer({"error": {"message": "invalid key"}}, 401))
        async with asyncio.timeout(5):
            for _ in range(3):
                with pytest.raises(KeyRefused):
                    await queue.ask(said("a"), server=server)
        looks = [received.path for received in script.received].count("/running")
        assert looks <= 3
        script.on("GET /running", json_answer({}, 404))
        with pytest.raises(BadAnswer):
            await asyncio.sleep(2.1)
            await queue.ask(said("a"), server=server)
        script.on("GET /v1/models", json_answer({"data": [{"id": "a"}]}))
        script.on("POST /v1/chat/completions", stream(sse(chunk("Hi", "stop"))))
        await asyncio.sleep(2.1)
        assert (await queue.ask(said("a"), server=server)).text == "Hi"


async def test_a_rest_that_is_longer_than_patience_is_told_at_once_to_all_who_wait() -> None:
    async with scripted() as script:
        script.on("GET /v1/models", json_answer({"data": [{"id": "a"}]}))
        script.on("POST /v1/chat/completions", json_answer({"error": "busy"}, 429, Retry_After="60"))
        async with Queue.open([Endpoint("box", script.url, kind="openai")], patience=30) as queue:
            async with asyncio.timeout(5):
                failures = await asyncio.gather(*(queue.ask(said("a")) for _ in range(3)), return_exceptions=True)
    assert [type(failure) for failure in failures] == [ServerBusy] * 3
    assert len(script.bodies("POST /v1/chat/completions")) == 1
