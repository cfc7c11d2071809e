"""Servers that join a queue while it is open, and letting go of models on request."""

from __future__ import annotations

import asyncio

import pytest

from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import BadInput, UnknownModel
from llm_bridge.queue import Queue
from tests.bridge.boxes import Box, boxes, said, until


async def test_a_server_that_joins_answers_from_then_on() -> None:
    async with boxes(one := Box("one", ("a",)), two := Box("two", ("b",))), Queue.open([one.endpoint]) as queue:
        with pytest.raises(UnknownModel):
            await queue.ask(said("b"))
        await queue.add(two.endpoint)
        assert (await queue.ask(said("b"))).server == "two"
        assert (await queue.ask(said("a"))).server == "one"


async def test_a_second_server_of_one_name_does_not_join() -> None:
    async with boxes(one := Box("one", ("a",))), Queue.open([one.endpoint]) as queue:
        with pytest.raises(BadInput, match="Two servers are called one"):
            await queue.add(Endpoint("one", "http://127.0.0.1:9"))
        assert (await queue.ask(said("a"))).server == "one"


async def test_a_model_goes_on_request_and_is_loaded_again_when_it_is_asked() -> None:
    async with boxes(one := Box("one", ("a", "b"))), Queue.open([one.endpoint]) as queue:
        await queue.ask(said("a"))
        assert await queue.unload("b") == []
        assert await queue.unload("a") == ["one/a"]
        assert one.loaded == []
        await queue.ask(said("a"))
        assert one.loads == ["a", "a"]


async def test_everything_goes_on_the_server_that_is_named_and_nowhere_else() -> None:
    one, two = Box("one", ("a", "b"), max_loaded=None), Box("two", ("c",))
    async with boxes(one, two), Queue.open([one.endpoint, two.endpoint]) as queue:
        await asyncio.gather(*(queue.ask(said(model)) for model in "abc"))
        assert sorted(await queue.unload(server="one")) == ["one/a", "one/b"]
        assert (one.loaded, two.loaded) == ([], ["c"])


async def test_a_model_that_answers_just_now_stays() -> None:
    async with boxes(one := Box("one", ("a",))), Queue.open([one.endpoint]) as queue:
        one.gate.clear()
        asking = asyncio.create_task(queue.ask(said("a", "wait")))
        await until(lambda: one.running["a"] == 1)
        assert await queue.unload() == []
        assert one.loaded == ["a"]
        one.gate.set()
        await asking


async def test_a_server_that_is_away_is_no_failure() -> None:
    async with boxes(one := Box("one", ("a",))):
        away = Endpoint("away", "http://127.0.0.1:9")
        async with Queue.open([one.endpoint, away]) as queue:
            await queue.ask(said("a"))
            assert await queue.unload() == ["one/a"]
