"""Comparisons when things go wrong around them: servers and workbenches that go, full disks, other people's work."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest

from comfy_mcp.errors import Conflict, InvalidParameter
from comfy_mcp.jobs import JobRequest, JobState
from comfy_mcp.store import Mode
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.plans import PlanState
from tests.bridge.servers import Answer, Received, Script, json_answer
from tests.texts import CHAT, NOWHERE, answered, hanging, models_asked, text_server
from tests.workbench.test_comparisons import PROMPTS, ended, opened, started, until
from tests.workbenches import settings_for


@pytest.fixture
async def server() -> AsyncGenerator[Script]:
    async with text_server() as script:
        yield script


async def test_a_server_that_is_away_when_the_workbench_comes_back_costs_no_cell(
    tmp_path: Path, server: Script
) -> None:
    async with opened(tmp_path, server) as workbench:
        await workbench.set_mode("llm", Mode.PAUSED)
        plan = await started(workbench)
        await workbench.set_mode("llm", Mode.ACTIVE)
    away = json_answer({"error": {"message": "upstream is gone"}}, 502)
    server.on("GET /v1/models", away)
    async with opened(tmp_path, server) as workbench:
        await anyio.sleep(2.5)
        now = await workbench.comparisons.get(plan.id)
        assert (now.state, now.failed) == (PlanState.RUNNING, 0)
        server.on("GET /v1/models", json_answer({"data": [{"id": "alpha"}, {"id": "beta"}]}))
        plan = await ended(workbench, plan)
    assert (plan.state, plan.done, plan.failed) == (PlanState.DONE, 6, 0)


async def test_jobs_of_a_comparison_that_was_cancelled_run_for_nobody(tmp_path: Path, server: Script) -> None:
    async with opened(tmp_path, server) as workbench:
        await workbench.set_mode("llm", Mode.PAUSED)
        plan = await started(workbench)
        with anyio.fail_after(10):
            while len(await workbench.active()) < 6:
                await anyio.sleep(0.05)
    # The process that took the order ended before the one that dispatches could heed it.
    async with Workbench.open(settings_for(tmp_path, NOWHERE, llm_url=server.url), dispatch=False) as workbench:
        await workbench.comparisons.cancel(plan.id, "local")
        assert len(await workbench.active()) == 6
    async with opened(tmp_path, server) as workbench:
        with anyio.fail_after(10):
            while await workbench.active():
                await anyio.sleep(0.05)
        assert {job.state for job in await workbench.jobs()} == {JobState.CANCELLED}
    assert server.bodies(CHAT) == []


@pytest.mark.parametrize("answer", [False, True], ids=["without an answer", "with an answer meanwhile"])
async def test_what_another_process_cancelled_and_deleted_runs_for_nobody(
    tmp_path: Path, server: Script, answer: bool
) -> None:
    go_on = asyncio.Event()
    server.on(CHAT, hanging(go_on), hanging(asyncio.Event()))
    elsewhere = settings_for(tmp_path, NOWHERE, llm_url=server.url)
    async with opened(tmp_path, server) as workbench, Workbench.open(elsewhere, dispatch=False) as other:
        plan = await started(workbench, key="once")
        with anyio.fail_after(10):
            while not server.bodies(CHAT):
                await anyio.sleep(0.05)
        await other.comparisons.cancel(plan.id, "local")
        await other.comparisons.delete(plan.id, "local")
        if answer:
            go_on.set()
        with anyio.fail_after(10):
            while await workbench.active():
                await anyio.sleep(0.05)
        assert {job.state for job in await workbench.jobs()} <= {JobState.CANCELLED, JobState.SUCCEEDED}
        server.on(CHAT, answered)
        again = await ended(workbench, await started(workbench, key="once"))
    assert (again.id, again.state) == (plan.id, PlanState.DONE)


async def test_a_disk_that_refuses_one_comparison_ends_nothing_else(tmp_path: Path, server: Script) -> None:
    go_on = asyncio.Event()
    server.on(CHAT, hanging(go_on), answered)
    async with opened(tmp_path, server) as workbench:
        plan = await started(workbench)
        await until(workbench, plan, lambda current: current.done >= 0)
        folder = tmp_path / "comparisons" / plan.id
        shutil.rmtree(folder)
        folder.write_text("in the way")
        go_on.set()
        job = await workbench.submit(JobRequest("chat", {"model": "beta", "prompt": "still there?"}))
        with anyio.fail_after(20):
            done = await workbench.wait(job.id, 20)
        assert done.state is JobState.SUCCEEDED
        folder.unlink()
        assert (await ended(workbench, await started(workbench, prompts=["again"]))).state is PlanState.DONE


async def test_what_somebody_asks_now_does_not_stand_behind_hundreds_of_cells(tmp_path: Path, server: Script) -> None:
    async with opened(tmp_path, server) as workbench:
        await workbench.set_mode("llm", Mode.PAUSED)
        await started(workbench, models=["alpha"], repeats=20)
        with anyio.fail_after(20):
            while len(await workbench.active(limit=100)) < 60:
                await anyio.sleep(0.05)
        # As if they had waited for hours: a cell is then as urgent as a chat.
        with sqlite3.connect(tmp_path / "workbench.sqlite3") as database:
            database.execute("UPDATE job SET since = since - 86400")
        job = await workbench.submit(JobRequest("chat", {"model": "alpha", "prompt": "and now?"}))
        await workbench.set_mode("llm", Mode.ACTIVE)
        with anyio.fail_after(20):
            assert (await workbench.wait(job.id, 20)).state is JobState.SUCCEEDED
    asked = [body["messages"][-1]["content"] for body in server.bodies(CHAT)]
    assert asked.index("and now?") <= 2


async def test_servers_work_at_the_same_time_also_on_more_cells_than_wait_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comfy_mcp.workbench.comparisons.AT_ONCE", 4)
    order: list[str] = []

    def noted(received: Received) -> Answer:
        order.append(received.json["model"])
        return answered(received)

    async with text_server(("alpha",)) as one, text_server(("beta",)) as other:
        for script in (one, other):
            script.on(CHAT, noted)
        urls = f"{one.url},{other.url}"
        async with Workbench.open(settings_for(tmp_path, NOWHERE, llm_url=urls)) as workbench:
            plan = await ended(workbench, await started(workbench, models=["*"], repeats=5))
    assert (plan.state, plan.done) == (PlanState.DONE, 30)
    assert "beta" in order[:10] and "alpha" in order[:10]


async def test_the_same_key_is_the_same_comparison(tmp_path: Path, server: Script) -> None:
    async with opened(tmp_path, server) as workbench:
        first = await started(workbench, key="once")
        again = await started(workbench, key="once")
        other = await started(workbench, owner="ada", key="once")
        with pytest.raises(Conflict):
            await started(workbench, key="once", prompts=["something else"])
        with pytest.raises(Conflict):
            await started(workbench, key="once", checks=["json"])
        for plan in (first, other):
            await ended(workbench, plan)
    assert first.id == again.id != other.id


async def test_one_model_judges_and_what_is_wrong_is_named(tmp_path: Path, server: Script) -> None:
    async with opened(tmp_path, server) as workbench:
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"judge": {"model": "*"}}, "judge"),
            ({"judge": {"model": "gamma"}}, "judge"),
            ({"models": ["gamma"]}, "models"),
            ({"prompts": [{"text": "x", "images": ["nothing"]}]}, "prompts"),
        ]
        for values, parameter in wrong:
            with pytest.raises(InvalidParameter) as refused:
                await started(workbench, **values)
            assert refused.value.parameter == parameter


async def test_a_picture_that_many_cells_show_is_stored_once(tmp_path: Path, server: Script, picture: bytes) -> None:
    async with opened(tmp_path, server) as workbench:
        asset = await workbench.upload(picture)
        prompts = [{"text": text, "images": [asset.id]} for text in PROMPTS]
        plan = await ended(workbench, await started(workbench, prompts=prompts))
        jobs = await workbench.jobs()
        shown = {upload.asset for job in jobs for upload in job.bound.uploads}
    assert (plan.state, plan.failed, len(jobs), len(shown)) == (PlanState.DONE, 0, 6, 1)
    assert models_asked(server).count("beta") == 3
