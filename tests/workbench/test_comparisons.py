"""Comparisons on a workbench: made of jobs, resumed, stopped, judged and voted on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest

from comfy_mcp.errors import InvalidParameter, NotFound
from comfy_mcp.jobs import JobState
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.comparison_values import comparison_values
from comfy_mcp.workbench.plans import Plan, PlanState
from tests.bridge.servers import Answer, Received, Script, chunk, json_answer, sse, stream
from tests.texts import CHAT, NOWHERE, answered, hanging, models_asked, says, text_server
from tests.workbenches import settings_for

PROMPTS = ["the sea", "the moon", "a hill"]


@pytest.fixture
async def server() -> AsyncGenerator[Script]:
    async with text_server() as script:
        yield script


def opened(data: Path, server: Script, **more: Any) -> Any:
    return Workbench.open(settings_for(data, NOWHERE, llm_url=server.url, **more))


async def started(workbench: Workbench, owner: str = "local", key: str | None = None, **values: Any) -> Plan:
    asked = {"models": ["alpha", "beta"], "prompts": PROMPTS, **values}
    return await workbench.comparisons.start_from(comparison_values(asked), owner, key)


async def until(workbench: Workbench, plan: Plan, true: Callable[[Plan], bool]) -> Plan:
    with anyio.fail_after(40):
        async for current in workbench.comparisons.follow(plan.id, plan.owner):
            if true(current):
                return current
    raise AssertionError("It ended before.")


async def ended(workbench: Workbench, plan: Plan) -> Plan:
    return await until(workbench, plan, lambda current: current.state.ended)


async def test_every_cell_is_answered_model_by_model(tmp_path: Path, server: Script) -> None:
    async with opened(tmp_path, server) as workbench:
        plan = await ended(workbench, await started(workbench, models=["*"], checks=["contains:moon"]))
        results = await workbench.comparisons.results(plan)
    assert (plan.state, plan.cells, plan.done, plan.failed) == (PlanState.DONE, 6, 6, 0)
    assert plan.models == ("llm/alpha", "llm/beta")
    texts = [cell.reply.text for cell in results.cells if cell.reply]
    assert texts == [f"{model} on {prompt}" for prompt in PROMPTS for model in ("alpha", "beta")]
    assert [cell.checks[0].passed for cell in results.cells] == [False, False, True, True, False, False]
    assert sum(one != two for one, two in pairwise(models_asked(server))) == 1


async def test_what_was_answered_before_is_not_asked_again_unless_it_is_to_be_fresh(
    tmp_path: Path, server: Script
) -> None:
    async with opened(tmp_path, server) as workbench:
        for fresh in (False, False, True):
            await ended(workbench, await started(workbench, fresh=fresh))
    assert len(server.bodies(CHAT)) == 12


async def test_a_comparison_goes_on_where_the_workbench_ended(tmp_path: Path, server: Script) -> None:
    wait = asyncio.Event()
    first: list[str] = []

    def slow_second(received: Received) -> Answer:
        first.append(received.json["model"])
        return answered(received) if received.json["model"] == first[0] else hanging(wait)

    server.on(CHAT, slow_second)
    async with opened(tmp_path, server) as workbench:
        plan = await started(workbench)
        await until(workbench, plan, lambda current: current.done == 3)
    server.on(CHAT, answered)
    async with opened(tmp_path, server) as workbench:
        plan = await ended(workbench, plan)
        results = await workbench.comparisons.results(plan)
    assert (plan.state, plan.done, results.complete) == (PlanState.DONE, 6, True)
    assert models_asked(server).count(first[0]) == 3


async def test_a_cancel_stops_what_runs_and_what_waits(tmp_path: Path, server: Script) -> None:
    server.on(CHAT, answered, hanging(asyncio.Event()))
    async with opened(tmp_path, server) as workbench:
        plan = await started(workbench)
        await until(workbench, plan, lambda current: current.done == 1)
        assert (await workbench.comparisons.cancel(plan.id, "local")).state is PlanState.CANCELLED
        with anyio.fail_after(10):
            await server.aborted.wait()
            while any(not job.state.terminal for job in await workbench.jobs()):
                await anyio.sleep(0.05)
        jobs = await workbench.jobs()
        assert [job.state for job in jobs].count(JobState.SUCCEEDED) == 1
        assert len((await workbench.comparisons.results(plan)).cells) == 1
        assert (await workbench.comparisons.get(plan.id)).state is PlanState.CANCELLED
    async with opened(tmp_path, server) as workbench:
        await anyio.sleep(1.5)
        assert (await workbench.comparisons.get(plan.id)).state is PlanState.CANCELLED
    assert len(server.bodies(CHAT)) == 2


async def test_a_cell_that_fails_is_told_of_and_ends_nothing(tmp_path: Path, server: Script) -> None:
    def refusing(received: Received) -> Answer:
        if "moon" in received.body.decode():
            return json_answer({"error": {"message": "image input is not supported"}}, 500)
        return answered(received)

    server.on(CHAT, refusing)
    async with opened(tmp_path, server) as workbench:
        plan = await ended(workbench, await started(workbench))
        results = await workbench.comparisons.results(plan)
    assert (plan.state, plan.done, plan.failed) == (PlanState.DONE, 6, 2)
    failures = {cell.cell.prompt.text: cell.failure.code for cell in results.cells if cell.failure}
    assert failures == {"the moon": "not_supported"}


async def test_a_judge_and_people_rank_the_models(tmp_path: Path, server: Script) -> None:
    def judging(received: Received) -> Answer:
        body = received.json
        if body["model"] != "judge":
            return answered(received)
        told = body["messages"][-1]["content"]
        first = told.index("alpha on") < told.index("beta on")
        return says('{"reason": "It is alpha.", "winner": "' + ("A" if first else "B") + '"}')

    async with text_server(("alpha", "beta", "judge")) as script:
        script.on(CHAT, judging)
        async with opened(tmp_path, script) as workbench:
            plan = await ended(workbench, await started(workbench, judge={"model": "judge"}))
            ranked = (await workbench.comparisons.results(plan)).ranking
            assert [rank.model for rank in ranked] == ["llm/alpha", "llm/beta"]
            assert {rank.games for rank in ranked} == {3}
            ballot = (await workbench.comparisons.ballots(plan, "Ada"))[0]
            assert "alpha" not in ballot.id and {choice.label for choice in ballot.choices} == {"A", "B"}
            counted = await workbench.comparisons.vote(plan, "Ada", ballot.id, "A")
            assert set(counted.models.values()) == {"llm/alpha", "llm/beta"}
            assert (await workbench.comparisons.ballots(plan, "Ada"))[0].voted
            assert {rank.games for rank in (await workbench.comparisons.results(plan)).ranking} == {4}
            with pytest.raises(InvalidParameter):
                await workbench.comparisons.vote(plan, "Ada", "nothing", "A")


async def test_a_comparison_is_its_owners(tmp_path: Path, server: Script) -> None:
    async with opened(tmp_path, server) as workbench:
        plan = await started(workbench, "ada")
        assert [found.id for found in await workbench.comparisons.list("ada")] == [plan.id]
        assert await workbench.comparisons.list("local") == []
        for stranger in (plan.id, "nothing", "../../etc", ""):
            with pytest.raises(NotFound):
                await workbench.comparisons.get(stranger, "local")


@pytest.mark.parametrize(
    ("values", "parameter"),
    [
        ({"models": []}, "models"),
        ({"prompts": []}, "prompts"),
        ({"prompts": ["x"] * 1001}, "prompts"),
        ({"prompts": [{"name": "x"}]}, "prompts"),
        ({"prompts": [{"text": "x", "name": "a"}, {"text": "y", "name": "a"}]}, "prompts"),
        ({"parameters": "temperature"}, "parameters"),
        ({"parameters": "heat=3"}, "parameters"),
        ({"repeats": 0}, "repeats"),
        ({"checks": ["nonsense:1"]}, "checks"),
        ({"checks": ["regex:("]}, "checks"),
        ({"judge": {}}, "judge"),
        ({"colour": 1}, "colour"),
    ],
)
async def test_what_cannot_be_compared_is_refused_before_anybody_is_asked(
    tmp_path: Path, server: Script, values: dict[str, Any], parameter: str
) -> None:
    async with opened(tmp_path, server) as workbench:
        with pytest.raises(InvalidParameter) as refused:
            await started(workbench, **values)
        assert refused.value.parameter == parameter
        assert await workbench.comparisons.list("local") == []
        with pytest.raises(InvalidParameter):
            await started(workbench, models=["gamma"])
        with pytest.raises(InvalidParameter):
            await started(workbench, judge={"model": "gamma"})
    assert server.bodies(CHAT) == []


async def test_an_answer_that_is_half_there_counts_for_nothing(tmp_path: Path, server: Script) -> None:
    server.on(CHAT, stream(sse(chunk("Once"), done=False)), answered)
    async with opened(tmp_path, server) as workbench:
        plan = await ended(workbench, await started(workbench, models=["alpha"], prompts=["the sea"]))
        (cell,) = (await workbench.comparisons.results(plan)).cells
    assert cell.reply is not None and cell.reply.text == "alpha on the sea"
