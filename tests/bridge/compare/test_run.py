"""Running a comparison: order, failures, events, resuming, the cache, and what a cancelled or broken run leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from llm_bridge.chat import ChatRequest, Event, Reply, Text
from llm_bridge.compare import (
    Cache,
    Cell,
    CellResult,
    Comparison,
    Folder,
    Judge,
    Prompt,
    Rule,
    compare,
    judge_answers,
)
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import BadInput, ServerBusy
from llm_bridge.queue import Queue
from tests.bridge.chatting import CHAT, GOOD
from tests.bridge.compare.models import PROMPTS, TWO, Models
from tests.bridge.servers import json_answer, scripted


def texts(cells: list[CellResult] | tuple[CellResult, ...]) -> list[str | None]:
    return [result.reply.text if result.reply else None for result in cells]


async def test_every_cell_is_asked_model_by_model_and_told_in_the_order_of_the_matrix() -> None:
    models = Models()
    results = await compare(TWO, models)
    assert [request.model for request in models.requests] == ["a", "a", "b", "b"]
    assert [result.cell.label for result in results.cells] == ["a · sea", "b · sea", "a · sky", "b · sky"]
    assert texts(list(results.cells))[0] == "a: Write about the sea."
    assert results.complete


async def test_the_key_of_the_cell_goes_with_the_request() -> None:
    models = Models()
    await compare(TWO, models)
    assert models.keys == [*TWO.keyed]


async def test_a_failing_cell_is_a_failure_and_the_others_are_answered() -> None:
    models = Models(lambda request: ServerBusy("No room.", hint="Wait.") if request.model == "a" else "ok")
    results = await compare(TWO, models)
    assert texts(list(results.cells)) == [None, "ok", None, "ok"]
    failure = results.cells[0].failure
    assert failure and (failure.code, str(failure)) == ("server_busy", "No room. Wait.")


async def test_no_more_cells_run_at_once_than_allowed() -> None:
    many = Comparison(("a",), tuple(Prompt(str(n), f"{n}?") for n in range(20)))
    models = Models()
    await compare(many, models, at_once=3)
    assert models.most_running == 3
    assert len(models.keys) == 20


async def test_two_comparisons_that_share_a_queue_lose_no_cell() -> None:
    async with scripted(CHAT, GOOD) as server:
        server.on("GET /v1/models", json_answer({"data": [{"id": "m"}]}))
        async with Queue.open([Endpoint("box", server.url, kind="openai", slots=8)]) as queue:

            async def ask(key: str, request: ChatRequest, on_event: Callable[[Event], None]) -> Reply:
                return await queue.ask(request, on_event)

            names = [[f"{which} {number}" for number in range(600)] for which in ("one", "two")]
            both = [Comparison(("m",), tuple(Prompt(name, name) for name in these)) for these in names]
            async with asyncio.timeout(60):
                found = await asyncio.gather(*(compare(comparison, ask) for comparison in both))
    assert [str(result.failure) for results in found for result in results.cells if result.failure] == []


async def test_events_are_told_while_a_cell_runs_and_its_result_last() -> None:
    told: list[tuple[str, Event | CellResult]] = []
    await compare(TWO, Models(), on_change=lambda cell, change: told.append((cell.label, change)))
    of_first = [change for label, change in told if label == "a · sea"]
    assert of_first[0] == Text("a: Write about the sea.")
    assert isinstance(of_first[1], CellResult)
    assert len(of_first) == 2


async def test_cells_that_ask_the_same_are_asked_once() -> None:
    twins = Comparison(("a",), (PROMPTS[0], Prompt("twin", PROMPTS[0].text)))
    models = Models()
    results = await compare(twins, models)
    assert len(models.keys) == 1
    assert [(result.cell.prompt.name, result.reply) for result in results.cells] == [
        ("sea", results.cells[0].reply),
        ("twin", results.cells[0].reply),
    ]


async def test_a_second_run_asks_failures_again_and_answers_never(tmp_path: Path) -> None:
    flaky = Models(lambda request: ServerBusy("No room.") if request.model == "b" else "first")
    await compare(TWO, flaky, folder=Folder(tmp_path))
    models = Models(lambda request: "second")
    told: list[Cell] = []
    results = await compare(TWO, models, folder=Folder(tmp_path), on_change=lambda cell, change: told.append(cell))
    assert {request.model for request in models.requests} == {"b"}
    assert texts(list(results.cells)) == ["first", "second", "first", "second"]
    assert {cell.place for cell in told} == {cell.place for cell in TWO.cells}
    assert texts(list((await Folder(tmp_path).read()).cells)) == ["first", "second", "first", "second"]


async def test_a_run_that_has_all_answers_asks_and_writes_nothing(tmp_path: Path) -> None:
    rules = [Rule.parse("json")]
    await compare(TWO, Models(), folder=Folder(tmp_path), checks=rules)
    before = {file.name: file.read_bytes() for file in tmp_path.glob("*.json*")}
    models = Models()
    assert (await compare(TWO, models, folder=Folder(tmp_path), checks=rules)).complete
    assert models.keys == []
    assert {file.name: file.read_bytes() for file in tmp_path.glob("*.json*")} == before


async def test_what_was_answered_before_a_cancel_is_in_the_folder(tmp_path: Path) -> None:
    started = asyncio.Event()
    done: list[Cell] = []

    async def ask(key: str, request: ChatRequest, on_event: Callable[[Event], None]) -> Reply:
        if request.model == "a":
            return Reply("quick")
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    def note(cell: Cell, change: Event | CellResult) -> None:
        done.append(cell)
        if len(done) == 2:
            told.set()

    told = asyncio.Event()
    run = asyncio.create_task(compare(TWO, ask, folder=Folder(tmp_path), on_change=note))
    async with asyncio.timeout(5):
        await started.wait()
        await told.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert [result.cell.model for result in (await Folder(tmp_path).read()).cells] == ["a", "a"]


async def test_an_answer_that_is_being_written_when_the_run_is_cancelled_is_kept(tmp_path: Path) -> None:
    one = Comparison(("a",), PROMPTS[:1])
    answered = asyncio.Event()

    async def ask(key: str, request: ChatRequest, on_event: Callable[[Event], None]) -> Reply:
        answered.set()
        return Reply("kept")

    run = asyncio.create_task(compare(one, ask, folder=Folder(tmp_path)))
    async with asyncio.timeout(5):
        await answered.wait()
    await asyncio.sleep(0)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert texts(list((await Folder(tmp_path).read()).cells)) == ["kept"]


async def test_an_asker_that_gives_up_by_itself_ends_the_run_instead_of_leaving_holes() -> None:
    async def ask(key: str, request: ChatRequest, on_event: Callable[[Event], None]) -> Reply:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await compare(TWO, ask)


async def test_a_fault_of_the_caller_is_raised_as_it_is_and_stops_the_others() -> None:
    stopped: list[str] = []

    async def ask(key: str, request: ChatRequest, on_event: Callable[[Event], None]) -> Reply:
        if request.model == "b":
            raise ZeroDivisionError
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(request.model)
        raise AssertionError

    task = asyncio.current_task()
    assert task is not None
    cancelling = task.cancelling()
    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(5):
            await compare(TWO, ask)
    assert stopped == ["a", "a"]
    assert task.cancelling() == cancelling


async def test_a_folder_is_held_by_one_run_and_free_when_it_has_ended(tmp_path: Path) -> None:
    started, goes_on = asyncio.Event(), asyncio.Event()

    async def ask(key: str, request: ChatRequest, on_event: Callable[[Event], None]) -> Reply:
        started.set()
        await goes_on.wait()
        return Reply(request.model)

    first = asyncio.create_task(compare(TWO, ask, folder=Folder(tmp_path)))
    async with asyncio.timeout(5):
        await started.wait()
        models = Models()
        with pytest.raises(BadInput, match="Another run writes to this folder"):
            await compare(TWO, models, folder=Folder(tmp_path))
        with pytest.raises(BadInput, match="Another run"):
            await judge_answers(await Folder(tmp_path).read(), models, Judge("judge"), folder=Folder(tmp_path))
        goes_on.set()
        assert (await first).complete
        assert (await compare(TWO, models, folder=Folder(tmp_path))).complete
    assert models.keys == []


async def test_a_folder_is_free_after_a_run_that_was_cancelled(tmp_path: Path) -> None:
    started = asyncio.Event()

    async def ask(key: str, request: ChatRequest, on_event: Callable[[Event], None]) -> Reply:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    run = asyncio.create_task(compare(TWO, ask, folder=Folder(tmp_path)))
    async with asyncio.timeout(5):
        await started.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert (await compare(TWO, Models(), folder=Folder(tmp_path))).complete


class TestChecks:
    async def test_they_are_made_for_answers_and_kept(self, tmp_path: Path) -> None:
        rules = [Rule.parse("contains:sea"), Rule.parse(r"regex:^a")]
        results = await compare(TWO, Models(), checks=rules, folder=Folder(tmp_path))
        passed = [[checked.passed for checked in result.checks] for result in results.cells]
        assert passed == [[True, True], [True, False], [False, True], [False, False]]
        assert (await Folder(tmp_path).read()).cells == results.cells

    async def test_other_checks_are_made_of_the_answers_that_are_there(self, tmp_path: Path) -> None:
        await compare(TWO, Models(), checks=[Rule.parse("contains:sea")], folder=Folder(tmp_path))
        models = Models()
        results = await compare(TWO, models, checks=[Rule.parse("max-words:1")], folder=Folder(tmp_path))
        assert models.keys == []
        assert [[str(checked.rule) for checked in result.checks] for result in results.cells] == [["max-words:1"]] * 4
        again = await compare(TWO, models, folder=Folder(tmp_path))
        assert again.cells == results.cells


class TestCache:
    async def test_another_run_is_given_the_answer_and_says_so(self, tmp_path: Path) -> None:
        first = await compare(TWO, Models(), cache=Cache(tmp_path))
        models = Models()
        second = await compare(TWO, models, cache=Cache(tmp_path))
        assert models.keys == []
        assert all(result.cached for result in second.cells)
        assert [result.reply for result in second.cells] == [result.reply for result in first.cells]

    async def test_without_it_everything_is_asked(self, tmp_path: Path) -> None:
        await compare(TWO, Models(), cache=Cache(tmp_path))
        models = Models()
        assert not any(result.cached for result in (await compare(TWO, models)).cells)
        assert len(models.keys) == 4

    async def test_failures_are_not_kept(self, tmp_path: Path) -> None:
        await compare(TWO, Models(lambda request: ServerBusy("No room.")), cache=Cache(tmp_path))
        models = Models()
        await compare(TWO, models, cache=Cache(tmp_path))
        assert len(models.keys) == 4


async def test_servers_get_their_cells_at_the_same_time_and_models_one_after_the_other() -> None:
    asked: list[str] = []

    async def ask(key: str, request: ChatRequest, on_event: Callable[[Event], None]) -> Reply:
        asked.append(request.model)
        await asyncio.sleep(0.001)
        return Reply("x")

    prompts = tuple(Prompt(str(number), str(number)) for number in range(10))
    await compare(Comparison(("one/a", "one/b", "two/c"), prompts), ask, at_once=2)

    assert {model.partition("/")[0] for model in asked[:4]} == {"one", "two"}
    on_one = [model for model in asked if model.startswith("one/")]
    assert on_one == ["one/a"] * 10 + ["one/b"] * 10
